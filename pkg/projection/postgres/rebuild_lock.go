package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/projection"
)

// hold does work while this process has the lease, which keeps two from filling
// the same tables. What keeps two from doing harm is the compare-and-set on the
// checkpoints, and the state of the generation: the lease only spares them the work.
// Where it was lost, as the database was away, it is taken again and the work
// goes on.
func (r *rebuild) hold(ctx context.Context, work func(context.Context) error) error {
	delays := backoff.NewExponentialBackOff(backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	for lost := false; ; {
		began, err := r.held(ctx, work)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, projection.ErrLeaseLost):
			lost = true
			delays.Reset()
		case began, !lost, isFinal(err):
			return err
		}
		r.o.Logger.Warn("the rebuild was interrupted; trying again", slog.String("projection", r.definition.Name), slog.Any("error", err))
		select {
		case <-time.After(delays.NextBackOff()):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// held takes the lease, and does work with it. It says whether that began.
func (r *rebuild) held(ctx context.Context, work func(context.Context) error) (began bool, err error) {
	leases, err := OpenLeases(ctx, r.pool.Config(), r.definition.Name, LeaseConfig{})
	if err != nil {
		return false, err
	}
	defer leases.Close()
	with, release, err := r.take(ctx, leases)
	if err != nil {
		return false, err
	}
	err = work(with)
	// Work that is done stays done, whatever became of the lease meanwhile.
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(with), projection.ErrLeaseLost) {
		err = context.Cause(with)
	}
	if end := release(); end != nil {
		r.o.Logger.Warn("the lease of the rebuild was not given back: it ends by itself", slog.Any("error", end))
	}
	return true, err
}

// take takes the lease, for which it waits: one that was killed elsewhere has it for a
// few seconds more.
func (r *rebuild) take(ctx context.Context, leases *Leases) (with context.Context, release func() error, err error) {
	if _, err := r.pool.Exec(ctx, `INSERT INTO annals.projections (name) VALUES ($1) ON CONFLICT DO NOTHING`, r.definition.Name); err != nil {
		return nil, nil, err
	}
	if _, err := Bury(ctx, r.pool, DiedHere); err != nil {
		return nil, nil, err
	}
	deadline := time.Now().Add(r.o.Wait)
	for {
		with, release, err = projection.Hold(ctx, leases, projection.RebuildLease, projection.MembershipConfig{Logger: r.o.Logger})
		if !errors.Is(err, projection.ErrLeaseHeld) {
			return with, release, err
		}
		if time.Now().After(deadline) {
			return nil, nil, fmt.Errorf("%w: %w", ErrRebuilding, err)
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// reopen gives the swap a session of its own, which a batch of the projector never
// waits for.
func (r *rebuild) reopen(ctx context.Context) error {
	if r.conn != nil && !r.conn.IsClosed() {
		if err := r.conn.Ping(ctx); err == nil {
			return nil
		}
	}
	r.close()
	conn, err := pgx.ConnectConfig(ctx, r.pool.Config().ConnConfig)
	r.conn = conn
	return err
}

func (r *rebuild) close() {
	if r.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = r.conn.Close(ctx)
	r.conn = nil
}
