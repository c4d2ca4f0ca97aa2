package dev

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// command runs the command to its end and gives its exit code. Signals that ask
// this process to end are handed on to it, and what it makes of them counts.
func (d *pipeline) command() (int, error) {
	c := exec.Command(d.o.Command[0], d.o.Command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = d.o.In, d.o.Out, d.o.Err
	c.Env = append(os.Environ(), "NATS_URL="+d.natsURL(), "DATABASE_URL="+d.databaseURL(), "ANNALS_URL="+d.annalsURL())
	tie(c)

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	started, done := make(chan error, 1), make(chan error, 1)
	go func() {
		// The command is tied to the life of the thread that starts it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		started <- err
		if err == nil {
			done <- c.Wait()
		}
	}()
	if err := <-started; err != nil {
		return 0, fmt.Errorf("run the command: %w", err)
	}
	// An interrupt typed at a terminal reaches the command without our help.
	typed := terminal(d.o.In)
	var ended error
	lost := d.ended
	for {
		select {
		case s := <-signals:
			if s != os.Interrupt || !typed {
				_ = c.Process.Signal(s)
			}
		case ended = <-lost:
			d.o.Logger.Error("the command is asked to end", slog.Any("error", ended))
			lost = nil
			_ = c.Process.Signal(syscall.SIGTERM)
		case err := <-done:
			code, err := exitCode(err)
			return code, errors.Join(err, ended)
		}
	}
}

// exitCode reads how a command ended: 128 and the signal's number if one killed
// it, as shells say it.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

func terminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}
