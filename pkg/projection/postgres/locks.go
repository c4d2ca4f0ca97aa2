package postgres

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sql/holders.sql
var holdersSQL string

// limitLocks bounds how long each statement of a transaction waits for a lock
// from now on.
func limitLocks(ctx context.Context, tx pgx.Tx, limit time.Duration) error {
	_, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, milliseconds(limit))
	return err
}

// What Postgres says where others hold what a transaction needs: for as long as it
// waits, or while they need what it holds.
const lockNotAvailable, deadlockDetected = "55P03", "40P01"

// isLocked reports whether a transaction ended because others held what it
// needed. It may be tried again.
func isLocked(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == lockNotAvailable || pgErr.Code == deadlockDetected)
}

// inUse says who holds relations, after a transaction could not have them. The
// names are quoted.
func (p *Projection) inUse(ctx context.Context, cause error, what string, relations []string) error {
	e := &InUseError{What: what, Cause: cause}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	rows, err := p.pool.Query(ctx, holdersSQL, relations)
	if err != nil {
		return e // without names
	}
	e.Holders, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (h Holder, err error) {
		var seconds float64
		err = r.Scan(&h.PID, &h.User, &h.Application, &h.State, &seconds)
		h.Age = time.Duration(seconds * float64(time.Second))
		return h, err
	})
	if err != nil {
		e.Holders = nil
	}
	return e
}

// viewNames are the views that readers see, quoted.
func (p *Projection) viewNames() []string {
	names := make([]string, len(p.definition.Views))
	for i, view := range p.definition.Views {
		names[i] = quoted(p.definition.Schema, view)
	}
	return names
}
