package natslog

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Follow yields a partition's messages by an ephemeral consumer: no
// acknowledgements, nothing durable on the server. Where the consumer ends
// (the connection, a leader, the server), it is made anew after the last
// message that was yielded.
func (l *Log) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		if err := l.CheckPartition(p); err != nil {
			yield(events.Message{}, err)
			return
		}
		if o.Until != 0 && o.After >= o.Until {
			return
		}
		f := &following{store: l.store, partition: p, o: o, after: o.After, yield: yield}
		f.same = f.sameEnd
		f.run(ctx)
	}
}

// following is one Follow under way.
type following struct {
	store     *store
	partition events.Partition
	o         events.FollowOptions
	after     uint64
	yield     func(events.Message, error) bool
	same      func(context.Context) error // whether the stream is still the one that was followed
	stopped   bool
	last      events.Message   // the one at after, without header and body, once it is known
	doubt     subjectlog.Doubt // whether the log ends before it
	unmade    int              // consumers that were asked for in vain, in a row
	warned    warning
}

// warning is an interruption that was logged.
type warning struct {
	after uint64
	why   string
	at    time.Time
}

// warnAgain is when an interruption that lasts is logged once more.
const warnAgain = time.Minute

// run follows with one consumer after the other, until it is stopped, the
// context ends or the log is another one.
func (f *following) run(ctx context.Context) {
	delays := retry(ctx)
	for {
		progress := f.after
		err := f.same(ctx)
		if err == nil {
			err = f.once(ctx)
		}
		if f.stopped {
			return
		}
		if ctx.Err() != nil {
			f.yield(events.Message{}, context.Cause(ctx))
			return
		}
		if errors.Is(err, events.ErrWrongLog) || errors.Is(err, nats.ErrConnectionClosed) {
			f.yield(events.Message{}, err)
			return
		}
		f.store.doubt()
		if f.after != progress {
			delays.Reset()
		}
		f.interrupted(ctx, err)
		pause := time.NewTimer(delays.NextBackOff())
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// interrupted warns, but not at each attempt that ends at the same place for the
// same reason.
func (f *following) interrupted(ctx context.Context, err error) {
	now := warning{after: f.after, why: err.Error(), at: time.Now()}
	if was := f.warned; now.after == was.after && now.why == was.why && now.at.Sub(was.at) < warnAgain {
		return
	}
	f.warned = now
	f.store.config.Logger.LogAttrs(ctx, slog.LevelWarn, "following the log: interrupted, going on",
		slog.String("stream", StreamName(f.partition)), slog.Uint64("after", f.after), slog.Any("error", err))
}

// shortPatience is the least time for which a log may end before what was followed
// already: a new leader may need a moment to know all that was stored. An old one may
// need longer to know that it is none.
const shortPatience = 10 * time.Second

// lag is how long a stream may end before what is known of it.
func (s *store) lag(ctx context.Context, p events.Partition) (time.Duration, error) {
	old, err := s.OldLeader(ctx, p)
	return max(old, shortPatience), err
}

// sameEnd checks, before a consumer takes the place of another, that the log
// still has what was yielded last, or what was to be followed from. A server would not say so: asked for what
// comes after the end of a log that was cut short, it waits until there is
// something, and that is something else.
func (f *following) sameEnd(ctx context.Context) error {
	if f.after == 0 {
		return nil
	}
	asked := time.Now()
	m, err := f.store.Get(ctx, events.Position{Partition: f.partition, Sequence: f.after})
	if f.last.Position.Sequence == 0 { // nothing was yielded yet: what is there is what must stay
		if err == nil {
			f.last = events.Message{Position: m.Position, Subject: m.Subject, Time: m.Time}
		}
		if errors.Is(err, subjectlog.ErrNone) {
			err = nil
		}
		return err
	}
	switch {
	case errors.Is(err, subjectlog.ErrNone):
		if lag, unknown := f.store.lag(ctx, f.partition); unknown != nil || f.doubt.Justified(asked, lag) {
			return err
		}
		return &events.WrongLogError{What: StreamName(f.partition), Want: "to have the message at " + f.last.Position.String() + " that was followed", Got: "without it: the log was cut short or restored"}
	case err != nil:
		return err
	case m.Subject != f.last.Subject || !m.Time.Equal(f.last.Time):
		return &events.WrongLogError{What: StreamName(f.partition), Want: "to have the message at " + f.last.Position.String() + " that was followed", Got: "with another one there: the log was cut short or restored, and written again"}
	}
	f.doubt.Dispel()
	return nil
}

// once follows with one consumer until it fails.
func (f *following) once(ctx context.Context) error {
	o := consuming{
		partition: f.partition, after: f.after, patience: longer(consumerPatience, f.unmade),
		messages: pullMessages, bytes: pullBytes,
	}
	if f.o.Workflow != nil {
		o.subject = f.o.Workflow.Subject()
	}
	c, err := f.store.consume(ctx, o)
	if err != nil {
		f.unmade++
		return err
	}
	f.unmade = 0
	defer c.close(ctx)
	for {
		m, err := c.next(ctx)
		if err != nil {
			return err
		}
		f.after = m.Position.Sequence
		f.last = events.Message{Position: m.Position, Subject: m.Subject, Time: m.Time}
		past := f.o.Until != 0 && f.after > f.o.Until
		if past || !f.yield(m, nil) || f.after == f.o.Until {
			f.stopped = true
			return nil
		}
	}
}
