package natslog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
)

const (
	// followBytes bounds what one Follow has on its way from the server.
	followBytes = 8 << 20
	// followHeartbeat is how soon a silent server is noticed, times two.
	followHeartbeat = 2 * time.Second
)

// Follow yields a partition's messages by an ordered consumer: no
// acknowledgements, nothing durable on the server. Where the consumer ends
// (the connection, a leader, the server), it is made anew after the last
// message that was yielded.
func (l *Log) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		if p < 0 || int(p) >= l.Identity().Map.Partitions() {
			yield(events.Message{}, &events.InvalidError{Field: "partition", Reason: fmt.Sprintf("is %d, the log has 0 to %d", p, l.Identity().Map.Partitions()-1)})
			return
		}
		f := &following{log: l, partition: p, o: o, after: o.After, yield: yield}
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
			select {
			case <-time.After(delays.NextBackOff()):
			case <-ctx.Done():
			}
		}
	}
}

// following is one Follow under way.
type following struct {
	log       *Log
	partition events.Partition
	o         events.FollowOptions
	after     uint64
	yield     func(events.Message, error) bool
	stopped   bool
}

// once follows with one consumer until it fails.
func (f *following) once(ctx context.Context) error {
	s := f.log.store
	if s.nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	if err := s.sameLog(ctx); err != nil {
		return err
	}
	generation := s.checked.Load()
	c := jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.after + 1,
		InactiveThreshold: 30 * time.Second,
	}
	if f.o.Workflow != nil {
		c.FilterSubjects = []string{f.o.Workflow.Subject()}
	}
	consumer, err := s.js.OrderedConsumer(ctx, StreamName(f.partition), c)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(followBytes), jetstream.PullHeartbeat(followHeartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if s.nc.Stats().Reconnects != generation {
			if err := s.sameLog(ctx); err != nil {
				return err
			}
			generation = s.checked.Load()
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		m := events.Message{
			Position: events.Position{Partition: f.partition, Sequence: meta.Sequence.Stream}, Subject: msg.Subject(),
			Time: meta.Timestamp.UTC(), Header: events.Header(msg.Headers()), Body: msg.Data(),
		}
		f.after = m.Position.Sequence
		if !f.yield(m, nil) || f.after == f.o.Until {
			f.stopped = true
			return nil
		}
	}
}
