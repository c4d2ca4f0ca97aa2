package embedpg

import "syscall"

// tied says that the kernel ends a child with its parent.
const tied = true

// tie asks for SIGINT, at which postgres shuts down in order, removing its socket and shared memory.
func tie(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }
