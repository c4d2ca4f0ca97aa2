package memstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/internal/logstore"
)

// table is the rows of a log's runs. It is brought up to date when it is asked.
type table struct {
	log events.Log

	// mu guards the rest: one caller folds at a time, and an answer is of one
	// moment.
	mu         sync.Mutex
	partitions []partition
	rows       map[key]*row
}

// partition is how far one of the log's is folded.
type partition struct {
	reached uint64 // inclusive
	stopped error  // why it goes no further
}

type key struct {
	workflow events.Workflow
	run      events.RunID
}

type row struct {
	store.Execution
	dated bool             // its start event has a time
	state *execution.State // nil once the run is closed
}

func newTable(log events.Log) *table {
	return &table{log: log, partitions: make([]partition, log.Identity().Map.Partitions()), rows: map[key]*row{}}
}

// include folds all that the log has, and waits for those positions that it does
// not have yet. It fails with *store.BehindError.
func (t *table) include(ctx context.Context, wanted []events.Position, wait time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		missing, err := t.catchUp(ctx, wanted)
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			return nil
		}
		if err := t.await(limited, missing[0].Wanted); err != nil {
			return &store.BehindError{Behind: missing, Cause: err}
		}
	}
}

// await returns once the log has a position that the table lacks.
func (t *table) await(ctx context.Context, p events.Position) error {
	t.mu.Lock()
	stopped := t.partitions[p.Partition].stopped
	t.mu.Unlock()
	if stopped != nil {
		return stopped
	}
	for _, err := range t.log.Follow(ctx, p.Partition, events.FollowOptions{After: p.Sequence - 1}) {
		return err
	}
	return nil
}

// catchUp folds what the log has, and says which positions are still missing, in
// order of their partitions.
func (t *table) catchUp(ctx context.Context, wanted []events.Position) ([]store.Behind, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.partitions {
		if err := t.follow(ctx, events.Partition(i)); err != nil {
			return nil, fmt.Errorf("query executions: %w", err)
		}
	}
	var missing []store.Behind
	for _, p := range wanted {
		if reached := t.partitions[p.Partition].reached; reached < p.Sequence {
			missing = append(missing, store.Behind{Wanted: p, Reached: reached})
		}
	}
	slices.SortFunc(missing, func(a, b store.Behind) int { return int(a.Wanted.Partition - b.Wanted.Partition) })
	return missing, nil
}

// follow folds what a partition has. What cannot be folded stops it, as it stops
// a projector.
func (t *table) follow(ctx context.Context, p events.Partition) error {
	part := &t.partitions[p]
	b, err := t.log.Bounds(ctx, p)
	if err != nil || b.Last <= part.reached {
		return err
	}
	part.stopped = nil // a void may have come since
	for m, err := range t.log.Follow(ctx, p, events.FollowOptions{After: part.reached, Until: b.Last}) {
		if err != nil {
			return err
		}
		if stopped := t.apply(ctx, m); stopped != nil {
			if !errors.Is(stopped, projection.ErrCannotApply) {
				return stopped
			}
			void, err := t.isVoid(ctx, m)
			if err != nil {
				return err
			}
			if !void {
				part.stopped = stopped
				return nil
			}
		}
		part.reached = m.Position.Sequence
	}
	return nil
}

// isVoid reports whether a message that cannot be folded was declared void.
func (t *table) isVoid(ctx context.Context, m events.Message) (bool, error) {
	w, err := events.ParseSubject(m.Subject)
	if err != nil {
		return false, nil
	}
	_, err = t.log.Covering(ctx, w, m.Position)
	if errors.Is(err, events.ErrNotFound) || errors.Is(err, events.ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

func (t *table) apply(ctx context.Context, m events.Message) error {
	c, err := projection.Decode(m)
	if err != nil {
		return err
	}
	if err := projection.Complete(ctx, t.log, &c); err != nil {
		return err
	}
	for _, part := range c.Segments {
		k := key{c.Workflow, part.Run}
		if part.Opens() {
			t.rows[k] = &row{state: execution.New(c.Workflow, part.Run)}
			if part.Segment == &c.Run {
				for _, e := range c.BaseEvents {
					t.rows[k].state.Apply(e)
				}
			}
		}
		r := t.rows[k]
		if r == nil || r.state == nil || r.state.LastEventID+1 != part.First {
			return &projection.CannotApplyError{Position: m.Position, Workflow: c.Workflow, Cause: fmt.Errorf("run %s does not go on with event %d", part.Run, part.First)}
		}
		for _, e := range part.Events {
			r.state.Apply(e)
		}
		r.state.AddBytes(part.Size - r.state.HistorySizeBytes)
		r.Execution, r.dated = logstore.Row(r.state), !r.state.StartTime.IsZero()
		if !r.state.IsOpen() {
			r.state = nil
		}
	}
	return nil
}

// list is the answer to a query that is valid.
func (t *table) list(q store.Query) []store.Execution {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*row
	for k, r := range t.rows {
		if k.workflow.Namespace == q.Namespace && fits(r, q) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, compare)
	found = found[min(q.Offset, len(found)):]
	limit := q.Limit
	if limit == 0 {
		limit = store.DefaultLimit
	}
	var list []store.Execution
	for _, r := range found[:min(limit, len(found))] {
		list = append(list, r.copy())
	}
	return list
}

func fits(r *row, q store.Query) bool {
	switch {
	case q.Type != "" && r.Type != logstore.Shown(q.Type):
		return false
	case q.Status != 0 && r.Status != q.Status:
		return false
	case !r.dated:
		return q.StartedAfter.IsZero() && q.StartedBefore.IsZero()
	case !q.StartedAfter.IsZero() && r.StartedAt.Before(logstore.Micros(q.StartedAfter)):
		return false
	case !q.StartedBefore.IsZero() && !r.StartedAt.Before(logstore.Micros(q.StartedBefore)):
		return false
	}
	return true
}

// compare orders rows as a query lists them.
func compare(a, b *row) int {
	if a.dated != b.dated {
		if a.dated {
			return -1
		}
		return 1
	}
	if n := b.StartedAt.Compare(a.StartedAt); n != 0 {
		return n
	}
	if n := strings.Compare(b.Workflow.ID, a.Workflow.ID); n != 0 {
		return n
	}
	return strings.Compare(string(b.RunID), string(a.RunID))
}

// copy is the row without what the caller could change of it.
func (r *row) copy() store.Execution {
	x := r.Execution
	x.Tags = maps.Clone(x.Tags)
	return x
}
