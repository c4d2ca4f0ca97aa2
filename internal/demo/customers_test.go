package demo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// Of the same seed customers want the same, of another one they do not.
func TestCustomers(t *testing.T) {
	first, again, other := inputs(t, 7), inputs(t, 7), inputs(t, 8)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("two demos of the same seed differ:\n%s", diff)
	}
	if len(first) != 200 || cmp.Equal(first, other) {
		t.Errorf("%d workflows, and those of another seed are the same: %t", len(first), cmp.Equal(first, other))
	}
	kinds := map[string]int{}
	for id := range first {
		kind, _, _ := strings.Cut(id, "-")
		kinds[kind]++
	}
	if diff := cmp.Diff(map[string]int{"order": 120, "subscription": 60, "batch": 20}, kinds); diff != "" {
		t.Error(diff)
	}
}

// inputs starts the workflows of a seed and gives their inputs, and what is
// wished of them, by id.
func inputs(t *testing.T, seed uint64) map[string]string {
	t.Helper()
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCustomers(200, seed, "shop")
	all := map[string]string{}
	for _, s := range c.starts {
		if _, err := s.do(t.Context(), log, s.workflow, engine.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		for e, err := range log.Read(t.Context(), s.workflow, events.ReadOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			all[s.workflow.ID] = string(e.GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0].GetData())
		}
		if w, ok := c.wishes[s.workflow]; ok {
			all[s.workflow.ID] += " " + w.after + " " + w.event().String()
		}
	}
	return all
}
