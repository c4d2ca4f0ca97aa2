package telemetry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/searchattribute"
	"github.com/annals-io/annals/pkg/telemetry"
)

// How far the tables are behind with decisions is asked of the log and of their
// keeper whenever figures are collected; what became of search attributes, of the
// registrar.
func TestTheControlStreamIsMeasured(t *testing.T) {
	m := newMeters(t)
	log := newLog(t, memlog.Config{})
	var status projection.ControlStatus
	stop, err := telemetry.Control(m.Providers, log, func() projection.ControlStatus { return status })
	if err != nil {
		t.Fatal(err)
	}
	stopAttributes, err := telemetry.SearchAttributes(m.Providers, func() searchattribute.Stats {
		return searchattribute.Stats{Registered: 1, Conflicts: 2, Refused: 3}
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(lag, passed, stopped float64) {
		t.Helper()
		want := map[string]float64{
			"annals.projection.control.lag": lag, "annals.projection.control.passed": passed, "annals.projection.control.stopped": stopped,
			"annals.search_attributes.registered": 1, "annals.search_attributes.conflicts": 2, "annals.search_attributes.refused": 3,
		}
		if d := cmp.Diff(want, m.figures(t)); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
	check(0, 0, 0)
	for _, key := range []string{"a", "b"} {
		if _, _, err := log.Decide(t.Context(), events.Decision{Topic: events.Topic{Namespace: "n", Kind: "k", Key: key}, Content: []byte(`{}`)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	check(2, 0, 0)
	status.Checkpoint.Sequence, status.Unknown, status.Foreign = 1, 1, 2
	check(1, 3, 0)
	status.Phase, status.Checkpoint.Sequence = projection.PhaseStopped, 9
	check(0, 3, 1)
	for _, stop := range []func() error{stop, stopAttributes} {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.figures(t); len(got) != 0 {
		t.Errorf("measured after its end: %v", got)
	}
}
