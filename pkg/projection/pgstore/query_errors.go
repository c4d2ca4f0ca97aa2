package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// ErrNotFound: the tables have no such workflow or run. The log may have it
// already: ask for what its append gave (Include), or read the log.
var ErrNotFound = errors.New("not in the tables")

// FilterError says what is wrong with a query's filter, and where. It is
// events.ErrInvalid.
type FilterError = filter.Error

// NotFoundError says what was looked for. Run is empty where the whole workflow
// is missing.
type NotFoundError struct {
	Workflow events.Workflow
	Run      events.RunID
	// Quarantined is set where commits of the workflow wait, which may have it.
	Quarantined *projection.Quarantined
}

func (e *NotFoundError) Error() string {
	s := fmt.Sprintf("workflow %s is not in the tables", e.Workflow)
	if e.Run != "" {
		s = fmt.Sprintf("run %s of workflow %s is not in the tables", e.Run, e.Workflow)
	}
	if e.Quarantined != nil {
		s += ": " + e.Quarantined.String()
	}
	return s
}

// Is makes it match ErrNotFound, and projection.ErrQuarantined where commits of
// the workflow wait.
func (e *NotFoundError) Is(target error) bool {
	return target == ErrNotFound || target == projection.ErrQuarantined && e.Quarantined != nil
}

// queryError gives a failed read its noun. Where a table or a column is not there it is
// projection.ErrVersion, with what the database has instead.
func (s *Store) queryError(ctx context.Context, doing string, err error) error {
	if postgres.IsMissing(err) || isUnknownColumn(err) {
		if version := s.CheckVersion(ctx); version != nil {
			return version
		}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func isUnknownColumn(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42703"
}
