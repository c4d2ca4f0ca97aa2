package demo

import (
	"fmt"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// A worker that holds ten open runs is killed, one that holds nine is not; of
// several it is the one that holds most.
func TestVictim(t *testing.T) {
	for _, tc := range []struct {
		name string
		held []int // open runs, by worker
		want int
	}{
		{"nobody holds anything", []int{0, 0}, -1},
		{"one too few", []int{minHeld - 1, minHeld - 1}, -1},
		{"just enough", []int{0, minHeld}, 1},
		{"more than another", []int{minHeld, minHeld + 2, minHeld + 1}, 1},
	} {
		v := view{runs: map[events.Workflow]*events.Segment{}}
		for worker, n := range tc.held {
			for i := 0; n > 0; i++ {
				w := events.Workflow{Namespace: "shop", ID: fmt.Sprintf("%d-%d", worker, i)}
				if int(w.Slot())%len(tc.held) != worker {
					continue
				}
				v.runs[w] = &events.Segment{After: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING}
				ended := events.Workflow{Namespace: w.Namespace, ID: w.ID + "-ended"}
				v.runs[ended] = &events.Segment{After: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED}
				n--
			}
		}
		if got := v.victim(len(tc.held)); got != tc.want {
			t.Errorf("%s: victim %d, want %d", tc.name, got, tc.want)
		}
	}
}
