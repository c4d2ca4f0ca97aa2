package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/metric"
)

// keeperFigures are what is measured of a keeper of a stream beside the partitions.
type keeperFigures struct {
	behind, stopped metric.Int64ObservableGauge
	passed          metric.Int64Observable
}

// keeperStanding is how a keeper stands.
type keeperStanding struct {
	behind  uint64
	passed  int64
	stopped bool
}

// measureKeeper asks for a keeper's standing whenever figures are collected. Where it
// fails, all is told but how far the keeper is behind.
func measureKeeper(m metric.Meter, f keeperFigures, standing func(context.Context) (keeperStanding, error)) (stop func() error, err error) {
	r, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, lagTimeout)
		defer cancel()
		s, err := standing(ctx)
		stopped := int64(0)
		if s.stopped {
			stopped = 1
		}
		o.ObserveInt64(f.stopped, stopped)
		o.ObserveInt64(f.passed, s.passed)
		if err != nil {
			return err
		}
		o.ObserveInt64(f.behind, int64(s.behind))
		return nil
	}, f.behind, f.passed, f.stopped)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
