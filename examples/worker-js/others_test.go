package workerjs

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/annals-io/annals/pkg/events"
)

// Somebody else starts the workflow while the worker is about to: the worker
// goes on with the run that is there, and with its number of parcels.
func TestWorkerGoesOnWithARunThatAnotherStarted(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, never)
	for name, commit := range map[string]events.CommitID{
		"by a worker with other parcels": "start-s-0", // already_exists
		"by a service":                   "order-17",  // aborted
	} {
		t.Run(name, func(t *testing.T) {
			id := map[events.CommitID]string{"start-s-0": "s-0", "order-17": "s-1"}[commit]
			f.on("Append", 1, func(http.ResponseWriter, *http.Request) bool {
				_, err := f.log.Append(t.Context(), events.Request{
					Workflow: workflow(id), Expect: events.NewRun(), CommitID: commit,
					Events: []*events.Event{events.WorkflowStarted("Shipment", "shipments", map[string]int{"amount": 42, "parcels": 3})},
				})
				if err != nil {
					t.Error(err)
				}
				return false
			})
			w := start(t, f.url, id, "PARCEL_MS=1")
			w.await("it has been started otherwise")
			w.await(`completed with {"receipt":"receipt-42","parcels":3,"wrapped":false}`)
			w.ends()
			if n := scheduled(history(t, f.log, id)); n["charge"] != 1 || n["pack"] != 1 {
				t.Errorf("activities scheduled: %v, want each once", n)
			}
		})
	}
}

// A worker that another attempt has taken over from says so and stops, and leaves
// the activity to that one.
func TestWorkerStopsWhenAnotherHasTakenOver(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, never)
	f.on("RecordHeartbeat", 3, func(http.ResponseWriter, *http.Request) bool {
		tail, err := f.log.Tail(t.Context(), workflow("s-1"))
		if err != nil {
			t.Error(err)
			return false
		}
		_, err = f.log.RecordHeartbeat(t.Context(), events.Heartbeat{
			Activity: events.Activity{Workflow: workflow("s-1"), RunID: tail.Run(), ID: "pack"}, Attempt: 2,
		})
		if err != nil {
			t.Error(err)
		}
		return false
	})
	w := start(t, f.url, "s-1", "PARCEL_MS=1")
	w.ends()
	if last := w.said[len(w.said)-1]; last != "pack: another attempt has taken over from attempt 1, and goes on" {
		t.Errorf("it ends with %q", last)
	}
	if got := w.packed(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("it packed %v", got)
	}
	if evs := history(t, f.log, "s-1"); len(evs) != 11 {
		t.Errorf("%d events, want the 11 before the outcome of pack", len(evs))
	}
}

// Workers of one workflow at the same time, told to pack other numbers of
// parcels: all end well, and the history is that of one.
func TestWorkersAtOnce(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, never)
	var workers []*worker
	for _, parcels := range []string{"10", "11", "12"} {
		workers = append(workers, startWith(t, f.url, "s-1", parcels, "PARCEL_MS=5"))
	}
	completed := 0
	for _, w := range workers {
		w.ends()
		if len(w.said) > 0 && strings.HasPrefix(w.said[len(w.said)-1], "completed with") {
			completed++
		}
	}
	evs := history(t, f.log, "s-1")
	if n := scheduled(evs); completed == 0 || n["charge"] != 1 || n["pack"] != 1 || !events.Closes(evs[len(evs)-1]) {
		t.Errorf("%d workers saw it completed; activities scheduled: %v", completed, n)
	}
}
