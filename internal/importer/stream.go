package importer

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// stream is the import of one run whose events come piece by piece, in order from
// the first. What the log has of the run is compared with them, what it lacks is
// appended, in the commits of a file with the same events, but for where the
// pieces end.
type stream struct {
	filing
	begun bool
	alone bool           // the workflow had no run
	last  events.EventID // that was given
	over  bool           // it closes the run
	ended time.Time      // then
	// continues is the run that the server began as this one closed; empty: none.
	continues events.RunID

	stored func() (*events.Event, error, bool) // what the log has and was not compared yet; nil: nothing
	stop   func()
	has    events.EventID // the last event that the log has, where it is the newest run; else 0
	done   bool           // the log has the run closed
	left   bool           // the log may have more than was given, and is not read for now

	cut  cutter
	part commit
}

// newStream begins the import of a run; began is when it came to be, zero where
// nobody knows. The caller MUST call close.
func (im *importing) newStream(id string, run events.RunID, began time.Time) *stream {
	h := &history{workflow: events.Workflow{Namespace: im.config.Namespace, ID: id}, run: run, start: began, from: 1, dropped: []string{}}
	return &stream{filing: filing{importing: im, h: h, run: run, listed: !began.IsZero()}}
}

// close lets go of what is read of the log.
func (s *stream) close() {
	if s.stop != nil {
		s.stop()
		s.stop, s.stored = nil, nil
	}
}

// result is what became of the run so far.
func (s *stream) result() Result {
	s.h.count = int(s.last)
	r := s.h.result()
	r.Outcome, r.Reason, r.Appended = s.outcome, s.note, s.appended
	if r.Outcome == "" {
		r.Outcome = Present
	}
	return r
}

// add takes the next events. It appends what makes a whole commit: see flush.
func (s *stream) add(ctx context.Context, evs []*events.Event) error {
	for _, e := range evs {
		id := events.EventID(e.GetEventId())
		switch {
		case id != s.last+1:
			return refuseUntil(lookedAt, "the server gives event %d after event %d", id, s.last)
		case s.over:
			return refuseUntil(lookedAt, "the server gives event %d after event %d, which closes the run", id, s.last)
		case !s.begun:
			if err := s.begin(ctx, e); err != nil {
				return err
			}
		case s.left:
			s.left = false
			s.read(ctx, id)
		}
		cut := s.cut.cuts(e)
		if s.stored != nil {
			both, err := s.compare(e)
			if err != nil {
				return err
			}
			if both {
				s.took(e)
				continue
			}
		}
		if s.done {
			return refuseUntil(lookedAt, "run %s is closed in the log with event %d, and goes on in the server", s.run, s.last)
		}
		if cut {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
		s.part.events = append(s.part.events, e)
		s.took(e)
	}
	return nil
}

func (s *stream) took(e *events.Event) {
	s.last, s.over = events.EventID(e.GetEventId()), events.Closes(e)
	if s.over {
		s.ended, s.continues = e.GetEventTime().AsTime(), continuesAs(e)
	}
	if s.has != 0 && s.last >= s.has {
		s.close()
	}
}

// flush appends what was added, and lets go of the log until more comes.
func (s *stream) flush(ctx context.Context) error {
	if len(s.part.events) == 0 {
		return nil
	}
	c := s.part
	s.part = commit{}
	moved, err := s.append(ctx, step{expect: s.end, commits: []commit{c}, alone: s.alone})
	if err == nil && moved {
		err = errMoved
	}
	return err
}

// pause is to be called when nothing more is given for now: nothing of the log is held
// meanwhile.
func (s *stream) pause() {
	if s.stored != nil {
		s.close()
		s.left = true
	}
}

// begin looks at what the log has of the workflow.
func (s *stream) begin(ctx context.Context, first *events.Event) error {
	if !events.Opens(first) {
		return refuseUntil(lookedAt, "event 1 is %s, not a start", first.GetEventType())
	}
	if err := s.h.workflow.Validate(); err != nil {
		return refuse("%v", err)
	}
	if err := events.CheckID("runId", string(s.run), events.MaxRunIDBytes); err != nil {
		return refuse("%v", err)
	}
	if s.h.start.IsZero() && first.GetEventTime() != nil {
		s.h.start = first.GetEventTime().AsTime()
	}
	s.begun = true
	tail, err := s.log.Tail(ctx, s.h.workflow)
	if errors.Is(err, events.ErrNotFound) {
		s.found(false)
		s.end, s.alone = events.NewRun(), true
		return nil
	}
	if err != nil {
		return err
	}
	s.end = events.After(tail)
	if tail.Run() == s.run {
		s.found(true)
		s.has = tail.LastEventID()
		s.done = !events.IsOpen(tail.Status())
		s.read(ctx, 1)
		return nil
	}
	s.read(ctx, 1)
	e, err, ok := s.stored()
	switch {
	case ok && err == nil:
		if err := s.still(ctx, tail); err != nil {
			s.close()
			return err
		}
		// An older run: it is closed.
		s.found(true)
		s.done = true
		s.putBack(e)
		return nil
	case !ok:
		s.close()
		return errMoved // a run without events: it is being written
	case !errors.Is(err, events.ErrNotFound):
		s.close()
		return err
	}
	s.close()
	s.found(false)
	if events.IsOpen(tail.Status()) {
		return &openError{run: tail.Run()}
	}
	return s.mayFollow(ctx, tail)
}

// openError occurs when another run of the workflow is open in the log: the server
// knows how it ended, if it does.
type openError struct{ run events.RunID }

func (e *openError) Error() string { return "another run, " + string(e.run) + ", is open" }

// read begins to read what the log has of the run, from an event on.
func (s *stream) read(ctx context.Context, from events.EventID) {
	s.stored, s.stop = iter.Pull2(s.log.Read(ctx, s.h.workflow, events.ReadOptions{Run: s.run, From: from}))
}

// putBack has the event come once more.
func (s *stream) putBack(e *events.Event) {
	rest := s.stored
	s.stored = func() (*events.Event, error, bool) {
		s.stored = rest
		return e, nil, true
	}
}

// compare holds an event against the one that is stored, if one is.
func (s *stream) compare(e *events.Event) (both bool, err error) {
	stored, err, ok := s.stored()
	switch {
	case ok && errors.Is(err, events.ErrNotFound) && s.has == 0 && s.last > 0:
		// The reading was begun anew behind the end of an older run.
	case ok && err != nil:
		return false, err
	case ok && !same(e, stored):
		return false, refuse("run %s is there with other content: event %d differs", s.run, e.GetEventId())
	case ok:
		return true, nil
	case s.has != 0 && s.last != s.has:
		return false, errMoved
	}
	s.close()
	return false, nil
}

// continuesAs is the run that a closing event names: of one that continues as new, is
// tried again or comes again by its schedule.
func continuesAs(e *events.Event) events.RunID {
	return events.RunID(cmp.Or(
		e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId(),
		e.GetWorkflowExecutionCompletedEventAttributes().GetNewExecutionRunId(),
		e.GetWorkflowExecutionFailedEventAttributes().GetNewExecutionRunId(),
		e.GetWorkflowExecutionTimedOutEventAttributes().GetNewExecutionRunId(),
	))
}
