package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// buryFormer frees what projectors held that were killed with the Postgres that was
// started here before: an annals dev above all, on the same data. This Postgres was
// started by this process, on a folder that is locked, so no session is left of those
// times, and no transaction. Whoever was a process of this machine then, and is none
// now, is dead; and so is whoever had this process's number, which has taken no lease
// yet. What runs on another machine, or goes on here, keeps its leases. If the number
// of a dead one was given to a new process, it is waited for as ever.
func (d *Pipeline) buryFormer(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return nil // then nobody is known to have been here
	}
	n, err := postgres.Bury(ctx, d.pool, func(m projection.Member) bool {
		return m.Host == host && (m.PID == os.Getpid() || errors.Is(syscall.Kill(m.PID, 0), syscall.ESRCH))
	})
	if err != nil {
		return fmt.Errorf("look for what was killed: %w", err)
	}
	if n > 0 {
		d.o.Logger.Debug("took the leases of projectors that were killed", slog.Int("projectors", n))
	}
	return nil
}
