package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// folder folds one partition's commits into rows.
type folder struct {
	store *Store
	last  projection.Checkpoint // of the last batch that was folded
	// written is a sequence up to which the tables are or have been: that of the
	// batch before the last, which is written before the next is folded.
	written uint64
	cache   map[events.Workflow]*entry
	round   uint64 // counts batches
	// builders counts those made.
	builders uint64
	// load reads back what the cache does not have, as it was at last or before;
	// Verify has nothing to read back from.
	load func(ctx context.Context, last projection.Checkpoint, written uint64, missing []events.Workflow) ([]*entry, error)
	// types are those that search attributes have, as the commits were met.
	types typesOf
	// mode is that of the tables which the rows are for, once it is read; empty counts
	// as EventsIndex.
	mode     EventsMode
	modeRead bool
}

// entry is where the fold of one workflow stands.
type entry struct {
	workflow      events.Workflow
	partition     events.Partition
	runID         events.RunID // the newest run
	runs          int64
	firstSequence uint64
	lastSequence  uint64
	lastHash      events.Hash
	open          *run   // nil once the newest run is closed
	round         uint64 // the last batch that touched it
	in            uint64 // number of the last builder that has it
	isNew         bool   // in that builder
}

// run is a run under way.
type run struct {
	state         *execution.State
	number        int64 // of runNumber
	partition     events.Partition
	firstSequence uint64
	lastSequence  uint64
	in            uint64   // number of the last builder that has it
	changes       *touched // in that builder
}

// Folder is projection.Target's.
func (s *Store) Folder(c projection.Checkpoint) projection.Folder {
	f := newFolder(c)
	f.store = s
	f.load = s.load
	return f
}

func newFolder(c projection.Checkpoint) *folder {
	return &folder{last: c, written: c.Sequence, cache: map[events.Workflow]*entry{}, types: predefined}
}

// Fold is projection.Folder's.
func (f *folder) Fold(ctx context.Context, commits []projection.Commit) (projection.Batch, error) {
	last := commits[len(commits)-1]
	return f.FoldPast(ctx, commits, projection.Passed{Last: projection.Mark{Sequence: last.Position.Sequence, Hash: last.Hash, Time: last.Time}})
}

// FoldPast is projection.Folder's.
func (f *folder) FoldPast(ctx context.Context, commits []projection.Commit, passed projection.Passed) (projection.Batch, error) {
	rows, err := f.fold(ctx, commits)
	if err != nil {
		return nil, err
	}
	from := f.last
	f.written = from.Sequence
	f.last = from.At(passed.Last)
	f.evict()
	b, err := newBatch(f.store, rows, from, f.last)
	if err != nil {
		return nil, err
	}
	b.untyped = rows.untyped
	b.waiting = passed.Waiting
	if len(commits) == 1 {
		b.only = commits[0].Workflow
	}
	return b, nil
}

// fold applies the commits to the cache and gives the rows that changed.
func (f *folder) fold(ctx context.Context, commits []projection.Commit) (*rowSet, error) {
	f.round++
	if err := f.fetch(ctx, commits); err != nil {
		return nil, err
	}
	if n := len(commits); n > 0 && f.store != nil {
		f.types = f.store.typesFor(f.last, commits[n-1].Attributes)
	}
	if err := f.readMode(ctx); err != nil {
		return nil, err
	}
	b := f.builder()
	for _, c := range commits {
		if err := f.apply(b, c); err != nil {
			return nil, cannotApply(c, err)
		}
	}
	return b.rows()
}

// readMode finds out how the tables keep events. A generation's mode never changes,
// but one that was dropped with the schema may come again in another: so it is read
// with each folder, which does not outlive its tables.
func (f *folder) readMode(ctx context.Context) (err error) {
	if f.modeRead || f.store == nil {
		return nil
	}
	f.mode, err = f.store.modeOf(ctx, f.last.Generation)
	f.modeRead = err == nil
	return err
}

// fetch brings into the cache what the commits go on from.
func (f *folder) fetch(ctx context.Context, commits []projection.Commit) error {
	var missing []events.Workflow
	first := map[events.Workflow]events.Position{} // of the commits of those not cached
	for _, c := range commits {
		if f.cache[c.Workflow] != nil {
			continue
		}
		if _, seen := first[c.Workflow]; seen {
			continue
		}
		first[c.Workflow] = c.Position
		// A commit without one before it is its workflow's first.
		if len(c.Back) > 0 {
			missing = append(missing, c.Workflow)
		}
	}
	if len(missing) == 0 || f.load == nil {
		return nil
	}
	loaded, err := f.load(ctx, f.last, f.written, missing)
	var damaged *damagedError
	if errors.As(err, &damaged) {
		return &projection.CannotApplyError{Position: first[damaged.workflow], Workflow: damaged.workflow, Kind: projection.KindDamaged, Cause: err}
	}
	if err != nil {
		return fmt.Errorf("read back %d workflows: %w", len(missing), err)
	}
	for _, e := range loaded {
		e.partition = f.last.Partition
		if e.open != nil {
			e.open.partition = f.last.Partition
		}
		f.cache[e.workflow] = e
	}
	return nil
}

