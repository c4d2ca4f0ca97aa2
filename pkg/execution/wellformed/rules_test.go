package wellformed_test

import (
	"slices"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

// TestBreaking breaks each rule and expects it, and it alone, at the last
// event.
func TestBreaking(t *testing.T) {
	for _, test := range breaking {
		t.Run(test.rule+"/"+test.how, func(t *testing.T) {
			h := begin()
			test.write(h)
			last := h.events[len(h.events)-1]
			got := check(h.events)
			if len(got) != 1 || got[0].Rule != test.rule || got[0].EventID != events.EventID(last.EventId) {
				t.Errorf("got %v, want one %s at event %d", got, test.rule, last.EventId)
			}
			mustBeWell(t, h.events[:len(h.events)-1])
		})
	}
}

// TestRules: each rule says something, under a name of its own, and is broken
// by a history of the table.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range wellformed.Rules() {
		if r.Name == "" || r.Says == "" || seen[r.Name] {
			t.Errorf("rule %+v has no name or sentence of its own", r)
		}
		seen[r.Name] = true
		if !slices.ContainsFunc(breaking, func(b breach) bool { return b.rule == r.Name }) {
			t.Errorf("no history breaks %s", r.Name)
		}
	}
	for _, b := range breaking {
		if !seen[b.rule] {
			t.Errorf("%s is in the table and is no rule", b.rule)
		}
	}
}
