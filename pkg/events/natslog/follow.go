package natslog

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/pkg/events"
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
		delays := retry(ctx)
		for {
			progress := f.after
			err := f.once(ctx)
			if f.stopped {
				return
			}
			if ctx.Err() != nil {
				yield(events.Message{}, context.Cause(ctx))
				return
			}
			if errors.Is(err, events.ErrWrongLog) || errors.Is(err, nats.ErrConnectionClosed) {
				yield(events.Message{}, err)
				return
			}
			if f.after != progress {
				delays.Reset()
			}
			l.store.config.Logger.LogAttrs(ctx, slog.LevelWarn, "following the log: interrupted, going on",
				slog.String("stream", StreamName(p)), slog.Uint64("after", f.after), slog.Any("error", err))
			pause := time.NewTimer(delays.NextBackOff())
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			pause.Stop()
		}
	}
}

// following is one Follow under way.
type following struct {
	store     *store
	partition events.Partition
	o         events.FollowOptions
	after     uint64
	yield     func(events.Message, error) bool
	stopped   bool
}

// once follows with one consumer until it fails.
func (f *following) once(ctx context.Context) error {
	c, err := f.store.consume(ctx, f.partition, f.o.Workflow, f.after)
	if err != nil {
		return err
	}
	defer c.close(ctx)
	for {
		m, err := c.next(ctx)
		if err != nil {
			return err
		}
		f.after = m.Position.Sequence
		past := f.o.Until != 0 && f.after > f.o.Until
		if past || !f.yield(m, nil) || f.after == f.o.Until {
			f.stopped = true
			return nil
		}
	}
}
