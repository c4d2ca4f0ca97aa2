package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// stopPatience is how long a worker may take to end when it is asked to.
const stopPatience = 3 * time.Second

// process is a worker in a process of its own, that does not outlive this one.
type process struct {
	index int
	cmd   *exec.Cmd
	stdin io.Closer
	ready chan ready    // gets one value, unless it ends before
	done  chan struct{} // closed when it is gone
	err   error         // of Wait; to be read after done
}

// startProcess starts this program over again as worker index: its command "demo
// worker" calls Work. What it says later than that it is ready goes to say.
func startProcess(o Options, natsURL string, index int, say func(message)) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, &WorkerError{Worker: index + 1, Cause: err}
	}
	cmd := exec.Command(self, "demo", "worker", "--index", strconv.Itoa(index), "--of", strconv.Itoa(o.Workers))
	cmd.Args[0] = os.Args[0] // a program may go by the name that it was called by
	cmd.Env = append(append(os.Environ(), o.Env...), "NATS_URL="+natsURL)
	cmd.Stderr = o.Err
	// What is typed at the terminal is for this process, which ends its workers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	tie(cmd.SysProcAttr)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{index: index, cmd: cmd, stdin: stdin, ready: make(chan ready, 1), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel kills a tied process when the thread that made it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.listen(stdout, say)
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, &WorkerError{Worker: index + 1, Cause: err}
	}
	return p, nil
}

// listen reads what the worker says until it closes its standard output.
func (p *process) listen(stdout io.Reader, say func(message)) {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(line, &m) != nil {
			continue
		}
		if m.Ready != nil {
			select {
			case p.ready <- *m.Ready:
			default:
			}
			continue
		}
		say(m)
	}
}

// pid is the process's.
func (p *process) pid() int { return p.cmd.Process.Pid }

// awaitReady returns what the worker goes on with.
func (p *process) awaitReady(ctx context.Context) ([]ResumedRun, error) {
	select {
	case r := <-p.ready:
		return r.Resumed, nil
	case <-p.done:
		select {
		case r := <-p.ready:
			return r.Resumed, nil
		default:
		}
		return nil, p.ended()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ended says how a process ended that should not have.
func (p *process) ended() error {
	return &WorkerError{Worker: p.index + 1, Cause: errors.Join(errEndedSilently, p.err)}
}

// kill ends the process by SIGKILL and returns when it is gone.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return &WorkerError{Worker: p.index + 1, Cause: fmt.Errorf("kill: %w", err)}
	}
	_ = p.stdin.Close()
	return nil
}

// stop asks the process to end and returns when it is gone.
func (p *process) stop() error {
	_ = p.stdin.Close()
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-p.done:
		return nil
	case <-patience.C:
		return errors.Join(&WorkerError{Worker: p.index + 1, Cause: errNotStopped}, p.kill())
	}
}
