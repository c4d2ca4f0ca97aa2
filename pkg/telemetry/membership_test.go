package telemetry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/telemetry"
)

// What leases a process has is asked of its membership whenever figures are
// collected.
func TestMembershipIsMeasured(t *testing.T) {
	m := newMeters(t)
	status := projection.MembershipStatus{Members: 2, Held: []string{"partition/3"}, Taken: 5, TookOver: 2, Lost: 1, Failed: 7}
	stop, err := telemetry.Membership(m.Providers, func() projection.MembershipStatus { return status })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"annals.projection.leases{lease=partition/3}": 1, "annals.projection.members": 2, "annals.projection.leases.taken": 5,
		"annals.projection.leases.taken_over": 2, "annals.projection.leases.lost": 1, "annals.projection.leases.failures": 7,
	}
	if d := cmp.Diff(want, m.figures(t)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := m.figures(t); len(got) != 0 {
		t.Errorf("measured after its end: %v", got)
	}
}
