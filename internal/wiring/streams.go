package wiring

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// Stream is one of a log's streams, as the server describes it.
type Stream struct {
	Partition events.Partition
	Slots     events.SlotRange
	Info      *jetstream.StreamInfo
	Clock     Skew // of the stream's leader, if it was examined
}

// Heartbeats describes the stream of a log's heartbeats.
func Heartbeats(ctx context.Context, js jetstream.JetStream) (*jetstream.StreamInfo, error) {
	s, err := js.Stream(ctx, natslog.HeartbeatStream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", natslog.HeartbeatStream, err)
	}
	return s.CachedInfo(), nil
}

// Control describes a log's control stream.
func Control(ctx context.Context, js jetstream.JetStream) (*jetstream.StreamInfo, error) {
	s, err := js.Stream(ctx, natslog.ControlStream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", natslog.ControlStream, err)
	}
	return s.CachedInfo(), nil
}

// Streams describes all streams of a log's partitions, in the order of these.
func Streams(ctx context.Context, js jetstream.JetStream, id events.Identity) ([]Stream, error) {
	return eachStream(ctx, js, id, func(_ context.Context, s jetstream.Stream) (Stream, error) {
		return Stream{Info: s.CachedInfo()}, nil
	})
}

// ExamineStreams describes them with what a server does not tell otherwise: the
// messages that it has lost, which it counts where it is asked for deleted ones
// too, and its clock, compared with now. The leaders are asked; what their replicas
// lost, no server tells.
func ExamineStreams(ctx context.Context, js jetstream.JetStream, id events.Identity, now func() time.Time) ([]Stream, error) {
	return eachStream(ctx, js, id, func(ctx context.Context, s jetstream.Stream) (Stream, error) {
		before := now()
		info, err := s.Info(ctx, jetstream.WithDeletedDetails(true))
		if err != nil {
			return Stream{}, err
		}
		return Stream{Info: info, Clock: SkewOf(before, info.TimeStamp, now())}, nil
	})
}

func eachStream(ctx context.Context, js jetstream.JetStream, id events.Identity, describe func(context.Context, jetstream.Stream) (Stream, error)) ([]Stream, error) {
	streams := make([]Stream, id.Map.Partitions())
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range streams {
		p := events.Partition(i)
		g.Go(func() error {
			s, err := js.Stream(ctx, natslog.StreamName(p))
			if err == nil {
				streams[i], err = describe(ctx, s)
			}
			if err != nil {
				return fmt.Errorf("stream %s: %w", natslog.StreamName(p), err)
			}
			streams[i].Partition, streams[i].Slots = p, id.Map.Ranges[i]
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return streams, nil
}

// Replicas are the fewest that a stream has; 0 if there is no stream.
func Replicas(streams []Stream) int {
	least := 0
	for i, s := range streams {
		if n := s.Info.Config.Replicas; i == 0 || n < least {
			least = n
		}
	}
	return least
}
