package replay

import (
	"fmt"
	"iter"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// What a commit says of one of very many runs of a workflow is noted without a
// look at the others: the search begins at the end, and ends where runs are
// older.
func TestTheNewestOfManyRunsIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	l := listing{filter: RunFilter{Closed: true}, runs: map[events.Workflow][]ListedRun{}}
	w := events.Workflow{Namespace: "default", ID: "w"}
	commit := func(sequence uint64, run events.RunID, status events.Status) {
		l.commit(&events.Commit{Workflow: w, Kind: events.KindEvents, Run: events.Segment{Run: run, Type: "Order", After: status, RunFirst: sequence}})
	}
	for run, sequence := range names(100_000) {
		commit(sequence, run, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)
		commit(sequence, run, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	}
	runs := l.runs[w]
	if len(runs) != 100_000 {
		t.Fatalf("%d runs", len(runs))
	}
	for i, r := range runs {
		if r.Status != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED || i > 0 && runs[i-1].first >= r.first {
			t.Fatalf("run %d is %+v", i, r)
		}
	}
	for _, at := range []int{0, 1, 50_000, 99_999} {
		if i, is := place(runs, runs[at].Run, runs[at].first); i != at || !is {
			t.Errorf("run %d is at %d, %t", at, i, is)
		}
		if i, is := place(runs, "another", runs[at].first-1); i != at || is {
			t.Errorf("what began before run %d is at %d, %t", at, i, is)
		}
	}
	// Only what began no earlier is looked at: one that is out of order in front
	// of what did is not found.
	hidden := []ListedRun{{Run: "newest", first: 7}, {Run: "older", first: 6}}
	if i, is := place(hidden, "newest", 7); i != 2 || is {
		t.Errorf("it looked at all: %d, %t", i, is)
	}
}

// names are runs and the sequences at which they begin.
func names(n int) iter.Seq2[events.RunID, uint64] {
	return func(yield func(events.RunID, uint64) bool) {
		for i := range n {
			if !yield(events.RunID(fmt.Sprint(i)), uint64(2*i+2)) {
				return
			}
		}
	}
}
