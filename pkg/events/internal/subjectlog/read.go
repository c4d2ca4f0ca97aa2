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
		r := reading{Log: l, w: w, span: s, o: o, left: o.Limit, yield: yield}
		if o.Reverse {
			err = r.reverse(ctx, last)
		} else {
			err = r.forward(ctx)
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
	w     events.Workflow
	span  span
	o     events.ReadOptions
	left  int
	yield func(*events.Event, error) bool
}

// give yields an event and reports whether there is more to give.
func (r *reading) give(e *events.Event) bool {
	if !r.yield(e, nil) {
		return false
	}
	r.left--
	return r.left != 0
}

func (r *reading) forward(ctx context.Context) error {
	from := max(r.o.From, 1)
	var seen events.EventID
	for c, err := range r.chained(ctx, r.w, r.span.first, r.span.last) {
		if err != nil {
			return err
		}
		seg := c.Segment(r.span.run)
		if seg == nil {
			continue // the start of the run that comes next, in a commit of its own
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

func (r *reading) reverse(ctx context.Context, last *events.Commit) error {
	if last.Position.Sequence != r.span.last {
		c, err := r.commitAt(ctx, r.w, r.span.last)
		if err != nil {
			return err
		}
		if c == nil {
			return &events.CorruptError{Workflow: r.w, Position: events.Position{Partition: r.Partition(r.w), Sequence: r.span.last}, Reason: "the commit that a run ends before is not there"}
		}
		last = c
	}
	var next events.EventID // the one before the last that was seen
	for c, err := range r.backwards(ctx, last, r.span.first) {
		if err != nil {
			return err
		}
		seg := c.Segment(r.span.run)
		if seg == nil {
			continue
		}
		if next != 0 && seg.Last != next {
			return corrupt(c, "run %s has event %d before %d", seg.Run, seg.Last, next+1)
		}
		if next == 0 && r.o.From > seg.Last {
			return r.noEvent(seg.Last)
		}
		next = seg.First - 1
		if r.o.From != 0 && seg.First > r.o.From {
			continue
		}
		events, err := eventsOf(c, seg)
		if err != nil {
			return err
		}
		if r.o.From != 0 && r.o.From < seg.Last {
			events = events[:r.o.From-seg.First+1]
		}
		for _, e := range slices.Backward(events) {
			if !r.give(e) {
				return nil
			}
		}
	}
	if next != 0 {
		return &events.CorruptError{Workflow: r.w, Position: events.Position{Partition: r.Partition(r.w), Sequence: r.span.first}, Reason: fmt.Sprintf("run %s begins with event %d", r.span.run, next+1)}
	}
	return nil
}

func (r *reading) noEvent(last events.EventID) error {
	if last == 0 {
		return &events.CorruptError{Workflow: r.w, Position: events.Position{Partition: r.Partition(r.w), Sequence: r.span.first}, Reason: fmt.Sprintf("run %s has no event", r.span.run)}
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

func corrupt(c *events.Commit, format string, args ...any) error {
	return &events.CorruptError{Workflow: c.Workflow, Position: c.Position, Reason: fmt.Sprintf(format, args...)}
}

// chained yields the commits of a subject in [from, to], both of which it has,
// and checks that each follows from the one before.
func (l *Log) chained(ctx context.Context, w events.Workflow, from, to uint64) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		var prev *events.Commit
		for m, err := range l.store.Scan(ctx, l.Partition(w), w.Subject(), from, to) {
			if err != nil {
				yield(nil, unavailable(err))
				return
			}
			c, err := decode(w, m)
			if err == nil {
				err = follows(prev, c)
			}
			if !yield(c, err) || err != nil {
				return
			}
			prev = c
		}
		if prev == nil || prev.Position.Sequence != to {
			yield(nil, &events.CorruptError{Workflow: w, Position: events.Position{Partition: l.Partition(w), Sequence: to}, Reason: "the history does not reach the commit that is its end"})
		}
	}
}

// follows checks the chain between a commit and the one before it on its
// subject; prev is nil where that one was not read.
func follows(prev, c *events.Commit) error {
	switch {
	case prev != nil && c.Hash != c.ChainHash(prev.Hash):
		return corrupt(c, "its hash does not follow from the commit before it at %s", prev.Position)
	case prev == nil && len(c.Back) == 0 && c.Hash != c.ChainHash(events.Hash{}):
		return corrupt(c, "its hash is not that of a first commit")
	}
	return nil
}

// Commits is events.Reader's.
func (l *Log) Commits(ctx context.Context, w events.Workflow) iter.Seq2[*events.Commit, error] {
	return func(yield func(*events.Commit, error) bool) {
		if err := w.Validate(); err != nil {
			yield(nil, err)
			return
		}
		last, err := l.tail(ctx, w)
		if err != nil {
			yield(nil, err)
			return
		}
		var seen uint64
		for c, err := range l.chained(ctx, w, 1, last.Position.Sequence) {
			if err == nil && seen == 0 && len(c.Back) != 0 {
				err = corrupt(c, "it names an earlier commit at sequence %d, and there is none", c.Back[0])
			}
			if !yield(c, err) || err != nil {
				return
			}
			seen = c.Position.Sequence
		}
	}
}
