package workerjs

import (
	"slices"
	"testing"

	"github.com/annals-io/annals/internal/replayer"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// The worker's code agrees with what it does, with a signal, to its end and where
// it is under way, and is found out where a history has something else.
func TestReplay(t *testing.T) {
	t.Parallel()
	shipment := func(pack string, signals ...*events.Event) []*events.Event {
		var all []*events.Event
		add := func(evs ...*events.Event) { all = append(all, evs...) }
		decided := func(evs ...*events.Event) {
			n := events.EventID(len(all))
			add(events.WorkflowTaskScheduled("shipments"), events.WorkflowTaskStarted(n+1, "w"), events.WorkflowTaskCompleted(n+1, n+2, "w"))
			add(events.DecidedBy(n+3, evs...)...)
		}
		did := func(result any) {
			n := events.EventID(len(all))
			add(events.ActivityStarted(n, 1, "w"), events.ActivityCompleted(n, n+1, result))
		}
		add(events.WorkflowStarted("Shipment", "shipments", map[string]any{"amount": 42, "parcels": 3}))
		decided(events.ActivityScheduled("charge", "Charge", map[string]any{"amount": 42}))
		did("receipt-42")
		add(signals...)
		decided(events.ActivityScheduled("pack", pack, map[string]any{"parcels": 3}))
		did(3)
		decided(events.WorkflowCompleted(map[string]any{"receipt": "receipt-42", "parcels": 3, "wrapped": len(signals) > 0}))
		for i, e := range all {
			e.EventId = int64(i + 1)
		}
		return all
	}
	var all []replayer.History
	add := func(id string, evs []*events.Event) {
		all = append(all, replayer.History{Workflow: events.Workflow{Namespace: "default", ID: id}, Run: "r", Events: func(yield func(*events.Event, error) bool) {
			for _, e := range evs {
				if !yield(e, nil) {
					return
				}
			}
		}})
	}
	add("done", shipment("Pack"))
	add("wrapped", shipment("Pack", events.Signaled("gift-wrap")))
	add("under way", shipment("Pack")[:11])
	add("other", shipment("PackAll"))
	results := map[string]replayer.Result{}
	s, err := replayer.Run(t.Context(), slices.Values(all), replayer.Config{
		Program: replayer.Program{Path: node(t), Args: []string{"replay.js"}, Timeout: patience},
		Check:   replay.CheckOptions{Compare: replay.CompareInputs},
		Report:  func(r replayer.Result) { results[r.History.Workflow.ID] = r },
	})
	if err != nil || s.Agree != 3 || s.Differ != 1 {
		for _, r := range results {
			t.Log(r.Report, r.Err)
		}
		t.Fatalf("%+v, %v", s, err)
	}
	if m := results["other"].Report.Mismatch; m == nil || m.EventID != 11 || len(m.Fields) != 1 || m.Fields[0].Recorded != "PackAll" {
		t.Errorf("%s", results["other"].Report)
	}
}
