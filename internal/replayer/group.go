package replayer

import (
	"os/exec"
	"syscall"
)

// alone gives what runs a process group of its own: what is typed at the
// terminal is for us, who end it, and what it has started ends with it.
func alone(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends what runs, even where it moved itself to another group, and what it
// has started.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // there may be none left
		_ = cmd.Process.Kill()
	}
}
