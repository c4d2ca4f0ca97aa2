package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// Snapshots keep snapshots of runs, the last one of each: a cache, from which anything
// may be lost at any time, and in which anything may be damaged. Implementations MUST
// be safe for concurrent use. See package snapshot.
type Snapshots interface {
	// Get is what was put last for a run, nil if there is nothing. It is not changed.
	Get(ctx context.Context, run Run) ([]byte, error)
	// Put keeps a snapshot in place of the one before. It is not changed afterwards.
	Put(ctx context.Context, run Run, snapshot []byte) error
}

// Cached gives the states of runs as State and Load do, and reads no more of a long
// history than what came since its last snapshot.
//
// A snapshot is no source of truth. It is used if it is whole, of this version of the
// fold, and of this run, and if the log has the commit at which it was taken, at that
// position and with that hash of the chain, and goes on from there. Else the history is
// folded from its first event, and the snapshot taken anew.
//
// It is safe for concurrent use. The states that it gives are the caller's.
type Cached struct {
	Log       events.Reader
	Snapshots Snapshots
	// Every is after how many events since the last snapshot the next one is taken;
	// 0: 1,000.
	Every int
	// Logger gets what went wrong with snapshots, which ends nothing; nil: slog.Default().
	Logger *slog.Logger
}

// Load is replay.Load: the state of a workflow's newest run, and the cursor that
// appends exactly after it.
func (c *Cached) Load(ctx context.Context, w events.Workflow) (*execution.State, events.Cursor, error) {
	tail, err := c.Log.Tail(ctx, w)
	if err != nil {
		return nil, events.Cursor{}, err
	}
	s, err := c.upTo(ctx, Run{Workflow: w, RunID: tail.Run()}, tail, AtEnd())
	if err != nil {
		return nil, events.Cursor{}, err
	}
	return s, tail, nil
}

// State is replay.State: a run (empty: the newest) up to a point. A snapshot is of use
// for points that lie behind it.
func (c *Cached) State(ctx context.Context, w events.Workflow, run events.RunID, at Point) (*execution.State, error) {
	if err := at.check(); err != nil {
		return nil, err
	}
	tail, err := c.Log.Tail(ctx, w)
	if err != nil {
		return nil, err
	}
	if run == "" {
		run = tail.Run()
	}
	return c.upTo(ctx, Run{Workflow: w, RunID: run}, tail, at)
}

// upTo is the state of a run at a point, of the workflow as it is up to end.
func (c *Cached) upTo(ctx context.Context, run Run, end events.Cursor, at Point) (*execution.State, error) {
	s, err := c.bySnapshot(ctx, run, end, at)
	if errors.Is(err, errUnfit) {
		s, err = c.from(ctx, run, end, at, nil)
	}
	if err == nil {
		err = reached(s, run, at)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// bySnapshot is the state that a snapshot and what came since make, or errUnfit.
func (c *Cached) bySnapshot(ctx context.Context, run Run, end events.Cursor, at Point) (*execution.State, error) {
	taken, err := c.taken(ctx, run, end, at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnfit, err)
	}
	s, err := c.from(ctx, run, end, at, taken)
	if err != nil && tellsOfSnapshot(err) {
		c.warn(ctx, run, "a snapshot does not fit the log, the history is folded from its start", err)
		err = fmt.Errorf("%w: %w", errUnfit, err)
	}
	return s, err
}

// tellsOfSnapshot reports whether a read that began after a snapshot may have failed
// because of it.
func tellsOfSnapshot(err error) bool {
	for _, of := range []error{events.ErrConflict, events.ErrWrongLog, events.ErrInvalid, events.ErrCorrupt, events.ErrNotFound, errUnfit} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// from folds what came after a snapshot, nil: everything, and takes the next one if it is
// time.
func (c *Cached) from(ctx context.Context, run Run, end events.Cursor, at Point, taken *taken) (*execution.State, error) {
	next := folding{state: execution.New(run.Workflow, run.RunID)}
	o := events.ReadOptions{Run: run.RunID, Until: end}
	if taken != nil {
		next, o.After = folding{state: taken.state, latest: taken.latest}, taken.at
	}
	if taken != nil && taken.at.Position() == end.Position() && taken.at.Hash() == end.Hash() {
		return next.state, nil // nothing came since
	}
	begun := next.state.LastEventID
	if at.kind == atEvent {
		o.Limit = max(int(at.event-begun), 1) // that the log goes on from the snapshot is asked in any case
	}
	history := c.Log.Read(ctx, run.Workflow, o)
	if at.kind == atTime {
		history = prefix(history, at.time)
	}
	for e, err := range history {
		if err != nil {
			return nil, err
		}
		if at.kind == atEvent && next.state.LastEventID >= at.event {
			break
		}
		next.apply(e)
	}
	if at.kind == atEnd {
		if run.RunID == end.Run() && (next.state.LastEventID != end.LastEventID() || next.state.HistorySizeBytes != end.Size()) {
			if taken != nil {
				return nil, fmt.Errorf("%w: %d events of %d bytes, the log has %d of %d", errUnfit, next.state.LastEventID, next.state.HistorySizeBytes, end.LastEventID(), end.Size())
			}
		} else if next.state.LastEventID-begun >= events.EventID(c.every()) {
			c.take(ctx, run, end, next)
		}
	}
	return next.state, nil
}

func (c *Cached) every() int {
	if c.Every > 0 {
		return c.Every
	}
	return 1000
}

// taken is the snapshot of a run, if there is one that could be of use for a point.
func (c *Cached) taken(ctx context.Context, run Run, end events.Cursor, at Point) (*taken, error) {
	b, err := c.Snapshots.Get(ctx, run)
	if err != nil {
		c.warn(ctx, run, "a snapshot could not be got, the history is folded from its start", err)
		return nil, err
	}
	if b == nil {
		return nil, errUnfit
	}
	t, err := decodeTaken(b)
	switch {
	case err != nil:
		c.warn(ctx, run, "a snapshot is of no use, the history is folded from its start", err)
		return nil, err
	case t.state.Workflow != run.Workflow || t.state.RunID != run.RunID || t.at.Workflow() != run.Workflow:
		err := fmt.Errorf("%w: it is of run %s of %s", errUnfit, t.state.RunID, t.state.Workflow)
		c.warn(ctx, run, "a snapshot is of no use, the history is folded from its start", err)
		return nil, err
	case t.at.Position().Sequence > end.Position().Sequence && t.at.Position().Partition == end.Position().Partition,
		at.kind == atEvent && at.event < t.state.LastEventID,
		at.kind == atTime && t.latest.After(at.time):
		return nil, errUnfit
	}
	return t, nil
}

// take keeps the state of a run at the end of its workflow.
func (c *Cached) take(ctx context.Context, run Run, end events.Cursor, f folding) {
	b, err := encodeTaken(taken{state: f.state, latest: f.latest, at: end})
	if err == nil {
		err = c.Snapshots.Put(ctx, run, b)
	}
	if err != nil {
		c.warn(ctx, run, "a snapshot could not be kept", err)
	}
}

func (c *Cached) warn(ctx context.Context, run Run, what string, err error) {
	logger := c.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(ctx, slog.LevelWarn, "replay: "+what,
		slog.String("workflow", run.Workflow.String()), slog.String("run", string(run.RunID)), slog.Any("error", err))
}
