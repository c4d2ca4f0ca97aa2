package subjectlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/annals-io/annals/pkg/events"
)

// Append is events.Appender's. See the outcomes of an append in
// docs/adr/0004-outcomes-of-an-append.md.
func (l *Log) Append(ctx context.Context, r events.Request) (events.Result, error) {
	p, err := prepare(r, l.config.Limits, l.config.Now())
	if err != nil {
		return events.Result{}, err
	}
	a := &appending{Log: l, p: p}
	size := p.size()
	if err := l.inFlight.enter(p.Workflow, size, l.config); err != nil {
		if attempt, ok := p.Expect.Attempted(); ok { // it is as unknown as it was
			err = a.unknown(attempt.After, err)
		}
		return events.Result{}, err
	}
	defer l.inFlight.leave(size)
	if _, ok := ctx.Deadline(); !ok {
		a.until = time.Now().Add(l.config.AppendTimeout)
	}
	defer a.release()
	res, err := a.run(ctx)
	switch {
	case err == nil:
		return res, nil
	case errors.Is(err, context.Canceled) && !events.SafeToRetry(err): // a look before the first attempt was cut short
		return events.Result{}, &unavailableError{cause: err}
	default:
		return events.Result{}, err
	}
}

// appending is one append under way.
type appending struct {
	*Log
	p *prepared
	// until is when the append gives up if its context does not before; zero if
	// the context has a deadline.
	until time.Time
	stop  []context.CancelFunc
	// known is the sequence of the newest message of the subject that this append
	// has learned of: no answer without it is taken for the end while it is in doubt.
	known uint64
	doubt Doubt
}

// learn takes down that the subject has a message.
func (a *appending) learn(seq uint64) { a.known = max(a.known, seq) }

// bounded is the context with the append's deadline. A timer of its own is what
// an append that goes through at the first attempt does without: what asks the
// store for anything else takes a bounded context first.
func (a *appending) bounded(ctx context.Context) context.Context {
	if _, ok := ctx.Deadline(); ok {
		return ctx
	}
	ctx, cancel := context.WithDeadline(ctx, a.until)
	a.stop = append(a.stop, cancel)
	return ctx
}

func (a *appending) release() {
	for _, stop := range a.stop {
		stop()
	}
}

func (a *appending) run(ctx context.Context) (events.Result, error) {
	attempt, repeated := a.p.Expect.Attempted()
	if repeated || a.p.Base != nil {
		ctx = a.bounded(ctx)
	}
	if a.p.Base != nil {
		var err error
		if a.p.based, err = a.findBase(ctx); err != nil && repeated {
			return events.Result{}, a.stillUnknown(attempt, err)
		} else if err != nil {
			return events.Result{}, err
		}
	}
	if repeated {
		return a.settleAttempt(ctx, attempt)
	}
	if a.p.Expect.IsNewRun() {
		return a.newRun(ctx)
	}
	if a.p.Expect.IsNewWorkflow() {
		return a.newWorkflow(ctx, events.Cursor{})
	}
	if c, ok := a.p.Expect.AfterCursor(); ok {
		if err := a.checkCursor(c); err != nil {
			return events.Result{}, err
		}
		return a.after(ctx, c)
	}
	if run, id, ok := a.p.Expect.AfterRunEvent(); ok {
		return a.afterEvent(ctx, run, id)
	}
	return a.atEnd(ctx)
}

// checkCursor refuses a cursor that is not of this workflow in this log.
func (a *appending) checkCursor(c events.Cursor) error {
	if c.IsZero() {
		return &events.InvalidError{Field: "after", Reason: "is the zero cursor: use NewRun for a workflow without history"}
	}
	if c.Workflow() != a.p.Workflow {
		return &events.InvalidError{Field: "after", Reason: fmt.Sprintf("is a cursor of %s", c.Workflow())}
	}
	return c.Of(a.identity)
}

