package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"

	"github.com/annals-io/annals/pkg/projection"
)

// Heartbeats has it measured, whenever figures are collected, how far a keeper of
// heartbeats is behind, what it has passed over, and whether it has stopped. It
// ends with stop. It fails if the meter takes no such instruments.
func Heartbeats(p Providers, source projection.HeartbeatSource, status func() projection.HeartbeatStatus) (stop func() error, err error) {
	m := p.meter()
	behind, err := m.Int64ObservableGauge("annals.projection.heartbeats.lag", metric.WithUnit("{heartbeat}"),
		metric.WithDescription("The most heartbeats that may not be in the tables yet: those that were replaced count."))
	if err != nil {
		return nil, err
	}
	passed, err := m.Int64ObservableCounter("annals.projection.heartbeats.passed", metric.WithUnit("{heartbeat}"),
		metric.WithDescription("Messages that are no heartbeat, and heartbeats that the tables refuse."))
	if err != nil {
		return nil, err
	}
	stopped, err := m.Int64ObservableGauge("annals.projection.heartbeats.stopped",
		metric.WithDescription("1 if keeping heartbeats has stopped: the log or the tables are others."))
	if err != nil {
		return nil, err
	}
	r, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, lagTimeout)
		defer cancel()
		s := status()
		value := int64(0)
		if s.Phase == projection.PhaseStopped {
			value = 1
		}
		o.ObserveInt64(stopped, value)
		o.ObserveInt64(passed, int64(s.Passed))
		b, err := source.HeartbeatBounds(ctx)
		if err != nil {
			return fmt.Errorf("lag of heartbeats: %w", err)
		}
		o.ObserveInt64(behind, int64(b.Last-min(b.Last, max(s.Checkpoint.Sequence, b.First-1))))
		return nil
	}, behind, passed, stopped)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
