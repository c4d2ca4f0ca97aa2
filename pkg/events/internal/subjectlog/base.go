package subjectlog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// holds reports whether a commit is the one that a reset names as holding the
// last event of its base.
func holds(c *events.Commit, b *events.ResetBase) bool {
	s := c.Segment(b.Run)
	return s != nil && c.Void == nil && c.Hash == b.Hash && s.First <= b.Event && b.Event <= s.Last
}

// baseOf is the commit that holds the last event of the base of a run that
// begins in c: where c says, or, where that does not hold, anywhere before c.
func (l *Log) baseOf(ctx context.Context, c *events.Commit) (*events.Commit, error) {
	b, err := l.commitAt(ctx, c.Workflow, c.Base.Sequence)
	if err != nil || b != nil && holds(b, c.Base) {
		return b, err
	}
	j := judge{w: c.Workflow}
	for k, err := range l.between(ctx, &j, 1, c.Position.Sequence) {
		if err != nil {
			return nil, err
		}
		if b := k.Commit; holds(b, c.Base) {
			return b, nil
		}
	}
	return nil, corrupt(c, "it begins with run %s up to event %d, and no commit before it holds that", c.Base.Run, c.Base.Event)
}

// base is the read of the base of a run that begins in c.
func (r *reading) base(ctx context.Context, c *events.Commit) (reading, error) {
	b, err := r.baseOf(ctx, c)
	if err != nil {
		return reading{}, err
	}
	sub := *r
	sub.upto, sub.after, sub.passed, sub.within = c.Base.Event, nil, 0, false
	sub.span = spanTo(b, c.Base.Run, b.Segment(c.Base.Run).RunFirst)
	return sub, nil
}

func (r *reading) baseForward(ctx context.Context, c *events.Commit) error {
	sub, err := r.base(ctx, c)
	if err != nil {
		return err
	}
	return sub.forward(ctx)
}

func (r *reading) baseReverse(ctx context.Context, c *events.Commit) error {
	sub, err := r.base(ctx, c)
	if err != nil {
		return err
	}
	if sub.o.From == 0 || sub.o.From > sub.upto {
		sub.o.From = sub.upto
	}
	return sub.reverse(ctx)
}

// BaseEvents is events.Source's.
func (l *Log) BaseEvents(ctx context.Context, c *events.Commit) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		if c.Base == nil {
			return
		}
		r := reading{Log: l, w: c.Workflow, giving: &giving{yield: yield}}
		if err := r.baseForward(ctx, c); err != nil {
			yield(nil, err)
		}
	}
}

// based is a base that was found, and what the run is after its last event.
type based struct {
	events.ResetBase
	workflowType string
	status       events.Status
	size         int64
}

// findBase finds what a request resets, or says which field is wrong.
func (a *appending) findBase(ctx context.Context) (*based, error) {
	want := *a.p.Base
	noRun := &events.InvalidError{Field: "base.run", Reason: fmt.Sprintf("is %q, and %s has no such run", want.Run, a.p.Workflow)}
	last, err := a.tail(ctx, a.p.Workflow)
	if errors.Is(err, events.ErrNotFound) {
		return nil, noRun
	}
	if err != nil {
		return nil, err
	}
	s, err := a.locate(ctx, last, want.Run)
	if errors.Is(err, events.ErrNotFound) {
		return nil, noRun
	}
	if err != nil {
		return nil, err
	}
	for {
		if want.Run == a.p.RunID {
			return nil, &events.InvalidError{Field: "runId", Reason: fmt.Sprintf("is %s, the id of the run that is reset", want.Run)}
		}
		b, earlier, err := a.holder(ctx, s, want)
		if err != nil {
			return nil, err
		}
		if b != nil {
			return a.foldBase(ctx, b, s)
		}
		// The event lies in the base of the run, which is a reset itself.
		end, err := a.baseOf(ctx, earlier)
		if err != nil {
			return nil, err
		}
		want.Run = earlier.Base.Run
		s = spanTo(end, want.Run, end.Segment(want.Run).RunFirst)
	}
}

// holder is the commit of a run that holds an event, as what a reset would
// name; or the first commit of the run, if the event lies in that one's base.
func (a *appending) holder(ctx context.Context, s span, want events.Base) (*based, *events.Commit, error) {
	var seen events.EventID
	for k, err := range a.chained(ctx, a.p.Workflow, scanning{from: before(s.end, s.first), first: s.first, to: s.last}) {
		if err != nil {
			return nil, nil, err
		}
		c := k.Commit
		seg := c.Segment(s.run)
		if seg == nil || c.Void != nil {
			continue
		}
		if c.Base != nil && seg == &c.Run && want.Event <= c.Base.Event {
			return nil, c, nil
		}
		if seg.First <= want.Event && want.Event <= seg.Last {
			return &based{
				ResetBase:    events.ResetBase{Base: want, Sequence: c.Position.Sequence, Hash: c.Hash},
				workflowType: seg.Type,
			}, nil, nil
		}
		seen = seg.Last
	}
	return nil, nil, &events.InvalidError{Field: "base.event", Reason: fmt.Sprintf("is %d, and run %s has events 1 to %d", want.Event, a.p.Base.Run, seen)}
}

// foldBase reads the events of a base for what the run is after them.
func (a *appending) foldBase(ctx context.Context, b *based, s span) (*based, error) {
	var closed *events.Event
	r := reading{Log: a.Log, w: a.p.Workflow, upto: b.Event}
	r.giving = &giving{yield: func(e *events.Event, _ error) bool {
		b.status = events.StatusAfter(b.status, e)
		b.size += events.StoredSize(e)
		closed = e
		return true
	}}
	end, err := a.commitThere(ctx, a.p.Workflow, b.Sequence)
	if err == nil && end == nil {
		err = a.corruptAt(a.p.Workflow, b.Sequence, "the commit was there and is gone")
	}
	if err == nil {
		r.span = spanTo(end, b.Run, s.first)
		err = r.forward(ctx)
	}
	if err != nil {
		return nil, err
	}
	if !events.IsOpen(b.status) {
		return nil, &events.InvalidError{Field: "base.event", Reason: fmt.Sprintf("is %d, %s, which closes run %s", b.Event, closed.EventType, a.p.Base.Run)}
	}
	return b, nil
}
