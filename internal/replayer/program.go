package replayer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/annals-io/annals/pkg/replay"
)

// Program is what is held against histories.
type Program struct {
	Path string
	Args []string
	// Timeout is how long an answer may take; 30 s.
	Timeout time.Duration
	// EndTimeout is how long the program may take to end once there is nothing
	// more to answer; as Timeout.
	EndTimeout time.Duration
	// MaxAnswer is how many bytes an answer may have; 16 MiB.
	MaxAnswer int
}

func (p Program) withDefaults() Program {
	if p.Timeout == 0 {
		p.Timeout = 30 * time.Second
	}
	if p.EndTimeout == 0 {
		p.EndTimeout = p.Timeout
	}
	if p.MaxAnswer == 0 {
		p.MaxAnswer = 16 << 20
	}
	return p
}

// moment is how long is waited for what a process that has ended wrote before,
// and for the end of one that has closed its standard output. Neither takes long,
// unless something that has left its group holds on to what it wrote to.
const moment = 5 * time.Second

// process is a program that runs. It is for one goroutine.
type process struct {
	program Program
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	lines   <-chan []byte // what it prints, a line each; closed at the end
	drop    chan struct{} // closed: nobody wants more of them
	flooded error         // why lines ended, once it is closed
	stderr  *tail
	exited  chan struct{} // closed: it has ended, and what it started with it
	how     error         // it ended, as Wait says; once exited is closed
	ended   chan struct{} // closed: its standard error was read, too
	asked   int
	last    replay.Task // that it was asked about
	over    bool        // it was killed
}

// start runs the program. The caller MUST call kill or end.
func (p Program) start() (*process, error) {
	var pipes []io.Closer
	fail := func(err error) (*process, error) {
		for _, c := range pipes {
			_ = c.Close()
		}
		return nil, &ProgramError{Program: p.Path, What: "does not start: " + err.Error()}
	}
	cmd := exec.Command(p.Path, p.Args...)
	alone(cmd)
	r := &process{program: p, cmd: cmd, stderr: &tail{}, drop: make(chan struct{}), exited: make(chan struct{}), ended: make(chan struct{})}
	// Pipes of our own: Wait is then about the process alone, and not about
	// whatever else holds their other ends.
	out, toOut, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	pipes = append(pipes, out, toOut)
	stderr, toStderr, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	pipes = append(pipes, stderr, toStderr)
	if r.in, err = cmd.StdinPipe(); err != nil {
		return fail(err)
	}
	cmd.Stdout, cmd.Stderr = toOut, toStderr
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	_, _ = toOut.Close(), toStderr.Close() // the program has its own
	r.out = out
	lines := make(chan []byte)
	r.lines = lines
	go func() {
		defer close(lines)
		r.flooded = readLines(out, p.MaxAnswer, lines, r.drop)
	}()
	go r.wait(stderr)
	return r, nil
}

// wait waits for the end of the process, ends what it has started, and reads the
// rest of its standard error.
func (r *process) wait(stderr *os.File) {
	defer close(r.ended)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(r.stderr, stderr)
	}()
	r.how = r.cmd.Wait()
	killGroup(r.cmd)
	close(r.exited)
	rest := time.NewTimer(moment) // one that has left the group may hold it
	defer rest.Stop()
	select {
	case <-read:
	case <-rest.C:
	}
	_ = stderr.Close()
	<-read
}

