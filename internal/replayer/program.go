package replayer

import (
	"bytes"
	"context"
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
	asked   int
	over    bool // it was killed
}

// start runs the program. The caller MUST call kill or end.
func (p Program) start() (*process, error) {
	fail := func(err error) (*process, error) {
		return nil, &ProgramError{Program: p.Path, What: "does not start: " + err.Error()}
	}
	cmd := exec.Command(p.Path, p.Args...)
	alone(cmd)
	r := &process{program: p, cmd: cmd, stderr: &tail{}, drop: make(chan struct{})}
	cmd.Stderr = r.stderr
	cmd.WaitDelay = time.Second // for what it has started, and holds its standard error
	var err error
	if r.in, err = cmd.StdinPipe(); err != nil {
		return fail(err)
	}
	out, write, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	cmd.Stdout = write
	err = cmd.Start()
	_ = write.Close() // the program has its own
	if err != nil {
		_ = out.Close()
		return fail(err)
	}
	r.out = out
	lines := make(chan []byte)
	r.lines = lines
	go func() {
		defer close(lines)
		r.flooded = readLines(out, p.MaxAnswer, lines, r.drop)
	}()
	return r, nil
}

// code asks the process for each task.
func (r *process) code(ctx context.Context, t replay.Task) ([]*replay.Command, error) {
	r.asked++
	line, err := replay.EncodeTask(r.asked, t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", replay.ErrNotAsked, err)
	}
	broken := func(what string) error {
		e := &ProgramError{Program: r.program.Path, Workflow: t.Workflow, Run: t.Run, Next: t.Next, What: what}
		state := r.kill()
		if strings.HasPrefix(what, died) {
			e.What += state
		}
		e.Stderr = r.stderr.String()
		return e
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := r.in.Write(line)
		wrote <- err
	}()
	patience := time.NewTimer(r.program.Timeout)
	defer patience.Stop()
	var said []byte
	for wrote != nil || said == nil {
		lines := r.lines
		if said != nil {
			lines = nil // the next line is no answer to this
		}
		select {
		case <-wrote:
			wrote = nil // one that does not take the question may say why: the end of its lines tells the rest
		case l, ok := <-lines:
			switch {
			case ok:
				said = l
			case r.flooded != nil:
				return nil, broken(r.flooded.Error())
			default:
				return nil, broken(died)
			}
		case <-patience.C:
			return nil, broken(fmt.Sprintf("gave no answer within %s", r.program.Timeout))
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	commands, err := replay.DecodeAnswer(said, r.asked)
	if errors.Is(err, replay.ErrNotAsked) {
		return nil, broken(strings.TrimPrefix(err.Error(), replay.ErrNotAsked.Error()+": it "))
	}
	return commands, err
}

// died is what becomes of a process that ends, or closes its standard output,
// before it has answered.
const died = "ended without an answer"

// kill ends the process, and what it has started, at once, and says how it had
// ended already.
func (r *process) kill() string {
	if r.over {
		return ""
	}
	r.over = true
	_ = r.in.Close()
	close(r.drop)
	// One that is about to end by itself may say how.
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	state := ""
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case <-ended:
		state = ": " + r.cmd.ProcessState.String()
	case <-grace.C:
		killGroup(r.cmd)
		<-ended
	}
	r.closeOut()
	return state
}

// closeOut ends the reading of what it prints.
func (r *process) closeOut() {
	_ = r.out.Close()
	for range r.lines { //nolint:revive // until the reader has ended
	}
}

// end tells the process that there is nothing more to answer, and waits for its
// end. It fails if that is no success, or if it prints more than was asked for.
func (r *process) end() error {
	broken := func(what string) error {
		return &ProgramError{Program: r.program.Path, What: what, Stderr: r.stderr.String()}
	}
	_ = r.in.Close()
	patience := time.NewTimer(r.program.EndTimeout)
	defer patience.Stop()
	select {
	case l, more := <-r.lines:
		switch {
		case more:
			r.kill()
			return broken("printed more than was asked for: " + fmt.Sprintf("%.200q", bytes.TrimSpace(l)))
		case r.flooded != nil:
			r.kill()
			return broken(r.flooded.Error())
		}
	case <-patience.C:
		r.kill()
		return broken(fmt.Sprintf("did not end within %s of the end of its standard input", r.program.EndTimeout))
	}
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-patience.C:
		killGroup(r.cmd)
		<-ended
		err = fmt.Errorf("not within %s of the end of its standard input", r.program.EndTimeout)
	}
	r.over = true
	close(r.drop)
	r.closeOut()
	if err != nil {
		return broken("answered everything, and ended: " + err.Error())
	}
	return nil
}
