package wiring

import (
	"context"
	"fmt"

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
}

// Heartbeats describes the stream of a log's heartbeats.
func Heartbeats(ctx context.Context, js jetstream.JetStream) (*jetstream.StreamInfo, error) {
	s, err := js.Stream(ctx, natslog.HeartbeatStream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", natslog.HeartbeatStream, err)
	}
	return s.CachedInfo(), nil
}

// Streams describes all streams of a log's partitions, in the order of these.
func Streams(ctx context.Context, js jetstream.JetStream, id events.Identity) ([]Stream, error) {
	streams := make([]Stream, id.Map.Partitions())
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range streams {
		p := events.Partition(i)
		g.Go(func() error {
			s, err := js.Stream(ctx, natslog.StreamName(p))
			if err != nil {
				return fmt.Errorf("stream %s: %w", natslog.StreamName(p), err)
			}
			streams[i] = Stream{Partition: p, Slots: id.Map.Ranges[i], Info: s.CachedInfo()}
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