// newRun starts a run: at once if the workflow does not exist, or if it is known
// here how it ends, else after its last run, which must be closed.
func (a *appending) newRun(ctx context.Context) (events.Result, error) {
	beyond := all
	var tail events.Cursor // of nothing
	known, cached := a.cached(ctx)
	if cached && !events.IsOpen(known.Status()) {
		if res, done, err := a.fromCache(ctx, known); done {
			return res, err
		}
		beyond = known.Position().Sequence
	}
	for {
		// A workflow that was there a moment ago, or that has a run to reset, is
		// not tried as one without commits.
		if !cached && (a.p.Base == nil || !tail.IsZero()) {
			res, moved, err := a.settle(ctx, tail)
			if moved == nil || err != nil {
				return res, err
			}
		}
		ctx = a.bounded(ctx)
		last, err := a.last(ctx)
		if cached && errors.Is(err, events.ErrNotFound) {
			cached = false
			continue
		}
		if err != nil {
			return events.Result{}, err
		}
		cached = false
		// Only an id that may have been sent before can be there: one made
		// for this append has just been refused.
		if a.p.given {
			if found, err := a.findStart(ctx, last, beyond); found != nil || err != nil {
				return a.existing(found, err)
			}
		}
		tail = last.Cursor(a.identity)
		if events.IsOpen(tail.Status()) {
			return events.Result{}, a.conflict(tail)
		}
	}
}

// newWorkflow starts the first run of a workflow: behind nothing, or behind voids
// from tail on.
func (a *appending) newWorkflow(ctx context.Context, tail events.Cursor) (events.Result, error) {
	for {
		res, moved, err := a.settle(ctx, tail)
		if moved == nil || err != nil {
			return res, err
		}
		if moved.Run.Run == "" {
			tail = moved.Cursor(a.identity)
			continue
		}
		last, err := a.last(a.bounded(ctx))
		if err != nil {
			return events.Result{}, err
		}
		return events.Result{}, a.conflict(last.Cursor(a.identity))
	}
}

// after appends directly after the cursor, or not at all.
func (a *appending) after(ctx context.Context, c events.Cursor) (events.Result, error) {
	res, moved, err := a.settle(ctx, c)
	if moved == nil || err != nil {
		return res, err
	}
	last, err := a.last(a.bounded(ctx))
	if err != nil {
		return events.Result{}, err
	}
	return events.Result{}, a.conflict(last.Cursor(a.identity))
}

// afterEvent appends directly after an event. No event has the empty run: then
// it only looks for the commit id, that of a start along the starts, too.
func (a *appending) afterEvent(ctx context.Context, run events.RunID, id events.EventID) (events.Result, error) {
	// Directly after the event that is expected there is no earlier attempt to
	// look for: the store refuses this one if there is.
	beyond := all
	if c, ok := a.cache.get(a.p.Workflow, a.store.Generation(), time.Now()); ok && run != "" && c.Run() == run && c.LastEventID() == id {
		if res, done, err := a.fromCache(ctx, c); done {
			return res, err
		}
		beyond = c.Position().Sequence
	}
	ctx = a.bounded(ctx)
	for {
		last, err := a.newest(ctx)
		if err != nil {
			return events.Result{}, err
		}
		tail := last.Cursor(a.identity)
		if tail.Run() != run || tail.LastEventID() != id {
			if a.p.given {
				found, err := a.findCommit(ctx, last, beyond)
				if found == nil && err == nil && run == "" && a.p.opens >= 0 {
					found, err = a.findStart(ctx, last, beyond)
				}
				if found != nil || err != nil {
					return a.existing(found, err)
				}
			}
			return events.Result{}, a.conflict(tail)
		}
		res, moved, err := a.settle(ctx, tail)
		if moved == nil || err != nil {
			return res, err
		}
		beyond = tail.Position().Sequence
		if moved.Void == nil { // a void is no event: what is expected still holds behind it
			if last, err = a.last(ctx); err != nil {
				return events.Result{}, err
			}
			return events.Result{}, a.conflict(last.Cursor(a.identity))
		}
	}
}

// atEnd follows the workflow to wherever it ends.
func (a *appending) atEnd(ctx context.Context) (events.Result, error) {
	beyond := all
	only, _ := a.p.Expect.IsAtEnd()
	if c, ok := a.cached(ctx); ok && events.IsOpen(c.Status()) && (only == "" || only == c.Run()) {
		if res, done, err := a.fromCache(ctx, c); done {
			return res, err
		}
		beyond = c.Position().Sequence
	}
	ctx = a.bounded(ctx)
	last, err := a.newest(ctx)
	if err != nil {
		return events.Result{}, err
	}
	if a.p.given {
		if found, err := a.findCommit(ctx, last, beyond); found != nil || err != nil {
			return a.existing(found, err)
		}
	}
	return a.atEndFrom(ctx, last)
}

