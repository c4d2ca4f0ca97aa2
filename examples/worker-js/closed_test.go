package workerjs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

func workflow(id string) events.Workflow { return events.Workflow{Namespace: "default", ID: id} }

// add puts events at the end of a workflow, as somebody else than the worker.
func (f *faulty) add(t *testing.T, id string, evs ...*events.Event) {
	t.Helper()
	if _, err := f.log.Append(t.Context(), events.Request{Workflow: workflow(id), Expect: events.AtEnd(), Events: evs}); err != nil {
		t.Error(err)
	}
}

// on calls do before the nth call of a name, counted from now.
func (f *faulty) on(call string, n int, do func(w http.ResponseWriter, r *http.Request) (answered bool)) {
	left := make(chan struct{}, n) // calls of one worker come one by one
	before := func(c string, w http.ResponseWriter, r *http.Request) bool {
		if c != call {
			return false
		}
		left <- struct{}{}
		if len(left) < n {
			return false
		}
		f.before.Store(nil)
		return do(w, r)
	}
	f.before.Store(&before)
}

// The worker's table of the events that close a run is the library's.
func TestClosingEventsAreAllKnown(t *testing.T) {
	t.Parallel()
	path := node(t)
	var names, want []string
	for n := range enumspb.EventType_name {
		kind := enumspb.EventType(n)
		name := "EVENT_TYPE_" + screaming(kind.String())
		names = append(names, name)
		if events.Closes(&events.Event{EventType: kind}) {
			want = append(want, name)
		}
	}
	slices.Sort(names)
	slices.Sort(want)
	in, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	script := `import { closes } from './history.js'
		console.log(JSON.stringify(` + string(in) + `.filter((eventType) => closes({ eventType }))))`
	out, err := exec.CommandContext(t.Context(), path, "--input-type=module", "-e", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if diff := cmp.Diff(want, got); len(want) != 6 || diff != "" {
		t.Errorf("events that close a run, the library's (-) and the worker's (+):\n%s", diff)
	}
}

// screaming is TimerFired as TIMER_FIRED.
func screaming(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// A run that is closed while its parcels are packed is left alone from the next
// parcel on, however it was closed; and so it is by a worker that starts later.
func TestWorkerLeavesAClosedRunAlone(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, never)
	for said, closing := range map[string]*events.Event{
		"completed with \"early\"": events.WorkflowCompleted("early"),
		"failed":                   events.WorkflowFailed(errors.New("no more parcels")),
		"timed out":                events.WorkflowTimedOut(),
		"canceled":                 events.WorkflowCanceled(),
		"terminated":               events.WorkflowTerminated("enough"),
		"continued as new":         events.ContinuedAsNew("Shipment", "shipments"),
	} {
		t.Run(said, func(t *testing.T) {
			id := strings.ReplaceAll(said, " ", "-")
			f.on("RecordHeartbeat", 3, func(http.ResponseWriter, *http.Request) bool {
				f.add(t, id, closing)
				return false
			})
			w := start(t, f.url, id, "PARCEL_MS=1")
			w.await("pack: the run has been closed")
			w.ends()
			if last := w.said[len(w.said)-1]; last != said {
				t.Errorf("it ends with %q, want %q", last, said)
			}
			if got := w.packed(); !slices.Equal(got, []int{1, 2, 3}) {
				t.Errorf("it packed %v, and was to stop after 3", got)
			}
			later := start(t, f.url, id, "PARCEL_MS=1")
			later.ends()
			if diff := cmp.Diff([]string{said}, later.said); diff != "" {
				t.Errorf("another worker says (-want +got):\n%s", diff)
			}
			// An engine would have closed it by a workflow task: that is not looked at.
			if evs := recorded(t, f.log, id); len(evs) != 12 || !events.Closes(evs[11]) {
				t.Errorf("%d events, want 12: the last is the one that closed it", len(evs))
			}
		})
	}
}

// A run that is continued as new while its parcels are packed is gone on with as
// the new one, whose activities have nothing of the old.
func TestWorkerGoesOnWithTheNextRun(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, never)
	f.on("RecordHeartbeat", 3, func(http.ResponseWriter, *http.Request) bool {
		f.add(t, "s-1", events.ContinuedAsNew("Shipment", "shipments"),
			events.WorkflowStarted("Shipment", "shipments", map[string]int{"amount": 7, "parcels": 2}))
		return false
	})
	w := start(t, f.url, "s-1", "PARCEL_MS=1")
	w.await(`completed with {"receipt":"receipt-7","parcels":2,"wrapped":false}`)
	w.ends()
	if got := w.packed(); !slices.Equal(got, []int{1, 2, 3, 1, 2}) {
		t.Errorf("it packed %v", got)
	}
}

// An append that is refused because the run is closed is a reason to read again,
// like one that is refused because something came between.
func TestWorkerReadsAgainWhenTheRunIsClosed(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, never)
	// The start is the first append, then come a decision, and the charge's outcome.
	f.on("Append", 3, func(_ http.ResponseWriter, r *http.Request) bool {
		f.add(t, "s-1", events.WorkflowTimedOut())
		var request map[string]any
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		// What is sent at the end of a closed run gets the code failed_precondition.
		delete(request, "after")
		request["atEnd"] = struct{}{}
		body, err := json.Marshal(request)
		if err != nil {
			t.Error(err)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return false
	})
	w := start(t, f.url, "s-1", "PARCEL_MS=1")
	w.await("something has happened since event 5")
	w.await("timed out")
	w.ends()
}
