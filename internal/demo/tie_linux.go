package demo

import "syscall"

// tie has the kernel kill a worker with this process.
func tie(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
