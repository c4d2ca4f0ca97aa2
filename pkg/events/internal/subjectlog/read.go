package subjectlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

// Read is events.Reader's.
func (l *Log) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		if err := l.checkRead(w, o); err != nil {
			yield(nil, err)
			return
		}
		r := reading{Log: l, w: w, o: o, giving: &giving{left: o.Limit, yield: yield}}
		if err := r.run(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// run gives what is asked for.
func (r *reading) run(ctx context.Context) error {
	last, err := r.end(ctx)
	if errors.Is(err, events.ErrNotFound) && r.o.After.Run() != "" {
		return r.explain(ctx, nil, errUnfit)
	}
	if err != nil {
		return err
	}
	if r.span, err = r.locate(ctx, last, r.o.Run); err == nil && named(last) && r.span.end != last {
		err = r.there(ctx, last) // an older run is read: nothing else says that this end is one
	}
	if err != nil {
		return r.explain(ctx, last, err)
	}
	if !r.o.After.IsZero() {
		if done, err := r.from(ctx, last); done || err != nil {
			return r.explain(ctx, last, err)
		}
	}
	if r.o.Reverse {
		return r.explain(ctx, last, r.reverse(ctx))
	}
	return r.explain(ctx, last, r.forward(ctx))
}

// end is the commit up to which the workflow is read: the last one, or the one that
// o.Until names.
func (r *reading) end(ctx context.Context) (*events.Commit, error) {
	if r.o.Until.IsZero() {
		return r.tail(ctx, r.w)
	}
	if r.o.Until.Run() == "" {
		return nil, &events.NotFoundError{Workflow: r.w}
	}
	return namedBy(r.o.Until), nil
}

// from has the read begin after o.After. It is done if there can be nothing: then
// the commit there is the one that the cursor names.
func (r *reading) from(ctx context.Context, last *events.Commit) (done bool, err error) {
	after := namedBy(r.o.After)
	at := after.Position.Sequence
	switch {
	case last.Position.Sequence < at:
		return true, errUnfit
	case last.Position.Sequence == at:
		if last.Hash != after.Hash {
			return true, errUnfit
		}
		if named(last) {
			return true, r.there(ctx, after)
		}
		return true, nil
	case r.span.last <= at:
		return true, r.there(ctx, after)
	case r.span.first <= at:
		r.after = after
		if r.span.run == r.o.After.Run() {
			r.passed = r.o.After.LastEventID()
		}
		return false, nil
	default: // the run began later
		return false, r.there(ctx, after)
	}
}

// there fails with errUnfit unless the log has the commit that a cursor names.
func (r *reading) there(ctx context.Context, c *events.Commit) error {
	b, err := r.commitThere(ctx, r.w, c.Position.Sequence)
	if err == nil && (b == nil || !fits(b, c)) {
		err = errUnfit
	}
	return err
}

// explain makes of an error what the caller is told: where a cursor was relied on
// that is not one of this log's, that, and not what follows from it. What a leader does
// not know may be in the log all the same, if it is an old one: last is nil where it knows
// nothing.
func (r *reading) explain(ctx context.Context, last *events.Commit, err error) error {
	if !errors.Is(err, errUnfit) && !errors.Is(err, ErrNone) && !errors.Is(err, events.ErrCorrupt) && !errors.Is(err, events.ErrNotFound) {
		return err
	}
	for _, c := range []events.Cursor{r.o.After, r.o.Until} {
		if c.IsZero() {
			continue
		}
		unfit := last != nil && named(last) && last.Position.Sequence < c.Position().Sequence // that is said by o.Until
		if !unfit {
			switch there := r.there(ctx, namedBy(c)); {
			case errors.Is(there, errUnfit):
				unfit = true
			case there != nil && !errors.Is(there, events.ErrCorrupt):
				return there
			}
		}
		if unfit {
			conflict := &events.ConflictError{Workflow: r.w, Expected: c.String()}
			if last != nil && !named(last) {
				conflict.Actual = last.Cursor(r.identity)
			}
			return conflict
		}
	}
	if errors.Is(err, errUnfit) { // it was not there, and is now: what was asked before was behind
		return Unavailable(err)
	}
	return err
}

func (l *Log) checkRead(w events.Workflow, o events.ReadOptions) error {
	if err := w.Validate(); err != nil {
		return err
	}
	for field, c := range map[string]events.Cursor{"after": o.After, "until": o.Until} {
		if c.IsZero() {
			continue
		}
		if c.Workflow() != w {
			return &events.InvalidError{Field: field, Reason: fmt.Sprintf("is a cursor of %s", c.Workflow())}
		}
		if err := c.Of(l.identity); err != nil {
			return err
		}
	}
	switch {
	case !o.After.IsZero() && (o.From != 0 || o.Reverse):
		return &events.InvalidError{Field: "after", Reason: "goes neither with from nor with reverse"}
	case o.From < 0:
		return &events.InvalidError{Field: "from", Reason: fmt.Sprintf("is %d, ids begin at 1", o.From)}
	case o.Limit < 0:
		return &events.InvalidError{Field: "limit", Reason: fmt.Sprintf("is %d; 0 means no limit", o.Limit)}
	}
	return nil
}

// reading is one read of a run under way.
type reading struct {
	*Log
	w    events.Workflow
	span span
	o    events.ReadOptions
	// upto is the last event that is read of a base, which the span's last
	// commit holds; 0: the run is read to its end.
	upto events.EventID
	// after, if set, is the commit after which the read begins, and passed the last
	// event of the run up to there; 0: it is not known.
	after  *events.Commit
	passed events.EventID
	// within says that what forwards yields begins within the run.
	within bool
	*giving
}

// giving is where a read and those of its bases give their events.
type giving struct {
	left    int // events; 0 and below: no limit
	stopped bool
	yield   func(*events.Event, error) bool
}

// give yields an event and reports whether there is more to give.
func (g *giving) give(e *events.Event) bool {
	if !g.yield(e, nil) {
		g.stopped = true
		return false
	}
	g.left--
	g.stopped = g.left == 0
	return !g.stopped
}

func (r *reading) forward(ctx context.Context) error {
	from := max(r.o.From, 1)
	if r.after != nil {
		from = r.passed + 1
	}
	seen := r.passed
	begun := r.after != nil // the first event is due that comes after seen
	for k, err := range r.forwards(ctx, from) {
		if err != nil {
			return err
		}
		c := k.Commit
		seg := c.Segment(r.span.run)
		if seg == nil || c.Void != nil {
			continue // the start of the run that comes next, in a commit of its own
		}
		if !begun && r.within {
			seen = seg.First - 1
		}
		begun = true
		if seen == 0 && c.Base != nil && seg == &c.Run {
			if from <= c.Base.Event {
				if err := r.baseForward(ctx, c); err != nil || r.stopped {
					return err
				}
			}
			seen = c.Base.Event
		}
		if seg.First != seen+1 {
			return corrupt(c, "run %s goes on with event %d after %d", seg.Run, seg.First, seen)
		}
		seen = seg.Last
		if seg.Last < from {
			continue
		}
		events, err := eventsOf(k, seg)
		if err != nil {
			return err
		}
		if r.upto != 0 && r.upto < seg.Last {
			events = events[:r.upto-seg.First+1]
		}
		for _, e := range events[max(0, int(from-seg.First)):] {
			if !r.give(e) {
				return nil
			}
		}
	}
	if seen < from && r.after == nil {
		return r.noEvent(seen)
	}
	return nil
}

// before is the sequence of the commit before the one at seq, if last names it, else
// seq.
func before(last *events.Commit, seq uint64) uint64 {
	for _, b := range last.Back {
		if b < seq {
			return b
		}
	}
	return seq
}

func (r *reading) reverse(ctx context.Context) error {
	// A commit is given once the one before it is known to be the one that it
	// follows from: c is one behind.
	var c *events.Commit
	next := events.EventID(-1) // the event before those that were seen
	followed := false
	for b, err := range r.backwards(ctx, r.span.end, r.span.first) {
		if err != nil {
			return err
		}
		if followed = b.Position.Sequence < r.span.first; followed {
			break
		}
		if c != nil {
			if more, err := r.giveReversed(c, &next); err != nil || !more {
				return err
			}
		}
		c = b
	}
	if !followed {
		if err := r.checkFirst(ctx, c); err != nil {
			return err
		}
	}
	if more, err := r.giveReversed(c, &next); err != nil || !more {
		return err
	}
	switch {
	case next < 0:
		return r.noEvent(0)
	case next > 0 && c.Base != nil && c.Run.Run == r.span.run && next == c.Base.Event:
		return r.baseReverse(ctx, c)
	case next > 0:
		return r.corruptAt(r.w, r.span.first, "run %s begins with event %d", r.span.run, next+1)
	}
	return nil
}

// giveReversed yields what is asked for of one commit, the last event first,
// and reports whether there is more to give.
func (r *reading) giveReversed(c *events.Commit, next *events.EventID) (more bool, err error) {
	seg := c.Segment(r.span.run)
	if seg == nil || c.Void != nil {
		return true, nil // the start of the run that comes next, in a commit of its own
	}
	if *next >= 0 && seg.Last != *next {
		return false, corrupt(c, "run %s has event %d before %d", seg.Run, seg.Last, *next+1)
	}
	if *next < 0 && r.o.From > seg.Last {
		return false, r.noEvent(seg.Last)
	}
	*next = seg.First - 1
	if r.o.From != 0 && seg.First > r.o.From {
		return true, nil
	}
	events, err := eventsOf(link{Commit: c}, seg)
	if err != nil {
		return false, err
	}
	if r.o.From != 0 && r.o.From < seg.Last {
		events = events[:r.o.From-seg.First+1]
	}
	for _, e := range slices.Backward(events) {
		if !r.give(e) {
			return false, nil
		}
	}
	return true, nil
}

func (r *reading) noEvent(last events.EventID) error {
	if last == 0 {
		return r.corruptAt(r.w, r.span.first, "run %s has no event", r.span.run)
	}
	return &events.NotFoundError{Workflow: r.w, Run: r.span.run, Event: r.o.From}
}

// eventsOf decodes the part of a commit that seg says.
func eventsOf(k link, seg *events.Segment) ([]*events.Event, error) {
	parts, err := k.segments()
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p.Run == seg.Run {
			return p.Events, nil
		}
	}
	return nil, corrupt(k.Commit, "has no run %s", seg.Run)
}

// Commits is events.Reader's.
func (l *Log) Commits(ctx context.Context, w events.Workflow) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		if err := w.Validate(); err != nil {
			yield(nil, err)
			return
		}
		last, err := l.last(ctx, w)
		if err != nil {
			yield(nil, err)
			return
		}
		for k, err := range l.chained(ctx, w, scanning{from: 1, first: 1, to: last.Position.Sequence, ahead: true}) {
			if !yield(k.Commit, err) {
				return
			}
		}
	}
}
