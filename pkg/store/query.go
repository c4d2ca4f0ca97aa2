package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Executions of an answer.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Query says which executions. All of its conditions must hold; the zero value
// of a condition holds for all. Runs that Temporal's server marks as its own, by
// the search attribute TemporalNamespaceDivision, are in none.
type Query struct {
	Namespace string
	Type      string // the whole name, compared byte by byte; a NUL is the same as U+FFFD
	Status    events.Status
	// StartedAfter is inclusive and StartedBefore exclusive, so that ranges that
	// meet share no execution and miss none. Both are in the years 1 to 9999,
	// and, as the time that they are compared with, cut to the microsecond. An
	// execution whose start has no time is in no range.
	StartedAfter  time.Time
	StartedBefore time.Time
	// Limit is how many executions an answer has at most: 1 to MaxLimit; 0:
	// DefaultLimit.
	Limit int
	// Offset is how many are passed over first. It costs as much as listing
	// them, and what starts meanwhile moves the rest.
	Offset int
	// After is what the answer must include, beside this handle's own writes: that
	// of another process's results (events.Result.Vector), merged.
	After events.Vector
}

// Validate refuses, as *events.InvalidError naming the field, a query that can
// never be answered from this log, and as *events.WrongLogError one that is to
// include what another log has.
func (q *Query) Validate(id events.Identity) error {
	if err := events.CheckID("namespace", q.Namespace, events.MaxNamespaceBytes); err != nil {
		return err
	}
	if err := checkText("type", q.Type, events.MaxWorkflowTypeBytes); err != nil {
		return err
	}
	if q.Status != 0 {
		if err := checkStatus("status", q.Status); err != nil {
			return err
		}
	}
	if err := checkTime("startedAfter", q.StartedAfter); err != nil {
		return err
	}
	if err := checkTime("startedBefore", q.StartedBefore); err != nil {
		return err
	}
	switch {
	case q.Limit < 0 || q.Limit > MaxLimit:
		return invalid("limit", "is %d, an answer has 1 to %d executions", q.Limit, MaxLimit)
	case q.Offset < 0:
		return invalid("offset", "is %d, less than nothing", q.Offset)
	}
	var unknown *events.InvalidError
	if err := q.After.Within(id.Map.Partitions()); errors.As(err, &unknown) {
		return invalid("after", "%s", unknown.Reason)
	}
	if err := q.After.Of(id); err != nil {
		return fmt.Errorf("after: %w", err)
	}
	return nil
}
