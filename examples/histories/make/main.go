// Make writes the histories of examples/histories: what a few workflows of a
// shop leave behind. The files are made by this program alone, and always the
// same.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

func main() {
	dir := "examples/histories"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for name, evs := range histories() {
		data, err := eventjson.Encode(evs)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".json"), append(data, '\n'), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

var opening = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func histories() map[string][]*events.Event {
	out := map[string][]*events.Event{}
	for i := range 3 {
		out[fmt.Sprintf("order-%d", i+1)] = order(i)
	}
	out["order-4-open"] = order(3)[:8]
	out["subscription-1"] = subscription()
	out["batch-1"] = batch()
	return out
}

// order charges a card, with a retry, and ships; the third one is refunded.
func order(i int) []*events.Event {
	h := begin(fmt.Sprintf("order-%d", i+1), "Order", map[string]any{"order": i + 1, "amount": 40 + i})
	h.task()
	h.activity("Charge", errors.New("card network timed out"))
	h.task()
	h.activity("Charge", nil)
	h.task()
	h.add(events.Custom("OrderPaid", map[string]any{"amount": 40 + i}))
	if i == 2 {
		h.add(events.Signaled("complain", "it is the wrong colour"))
		h.task()
		h.activity("Refund", nil)
		h.task()
		return h.end(events.WorkflowFailed(errors.New("refunded")))
	}
	h.activity("Ship", nil)
	h.task()
	return h.end(events.WorkflowCompleted("shipped"))
}

// subscription renews by a timer and continues as new.
func subscription() []*events.Event {
	h := begin("subscription-1", "Subscription", map[string]any{"plan": "monthly"})
	h.task()
	for month := range 2 {
		timer := fmt.Sprintf("renewal-%d", month+1)
		started := h.add(events.TimerStarted(timer, 30*24*time.Hour))
		h.at = h.at.Add(30 * 24 * time.Hour)
		h.add(events.TimerFired(timer, started))
		h.task()
		h.activity("Charge", nil)
		h.task()
	}
	next := events.ContinuedAsNew("Subscription", "shop", map[string]any{"plan": "monthly"})
	next.GetWorkflowExecutionContinuedAsNewEventAttributes().NewExecutionRunId = run("subscription-1, the next run")
	return h.end(next)
}

// batch starts a child for each of its parts.
func batch() []*events.Event {
	h := begin("batch-1", "Batch", []int{1, 2})
	h.task()
	for i := range 2 {
		c := events.Child{Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprintf("batch-1-part-%d", i+1)}, Type: "Part"}
		c.Initiated = h.add(events.ChildInitiated(c, i))
		c.Run = events.RunID(run(c.Workflow.ID))
		c.Started = h.add(events.ChildStarted(c))
		h.add(events.ChildCompleted(c, "done"))
		h.task()
	}
	return h.end(events.WorkflowCompleted(2))
}

// run is an id that looks like any run's, and is always the same for a name.
func run(name string) string { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String() }

// history is one under way.
type history struct {
	at        time.Time
	events    []*events.Event
	number    int            // of activities
	completed events.EventID // the newest workflow task, which decided what comes
}

func begin(workflow, workflowType string, input any) *history {
	h := &history{at: opening}
	start := events.WorkflowStarted(workflowType, "shop", input)
	a := start.GetWorkflowExecutionStartedEventAttributes()
	a.WorkflowId = workflow
	a.OriginalExecutionRunId = run(workflow)
	a.FirstExecutionRunId = a.OriginalExecutionRunId
	h.add(start)
	return h
}

// add dates and numbers an event, and says by which workflow task it was
// decided if it was.
func (h *history) add(e *events.Event) events.EventID {
	events.DecidedBy(h.completed, e)
	h.at = h.at.Add(150 * time.Millisecond)
	e.EventId = int64(len(h.events) + 1)
	h.events = append(h.events, events.At(h.at, e))
	return events.EventID(e.EventId)
}

// task is a workflow task from its scheduling to its completion.
func (h *history) task() {
	scheduled := h.add(events.WorkflowTaskScheduled("shop"))
	started := h.add(events.WorkflowTaskStarted(scheduled, "worker-1"))
	h.completed = h.add(events.WorkflowTaskCompleted(scheduled, started, "worker-1"))
}

func (h *history) activity(name string, fails error) {
	h.number++
	scheduled := h.add(events.ActivityScheduled(fmt.Sprint(h.number), name, h.number))
	started := h.add(events.ActivityStarted(scheduled, 1, "worker-2"))
	if fails != nil {
		h.add(events.ActivityFailed(scheduled, started, fails))
		return
	}
	h.add(events.ActivityCompleted(scheduled, started, "ok"))
}

func (h *history) end(e *events.Event) []*events.Event {
	h.add(e)
	return h.events
}
