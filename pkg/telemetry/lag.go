package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// lagTimeout is how long the lag of all partitions may take to find out.
const lagTimeout = 2 * time.Second

// Lag has the lag of every partition measured whenever figures are collected:
// the log's ends against the checkpoints, which are read anew. Partitions whose
// lag cannot be found out are left out. It ends with stop. It fails if the meter
// takes no such instruments.
func Lag(p Providers, source events.Source, checkpoints func(context.Context) ([]projection.Checkpoint, error)) (stop func() error, err error) {
	m := p.meter()
	behind, err := m.Int64ObservableGauge("annals.projection.lag.commits", metric.WithUnit("{commit}"),
		metric.WithDescription("Commits of the log that are not in the tables."))
	if err != nil {
		return nil, err
	}
	age, err := m.Float64ObservableGauge("annals.projection.lag", metric.WithUnit("s"),
		metric.WithDescription("How long ago the oldest commit that is not in the tables was stored; 0 if there is none."))
	if err != nil {
		return nil, err
	}
	r, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, lagTimeout)
		defer cancel()
		lags, err := lags(ctx, source, checkpoints)
		for partition, l := range lags {
			if l.known {
				by := metric.WithAttributes(attribute.Int("partition", partition))
				o.ObserveInt64(behind, l.commits, by)
				o.ObserveFloat64(age, l.age.Seconds(), by)
			}
		}
		return err
	}, behind, age)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}

// lag is how far one partition is behind.
type lag struct {
	known   bool
	commits int64
	age     time.Duration
}

// lags are those of all partitions, in order.
func lags(ctx context.Context, source events.Source, checkpoints func(context.Context) ([]projection.Checkpoint, error)) ([]lag, error) {
	stored, err := checkpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("lag: %w", err)
	}
	all := make([]lag, source.Identity().Map.Partitions())
	reached := make([]uint64, len(all))
	for _, c := range stored {
		if int(c.Partition) < len(all) {
			reached[c.Partition] = c.Sequence
		}
	}
	errs := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(8)
	for i := range all {
		g.Go(func() error {
			all[i], errs[i] = lagOf(ctx, source, events.Partition(i), reached[i])
			return nil
		})
	}
	_ = g.Wait() // each keeps its own error
	return all, errors.Join(errs...)
}

func lagOf(ctx context.Context, source events.Source, p events.Partition, reached uint64) (lag, error) {
	b, err := source.Bounds(ctx, p)
	if err != nil {
		return lag{}, fmt.Errorf("lag of partition %d: %w", p, err)
	}
	if b.Last <= reached {
		return lag{known: true}, nil
	}
	l := lag{known: true, commits: int64(b.Last - reached)}
	m, err := source.Message(ctx, events.Position{Partition: p, Sequence: max(reached+1, b.First)})
	if err != nil {
		return lag{}, fmt.Errorf("lag of partition %d: %w", p, err)
	}
	// The time is by the clock of the log's server.
	l.age = max(0, time.Since(m.Time))
	return l, nil
}

// Projector has it measured whether a projector's partitions have stopped. It
// ends with stop. It fails if the meter takes no such instrument.
func Projector(p Providers, status func() []projection.PartitionStatus) (stop func() error, err error) {
	m := p.meter()
	stopped, err := m.Int64ObservableGauge("annals.projection.stopped",
		metric.WithDescription("1 where a partition has stopped: its next commit cannot be applied."))
	if err != nil {
		return nil, err
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, s := range status() {
			value := int64(0)
			if s.Phase == projection.PhaseStopped {
				value = 1
			}
			o.ObserveInt64(stopped, value, metric.WithAttributes(attribute.Int("partition", i)))
		}
		return nil
	}, stopped)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