// apply folds one commit.
func (f *folder) apply(b *builder, c projection.Commit) error {
	e := f.cache[c.Workflow]
	known := e != nil || len(c.Back) == 0 // what it follows
	switch {
	case c.Void != nil && c.Run.Run == "":
		if e != nil {
			return fmt.Errorf("it says that there is no run before it, and the tables have one since %d", e.firstSequence)
		}
		return nil // a workflow without a run has no rows
	case e == nil && len(c.Back) != 0 && !firstRun(c):
		return &missingError{at: c.Back[0]}
	case e != nil && len(c.Back) == 0:
		return fmt.Errorf("it is a first commit, and the tables have one at %d", e.firstSequence)
	case e == nil:
		e = &entry{workflow: c.Workflow, partition: c.Position.Partition, firstSequence: c.Position.Sequence}
	}
	if known && c.Hash != c.ChainHash(e.lastHash) {
		if len(c.Back) > 0 && c.Back[0] > e.lastSequence {
			return &missingError{at: c.Back[0]}
		}
		return &brokenChainError{last: e.lastSequence}
	}
	f.cache[c.Workflow] = e
	for _, part := range c.Segments {
		if err := f.applySegment(b, e, c, part); err != nil {
			return err
		}
	}
	if e.in != b.number {
		e.in, e.isNew = b.number, e.lastSequence == 0
		b.workflows = append(b.workflows, e)
	}
	e.lastSequence, e.lastHash, e.round = c.Position.Sequence, c.Hash, f.round
	if b.mode == EventsFull {
		values, err := commitRow(c)
		if err != nil {
			return err
		}
		b.commits = append(b.commits, values)
	}
	return nil
}

// runNumber names the run that begins with a segment, within its slot, by the
// commit and the segment's place in it: a commit has two at most.
func runNumber(c projection.Commit, part events.SegmentEvents) int64 {
	n := 2 * int64(c.Position.Sequence)
	if part.Segment == &c.Run {
		n++
	}
	return n
}

// baseOf are the events that a run begins with before those of its segment: of
// the base, if it is a reset that begins here.
func baseOf(c projection.Commit, part events.SegmentEvents) []*events.Event {
	if c.Base == nil || part.Segment != &c.Run {
		return nil
	}
	return c.BaseEvents
}

// firstRun reports whether a commit opens its workflow's first run: then only
// voids lie before it.
func firstRun(c projection.Commit) bool {
	first := &c.Run
	if c.Closed != nil {
		first = c.Closed
	}
	return first.Opens() && first.PrevRunFirst == 0
}

// cannotApply says what is wrong with a commit.
func cannotApply(c projection.Commit, err error) error {
	kind := projection.KindUnfit
	var broken *brokenChainError
	var missing *missingError
	switch {
	case errors.As(err, &broken):
		kind = projection.KindBrokenChain
	case errors.As(err, &missing):
		kind = projection.KindGap
	}
	return &projection.CannotApplyError{Position: c.Position, Workflow: c.Workflow, Kind: kind, Cause: err}
}

// missingError: a commit follows one that is not there.
type missingError struct{ at uint64 }

func (e *missingError) Error() string {
	return fmt.Sprintf("it follows the commit at %d, which the tables do not have", e.at)
}

// brokenChainError: a commit does not follow from the one before it.
type brokenChainError struct{ last uint64 }

func (e *brokenChainError) Error() string {
	return fmt.Sprintf("the chain is broken: its hash does not follow from the commit at %d", e.last)
}

func (f *folder) applySegment(b *builder, e *entry, c projection.Commit, part events.SegmentEvents) error {
	r := e.open
	switch {
	case part.Opens() && r != nil:
		return fmt.Errorf("it starts run %s while run %s is open", part.Run, e.runID)
	case part.Opens():
		if got := events.EventID(len(baseOf(c, part))); got != part.First-1 {
			return fmt.Errorf("it begins with event %d, and its base has %d", part.First, got)
		}
		r = &run{
			state: execution.New(c.Workflow, part.Run), number: runNumber(c, part), partition: c.Position.Partition, firstSequence: c.Position.Sequence,
		}
		e.open, e.runID = r, part.Run
		e.runs++
	case r == nil:
		return fmt.Errorf("it goes on with run %s, which is closed or was never there", part.Run)
	case e.runID != part.Run:
		return fmt.Errorf("it goes on with run %s while run %s is open", part.Run, e.runID)
	case r.state.Status != part.Before:
		return fmt.Errorf("it goes on with a run that is %s, the tables have %s", part.Before, r.state.Status)
	case r.state.LastEventID+1 != part.First:
		return fmt.Errorf("it goes on with event %d, the tables have %d", part.First, r.state.LastEventID)
	}
	s := r.state
	changes := b.changes(r)
	for _, ev := range baseOf(c, part) {
		s.ApplyTo(ev, changes) // its row is that of the run that it was written in
	}
	of := &eventsOf{workflow: c.Workflow, run: part.Run, number: r.number, at: c.Position}
	for _, ev := range part.Events {
		if b.mode != EventsNone {
			b.events = append(b.events, of.row(ev, s.EventName(ev)))
		}
		s.ApplyTo(ev, changes)
	}
	s.AddBytes(part.Size - s.HistorySizeBytes)
	r.lastSequence = c.Position.Sequence
	if s.Status != part.After {
		return fmt.Errorf("after it the run is %s, its envelope says %s", s.Status, part.After)
	}
	if !s.IsOpen() {
		e.open = nil
	}
	return nil
}

