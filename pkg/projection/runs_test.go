package projection_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
)

// A run that is reset gains the events of its base; the one that the reset closes
// gains its own only, and what is decoded stays as it was.
func TestRunsOfAReset(t *testing.T) {
	t.Parallel()
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := events.Workflow{Namespace: "default", ID: "w"}
	first, err := log.Append(t.Context(), events.Request{Workflow: w, RunID: "first", Events: []*events.Event{
		events.WorkflowStarted("Order", "orders"), events.Custom("Paid", 1), events.Custom("Refunded", 1),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(t.Context(), events.Reset(first.Cursor, events.Base{Run: "first", Event: 2}, events.ResetOptions{RunID: "second"})); err != nil {
		t.Fatal(err)
	}
	var got []string
	for m, err := range log.Follow(t.Context(), 0, events.FollowOptions{Until: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		c, err := projection.Decode(m)
		if err == nil {
			err = projection.Complete(t.Context(), log, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, run := range c.Runs() {
				got = append(got, fmt.Sprint(m.Position.Sequence, " ", run.Run))
				for _, e := range run.Events {
					got = append(got, e.GetEventType().String()+" "+e.GetMarkerRecordedEventAttributes().GetMarkerName())
				}
			}
		}
	}
	one := []string{"1 first", "WorkflowExecutionStarted ", "MarkerRecorded Paid", "MarkerRecorded Refunded"}
	two := []string{"2 first", "WorkflowExecutionTerminated ", "2 second", "WorkflowExecutionStarted ", "MarkerRecorded Paid", "MarkerRecorded Reset"}
	var want []string
	for _, part := range [][]string{one, one, two, two} {
		want = append(want, part...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wanted (-) and got (+):\n%s", diff)
	}
}
