package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

var (
	// ErrNotFound: the tables have no such workflow or run. The log may have it
	// already: wait for its position first, or read the log.
	ErrNotFound = errors.New("not in the tables")
	// ErrBehind: the tables did not come as far as was waited for. Wait longer,
	// or look at the projector: *BehindError says how far each partition is.
	ErrBehind = errors.New("the tables are behind")
)

// FilterError says what is wrong with a query's filter, and where. It is
// events.ErrInvalid.
type FilterError = filter.Error

// NotFoundError says what was looked for. Run is empty where the whole workflow
// is missing.
type NotFoundError struct {
	Workflow events.Workflow
	Run      events.RunID
}

func (e *NotFoundError) Error() string {
	if e.Run == "" {
		return fmt.Sprintf("workflow %s is not in the tables", e.Workflow)
	}
	return fmt.Sprintf("run %s of workflow %s is not in the tables", e.Run, e.Workflow)
}

// Is makes it match ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// BehindError says what was waited for and how far the tables had come.
type BehindError struct {
	// Behind are the partitions that had not come far enough, in order.
	Behind []Behind
	cause  error
}

// Behind is one partition's part in a BehindError.
type Behind struct {
	// Wanted is what was waited for.
	Wanted events.Position
	// Checkpoint is how far its partition is in the tables, inclusive; 0: nothing.
	Checkpoint uint64
}

func (e *BehindError) Error() string {
	parts := make([]string, len(e.Behind))
	for i, b := range e.Behind {
		parts[i] = fmt.Sprintf("%s wanted, partition is at %d", b.Wanted, b.Checkpoint)
	}
	return fmt.Sprintf("the tables are behind: %s: %v", strings.Join(parts, "; "), e.cause)
}

// Is makes it match ErrBehind.
func (e *BehindError) Is(target error) bool { return target == ErrBehind }

// Unwrap is why the wait ended: the context's error.
func (e *BehindError) Unwrap() error { return e.cause }

// queryError gives a failed read its noun. Where a table is not there it is
// projection.ErrVersion, with what the database has instead.
func (s *Store) queryError(ctx context.Context, doing string, err error) error {
	if postgres.IsMissing(err) {
		if version := s.CheckVersion(ctx); version != nil {
			return version
		}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%s: %w", doing, err)
}
