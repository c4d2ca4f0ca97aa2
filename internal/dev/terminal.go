package dev

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/vbauerster/mpb/v8/cwriter"
	"golang.org/x/sys/unix"
)

// terminal is the one that standard input is, -1 if it is none. One process
// group may read it and gets what is typed as a signal: that in the foreground.
type terminal int

func terminalOf(stream any) terminal {
	f, ok := stream.(*os.File)
	if !ok || !cwriter.IsTerminal(int(f.Fd())) {
		return -1
	}
	return terminal(f.Fd())
}

// ours reports whether this process is in the foreground.
func (t terminal) ours() bool {
	if t < 0 {
		return false
	}
	foreground, err := unix.IoctlGetInt(int(t), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// attributes put the command into the group, in the foreground if
// this process is and nobody else of its group wants the terminal, as in a pipe
// to a pager.
func (t terminal) attributes(g group, out io.Writer) *syscall.SysProcAttr {
	if t.ours() && terminalOf(out) >= 0 {
		return &syscall.SysProcAttr{Foreground: true, Ctty: int(t), Pgid: int(g)}
	}
	return &syscall.SysProcAttr{Setpgid: true, Pgid: int(g)}
}

func (t terminal) give(g group) { _ = unix.IoctlSetPointerInt(int(t), unix.TIOCSPGRP, int(g)) }

// take brings this process back to the foreground if the group has it.
func (t terminal) take(g group) {
	if t < 0 {
		return
	}
	if foreground, err := unix.IoctlGetInt(int(t), unix.TIOCGPGRP); err != nil || foreground != int(g) {
		return
	}
	// Who is in the background and takes the terminal is stopped otherwise.
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	t.give(group(unix.Getpgrp()))
}

// changed does what a shell does for a job, whenever the command may have
// stopped. One that wants the terminal that we have gets it; one that was
// stopped at the terminal (Ctrl-Z) stops us too, so that the shell goes on.
func (t terminal) changed(g group, command int) {
	if t < 0 || !stopped(command) {
		return
	}
	session, err := unix.Getsid(0)
	if !t.ours() && (err != nil || session != unix.Getpgrp()) {
		t.take(g)
		_ = syscall.Kill(0, syscall.SIGTSTP)
		return // SIGCONT tells when we go on
	}
	t.resume(g) // it wanted the terminal, or there is no shell to go back to
}

// resume has the command go on, in the foreground if we are there.
func (t terminal) resume(g group) {
	if t.ours() {
		t.give(g)
	}
	g.signal(syscall.SIGCONT)
}
