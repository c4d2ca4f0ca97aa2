package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"

	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// history is one file of a folder of histories, read by nothing of ours.
type history struct {
	file   string
	name   string // the file's base name without its extension
	events []*events.Event
}

// folder is where the histories are that tests import: ANNALS_HISTORIES, or a
// few that are made here.
func folder(t testing.TB) (string, []history) {
	t.Helper()
	dir := os.Getenv("ANNALS_HISTORIES")
	if dir == "" {
		dir = t.TempDir()
		makeHistories(t, dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no histories in %s: %v", dir, err)
	}
	var out []history
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var h historypb.History
		if err := (temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &h); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out = append(out, history{file: f, name: strings.TrimSuffix(filepath.Base(f), ".json"), events: h.Events})
	}
	return dir, out
}

// makeHistories writes what real exports have: open and closed runs of several
// types, retries, timers, children, long ones.
func makeHistories(t testing.TB, dir string) {
	t.Helper()
	start := time.Date(2026, 3, 1, 9, 0, 0, 123456789, time.UTC)
	for i := range 24 {
		evs := []*events.Event{
			events.WorkflowStarted([]string{"Order", "Subscription", "Batch"}[i%3], "queue", map[string]int{"number": i}),
			events.WorkflowTaskScheduled("queue"),
			events.WorkflowTaskStarted(2, "worker"),
			events.WorkflowTaskCompleted(2, 3, "worker"),
		}
		for range i * i {
			n := events.EventID(len(evs))
			evs = append(evs,
				events.ActivityScheduled(fmt.Sprint(n), "Charge", i), events.ActivityStarted(n+1, 1, "worker"), events.ActivityCompleted(n+1, n+2, "done"),
				events.TimerStarted(fmt.Sprint("t", n), time.Minute), events.Signaled("poke", n))
		}
		switch i % 4 {
		case 1:
			evs = append(evs, events.WorkflowCompleted("ok"))
		case 2:
			evs = append(evs, events.WorkflowFailed(fmt.Errorf("no %d", i)))
		case 3:
			evs = append(evs, events.WorkflowTerminated("enough"))
		}
		for n, e := range evs {
			e.EventId = int64(n + 1)
			events.At(start.Add(time.Duration(i)*time.Hour+time.Duration(n)*time.Second), e)
		}
		data, err := eventjson.Encode(evs)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("made-%02d.json", i)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// same reports where two lists of events part, empty if they are equal.
func same(want, got []*events.Event) string {
	for i := range min(len(want), len(got)) {
		if !proto.Equal(want[i], got[i]) {
			return fmt.Sprintf("event %d:\nwant %v\ngot  %v", i+1, want[i], got[i])
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d events, want %d", len(got), len(want))
	}
	return ""
}

// The oracle: what a history says, told by its first and last events alone.

var closing = map[enumspb.EventType]string{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:        "Completed",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:           "Failed",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:        "TimedOut",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:         "Canceled",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:       "Terminated",
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "ContinuedAsNew",
}

func (h history) status() string {
	if s, ok := closing[h.events[len(h.events)-1].EventType]; ok {
		return s
	}
	return "Running"
}

func (h history) workflowType() string {
	return h.events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
}

func (h history) startTime() time.Time { return h.events[0].EventTime.AsTime() }

func total(hs []history) int {
	n := 0
	for _, h := range hs {
		n += len(h.events)
	}
	return n
}
