package importer

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
)

// attemptTimeout ends one request to the log; the file's time goes on.
const attemptTimeout = 30 * time.Second

// filing is the import of one history under way.
type filing struct {
	*importing
	h   *history
	run events.RunID // found out, where the file does not say it
	// listed: a server said when the run began, which is in h.start.
	listed bool

	known    bool // the run was there at the first look
	looked   bool
	outcome  Outcome
	appended int
	note     string             // what is to be said of it although it is stored
	end      events.Expectation // exactly what was appended last
}

// step is what is to be done about a file.
type step struct {
	expect  events.Expectation
	commits []commit // none: the file is present
	alone   bool     // the workflow had no run
}

// afterAnother is what is said of a run that was to be its workflow's first, and
// is not.
const afterAnother = "stored after a run that another writer stored meanwhile: nobody has looked whether that one is older"

// file looks at what the log has, appends what it lacks, and looks again if
// another writer was faster.
func (f *filing) file(ctx context.Context) error {
	for {
		var s step
		err := again(ctx, func(ctx context.Context) (err error) {
			s, err = f.decide(ctx)
			return err
		})
		if err != nil {
			return err
		}
		moved, err := f.append(ctx, s)
		if err != nil {
			return err
		}
		if !moved {
			if f.outcome == "" {
				f.outcome = Present
			}
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// append stores the commits one after the other. It reports moved if another
// writer changed the workflow meanwhile.
func (f *filing) append(ctx context.Context, s step) (moved bool, err error) {
	expect := s.expect
	for _, c := range s.commits {
		r := events.Request{Workflow: f.h.workflow, Expect: expect, Events: c.events}
		if r.CommitID, err = c.id(f.h.workflow, f.run); err != nil {
			return false, err
		}
		if c.first() == 1 {
			r.RunID = f.run
		}
		var result events.Result
		perhaps := false // an attempt of ours may have stored it
		err := again(ctx, func(ctx context.Context) (err error) {
			result, err = f.log.Append(ctx, r)
			var unknown *events.OutcomeUnknownError
			if errors.As(err, &unknown) {
				perhaps = true
				r.Expect = unknown.Expectation // settles this attempt, whatever became of it
			}
			return err
		})
		switch {
		case errors.Is(err, events.ErrConflict):
			return true, nil
		case err != nil:
			return false, err
		}
		expect = events.After(result.Cursor)
		f.end = expect
		if s.alone && c.first() == 1 && result.Cursor.PrevRunFirst() != 0 {
			// A new run is expected to follow a closed one or none, and which
			// of them it was only the answer says.
			f.note = afterAnother
		}
		if result.Existed && !perhaps {
			continue // another import of the same was faster, or an answer was lost
		}
		f.outcome = Imported
		if f.known {
			f.outcome = Extended
		}
		f.appended += len(c.events)
		f.config.Appended(len(c.events))
	}
	return false, nil
}

// decide looks at the log and says what is to be done, or refuses the file.
func (f *filing) decide(ctx context.Context) (step, error) {
	tail, err := f.log.Tail(ctx, f.h.workflow)
	there := err == nil
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		return step{}, err
	}
	if !f.h.starts() {
		return f.decideContinuation(ctx, tail, there)
	}
	if !there {
		s := f.begin(events.NewRun())
		s.alone = true
		return s, nil
	}
	n, err := f.compare(ctx, f.run)
	if errors.Is(err, events.ErrNotFound) {
		if err := f.mayFollow(ctx, tail); err != nil {
			return step{}, err
		}
		return f.begin(events.After(tail)), nil
	}
	if err != nil {
		return step{}, err
	}
	f.found(true)
	return f.goOn(ctx, tail, n)
}

// found keeps whether the run was there at the first look.
func (f *filing) found(known bool) {
	if !f.looked {
		f.looked, f.known = true, known
	}
}

func (f *filing) begin(expect events.Expectation) step {
	f.found(false)
	return step{expect: expect, commits: split(f.h.events)}
}

// goOn extends the run by what comes after its n-th event.
func (f *filing) goOn(ctx context.Context, tail events.Cursor, n events.EventID) (step, error) {
	last := f.h.last()
	if n >= last {
		return step{}, nil
	}
	if tail.Run() != f.run {
		if err := f.still(ctx, tail); err != nil {
			return step{}, err
		}
	}
	switch {
	case tail.Run() != f.run || !events.IsOpen(tail.Status()):
		return step{}, refuse("run %s is closed with event %d, and the file goes on to event %d", f.run, n, last)
	case tail.LastEventID() != n:
		return step{}, errMoved
	}
	return step{expect: events.After(tail), commits: after(split(f.h.events), n)}, nil
}

// errMoved: the run grew between two reads. Look again.
var errMoved = errors.New("the run grows while it is compared")

// still fails with errMoved where the workflow's end is not the one that it was before
// a run was read. What was read then may be of a run that another writer began
// meanwhile, and that is not closed by the one that was the newest.
func (f *filing) still(ctx context.Context, tail events.Cursor) error {
	now, err := f.log.Tail(ctx, f.h.workflow)
	if err == nil && now.Position() != tail.Position() {
		err = errMoved
	}
	return err
}

// compare holds the file against a stored run and gives the id of the last
// event that both have. It fails with events.ErrNotFound if the run is not
// there, and refuses the file at the first event that differs.
func (f *filing) compare(ctx context.Context, run events.RunID) (events.EventID, error) {
	first := f.h.from
	n := first - 1
	for e, err := range f.log.Read(ctx, f.h.workflow, events.ReadOptions{Run: run, From: first}) {
		if err != nil {
			return n, err
		}
		i := int(n + 1 - first)
		if i == f.h.count {
			break // it has more than the file
		}
		if !same(f.h.events[i], e) {
			return n, refuse("run %s is there with other content: event %d differs", run, e.EventId)
		}
		n++
	}
	return n, nil
}

// same reports whether an event of a file is the one that is stored. One
// without a time was given one when it was stored.
func same(file, stored *events.Event) bool {
	if file.EventTime == nil && stored.EventTime != nil {
		timeless := proto.CloneOf(stored)
		timeless.EventTime = nil
		stored = timeless
	}
	return proto.Equal(file, stored)
}

// mayFollow refuses a run that cannot come after the newest one.
func (f *filing) mayFollow(ctx context.Context, tail events.Cursor) error {
	if events.IsOpen(tail.Status()) {
		what := "another run, " + string(tail.Run()) + ", is open"
		if tail.Run() == f.h.base {
			what += ": it is the one that this was reset from"
		}
		return refuse("%s", what)
	}
	newest, err := f.began(ctx, tail.Run())
	if err != nil {
		return err
	}
	if !newest.IsZero() && !f.h.start.IsZero() && f.h.start.Before(newest) {
		return refuse("a newer run, %s, is there: it started at %s, this one at %s", tail.Run(), newest.Format(time.RFC3339Nano), f.h.start.Format(time.RFC3339Nano))
	}
	return nil
}

// began is when a stored run began, zero where nothing says it: the time of its first
// event. Where a server said when ours began, and the stored one was reset from
// another, it is the time of the reset, as the server has it: the first event is that
// of the run which it was reset from.
func (f *filing) began(ctx context.Context, run events.RunID) (began time.Time, err error) {
	reset := false
	for e, err := range f.log.Read(ctx, f.h.workflow, events.ReadOptions{Run: run, Limit: 1}) {
		if err != nil {
			return time.Time{}, err
		}
		if e.GetEventTime() != nil {
			began = e.GetEventTime().AsTime()
		}
		original := e.GetWorkflowExecutionStartedEventAttributes().GetOriginalExecutionRunId()
		reset = original != "" && original != string(run)
	}
	if !f.listed || !reset {
		return began, nil
	}
	for e, err := range f.log.Read(ctx, f.h.workflow, events.ReadOptions{Run: run}) {
		if err != nil {
			return time.Time{}, err
		}
		if events.RunID(e.GetWorkflowTaskFailedEventAttributes().GetNewRunId()) == run && e.GetEventTime() != nil {
			return e.GetEventTime().AsTime(), nil
		}
	}
	return began, nil
}

// decideContinuation finds the stored run that a file without a start belongs
// to: one that has its events, or has them up to where the file goes on.
func (f *filing) decideContinuation(ctx context.Context, tail events.Cursor, there bool) (step, error) {
	first := f.h.from
	if !there {
		return step{}, refuse("it begins at event %d, and the workflow has no run that it could continue", first)
	}
	if f.run == "" {
		if tail.LastEventID() == first-1 && events.IsOpen(tail.Status()) {
			f.run = tail.Run()
			f.found(true)
			return step{expect: events.After(tail), commits: split(f.h.events)}, nil
		}
		run, err := f.runWith(ctx, tail)
		if err != nil {
			return step{}, err
		}
		f.run = run
	}
	n, err := f.compare(ctx, f.run)
	if errors.Is(err, events.ErrNotFound) {
		return step{}, refuse("it begins at event %d, and continues no stored run exactly", first)
	}
	if err != nil {
		return step{}, err
	}
	f.found(true)
	return f.goOn(ctx, tail, n)
}

// runWith is the newest run that has the file's first event.
func (f *filing) runWith(ctx context.Context, tail events.Cursor) (events.RunID, error) {
	first := f.h.from
	var run events.RunID
	for c, err := range f.log.Commits(ctx, f.h.workflow) {
		if err != nil {
			return "", err
		}
		segments, err := c.Segments()
		if err != nil {
			return "", err
		}
		for _, s := range segments {
			if s.First <= first && first <= s.Last && same(f.h.events[0], s.Events[first-s.First]) {
				run = s.Run
			}
		}
	}
	if run == "" {
		return "", refuse("it begins at event %d, and continues no stored run exactly: the newest, %s, is %s at event %d", first, tail.Run(), tail.Status(), tail.LastEventID())
	}
	return run, nil
}

// again repeats what the log could not do now until it can, or the context ends.
func again(ctx context.Context, do func(context.Context) error) error {
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(10*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	var last error
	err := backoff.Retry(func() error {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		last = do(attempt)
		if last == nil || events.SafeToRetry(last) || errors.Is(last, errMoved) {
			return last
		}
		return backoff.Permanent(last)
	}, backoff.WithContext(delays, ctx))
	if err != nil && last != nil {
		return last // not the context's end, which says nothing
	}
	return err
}
