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
	return measureKeeper(m, keeperFigures{behind: behind, passed: passed, stopped: stopped}, func(ctx context.Context) (keeperStanding, error) {
		s := status()
		v := keeperStanding{passed: int64(s.Passed), stopped: s.Phase == projection.PhaseStopped}
		b, err := source.HeartbeatBounds(ctx)
		if err != nil {
			return v, fmt.Errorf("lag of heartbeats: %w", err)
		}
		v.behind = b.Last - min(b.Last, max(s.Checkpoint.Sequence, b.First-1))
		return v, nil
	})
}
