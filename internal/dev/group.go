package dev

import (
	"os"
	"syscall"
	"time"
)

// grace is how long processes that the command left behind have to end after
// SIGTERM.
const grace = 3 * time.Second

// group is the process group of the command: what it started is in it, unless
// it left it on purpose.
type group int

// signal reports whether anybody is in the group.
func (g group) signal(s os.Signal) bool {
	number, ok := s.(syscall.Signal)
	return ok && syscall.Kill(-int(g), number) == nil
}

// end asks what is left of the group to end, and kills it where that takes
// longer than grace or somebody is impatient.
func (g group) end(impatient <-chan os.Signal) {
	if !g.signal(syscall.SIGTERM) {
		return
	}
	g.signal(syscall.SIGCONT) // what is stopped takes a signal when it goes on
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	// Nobody tells when a process ends that is not our child.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for g.signal(syscall.Signal(0)) {
		select {
		case <-tick.C:
		case s := <-impatient:
			if s == os.Interrupt || s == syscall.SIGTERM {
				g.signal(syscall.SIGKILL)
				return
			}
		case <-deadline.C:
			g.signal(syscall.SIGKILL)
			return
		}
	}
}
