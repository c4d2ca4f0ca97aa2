package importer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// noon is when the histories of these tests begin.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// history numbers the events from 1 and dates them a second apart.
func history(start time.Time, evs ...*events.Event) []*events.Event {
	for i, e := range evs {
		e.EventId = int64(i + 1)
		events.At(start.Add(time.Duration(i)*time.Second), e)
	}
	return evs
}

// started is a start event with the ids that an import looks at.
func started(workflow, run string) *events.Event {
	e := events.WorkflowStarted("Order", "orders", 7)
	a := e.GetWorkflowExecutionStartedEventAttributes()
	a.WorkflowId, a.OriginalExecutionRunId, a.FirstExecutionRunId = workflow, run, run
	return e
}

// open is a run of n events that stays open.
func open(workflow, run string, start time.Time, n int) []*events.Event {
	evs := []*events.Event{started(workflow, run)}
	for i := 1; i < n; i++ {
		evs = append(evs, events.Signaled("step", i))
	}
	return history(start, evs...)
}

// closed is a run of n events, the last of which closes it.
func closed(workflow, run string, start time.Time, n int) []*events.Event {
	return history(start, append(open(workflow, run, start, n-1), events.WorkflowCompleted("done"))...)
}

// reset is what a reset of base after its n-th event makes.
func reset(base []*events.Event, n int, baseRun, run string, more ...*events.Event) []*events.Event {
	var evs []*events.Event
	for _, e := range base[:n] {
		evs = append(evs, proto.CloneOf(e))
	}
	failed := events.WorkflowTaskFailed(0, 0, nil)
	a := failed.GetWorkflowTaskFailedEventAttributes()
	a.Cause = enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
	a.BaseRunId, a.NewRunId, a.Failure = baseRun, run, nil
	tail := append([]*events.Event{failed}, more...)
	start := base[0].EventTime.AsTime().Add(time.Hour)
	for i, e := range tail {
		e.EventId = int64(n + i + 1)
		events.At(start.Add(time.Duration(i)*time.Second), e)
	}
	return append(evs, tail...)
}

// changed is a history with another content at one event.
func changed(evs []*events.Event, id int) []*events.Event {
	out := proto.CloneOf(&historypb.History{Events: evs}).Events
	e := events.Signaled("something else")
	e.EventId, e.EventTime = out[id-1].EventId, out[id-1].EventTime
	out[id-1] = e
	return out
}

// folder is a folder of files.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

// path is the file's.
func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name, text string) {
	f.t.Helper()
	path := f.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) history(name string, evs []*events.Event) {
	f.t.Helper()
	text, err := eventjson.Encode(evs)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(name, string(text))
}

// each runs a test on a log in memory and on JetStream.
func each(t *testing.T, test func(t *testing.T, log events.Log)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, memory(t, nil))
	})
	t.Run("jetstream", func(t *testing.T) {
		t.Parallel()
		js, err := jetstream.New(testenv.NATS(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 2}); err != nil {
			t.Fatal(err)
		}
		log, err := natslog.Open(t.Context(), js, natslog.Config{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, log)
	})
}

func memory(t *testing.T, hook func(memlog.Op) (bool, error)) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 2, Hook: hook})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// outcome is a result as the tests name it: "imported", or "refused: reason".
func outcome(r importer.Result) string {
	if r.Reason != "" {
		return string(r.Outcome) + ": " + r.Reason
	}
	return string(r.Outcome)
}

// run imports paths and gives each file's outcome by its path in the folder.
func (f folder) run(log importer.Log, c importer.Config, paths ...string) (map[string]string, importer.Summary) {
	f.t.Helper()
	got := map[string]string{}
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	c.Report = func(r importer.Result) {
		name := r.File
		if rel, err := filepath.Rel(f.dir, r.File); err == nil {
			name = rel
		}
		if _, twice := got[name]; twice {
			f.t.Errorf("%s is reported twice", name)
		}
		got[name] = outcome(r)
	}
	if len(paths) == 0 {
		paths = []string{f.dir}
	}
	s, err := importer.Run(f.t.Context(), log, paths, c)
	if err != nil {
		f.t.Error(err)
	}
	return got, s
}

// want imports the folder and compares the outcomes.
func (f folder) want(log importer.Log, want map[string]string) {
	f.t.Helper()
	got, _ := f.run(log, importer.Config{})
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Fatalf("outcomes (-want +got):\n%s", diff)
	}
}

// stored is a run's history; the empty run is the newest.
func stored(t *testing.T, log events.Reader, workflow, run string) []*events.Event {
	t.Helper()
	var evs []*events.Event
	for e, err := range log.Read(t.Context(), events.Workflow{Namespace: "default", ID: workflow}, events.ReadOptions{Run: events.RunID(run)}) {
		if err != nil {
			t.Fatal(err)
		}
		evs = append(evs, e)
	}
	return evs
}

// same fails if a stored run is not exactly this history.
func same(t *testing.T, log events.Reader, workflow, run string, want []*events.Event) {
	t.Helper()
	if diff := cmp.Diff(want, stored(t, log, workflow, run), protocmp.Transform()); diff != "" {
		t.Errorf("run %s of %s (-file +log):\n%s", run, workflow, diff)
	}
}

// commits lists the commits of a workflow as "run first-last".
func commits(t *testing.T, log events.Reader, workflow string) []string {
	t.Helper()
	var out []string
	for c, err := range log.Commits(t.Context(), events.Workflow{Namespace: "default", ID: workflow}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d-%d", c.Run.Run, c.Run.First, c.Run.Last))
	}
	return out
}

// edited is a history's JSON with something done to it.
func edited(t *testing.T, evs []*events.Event, edit func(evs []any)) string {
	t.Helper()
	text, err := eventjson.Encode(evs)
	if err != nil {
		t.Fatal(err)
	}
	var h map[string][]any
	if err := json.Unmarshal(text, &h); err != nil {
		t.Fatal(err)
	}
	edit(h["events"])
	if text, err = json.Marshal(h); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
