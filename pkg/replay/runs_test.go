package replay_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// What the envelopes tell is what folding every run tells: which there are, of
// which type, whether they are open.
func TestRunsAreThoseOfTheLog(t *testing.T) {
	t.Parallel()
	for _, tt := range logs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := tt.open(t)
			workflows := appendAll(t, log, historytest.Seeded(31, tt.steps), historytest.Options{Workflows: 8})
			types := map[string]bool{"": true}
			var want []replay.ListedRun
			for _, w := range workflows {
				for run := range runsOf(t, log, w) {
					s, err := replay.State(t.Context(), log, w, run, replay.AtEnd())
					if err != nil {
						t.Fatal(err)
					}
					types[s.Type] = true
					want = append(want, replay.ListedRun{Workflow: w, Run: run, Type: s.Type, Status: s.Status, LastEventID: s.LastEventID})
				}
			}
			for kind := range types {
				for _, closed := range []bool{false, true} {
					got, err := replay.Runs(t.Context(), log, replay.RunFilter{Type: kind, Closed: closed})
					if err != nil {
						t.Fatal(err)
					}
					var wanted []replay.ListedRun
					for _, r := range want {
						if (kind == "" || r.Type == kind) && (closed || events.IsOpen(r.Status)) {
							wanted = append(wanted, r)
						}
					}
					sort := cmpopts.SortSlices(func(a, b replay.ListedRun) int {
						return slices.Compare([]string{a.Workflow.String(), string(a.Run)}, []string{b.Workflow.String(), string(b.Run)})
					})
					if diff := cmp.Diff(wanted, got, sort, cmpopts.IgnoreUnexported(replay.ListedRun{}), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("type %q, closed %t (-want +got):\n%s", kind, closed, diff)
					}
				}
			}
		})
	}
}

// What was declared void never began, and what ended in it goes on.
func TestRunsPassOverWhatIsVoid(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	first := add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	log.Put(log.Partition(order), order.Subject(), nil, []byte("hello"))
	if _, err := log.Void(t.Context(), events.VoidRequest{Workflow: order}); err != nil {
		t.Fatal(err)
	}
	for _, closed := range []bool{false, true} {
		got, err := replay.Runs(t.Context(), log, replay.RunFilter{Namespace: "default", Closed: closed})
		if err != nil || len(got) != 1 || got[0].Run != first.RunID || got[0].LastEventID != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if got, err := replay.Runs(t.Context(), log, replay.RunFilter{Namespace: "another"}); err != nil || len(got) != 0 {
		t.Errorf("of another namespace: %+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := replay.Runs(ctx, log, replay.RunFilter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
