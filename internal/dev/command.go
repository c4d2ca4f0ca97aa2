package dev

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// command runs the command to its end and gives its exit code. Signals that ask
// this process to end are handed on to it and to what it started, and what it
// makes of them counts. What it leaves behind is ended.
func (d *Pipeline) command(o RunOptions) (int, error) {
	c := exec.Command(o.Command[0], o.Command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = o.In, o.Out, o.Err
	var err error
	if c.Env, err = d.environment(os.Environ()); err != nil {
		return 0, err
	}
	guard, err := startGuard()
	if err != nil {
		return 0, err
	}
	g, t := guard.group(), terminalOf(o.In)
	c.SysProcAttr = t.attributes(g, o.Out)

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	jobs := make(chan os.Signal, 8)
	if t >= 0 {
		signal.Notify(jobs, syscall.SIGCHLD, syscall.SIGCONT)
		defer signal.Stop(jobs)
	}
	if err := c.Start(); err != nil {
		t.take(g)
		guard.stop()
		return 0, fmt.Errorf("run the command: %w", err)
	}
	defer func() {
		t.take(g)
		guard.stop()
		g.end(signals)
	}()
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()

	var ended error
	lost := d.ended
	for {
		select {
		case s := <-signals:
			g.signal(s)
		case s := <-jobs:
			if s == syscall.SIGCONT {
				t.resume(g)
			} else {
				t.changed(g, c.Process.Pid)
			}
		case ended = <-lost:
			d.o.Logger.Error("the command is asked to end", slog.Any("error", ended))
			lost = nil
			g.signal(syscall.SIGTERM)
		case err := <-done:
			code, err := exitCode(err)
			return code, errors.Join(err, ended)
		}
	}
}

// environment is the command's: in it our programs, and those of NATS and
// Postgres, find what runs.
func (d *Pipeline) environment(base []string) ([]string, error) {
	c, err := pgx.ParseConfig(d.DatabaseURL())
	if err != nil {
		return nil, err
	}
	// They would say another server than PGHOST does.
	env := slices.DeleteFunc(slices.Clone(base), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "PGHOSTADDR" || name == "PGSERVICE"
	})
	return append(env, "NATS_URL="+d.NATSURL(), "DATABASE_URL="+d.DatabaseURL(), "ANNALS_URL="+d.AnnalsURL(),
		"PGHOST="+c.Host, fmt.Sprintf("PGPORT=%d", c.Port), "PGUSER="+c.User, "PGDATABASE="+c.Database, "PGSSLMODE=disable"), nil
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
