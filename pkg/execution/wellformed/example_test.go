package wellformed_test

import (
	"fmt"
	"slices"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

// Does my engine write histories that a replayer understands? This one lets a
// signal come between the start of a workflow task and its completion.
func ExampleCheck() {
	history := []*events.Event{
		events.WorkflowStarted("Order", "orders"),
		events.WorkflowTaskScheduled("orders"),
		events.WorkflowTaskStarted(2, "worker-1"),
		events.Signaled("paid"),
		events.WorkflowTaskCompleted(2, 3, "worker-1"),
	}
	for i, e := range history {
		e.EventId = int64(i + 1)
		events.At(epoch, e)
	}
	for _, v := range wellformed.Check(slices.Values(history)) {
		fmt.Println(v)
	}
	// Output:
	// event 4: started-task-has-outcome: WorkflowExecutionSignaled stands between event 3, which started a workflow task, and its outcome
}