func (a *appending) atEndFrom(ctx context.Context, last *events.Commit) (events.Result, error) {
	only, _ := a.p.Expect.IsAtEnd()
	for {
		tail := last.Cursor(a.identity)
		if only != "" && tail.Run() != only {
			return events.Result{}, a.notThatRun(ctx, last, only)
		}
		if !events.IsOpen(tail.Status()) {
			return events.Result{}, &events.ClosedError{Workflow: a.p.Workflow, Actual: tail}
		}
		res, moved, err := a.settle(ctx, tail)
		if moved == nil || err != nil {
			return res, err
		}
		// Settled: the expectation was met by another commit, so no attempt
		// with it is stored or ever will be. Only now may it move, and not past
		// a commit that another repetition of this append has stored.
		if last, err = a.newest(ctx); err != nil {
			return events.Result{}, err
		}
		if a.p.given {
			if found, err := a.findAfter(ctx, last, tail.Position().Sequence); found != nil || err != nil {
				return a.existing(found, err)
			}
		}
	}
}

// notThatRun says whether a run that is not the newest is closed or was never there.
func (a *appending) notThatRun(ctx context.Context, last *events.Commit, run events.RunID) error {
	if _, err := a.locate(ctx, last, run); err != nil {
		return err
	}
	return &events.ClosedError{Workflow: a.p.Workflow, Actual: last.Cursor(a.identity)}
}

// settleAttempt sends again what ended unknown, against the same expectation,
// and goes on as the expectation says once that is settled.
func (a *appending) settleAttempt(ctx context.Context, attempt events.Attempt) (events.Result, error) {
	if !attempt.After.IsZero() {
		if err := a.checkCursor(attempt.After); err != nil {
			return events.Result{}, err
		}
	}
	res, moved, err := a.settle(ctx, attempt.After)
	if moved == nil || err != nil {
		return res, err
	}
	if a.p.Expect.IsNewWorkflow() && moved.Run.Run == "" {
		return a.newWorkflow(ctx, moved.Cursor(a.identity))
	}
	_, atEnd := a.p.Expect.IsAtEnd()
	last, err := a.last(ctx)
	if err != nil {
		return events.Result{}, a.stillUnknown(attempt, err)
	}
	run, id, afterEvent := a.p.Expect.AfterRunEvent()
	afterEvent = afterEvent && moved.Void != nil // which is no event
	if !atEnd && !afterEvent && !a.p.Expect.IsNewRun() {
		return events.Result{}, a.conflict(last.Cursor(a.identity))
	}
	// This attempt is settled, but an earlier repetition may have gone on from
	// it: then the commit lies further on.
	found, err := a.findAfter(ctx, last, attempt.After.Position().Sequence)
	if err != nil {
		return events.Result{}, a.stillUnknown(attempt, err)
	}
	if found != nil {
		return a.existing(found, nil)
	}
	switch {
	case atEnd:
		return a.atEndFrom(ctx, last)
	case afterEvent:
		return a.afterEvent(ctx, run, id)
	default:
		return a.newRun(ctx)
	}
}

// stillUnknown is the error of a look-up that was to settle an attempt.
func (a *appending) stillUnknown(attempt events.Attempt, err error) error {
	if errors.Is(err, events.ErrCorrupt) || errors.Is(err, events.ErrWrongLog) || errors.Is(err, events.ErrInvalid) {
		return err
	}
	return a.unknown(attempt.After, err)
}

func (a *appending) conflict(actual events.Cursor) error {
	return &events.ConflictError{Workflow: a.p.Workflow, Expected: a.p.Expect.String(), Actual: actual}
}