// evict forgets workflows that neither this batch nor the one before it, which
// may still be on its way, has touched.
func (f *folder) evict() {
	over := len(f.cache) - f.store.config.CacheRuns
	if over <= 0 {
		return
	}
	for w, e := range f.cache {
		if e.round+1 < f.round {
			delete(f.cache, w)
			if over--; over <= 0 {
				return
			}
		}
	}
}

// builder collects what a batch changes. Entries and runs remember the number of
// the last builder that has them, which is cheaper than to look them up in it.
type builder struct {
	number    uint64 // from 1
	workflows []*entry
	runs      []*run
	events    []eventRow
	commits   []row // with EventsFull only
	types     typesOf
	mode      EventsMode
}

func (f *folder) builder() *builder {
	f.builders++
	return &builder{number: f.builders, types: f.types, mode: f.mode}
}

// touched is what a batch changes in a run.
type touched struct {
	changes execution.Changes
	// before is the run's last event before the batch: it has no row yet if
	// that is 0, nor has what later events opened.
	before events.EventID
}

func (b *builder) changes(r *run) *execution.Changes {
	if r.in != b.number {
		r.in, r.changes = b.number, &touched{before: r.state.LastEventID}
		b.runs = append(b.runs, r)
	}
	return &r.changes.changes
}

// rowSet is the rows of a batch, by table. Those of events are always new.
type rowSet struct {
	workflows, executions, activities, timers, children tableRows
	nexus, updates, signals, external, commits          tableRows
	events                                              []eventRow
	untyped                                             map[attributeKey]bool // search attributes without a type
}

// tableRows are rows that must not be there yet, and rows that must.
type tableRows struct{ added, changed []row }

func (t *tableRows) put(isNew bool, r row) {
	if isNew {
		t.added = append(t.added, r)
	} else {
		t.changed = append(t.changed, r)
	}
}

func (b *builder) rows() (*rowSet, error) {
	s := &rowSet{events: b.events, commits: tableRows{added: b.commits}}
	for _, e := range b.workflows {
		s.workflows.put(e.isNew, workflowRow(e))
	}
	for _, r := range b.runs {
		t := r.changes
		r.changes = nil
		values, untyped, err := executionRow(r, b.types)
		if err != nil {
			return nil, &projection.CannotApplyError{
				Position: events.Position{Partition: r.partition, Sequence: r.lastSequence}, Workflow: r.state.Workflow, Cause: err,
			}
		}
		s.executions.put(t.before == 0, values)
		for _, name := range untyped {
			if searchattribute.CheckName(name) != nil {
				continue // it will never have a type
			}
			if s.untyped == nil {
				s.untyped = map[attributeKey]bool{}
			}
			s.untyped[attributeKey{r.state.Workflow.Namespace, name}] = true
		}
		w, id := r.state.Workflow, r.state.RunID
		for _, a := range t.changes.Activities {
			s.activities.put(a.ScheduledEventID > t.before, activityRow(w, id, a))
		}
		for _, x := range t.changes.Timers {
			s.timers.put(x.StartedEventID > t.before, timerRow(w, id, x))
		}
		for _, c := range t.changes.Children {
			s.children.put(c.InitiatedEventID > t.before, childRow(w, id, c))
		}
		for _, o := range t.changes.NexusOperations {
			s.nexus.put(o.ScheduledEventID > t.before, nexusRow(w, id, o))
		}
		for _, u := range t.changes.Updates {
			s.updates.put(u.EventID > t.before, updateRow(w, id, u))
		}
		for _, x := range t.changes.Signals {
			s.signals.put(true, signalRow(w, id, x))
		}
		for _, x := range t.changes.ExternalSignals {
			s.external.put(x.InitiatedEventID > t.before, externalSignalRow(w, id, x))
		}
		for _, x := range t.changes.ExternalCancels {
			s.external.put(x.InitiatedEventID > t.before, externalCancelRow(w, id, x))
		}
	}
	return s, nil
}

// byTable is the rows of each table but events, in the order in which they are
// written.
func (s *rowSet) byTable() []struct {
	*table
	*tableRows
} {
	return []struct {
		*table
		*tableRows
	}{
		{workflowsTable, &s.workflows},
		{executionsTable, &s.executions},
		{activitiesTable, &s.activities},
		{timersTable, &s.timers},
		{childrenTable, &s.children},
		{nexusOperationsTable, &s.nexus},
		{updatesTable, &s.updates},
		{signalsTable, &s.signals},
		{externalRequestsTable, &s.external},
		{commitsTable, &s.commits},
	}
}
