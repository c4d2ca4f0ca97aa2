package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Durability has it measured in which mode the log's servers acknowledge,
// "always", "interval" or "unknown", and how many replicas its streams have; 0: it
// is not known. It ends with stop. It fails if the meter takes no such instruments.
func Durability(p Providers, standing func() (mode string, replicas int)) (stop func() error, err error) {
	m := p.meter()
	durability, err := m.Int64ObservableGauge("annals.log.durability",
		metric.WithDescription("1 for the mode in which the log's servers acknowledge what they store: always after fsync, at an interval, or unknown."))
	if err != nil {
		return nil, err
	}
	replicas, err := m.Int64ObservableGauge("annals.log.replicas", metric.WithUnit("{replica}"),
		metric.WithDescription("Replicas of the log's streams, the fewest that one has."))
	if err != nil {
		return nil, err
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		mode, n := standing()
		o.ObserveInt64(durability, 1, metric.WithAttributes(attribute.String("mode", mode)))
		if n > 0 {
			o.ObserveInt64(replicas, int64(n))
		}
		return nil
	}, durability, replicas)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
