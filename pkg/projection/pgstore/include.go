package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Include is what the answer of a query must include. The zero value asks for
// nothing: the answer is from the tables as they are.
type Include struct {
	// Vector is what the tables must include that the answer is read from: that of
	// one's own appends, say. The answer and the checkpoints that prove it are read
	// in one snapshot, so that it holds whatever server of the database answers,
	// and while one generation of the tables takes the place of another. Where a
	// workflow is quarantined the tables lack commits that the vector may hold:
	// Describe of it fails with projection.ErrQuarantined, and a list or a count says
	// so (Lacking).
	Vector events.Vector
	// Wait bounds how long a query waits for that before it fails with
	// projection.ErrBehind;
	// the reading itself is not bounded by it. Zero: it does not wait.
	Wait time.Duration
}

// asks reports whether there is anything to look at.
func (in Include) asks() bool {
	_, _, bound := in.Vector.Bound()
	return bound || !in.Vector.IsZero()
}

func (in Include) validate() error {
	if in.Wait < 0 {
		return &events.InvalidError{Field: "include.wait", Reason: fmt.Sprintf("is %s, less than nothing", in.Wait)}
	}
	return in.Vector.Within(events.Slots)
}

// replacements is how often a query begins again because its tables were replaced
// under it.
const replacements = 8

// answer has read read the tables in one snapshot that includes what it must.
// It fails with projection.ErrBehind (*projection.BehindError) where they do not come as far in time;
// without Behind where they did not say in time how far they are.
func (s *Store) answer(ctx context.Context, doing string, in Include, read func(pgx.Tx) error) error {
	if err := in.validate(); err != nil {
		return err
	}
	if err := s.isCurrent(ctx); err != nil {
		return err
	}
	wait, cancel := ctx, context.CancelFunc(func() {})
	if in.Wait > 0 {
		wait, cancel = context.WithTimeout(ctx, in.Wait)
	}
	defer cancel()
	// A database that has several servers may answer a wait by one that is ahead,
	// and a query by one that is behind.
	pauses := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(2*time.Millisecond), backoff.WithMaxInterval(250*time.Millisecond), backoff.WithMaxElapsedTime(0))
	for replaced, behind := 0, 0; ; {
		if in.Wait > 0 && (behind > 0 || !s.waits.Known().Covers(in.Vector)) {
			if err := s.waits.For(wait, in.Vector); err != nil {
				return tooLate(ctx, wait, s.waitError(ctx, err))
			}
		}
		err := s.read(ctx, wait, in, read)
		switch {
		case err == nil:
			return nil
		case isReplaced(err) && replaced < replacements:
			replaced++
		case errors.Is(err, projection.ErrBehind) && in.Wait > 0:
			if behind++; behind == 1 {
				continue
			}
			select {
			case <-time.After(pauses.NextBackOff()):
			case <-wait.Done():
				return tooLate(ctx, wait, err)
			}
		case errors.Is(err, ErrNotFound), errors.Is(err, projection.ErrBehind), errors.Is(err, projection.ErrQuarantined):
			return err
		case errors.Is(err, events.ErrWrongLog):
			return fmt.Errorf("%s: %w", doing, err)
		default:
			return tooLate(ctx, wait, s.queryError(ctx, doing, err))
		}
	}
}

// tooLate is err as projection.ErrBehind where it is only that the time for waiting is over.
func tooLate(ctx, wait context.Context, err error) error {
	if wait.Err() == nil || ctx.Err() != nil {
		return err
	}
	var behind *projection.BehindError
	if errors.As(err, &behind) {
		return &projection.BehindError{Behind: behind.Behind, Cause: context.Cause(wait)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &projection.BehindError{Cause: err}
	}
	return err
}

// read reads once, in one snapshot. What is waited for is found out within the
// time for waiting.
func (s *Store) read(ctx, wait context.Context, in Include, read func(pgx.Tx) error) (err error) {
	tx, err := s.pool.BeginTx(wait, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // nothing was written
	if in.asks() {
		checkpoints, err := s.projection.CheckpointsIn(wait, tx)
		if err != nil {
			return err
		}
		if err := projection.Includes(checkpoints, in.Vector); err != nil {
			return err
		}
	}
	return read(tx)
}

// readOne reads with one statement, which has a snapshot of its own.
func (s *Store) readOne(ctx context.Context, doing string, in Include, read func(postgres.Querier) error) error {
	if in.asks() {
		return s.answer(ctx, doing, in, func(tx pgx.Tx) error { return read(tx) })
	}
	if err := in.validate(); err != nil {
		return err
	}
	if err := s.isCurrent(ctx); err != nil {
		return err
	}
	for replaced := 0; ; replaced++ {
		err := read(s.pool)
		if isReplaced(err) && replaced < replacements {
			continue
		}
		if err != nil {
			return s.queryError(ctx, doing, err)
		}
		return nil
	}
}

// isReplaced reports whether a generation of the tables took the place of the
// one that was about to be read: its guard refused an older snapshot, or the
// statement was prepared for columns of other types, which each connection finds
// out once.
func isReplaced(err error) bool {
	const serializationFailure, planOfOtherTypes = "40001", "0A000"
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == serializationFailure || e.Code == planOfOtherTypes)
}