// hasExited says whether the process has ended.
func (r *process) hasExited() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// code asks the process for each task.
func (r *process) code(ctx context.Context, t replay.Task) ([]*replay.Command, error) {
	r.asked++
	before := r.last
	r.last = replay.Task{Workflow: t.Workflow, Run: t.Run}
	line, err := replay.EncodeTask(r.asked, t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", replay.ErrNotAsked, err)
	}
	broken := func(what string) error {
		r.kill()
		return &ProgramError{Program: r.program.Path, Workflow: t.Workflow, Run: t.Run, Next: t.Next, What: what, Stderr: r.stderr.String()}
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := r.in.Write(line)
		wrote <- err
	}()
	patience := time.NewTimer(r.program.Timeout)
	defer patience.Stop()
	var (
		said   []byte
		closed bool // there are no more lines
		exited = r.exited
		late   <-chan time.Time // once either end has come
	)
	for wrote != nil || said == nil {
		lines := r.lines
		if said != nil || closed {
			lines = nil // the next line is no answer to this
		}
		if closed && exited == nil && said == nil {
			return nil, broken("ended without an answer: " + r.cmd.ProcessState.String())
		}
		select {
		case <-wrote:
			wrote = nil // one that does not take the question may say why: its end tells the rest
		case l, ok := <-lines:
			switch {
			case ok:
				said = l
			case r.flooded != nil:
				return nil, broken(r.flooded.Error())
			default:
				closed, late = true, time.After(moment)
			}
		case <-exited:
			exited, late = nil, time.After(moment)
		case <-late:
			if exited == nil {
				closed = true // what it printed before would have come by now
				continue
			}
			return nil, broken("closed its standard output without an answer")
		case <-patience.C:
			if said != nil {
				return nil, broken(fmt.Sprintf("did not read the question within %s, and printed before that: %.200q", r.program.Timeout, bytes.TrimSpace(said)))
			}
			return nil, broken(fmt.Sprintf("gave no answer within %s", r.program.Timeout))
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	commands, err := replay.DecodeAnswer(said, r.asked)
	if errors.Is(err, replay.ErrNotAsked) {
		what := strings.TrimPrefix(err.Error(), replay.ErrNotAsked.Error()+": it ")
		if n := taskOf(said); n > 0 && n < r.asked {
			what += fmt.Sprintf("; that may be an answer too many about %s", named(before.Workflow, before.Run))
		}
		return nil, broken(what)
	}
	return commands, err
}

// taskOf is the number of the task that a line answers; 0: it does not say.
func taskOf(line []byte) int {
	var a struct {
		Task int `json:"task"`
	}
	if json.Unmarshal(line, &a) != nil {
		return 0
	}
	return a.Task
}

// kill ends the process, and what it has started, at once.
func (r *process) kill() {
	if r.over {
		return
	}
	r.over = true
	_ = r.in.Close()
	if !r.hasExited() {
		killGroup(r.cmd)
	}
	<-r.ended
	r.closeOut()
}

// closeOut ends the reading of what it prints.
func (r *process) closeOut() {
	close(r.drop)
	_ = r.out.Close()
	for range r.lines { //nolint:revive // until the reader has ended
	}
}

// end tells the process that there is nothing more to answer, and waits for its
// end. It fails if that is no success, or if it prints more than was asked for.
func (r *process) end() error {
	broken := func(what string) error {
		r.kill()
		return &ProgramError{Program: r.program.Path, What: what, Stderr: r.stderr.String()}
	}
	_ = r.in.Close()
	patience := time.NewTimer(r.program.EndTimeout)
	defer patience.Stop()
	lines, exited := r.lines, r.exited
	var late <-chan time.Time // once it has ended
	for lines != nil || exited != nil {
		select {
		case l, more := <-lines:
			switch {
			case more && r.asked > 0:
				return broken(fmt.Sprintf("printed more than was asked for, behind its answers about %s: %.200q", named(r.last.Workflow, r.last.Run), bytes.TrimSpace(l)))
			case more:
				return broken(fmt.Sprintf("printed more than was asked for: %.200q", bytes.TrimSpace(l)))
			case r.flooded != nil:
				return broken(r.flooded.Error())
			}
			lines = nil
		case <-exited:
			exited, late = nil, time.After(moment)
		case <-late:
			lines = nil // one that has left the group may hold its standard output
		case <-patience.C:
			return broken(fmt.Sprintf("did not end within %s of the end of its standard input", r.program.EndTimeout))
		}
	}
	how := r.how
	if how != nil {
		return broken("answered everything, and ended: " + how.Error())
	}
	r.kill()
	return nil
}
