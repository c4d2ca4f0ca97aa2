package subjectlog

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

// Read is events.Reader's.
func (l *Log) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		if err := checkRead(w, o); err != nil {
			yield(nil, err)
			return
		}
		last, err := l.tail(ctx, w)
		if err != nil {
			yield(nil, err)
			return
		}
		s, err := l.locate(ctx, last, o.Run)
		if err != nil {
			yield(nil, err)
			return
		}
		r := reading{Log: l, w: w, span: s, o: o, giving: &giving{left: o.Limit, yield: yield}}
		if o.Reverse {
			err = r.reverse(ctx, last)
		} else {
			err = r.forward(ctx, last)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func checkRead(w events.Workflow, o events.ReadOptions) error {
	if err := w.Validate(); err != nil {
		return err
	}
	switch {
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

func (r *reading) forward(ctx context.Context, last *events.Commit) error {
	from := max(r.o.From, 1)
	var seen events.EventID
	for c, err := range r.chained(ctx, r.w, before(last, r.span.first), r.span.first, r.span.last) {
		if err != nil {
			return err
		}
		seg := c.Segment(r.span.run)
		if seg == nil || c.Void != nil {
			continue // the start of the run that comes next, in a commit of its own
		}
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
		events, err := eventsOf(c, seg)
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
	if seen < from {
		return r.noEvent(seen)
	}
	return nil
}

// before is the sequence of the commit before the one at seq, if last names it,
// else seq.
func before(last *events.Commit, seq uint64) uint64 {
	for _, b := range last.Back {
		if b < seq {
			return b
		}
	}
	return seq
}

func (r *reading) reverse(ctx context.Context, last *events.Commit) error {
	if last.Position.Sequence != r.span.last {
		c, err := r.commitThere(ctx, r.w, r.span.last)
		if err != nil {
			return err
		}
		if c == nil {
			return r.corruptAt(r.w, r.span.last, "the commit that a run ends before is not there")
		}
		last = c
	}
	// A commit is given once the one before it is known to be the one that it
	// follows from: c is one behind.
	var c *events.Commit
	next := events.EventID(-1) // the event before those that were seen
	for b, err := range r.backwards(ctx, last, r.span.first) {
		if err != nil {
			return err
		}
		if c != nil {
			if more, err := r.giveReversed(c, &next); err != nil || !more {
				return err
			}
		}
		c = b
	}
	if err := r.checkFirst(ctx, c); err != nil {
		return err
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
	events, err := eventsOf(c, seg)
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
func eventsOf(c *events.Commit, seg *events.Segment) ([]*events.Event, error) {
	parts, err := c.Segments()
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p.Run == seg.Run {
			return p.Events, nil
		}
	}
	return nil, corrupt(c, "has no run %s", seg.Run)
}

// chained yields the commits of a subject in [first, to], both of which it has,
// and checks that each follows from the one before. It begins to read at from,
// which is first or the commit before it.
func (l *Log) chained(ctx context.Context, w events.Workflow, from, first, to uint64) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		j := judge{w: w, unknown: from > 1}
		for c, err := range l.judged(&j, l.store.Scan(ctx, l.Partition(w), w.Subject(), from, to)) {
			if err == nil && c.Position.Sequence < first {
				continue
			}
			if err == nil && from > 1 && c.Position.Sequence == from {
				err = l.checkFirst(ctx, c)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(c, nil) {
				return
			}
		}
		if j.prev == nil || j.prev.Position.Sequence != to {
			yield(nil, l.corruptAt(w, to, "the history does not reach the commit that is its end"))
		}
	}
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
		for c, err := range l.chained(ctx, w, 1, 1, last.Position.Sequence) {
			if !yield(c, err) {
				return
			}
		}
	}
}
