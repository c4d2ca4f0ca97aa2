package store

import (
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
// of a condition holds for all.
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
	// After are positions that the answer must include, beside this handle's own
	// writes: those of another process's results.
	After []events.Position
}

// Validate refuses, as *events.InvalidError naming the field, a query that can
// never be answered by a log of so many partitions.
func (q *Query) Validate(partitions int) error {
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
	for i, p := range q.After {
		if p.Partition < 0 || int(p.Partition) >= partitions {
			return invalid(fmt.Sprintf("after[%d]", i), "is %s, and the log has partitions 0 to %d", p, partitions-1)
		}
	}
	return nil
}