// settle sends the commit that follows tail until it is known to be stored or
// known never to be. It returns the result, or the commit that stands where
// this one would have (moved), or an error.
func (a *appending) settle(ctx context.Context, tail events.Cursor) (res events.Result, moved *events.Commit, err error) {
	if err := a.fits(tail); err != nil {
		return events.Result{}, nil, err
	}
	if err := a.checkRunIDs(ctx, tail); err != nil {
		return events.Result{}, nil, err
	}
	c, err := a.p.against(tail, a.config.Limits)
	if err != nil {
		return events.Result{}, nil, err
	}
	out := Outgoing{
		CommitID: a.p.CommitID, Partition: a.Partition(a.p.Workflow), Subject: a.p.subject,
		Header: events.EncodeHeader(c), Body: c.Body, Expected: tail.Position().Sequence, Until: a.until,
	}
	a.learn(out.Expected)
	generation := a.store.Generation()
	var wait backoff.BackOff
	// unsettled: an attempt with this expectation may be stored, or may yet be.
	_, unsettled := a.p.Expect.Attempted()
	for {
		seq, err := a.store.Publish(ctx, out)
		if err == nil {
			c.Position = events.Position{Partition: out.Partition, Sequence: seq}
			for _, s := range []*events.Segment{&c.Run, c.Closed} {
				if s != nil && s.Opens() {
					s.RunFirst = seq
				}
			}
			if c.Closed != nil {
				c.Run.PrevRunFirst = c.Closed.RunFirst
			}
			_, after := a.p.Expect.AfterCursor()
			a.cache.see(c, a.identity, generation, time.Now(), !after)
			return a.result(c, false), nil, nil
		}
		if wait == nil {
			ctx, wait = a.bounded(ctx), Delays()
		}
		var rejected *RejectedError
		switch {
		case errors.Is(err, ErrMoved):
			next, looked := a.standingAfter(ctx, out, tail)
			switch {
			case errors.Is(looked, events.ErrCorrupt):
				return events.Result{}, nil, looked
			case looked != nil && (unsettled || a.p.given):
				return events.Result{}, nil, a.unknown(tail, looked)
			case looked != nil:
				return events.Result{}, nil, looked
			case next != nil && next.ID != a.p.CommitID:
				a.learn(next.Position.Sequence)
				return events.Result{}, next, nil
			case next != nil:
				res, err := a.existing(next, nil)
				return res, nil, err
			}
			// Nothing stands there: who refused it was another than who was asked
			// then, and one of them does not know all that is stored.
		case errors.As(err, &rejected) && !unsettled:
			return events.Result{}, nil, &events.LimitError{
				Workflow: a.p.Workflow, What: "bytes of events in one commit", Got: int64(len(c.Body)), Remedy: "the server " + rejected.Error(),
			}
		case errors.Is(err, events.ErrWrongLog) && !unsettled:
			return events.Result{}, nil, err
		case errors.Is(err, ErrClosed) && !unsettled:
			return events.Result{}, nil, Unavailable(err)
		case errors.Is(err, ErrClosed), errors.Is(err, events.ErrWrongLog):
			return events.Result{}, nil, a.unknown(tail, err)
		case errors.Is(err, ErrNotSent), errors.Is(err, ErrBusy):
		default:
			unsettled = true
			out.Missed(err)
		}
		if stop := Sleep(ctx, wait.NextBackOff()); stop != nil {
			if !unsettled {
				return events.Result{}, nil, &unavailableError{cause: fmt.Errorf("append to %s: %w (last answer: %w)", a.p.Workflow, stop, err)}
			}
			return events.Result{}, nil, a.unknown(tail, err)
		}
	}
}

// fits holds what the state of the workflow allows: a start after a closed run
// only, anything else in an open one only.
func (a *appending) fits(tail events.Cursor) error {
	opens := a.p.begins(0)
	switch {
	case tail.Run() == "" && !opens:
		return &events.InvalidError{Field: field(0, "eventType"), Reason: "is no start, and the workflow has no run"}
	case tail.Run() == "":
		return nil
	case opens && a.p.Base != nil && events.IsOpen(tail.Status()):
		return &events.InvalidError{Field: "base", Reason: "is set, and run " + string(tail.Run()) + " is open and no event ends it"}
	case opens && events.IsOpen(tail.Status()):
		return &events.InvalidError{Field: field(0, "eventType"), Reason: "is a start, and run " + string(tail.Run()) + " is open"}
	case !opens && !events.IsOpen(tail.Status()):
		return &events.ClosedError{Workflow: a.p.Workflow, Actual: tail}
	case a.p.opens >= 0 && (a.p.RunID == tail.Run() || a.p.firstRun == tail.Run()):
		return &events.InvalidError{Field: "runId", Reason: "is the id of the run before"}
	}
	return nil
}

