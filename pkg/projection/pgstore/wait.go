package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// WaitFor returns once the tables include the vector, so that a query after it
// sees all that it holds. It waits as long as the context lets it, then fails with
// projection.ErrBehind (*projection.BehindError, which wraps the context's cause). It fails with
// events.ErrWrongLog at once if the vector is bound to another log than the tables
// are made from, and with projection.ErrTooManyWaits if Config.MaxWaits others
// wait. However many wait on a store, one of them at a time asks the database.
//
// A query that has the vector itself (Include) promises more: that what it read
// includes it.
func (s *Store) WaitFor(ctx context.Context, v events.Vector) error {
	return s.waitError(ctx, s.waits.For(ctx, v))
}

// waitError gives a wait that failed its noun.
func (s *Store) waitError(ctx context.Context, err error) error {
	const doing = "wait for the tables"
	switch {
	case err == nil || errors.Is(err, projection.ErrBehind):
		return err
	case errors.Is(err, events.ErrWrongLog), errors.Is(err, projection.ErrTooManyWaits):
		return fmt.Errorf("%s: %w", doing, err)
	default:
		return s.queryError(ctx, doing, err)
	}
}
