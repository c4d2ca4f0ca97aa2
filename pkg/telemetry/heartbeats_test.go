package telemetry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/telemetry"
)

// How far heartbeats are behind is asked of the log and of their keeper whenever
// figures are collected.
func TestHeartbeatsAreMeasured(t *testing.T) {
	m := newMeters(t)
	log := newLog(t, memlog.Config{})
	var status projection.HeartbeatStatus
	stop, err := telemetry.Heartbeats(m.Providers, log, func() projection.HeartbeatStatus { return status })
	if err != nil {
		t.Fatal(err)
	}
	check := func(lag, passed, stopped float64) {
		t.Helper()
		want := map[string]float64{"annals.projection.heartbeats.lag": lag, "annals.projection.heartbeats.passed": passed, "annals.projection.heartbeats.stopped": stopped}
		if d := cmp.Diff(want, m.figures(t)); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
	check(0, 0, 0)
	for attempt := range int32(3) {
		h := events.Heartbeat{Activity: events.Activity{Workflow: order, RunID: "r", ID: string('a' + attempt%2)}, Attempt: attempt + 1}
		if _, err := log.RecordHeartbeat(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	check(2, 0, 0) // the first is gone
	status.Checkpoint.Sequence, status.Passed = 2, 1
	check(1, 1, 0)
	status.Phase, status.Checkpoint.Sequence = projection.PhaseStopped, 3
	check(0, 1, 1)
	status.Checkpoint.Sequence = 9 // of a stream that was made anew
	check(0, 1, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := m.figures(t); len(got) != 0 {
		t.Errorf("measured after its end: %v", got)
	}
}
