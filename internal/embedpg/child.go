package embedpg

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/annals-io/annals/internal/scratch"
)

// child is a process that does not outlive this one.
type child struct {
	process *os.Process
	done    chan struct{}
	err     error  // of Wait; to be read after done
	end     string // how it ended; to be read after done
}

// startChild starts cmd as the identity, tied to this process's life.
//
// The kernel sends the death signal when the thread that forked ends, not the process, so that thread
// is kept, locked, until the child is gone.
func startChild(cmd *exec.Cmd, id identity, folder *scratch.Folder) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: id.credential(),
		// An interrupt typed at the terminal is for this process, which stops its children in order.
		Setpgid: true,
	}
	tie(cmd.SysProcAttr)
	cmd.ExtraFiles = []*os.File{folder.Hold()}

	c := &child{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		c.process = cmd.Process
		started <- nil
		c.err = cmd.Wait()
		c.end = cmd.ProcessState.String()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// signal reaches the child only while it lives; afterwards it does nothing.
func (c *child) signal(s syscall.Signal) {
	_ = c.process.Signal(s)
}

// environment is this process's without what PostgreSQL's programs would take as settings.
func environment(home string) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "PG"), strings.HasPrefix(name, "LC_"), name == "LANG", name == "LANGUAGE", name == "HOME":
		default:
			env = append(env, v)
		}
	}
	return append(env, "LC_ALL=C", "HOME="+home)
}
