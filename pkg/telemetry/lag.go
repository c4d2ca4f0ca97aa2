package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// lagTimeout is how long the lag of all partitions may take to find out.
const lagTimeout = 2 * time.Second

// Lag has the lag of every partition measured whenever figures are collected, as
// projection.LagOf tells it; the checkpoints are read anew. Partitions whose
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
		lags, err := projection.LagOf(ctx, source, checkpoints)
		for _, l := range lags {
			if l.Err == nil {
				by := metric.WithAttributes(attribute.Int("partition", int(l.Partition)))
				o.ObserveInt64(behind, int64(l.Commits), by)
				o.ObserveFloat64(age, l.Age.Seconds(), by)
			}
		}
		return errors.Join(err, lags.Err())
	}, behind, age)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}

// Projector has it measured whether a projector's partitions have stopped, how long
// they have waited for something that they cannot do without, and what of them is
// quarantined. It ends with stop. It fails if the meter takes no such instruments.
func Projector(p Providers, status func() []projection.PartitionStatus) (stop func() error, err error) {
	m := p.meter()
	stopped, err := m.Int64ObservableGauge("annals.projection.stopped",
		metric.WithDescription("1 where a partition has stopped: the log is another one, or too much of it is quarantined."))
	if err != nil {
		return nil, err
	}
	quarantined, err := m.Int64ObservableGauge("annals.projection.quarantined", metric.WithUnit("{workflow}"),
		metric.WithDescription("Workflows, and subjects that are none's, that wait since a commit could not be applied."))
	if err != nil {
		return nil, err
	}
	waiting, err := m.Int64ObservableGauge("annals.projection.quarantined.commits", metric.WithUnit("{commit}"),
		metric.WithDescription("Commits of those that are not in the tables."))
	if err != nil {
		return nil, err
	}
	quarantines, err := m.Int64ObservableCounter("annals.projection.quarantines", metric.WithUnit("{workflow}"),
		metric.WithDescription("How often this projector has quarantined one, by the kind of the cause."))
	if err != nil {
		return nil, err
	}
	since, err := m.Float64ObservableGauge("annals.projection.waiting", metric.WithUnit("s"),
		metric.WithDescription("How long a partition has waited for the log or the tables to take what it asks; 0 where it does not."))
	if err != nil {
		return nil, err
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, s := range status() {
			by := metric.WithAttributes(attribute.Int("partition", i))
			value, waited := int64(0), 0.0
			if s.Phase == projection.PhaseStopped {
				value = 1
			} else if !s.Since.IsZero() {
				waited = time.Since(s.Since).Seconds()
			}
			o.ObserveInt64(stopped, value, by)
			o.ObserveFloat64(since, waited, by)
			o.ObserveInt64(quarantined, int64(s.Quarantined), by)
			o.ObserveInt64(waiting, s.Waiting, by)
			for _, kind := range projection.Kinds() {
				o.ObserveInt64(quarantines, int64(s.Quarantines[kind]), metric.WithAttributes(attribute.Int("partition", i), attribute.String("kind", string(kind))))
			}
		}
		return nil
	}, stopped, since, quarantined, waiting, quarantines)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
