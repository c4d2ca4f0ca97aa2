package dev

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// guardian waits for a line on its standard input. If its parent is gone
// without one, it ends its process group, at last itself.
const guardian = `trap '' TERM INT HUP QUIT TSTP TTIN TTOU
if read -r _; then exit 0; fi
kill -s TERM 0
kill -s CONT 0
sleep 3
kill -s KILL 0`

// guard leads the process group that the command is put into. When this process
// is killed, it ends the group: the servers are gone then. It is there before
// the command, so that there is no moment at which nobody would.
type guard struct {
	cmd   *exec.Cmd
	alive *os.File // its standard input, closed when this process ends
}

func startGuard() (*guard, error) {
	read, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", guardian, "annals-dev-guard")
	cmd.Dir, cmd.Env, cmd.Stdin = "/", []string{"PATH=/usr/bin:/bin"}, read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_ = alive.Close()
		return nil, fmt.Errorf("guard of the command: %w", err)
	}
	return &guard{cmd, alive}, nil
}

func (g *guard) group() group { return group(g.cmd.Process.Pid) }

// stop has it end without doing anything. The group's id stays the group's
// while somebody is in it.
func (g *guard) stop() {
	_, _ = g.alive.WriteString("\n")
	_ = g.alive.Close()
	_ = g.cmd.Wait()
}
