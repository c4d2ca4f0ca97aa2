package logstore

import (
	"context"
	"errors"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/store"
)

// LoadExecution is store.Reader's.
func (s *Store) LoadExecution(ctx context.Context, w events.Workflow, run events.RunID) (store.Loaded, error) {
	if err := checkRun(w, run); err != nil {
		return store.Loaded{}, err
	}
	tail, err := s.log.Tail(ctx, w)
	if err != nil {
		return store.Loaded{}, err
	}
	// The newest run is read up to the cursor, whatever comes meanwhile; an
	// earlier one is closed and stays as it is.
	o := events.ReadOptions{Run: run}
	var cursor events.Cursor
	if run == "" || run == tail.Run() {
		o.Run, o.Limit, cursor = tail.Run(), int(tail.LastEventID()), tail
	}
	l := store.Loaded{State: execution.New(w, o.Run), Cursor: cursor}
	for e, err := range s.log.Read(ctx, w, o) {
		if err != nil {
			return store.Loaded{}, err
		}
		l.Events = append(l.Events, e)
		l.State.Apply(e)
		l.State.AddBytes(events.StoredSize(e))
	}
	l.Execution = Describe(l.State)
	return l, nil
}

// SaveActivityHeartbeat is store.Writer's.
func (s *Store) SaveActivityHeartbeat(ctx context.Context, h events.Heartbeat) (newest bool, err error) {
	if err := h.Activity.Validate(); err != nil {
		return false, err
	}
	w, run := h.Activity.Workflow, h.Activity.RunID
	tail, err := s.log.Tail(ctx, w)
	if err != nil {
		return false, err
	}
	if tail.Run() != run {
		if _, err := s.finalStatus(ctx, w, run); err != nil {
			return false, err
		}
	}
	if tail.Run() != run || !events.IsOpen(tail.Status()) {
		return false, &events.ClosedError{Workflow: w, Actual: tail}
	}
	return s.log.RecordHeartbeat(ctx, h)
}

// LastActivityHeartbeat is store.Reader's.
func (s *Store) LastActivityHeartbeat(ctx context.Context, a events.Activity) (events.Heartbeat, error) {
	if err := a.Validate(); err != nil {
		return events.Heartbeat{}, err
	}
	return s.log.LastHeartbeat(ctx, a)
}

// finalStatus is that of a run which is not the workflow's newest, and so is
// closed: its last event says it.
func (s *Store) finalStatus(ctx context.Context, w events.Workflow, run events.RunID) (events.Status, error) {
	for e, err := range s.log.Read(ctx, w, events.ReadOptions{Run: run, Reverse: true, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		return events.StatusAfter(0, e), nil
	}
	return 0, errors.New("the run of " + w.String() + " has no event")
}
