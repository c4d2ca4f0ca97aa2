package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
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
		if i%5 == 0 {
			c := events.Child{Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint("child-", i)}, Type: "Part", Initiated: events.EventID(len(evs) + 1)}
			evs = append(evs, events.ChildInitiated(c))
			c.Run, c.Started = "child-run", c.Initiated+1
			evs = append(evs, events.ChildStarted(c), events.ChildCompleted(c, "done"))
		}
		switch i % 4 {
		case 1:
			evs = append(evs, events.WorkflowCompleted("ok"))
		case 2:
			evs = append(evs, events.WorkflowFailed(fmt.Errorf("no %d", i)))
		case 3:
			evs = append(evs, events.WorkflowTerminated("enough"))
		}
		writeHistory(t, dir, fmt.Sprintf("made-%02d", i), start.Add(time.Duration(i)*time.Hour), evs)
	}
	// Histories that clash where their own ids are taken: the same run with
	// other content, and another run while one is open. And two that do not: an
	// export of a run and a longer one.
	run := func(workflow, run string, more ...*events.Event) []*events.Event {
		e := events.WorkflowStarted("Clash", "queue")
		e.GetWorkflowExecutionStartedEventAttributes().WorkflowId = workflow
		e.GetWorkflowExecutionStartedEventAttributes().OriginalExecutionRunId = run
		return append([]*events.Event{e}, more...)
	}
	for i, h := range []struct {
		name   string
		events []*events.Event
	}{
		{"same-run-a", run("same run", "r1", events.Signaled("a"), events.WorkflowCompleted())},
		{"same-run-b", run("same run", "r1", events.Signaled("b"), events.WorkflowCompleted())},
		{"open-first", run("left open", "r1", events.Signaled("a"))},
		{"open-second", run("left open", "r2", events.WorkflowCompleted())},
		{"longer-long", run("longer", "r1", events.Signaled("a"), events.Signaled("b"))},
		{"longer-short", run("longer", "r1", events.Signaled("a"))},
	} {
		at := start
		if h.name == "open-second" {
			at = start.Add(time.Duration(i) * time.Hour)
		}
		writeHistory(t, dir, h.name, at, h.events)
	}
}

// writeHistory numbers and dates the events, and writes them as one file.
func writeHistory(t testing.TB, dir, name string, start time.Time, evs []*events.Event) {
	t.Helper()
	for n, e := range evs {
		e.EventId = int64(n + 1)
		events.At(start.Add(time.Duration(n)*time.Second), e)
	}
	data, err := eventjson.Encode(evs)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), data, 0o644); err != nil {
		t.Fatal(err)
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

// workflow and run are what an import takes them for, where it does not take
// the files' names.
func (h history) workflow() string {
	if id := h.events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowId(); id != "" {
		return id
	}
	return h.name
}

func (h history) run() string {
	run := h.events[0].GetWorkflowExecutionStartedEventAttributes().GetOriginalExecutionRunId()
	for _, e := range h.events {
		if a := e.GetWorkflowTaskFailedEventAttributes(); a.GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW {
			run = a.GetNewRunId()
		}
	}
	return run
}

// The reasons for which a file that is sound is refused.
const (
	otherContent = "is there with other content"
	stillOpen    = "is open"
)

// clashes are the reasons for which files of each workflow must be refused, one
// for each file: told by what the files hold, two by two.
func clashes(hs []history) map[string][]string {
	byWorkflow := map[string][]history{}
	for _, h := range hs {
		byWorkflow[h.workflow()] = append(byWorkflow[h.workflow()], h)
	}
	out := map[string][]string{}
	for w, files := range byWorkflow {
		sort.SliceStable(files, func(i, j int) bool { return files[i].startTime().Before(files[j].startTime()) })
		taken := files[:1:1]
		for _, h := range files[1:] {
			reason := ""
			for i, before := range taken {
				short, long := h, before
				if len(short.events) > len(long.events) {
					short, long = long, short
				}
				switch {
				case before.run() != h.run() && i == len(taken)-1 && before.status() == "Running":
					reason = stillOpen
				case before.run() == h.run() && same(short.events, long.events[:len(short.events)]) != "":
					reason = otherContent
				}
			}
			if reason == "" {
				taken = append(taken, h)
				continue
			}
			out[w] = append(out[w], reason)
		}
	}
	return out
}

func total(hs []history) int {
	n := 0
	for _, h := range hs {
		n += len(h.events)
	}
	return n
}
