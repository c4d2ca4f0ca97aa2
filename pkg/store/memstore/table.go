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
	mu      sync.Mutex
	reached []uint64 // how far each of the log's partitions is folded, inclusive
	rows    map[key]*row
	// aside are the workflows of which a commit cannot be folded: what follows it
	// is not either, until a void mends them.
	aside map[events.Workflow]bool
}

type key struct {
	workflow events.Workflow
	run      events.RunID
}

type row struct {
	store.Execution
	dated   bool             // its start event has a time
	divided bool             // it is in a namespace division: Temporal's server made it for its own ends
	state   *execution.State // nil once the run is closed
}

func newTable(log events.Log) *table {
	return &table{log: log, reached: make([]uint64, log.Identity().Map.Partitions()), rows: map[key]*row{}, aside: map[events.Workflow]bool{}}
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
	for i := range t.reached {
		if err := t.follow(ctx, events.Partition(i)); err != nil {
			return nil, fmt.Errorf("query executions: %w", err)
		}
	}
	var missing []store.Behind
	for _, p := range wanted {
		if reached := t.reached[p.Partition]; reached < p.Sequence {
			missing = append(missing, store.Behind{Wanted: p, Reached: reached})
		}
	}
	slices.SortFunc(missing, func(a, b store.Behind) int { return int(a.Wanted.Partition - b.Wanted.Partition) })
	return missing, nil
}

// follow folds what a partition has. A workflow with a commit that cannot be
// folded is set aside, as a projector does; a message that is no workflow's is
// passed over.
func (t *table) follow(ctx context.Context, p events.Partition) error {
	b, err := t.log.Bounds(ctx, p)
	if err != nil || b.Last <= t.reached[p] {
		return err
	}
	for m, err := range t.log.Follow(ctx, p, events.FollowOptions{After: t.reached[p], Until: b.Last}) {
		if err != nil {
			return err
		}
		if err := t.take(ctx, m); err != nil {
			return err
		}
		t.reached[p] = m.Position.Sequence
	}
	return nil
}

// take folds one message.
func (t *table) take(ctx context.Context, m events.Message) error {
	w, err := events.ParseSubject(m.Subject)
	if err != nil {
		return nil //nolint:nilerr // it is in nobody's history
	}
	if t.aside[w] {
		if c, err := events.Decode(m); err != nil || c.Void == nil {
			return nil //nolint:nilerr // it waits with the others
		}
		return t.heal(ctx, w, m.Position.Sequence)
	}
	err = t.apply(ctx, m)
	if !errors.Is(err, projection.ErrCannotApply) {
		return err
	}
	void, err := t.isVoid(ctx, w, m)
	if err == nil && !void {
		t.setAside(w, true)
	}
	return err
}

// setAside sets a workflow aside, or ends that.
func (t *table) setAside(w events.Workflow, is bool) {
	if is {
		t.aside[w] = true
	} else {
		delete(t.aside, w)
	}
	for k, r := range t.rows {
		if k.workflow == w {
			r.Quarantined = is
		}
	}
}

// heal folds a workflow anew up to a void, if that mends it.
func (t *table) heal(ctx context.Context, w events.Workflow, upTo uint64) error {
	for k := range t.rows {
		if k.workflow == w {
			delete(t.rows, k)
		}
	}
	for c, err := range t.log.Commits(ctx, w) {
		if errors.Is(err, events.ErrCorrupt) {
			t.setAside(w, true)
			return nil
		}
		if err != nil {
			return err
		}
		if c.Position.Sequence > upTo {
			break
		}
		commit, err := projection.DecodeCommit(c)
		if err == nil {
			err = t.fold(ctx, commit)
		}
		if errors.Is(err, projection.ErrCannotApply) {
			t.setAside(w, true)
			return nil
		}
		if err != nil {
			return err
		}
	}
	t.setAside(w, false)
	return nil
}

// isVoid reports whether a message that cannot be folded was declared void.
func (t *table) isVoid(ctx context.Context, w events.Workflow, m events.Message) (bool, error) {
	_, err := t.log.Covering(ctx, w, m.Position)
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
	return t.fold(ctx, c)
}

func (t *table) fold(ctx context.Context, c projection.Commit) error {
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
			return &projection.CannotApplyError{Position: c.Position, Workflow: c.Workflow, Cause: fmt.Errorf("run %s does not go on with event %d", part.Run, part.First)}
		}
		for _, e := range part.Events {
			r.state.Apply(e)
		}
		r.state.AddBytes(part.Size - r.state.HistorySizeBytes)
		r.Execution, r.dated = logstore.Row(r.state), !r.state.StartTime.IsZero()
		_, r.divided = r.state.SearchAttributes["TemporalNamespaceDivision"]
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
	case r.divided:
		return false
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
