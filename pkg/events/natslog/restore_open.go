package natslog

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// open gives the streams their replicas, and then makes a log of them.
func (r *restoring) open(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(restoredAtATime)
	for _, s := range r.streams {
		if s.done || s.final.Replicas == 1 {
			continue
		}
		g.Go(func() error {
			if err := r.replicate(gctx, s); err != nil {
				return fmt.Errorf("replicas of stream %s: %w", s.content.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// The first partition says which log it is, so it comes last.
	for p := len(r.streams) - 1; p >= 0; p-- {
		if s := r.streams[p]; s.partition != 0 && !s.done {
			if err := r.finish(ctx, s); err != nil {
				return err
			}
		}
	}
	for _, s := range r.streams {
		if s.partition == 0 {
			return r.finish(ctx, s)
		}
	}
	return nil
}

func (r *restoring) finish(ctx context.Context, s *restoredStream) error {
	if err := r.update(ctx, r.finalConfig(s)); err != nil {
		return fmt.Errorf("complete stream %s: %w", s.content.Name, err)
	}
	return nil
}

// replicaPatience is how long replicas may get no further.
const replicaPatience = 2 * time.Minute

// replicate gives the stream its replicas, and waits until they have all of it.
func (r *restoring) replicate(ctx context.Context, s *restoredStream) error {
	c := r.restoringConfig(s)
	c.Replicas = s.final.Replicas
	if err := r.update(ctx, c); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	least, since := uint64(math.MaxUint64), time.Now()
	for {
		lag := uint64(math.MaxUint64)
		if stream, err := r.js.Stream(ctx, c.Name); err == nil {
			lag = behind(stream.CachedInfo(), c.Replicas)
		}
		if lag == 0 {
			return nil
		}
		if lag < least {
			least, since = lag, time.Now()
		}
		if time.Since(since) > replicaPatience {
			return fmt.Errorf("%w: they have got no further for %s", events.ErrUnavailable, replicaPatience)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// behind is how many messages the replicas still lack, and 0 only if all are
// there and current.
func behind(info *jetstream.StreamInfo, replicas int) uint64 {
	if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) < replicas-1 {
		return math.MaxUint64 - 1
	}
	lag := uint64(0)
	for _, p := range info.Cluster.Replicas {
		lag += p.Lag
		if !p.Current || p.Offline {
			lag++
		}
	}
	return lag
}
