package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// Control has it measured, whenever figures are collected, how far a keeper of the
// control stream is behind, what it passed, and whether it has stopped. It ends with
// stop. It fails if the meter takes no such instruments.
func Control(p Providers, source projection.ControlSource, status func() projection.ControlStatus) (stop func() error, err error) {
	m := p.meter()
	behind, err := m.Int64ObservableGauge("annals.projection.control.lag", metric.WithUnit("{decision}"),
		metric.WithDescription("Decisions of the control stream that the tables do not have yet."))
	if err != nil {
		return nil, err
	}
	passed, err := m.Int64ObservableGauge("annals.projection.control.passed", metric.WithUnit("{message}"),
		metric.WithDescription("Messages of the control stream that are no decisions, and decisions of kinds that this version does not know."))
	if err != nil {
		return nil, err
	}
	stopped, err := m.Int64ObservableGauge("annals.projection.control.stopped",
		metric.WithDescription("1 if the registry of search attributes is kept no more: the control stream or the tables are others."))
	if err != nil {
		return nil, err
	}
	return measureKeeper(m, keeperFigures{behind: behind, passed: passed, stopped: stopped}, func(ctx context.Context) (keeperStanding, error) {
		s := status()
		v := keeperStanding{passed: int64(s.Foreign + s.Unknown), stopped: s.Phase == projection.PhaseStopped}
		b, err := source.DecisionBounds(ctx)
		if err != nil {
			return v, fmt.Errorf("lag of the control stream: %w", err)
		}
		v.behind = b.Last - min(b.Last, s.Checkpoint.Sequence)
		return v, nil
	})
}

// SearchAttributes has it measured what a registrar of search attributes met. It
// ends with stop. It fails if the meter takes no such instruments.
func SearchAttributes(p Providers, stats func() searchattribute.Stats) (stop func() error, err error) {
	m := p.meter()
	var counters [3]metric.Int64ObservableCounter
	for i, c := range []struct{ name, unit, description string }{
		{"annals.search_attributes.registered", "{attribute}", "Search attributes that this process registered."},
		{"annals.search_attributes.conflicts", "{value}", "Values that do not fit the type of their search attribute."},
		{"annals.search_attributes.refused", "{value}", "Values under names that cannot be registered, or beyond the number that values register."},
	} {
		if counters[i], err = m.Int64ObservableCounter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.description)); err != nil {
			return nil, err
		}
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := stats()
		for i, n := range [...]int64{s.Registered, s.Conflicts, s.Refused} {
			o.ObserveInt64(counters[i], n)
		}
		return nil
	}, counters[0], counters[1], counters[2])
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
