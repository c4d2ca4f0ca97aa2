package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/annals-io/annals/pkg/projection"
)

// Membership has it measured, whenever figures are collected, what leases this
// process has and how it came by them. It ends with stop. It fails if the meter
// takes no such instruments.
func Membership(p Providers, status func() projection.MembershipStatus) (stop func() error, err error) {
	m := p.meter()
	var errs [6]error
	var held, members metric.Int64ObservableGauge
	var taken, takenOver, lost, failed metric.Int64ObservableCounter
	held, errs[0] = m.Int64ObservableGauge("annals.projection.leases", metric.WithUnit("{lease}"),
		metric.WithDescription("1 for each lease that this process holds."))
	members, errs[1] = m.Int64ObservableGauge("annals.projection.members", metric.WithUnit("{process}"),
		metric.WithDescription("Processes that share the work, this one included, when it last looked."))
	taken, errs[2] = m.Int64ObservableCounter("annals.projection.leases.taken", metric.WithUnit("{lease}"),
		metric.WithDescription("Leases that this process took."))
	takenOver, errs[3] = m.Int64ObservableCounter("annals.projection.leases.taken_over", metric.WithUnit("{lease}"),
		metric.WithDescription("Those of them that another had let expire: it died, or was cut off."))
	lost, errs[4] = m.Int64ObservableCounter("annals.projection.leases.lost", metric.WithUnit("{lease}"),
		metric.WithDescription("Leases that expired while this process worked on them."))
	failed, errs[5] = m.Int64ObservableCounter("annals.projection.leases.failures", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts to renew or take leases that failed."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := status()
		for _, name := range s.Held {
			o.ObserveInt64(held, 1, metric.WithAttributes(attribute.String("lease", name)))
		}
		o.ObserveInt64(members, int64(s.Members))
		o.ObserveInt64(taken, int64(s.Taken))
		o.ObserveInt64(takenOver, int64(s.TookOver))
		o.ObserveInt64(lost, int64(s.Lost))
		o.ObserveInt64(failed, int64(s.Failed))
		return nil
	}, held, members, taken, takenOver, lost, failed)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}
