package replay

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// Point is a moment in a run. The zero Point is its end.
type Point struct {
	kind  pointKind
	event events.EventID
	time  time.Time
}

type pointKind uint8

const (
	atEnd pointKind = iota
	atEvent
	atTime
)

// AtEnd is after the last event.
func AtEnd() Point { return Point{} }

// AtEvent is after the event with this id, inclusive. Ids begin at 1.
func AtEvent(id events.EventID) Point { return Point{kind: atEvent, event: id} }

// AtTime is after the longest prefix whose events are none later than t. Event
// times run backwards in real histories: what comes after a later event is not
// in the prefix, whatever its time.
func AtTime(t time.Time) Point { return Point{kind: atTime, time: t} }

func (p Point) check() error {
	if p.kind == atEvent && p.event < 1 {
		return &events.InvalidError{Field: "at", Reason: fmt.Sprintf("is event %d, ids begin at 1", p.event)}
	}
	return nil
}

// reached says why there is no state at a point, if s is not that.
func reached(s *execution.State, run Run, at Point) error {
	switch {
	case s.LastEventID == 0:
		return fmt.Errorf("run %s of %s had not begun at %s: %w", run.RunID, run.Workflow, at.time.Format(time.RFC3339Nano), events.ErrNotFound)
	case s.LastEventID < at.event:
		return &events.NotFoundError{Workflow: run.Workflow, Run: run.RunID, Event: at.event}
	}
	return nil
}

// State folds a run (empty: the newest) up to a point. It fails with
// events.ErrNotFound if the run has no such event, or had not begun at that
// time, and with events.ErrInvalid for an event id below 1.
func State(ctx context.Context, log events.Reader, w events.Workflow, run events.RunID, at Point) (*execution.State, error) {
	if err := at.check(); err != nil {
		return nil, err
	}
	if run == "" {
		tail, err := log.Tail(ctx, w)
		if err != nil {
			return nil, err
		}
		run = tail.Run() // so that the state is not of a run that begins meanwhile
	}
	s := execution.New(w, run)
	history := log.Read(ctx, w, events.ReadOptions{Run: run, Limit: int(at.event)})
	if at.kind == atTime {
		history = prefix(history, at.time)
	}
	if err := fold(s, history); err != nil {
		return nil, err
	}
	if err := reached(s, Run{w, run}, at); err != nil {
		return nil, err
	}
	return s, nil
}

// Load is the state of a workflow's newest run together with the cursor that
// appends exactly after it: decide on the state, then append with
// events.After(cursor).
func Load(ctx context.Context, log events.Reader, w events.Workflow) (*execution.State, events.Cursor, error) {
	tail, err := log.Tail(ctx, w)
	if err != nil {
		return nil, events.Cursor{}, err
	}
	s := execution.New(w, tail.Run())
	if err := fold(s, log.Read(ctx, w, events.ReadOptions{Until: tail})); err != nil {
		return nil, events.Cursor{}, err
	}
	return s, tail, nil
}

// fold applies a history to a state, and counts its bytes as the log does.
func fold(s *execution.State, history iter.Seq2[*events.Event, error]) error {
	for e, err := range history {
		if err != nil {
			return err
		}
		s.Apply(e)
		s.AddBytes(events.StoredSize(e))
	}
	return nil
}

// prefix ends a history before the first event later than t.
func prefix(history iter.Seq2[*events.Event, error], t time.Time) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		for e, err := range history {
			if err == nil && execution.EndsBefore(e, t) {
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