// checkRunIDs refuses an id that an earlier run of the workflow has: readers and
// tables could not tell the two apart. Ids that were made here are new.
func (a *appending) checkRunIDs(ctx context.Context, tail events.Cursor) error {
	if len(a.p.named) > 0 {
		ctx = a.bounded(ctx)
	}
	for _, run := range a.p.named {
		h := a.horizon(events.CommitID(run))
		for start, err := range a.startsFrom(ctx, a.p.Workflow, tail.PrevRunFirst()) {
			switch {
			case err != nil:
				return err
			case start.Segment(run) != nil:
				return &events.InvalidError{Field: "runId", Reason: fmt.Sprintf("is %s, the id of an earlier run of %s", run, a.p.Workflow)}
			}
			if !h.take(start) {
				break
			}
		}
	}
	return nil
}

// standingAfter is the commit that stands directly after the expectation, which
// is tail; nil if there is none, and tail is the end.
func (a *appending) standingAfter(ctx context.Context, out Outgoing, tail events.Cursor) (*events.Commit, error) {
	wait := Delays()
	for {
		asked := time.Now()
		m, err := a.store.Next(ctx, out.Partition, out.Subject, out.Expected+1)
		if err == nil {
			c, bad := decode(a.p.Workflow, m)
			if bad == nil && c.Hash == c.ChainHash(tail.Hash()) {
				return c, nil
			}
			if bad == nil {
				bad = corrupt(c, "its hash does not follow from the commit that the append expects, at %s", tail.Position())
			}
			c, err = a.Covering(ctx, a.p.Workflow, m.Position)
			if errors.Is(err, events.ErrNotFound) {
				return nil, bad
			}
			return c, err
		}
		if errors.Is(err, ErrNone) {
			var done bool
			if done, err = a.endsAt(ctx, out, tail, asked); done {
				return nil, err
			}
		}
		if stop := Sleep(ctx, wait.NextBackOff()); stop != nil {
			return nil, &unavailableError{cause: err}
		}
	}
}

// endsAt looks whether the workflow ends with tail, behind which there was nothing
// when that was asked for. It is done if it does, or if tail is not there any more;
// else an error says why that is not known.
func (a *appending) endsAt(ctx context.Context, out Outgoing, tail events.Cursor, asked time.Time) (done bool, err error) {
	m, err := a.store.Last(ctx, out.Partition, out.Subject)
	switch {
	case err != nil && !errors.Is(err, ErrNone):
		return false, err
	case m.Position.Sequence > out.Expected:
		return false, ErrNone // it has come meanwhile, or who was asked first did not know it
	case m.Position.Sequence == out.Expected:
		if c, bad := decode(a.p.Workflow, m); out.Expected > 0 && (bad != nil || c.Hash != tail.Hash()) {
			return true, a.corruptAt(a.p.Workflow, out.Expected, "the commit that the append expects was exchanged for another one")
		}
		a.doubt.Dispel()
		return true, nil
	}
	if err := a.doubted(ctx, &a.doubt, out.Partition, asked); err != nil {
		return false, fmt.Errorf("the commit that the append expects, at %s, is not there: %w", tail.Position(), err)
	}
	return true, a.corruptAt(a.p.Workflow, out.Expected, "the commit that the append expects is no longer there: the log was truncated, purged or restored")
}

// existing is the answer of an append that was stored before.
func (a *appending) existing(c *events.Commit, err error) (events.Result, error) {
	if err != nil {
		return events.Result{}, err
	}
	if c.Digest != a.p.digest {
		return events.Result{}, &events.CommitIDReusedError{Workflow: a.p.Workflow, CommitID: a.p.CommitID, Position: c.Position}
	}
	return a.result(c, true), nil
}

func (a *appending) result(c *events.Commit, existed bool) events.Result {
	return events.Result{
		RunID: c.Run.Run, FirstEventID: c.Run.First, LastEventID: c.Run.Last, Position: c.Position, CommitID: c.ID,
		Cursor: c.Cursor(a.identity), Existed: existed, Warning: warning(&c.Run, a.config.Limits),
	}
}

func (a *appending) unknown(tail events.Cursor, cause error) error {
	attempt := events.Attempt{After: tail, Time: a.p.time}
	if a.p.opens >= 0 {
		attempt.Run = a.p.RunID
	}
	return &events.OutcomeUnknownError{
		Workflow: a.p.Workflow, CommitID: a.p.CommitID, Expectation: a.p.Expect.WithAttempt(attempt), Cause: cause,
	}
}
