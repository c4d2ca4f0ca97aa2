package dev

import (
	"os/exec"
	"syscall"
)

// tie has the command asked to end when this process is killed: its servers are
// gone then.
func tie(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
