package importer_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/pkg/events"
)

// Each rule is a sequence of imports of one folder, whose files change between
// them, and what becomes of each file.
func TestRules(t *testing.T) {
	type step struct {
		files map[string][]*events.Event // written over what is there
		want  map[string]string
	}
	hour := noon.Add(time.Hour)
	base := closed("w", "A", noon, 6)
	for _, tc := range []struct {
		name, why string
		steps     []step
		runs      map[string][]*events.Event // of workflow w, at the end
	}{
		{
			name: "a second import changes nothing", why: "the log itself recognises what it has",
			steps: []step{
				{map[string][]*events.Event{"a.json": closed("w", "A", noon, 5)}, map[string]string{"a.json": "imported"}},
				{nil, map[string]string{"a.json": "present"}},
			},
			runs: map[string][]*events.Event{"A": closed("w", "A", noon, 5)},
		},
		{
			name: "a longer export extends", why: "an open run was exported again later",
			steps: []step{
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 3)}, map[string]string{"a.json": "imported"}},
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 9)}, map[string]string{"a.json": "extended"}},
				{nil, map[string]string{"a.json": "present"}},
				{map[string][]*events.Event{"a.json": closed("w", "A", noon, 11)}, map[string]string{"a.json": "extended"}},
				{nil, map[string]string{"a.json": "present"}},
			},
			runs: map[string][]*events.Event{"A": closed("w", "A", noon, 11)},
		},
		{
			name: "a shorter export is present", why: "the log knows more than the file",
			steps: []step{
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 9)}, map[string]string{"a.json": "imported"}},
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 4)}, map[string]string{"a.json": "present"}},
			},
			runs: map[string][]*events.Event{"A": open("w", "A", noon, 9)},
		},
		{
			name: "both exports at once, the longer one first by name", why: "whatever the order of the files, nothing is refused",
			steps: []step{
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 9), "b.json": open("w", "A", noon, 4)}, map[string]string{"a.json": "extended", "b.json": "imported"}},
			},
			runs: map[string][]*events.Event{"A": open("w", "A", noon, 9)},
		},
		{
			name: "other content", why: "the first event that differs is named, and nothing is changed",
			steps: []step{
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 9)}, map[string]string{"a.json": "imported"}},
				{map[string][]*events.Event{"a.json": changed(open("w", "A", noon, 12), 4)}, map[string]string{"a.json": "refused: run A is there with other content: event 4 differs"}},
			},
			runs: map[string][]*events.Event{"A": open("w", "A", noon, 9)},
		},
		{
			name: "a closed run and a file that goes on", why: "nothing follows a closing event, so the contents differ there",
			steps: []step{
				{map[string][]*events.Event{"a.json": closed("w", "A", noon, 5)}, map[string]string{"a.json": "imported"}},
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 7)}, map[string]string{"a.json": "refused: run A is there with other content: event 5 differs"}},
			},
			runs: map[string][]*events.Event{"A": closed("w", "A", noon, 5)},
		},
		{
			name: "another run is open", why: "a workflow has one open run",
			steps: []step{
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 3), "b.json": open("w", "B", hour, 3)}, map[string]string{
					"a.json": "imported", "b.json": "refused: another run, A, is open",
				}},
			},
			runs: map[string][]*events.Event{"A": open("w", "A", noon, 3)},
		},
		{
			name: "runs go in by their start time", why: "the names of files say nothing",
			steps: []step{
				{map[string][]*events.Event{"1.json": open("w", "C", hour.Add(time.Hour), 2), "2.json": closed("w", "A", noon, 5), "3.json": closed("w", "B", hour, 5)}, map[string]string{
					"1.json": "imported", "2.json": "imported", "3.json": "imported",
				}},
			},
			runs: map[string][]*events.Event{"A": closed("w", "A", noon, 5), "B": closed("w", "B", hour, 5), "C": open("w", "C", hour.Add(time.Hour), 2)},
		},
		{
			name: "an older run after a newer one", why: "the log's order is the order of runs",
			steps: []step{
				{map[string][]*events.Event{"b.json": closed("w", "B", hour, 5)}, map[string]string{"b.json": "imported"}},
				{map[string][]*events.Event{"a.json": closed("w", "A", noon, 5)}, map[string]string{
					"b.json": "present",
					"a.json": "refused: a newer run, B, is there: it started at 2026-01-31T13:00:00Z, this one at 2026-01-31T12:00:00Z",
				}},
			},
			runs: map[string][]*events.Event{"B": closed("w", "B", hour, 5)},
		},
		{
			name: "a run that is there is present whatever came after it", why: "its place is taken already",
			steps: []step{
				{map[string][]*events.Event{"a.json": closed("w", "A", noon, 5), "b.json": open("w", "B", hour, 3)}, map[string]string{"a.json": "imported", "b.json": "imported"}},
				{nil, map[string]string{"a.json": "present", "b.json": "present"}},
			},
			runs: map[string][]*events.Event{"A": closed("w", "A", noon, 5), "B": open("w", "B", hour, 3)},
		},
		{
			name: "a reset goes in after its base", why: "both have the base's start time, and the name of the reset sorts first",
			steps: []step{
				{map[string][]*events.Event{
					"1.json": reset(reset(base, 3, "A", "0"), 4, "0", "00", events.WorkflowCompleted()),
					"2.json": reset(base, 3, "A", "0", events.WorkflowTerminated("reset again")),
					"3.json": base,
				}, map[string]string{"1.json": "imported", "2.json": "imported", "3.json": "imported"}},
			},
			runs: map[string][]*events.Event{
				"A": base, "0": reset(base, 3, "A", "0", events.WorkflowTerminated("reset again")),
				"00": reset(reset(base, 3, "A", "0"), 4, "0", "00", events.WorkflowCompleted()),
			},
		},
		{
			name: "a reset whose base is open", why: "the base was exported before it was reset",
			steps: []step{
				{map[string][]*events.Event{"a.json": open("w", "A", noon, 3), "b.json": reset(base, 3, "A", "B")}, map[string]string{
					"a.json": "imported", "b.json": "refused: another run, A, is open: it is the one that this was reset from",
				}},
			},
			runs: map[string][]*events.Event{"A": open("w", "A", noon, 3)},
		},
		{
			name: "a reset without its base", why: "the prefix is in the file",
			steps: []step{
				{map[string][]*events.Event{"b.json": reset(base, 3, "A", "B")}, map[string]string{"b.json": "imported"}},
			},
			runs: map[string][]*events.Event{"B": reset(base, 3, "A", "B")},
		},
		{
			name: "events that do not begin at a start", why: "they go in only as what continues a stored run exactly",
			steps: []step{
				{map[string][]*events.Event{"w.json": open("", "A", noon, 9)[4:]}, map[string]string{
					"w.json": "refused: it begins at event 5, and the workflow has no run that it could continue",
				}},
				{map[string][]*events.Event{"more/w.json": open("w", "A", noon, 3)}, map[string]string{
					"more/w.json": "imported", "w.json": "refused: it begins at event 5, and continues no stored run exactly: the newest, A, is Running at event 3",
				}},
				{map[string][]*events.Event{"more/w.json": open("w", "A", noon, 4)}, map[string]string{"more/w.json": "extended", "w.json": "extended"}},
				{nil, map[string]string{"more/w.json": "present", "w.json": "present"}},
				{map[string][]*events.Event{"w.json": open("", "A", noon, 12)[4:]}, map[string]string{"more/w.json": "present", "w.json": "extended"}},
				{map[string][]*events.Event{"w.json": changed(open("", "A", noon, 12), 7)[4:]}, map[string]string{
					"more/w.json": "present", "w.json": "refused: run A is there with other content: event 7 differs",
				}},
				{map[string][]*events.Event{"w.json": changed(open("", "A", noon, 12), 5)[4:]}, map[string]string{
					"more/w.json": "present", "w.json": "refused: it begins at event 5, and continues no stored run exactly: the newest, A, is Running at event 12",
				}},
			},
			runs: map[string][]*events.Event{"A": open("w", "A", noon, 12)},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			each(t, func(t *testing.T, log events.Log) {
				f := newFolder(t)
				for _, s := range tc.steps {
					for name, evs := range s.files {
						f.history(name, evs)
					}
					f.want(log, s.want)
				}
				for run, want := range tc.runs {
					same(t, log, "w", run, want)
				}
				runs := map[string]bool{}
				for _, c := range commits(t, log, "w") {
					run, _, _ := strings.Cut(c, " ")
					runs[run] = true
				}
				if len(runs) != len(tc.runs) {
					t.Errorf("the log has runs %v, want %d (%s)", runs, len(tc.runs), tc.why)
				}
			})
		})
	}
}

// Files that no log could take are refused before anything of them is stored,
// each by its name and with its reason, and the others go in.
func TestDamagedFilesAreRefusedAndTheOthersAreTaken(t *testing.T) {
	each(t, func(t *testing.T, log events.Log) {
		f := newFolder(t)
		good := open("good", "A", noon, 3)
		f.history("good.json", good)
		f.write("cut.json", `{"events": [{"eventId": "1", `)
		f.write("other.json", `{"name": "a package", "version": "1.0"}`)
		f.write("empty.json", ``)
		f.write("none.json", `{"events": []}`)
		f.history("gap.json", append(open("gap", "A", noon, 3), &events.Event{EventId: 5, EventType: good[1].EventType}))
		f.write("noids.json", edited(t, open("noids", "A", noon, 2), func(evs []any) { delete(evs[0].(map[string]any), "eventId") }))
		f.history("nostart.json", history(noon, events.Signaled("first")))
		two := append(closed("two", "A", noon, 3), started("two", "B"))
		f.history("two.json", history(noon, two...))
		f.history("late.json", history(noon, append(closed("late", "A", noon, 3), events.Signaled("late"))...))
		f.history("long.json", open(strings.Repeat("x", 1001), "A", noon, 2))
		big := open("big", "A", noon, 150)
		big[140] = events.Signaled("big", strings.Repeat("x", 3<<20))
		f.history("big.json", history(noon, big...))
		f.write("README.md", "not a history")
		f.write(".hidden.json", "neither")
		f.want(log, map[string]string{
			"good.json":    "imported",
			"cut.json":     "refused: not JSON: line 1, column 30: unexpected EOF",
			"other.json":   "refused: not a history: have an object, want one with events, with a history, or an event",
			"empty.json":   "refused: not a history: there is nothing",
			"none.json":    "refused: it holds no events",
			"gap.json":     "refused: event 5 follows event 3: ids must be dense",
			"noids.json":   "refused: event 1 of the file has id 0: ids begin at 1",
			"nostart.json": "refused: event 1 is WorkflowExecutionSignaled, not a start",
			"two.json":     "refused: event 4 is a start: a file is the history of one run",
			"late.json":    "refused: event 4 follows event 3, which closes the run",
			"long.json":    "refused: invalid workflowId: has 1001 bytes, at most 1000 are allowed",
			"big.json":     "refused: event 141 has 3145798 bytes, a commit has at most 2097152: keep large payloads elsewhere",
		})
		same(t, log, "good", "A", good)
		for _, w := range []string{"gap", "two", "late", "big"} {
			if _, err := log.Tail(t.Context(), events.Workflow{Namespace: "default", ID: w}); err == nil {
				t.Errorf("something of %s is stored", w)
			}
		}
	})
}

func TestPathsThatNameNoHistory(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	f.write("empty/README.md", "nothing here")
	f.history("in/a.json", open("a", "A", noon, 2))
	f.history("odd.name", open("b", "B", noon, 2))
	in, odd := f.path("in"), f.path("odd.name")
	var found int
	var looked atomic.Int64
	c := importer.Config{Found: func(n int) { found = n }, Looked: func() { looked.Add(1) }}
	got, s := f.run(log, c, f.path("gone"), f.path("empty"), in, in+"/a.json", in+"/../in/a.json", odd)
	want := map[string]string{
		"gone":      "refused: no such file or directory",
		"empty":     "refused: no file in it ends in .json, .jsonl, .ndjson, .pb, .binpb",
		"in/a.json": "imported",
		"odd.name":  "imported",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if found != 4 || looked.Load() != 4 {
		t.Errorf("%d found, %d looked at, want 4", found, looked.Load())
	}
	if diff := cmp.Diff(importer.Summary{Files: 4, Imported: 2, Refused: 2, Events: 4}, s); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

// An event of a file may have no time: it gets one when it is stored, and is
// still the same event the next time.
func TestEventsWithoutATime(t *testing.T) {
	each(t, func(t *testing.T, log events.Log) {
		f := newFolder(t)
		evs := open("w", "A", noon, 3)
		evs[1].EventTime = nil
		f.history("w.json", evs)
		f.want(log, map[string]string{"w.json": "imported"})
		f.want(log, map[string]string{"w.json": "present"})
		if stored(t, log, "w", "A")[1].EventTime == nil {
			t.Error("the stored event has no time")
		}
	})
}

func TestFieldsThatAreNotKnown(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	f.write("w.json", edited(t, open("w", "A", noon, 2), func(evs []any) {
		evs[1].(map[string]any)["workflowExecutionSignaledEventAttributes"].(map[string]any)["colour"] = "red"
	}))
	const path = "events[1].workflowExecutionSignaledEventAttributes.colour"
	got, _ := f.run(log, importer.Config{Strict: true})
	if diff := cmp.Diff(map[string]string{"w.json": "refused: " + path + ": unknown field"}, got); diff != "" {
		t.Errorf("strict (-want +got):\n%s", diff)
	}
	var results []importer.Result
	s, err := importer.Run(t.Context(), log, []string{f.dir}, importer.Config{Namespace: "default", Report: func(r importer.Result) { results = append(results, r) }})
	if err != nil {
		t.Fatal(err)
	}
	want := []importer.Result{{File: f.path("w.json"), Workflow: "w", Run: "A", Events: 2, Outcome: importer.Imported, Dropped: []string{path}, Appended: 2}}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("lenient (-want +got):\n%s", diff)
	}
	if s.Dropped != 1 {
		t.Errorf("summary counts %d files with something dropped, want 1", s.Dropped)
	}
}

// Protobuf keeps what this version does not know, by number: it is stored, and
// reported, or refused.
func TestFieldsOfProtobufThatAreNotKnown(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	evs := open("w", "A", noon, 2)
	extra := protowire.AppendString(protowire.AppendTag(nil, 9999, protowire.BytesType), "red")
	evs[1].GetWorkflowExecutionSignaledEventAttributes().ProtoReflect().SetUnknown(append(slices.Clone(extra), extra...))
	data, err := proto.Marshal(&historypb.History{Events: evs})
	if err != nil {
		t.Fatal(err)
	}
	f.write("w.pb", string(data))
	const path = "events[1].workflowExecutionSignaledEventAttributes.9999"
	got, _ := f.run(log, importer.Config{Strict: true})
	if diff := cmp.Diff(map[string]string{"w.pb": "refused: " + path + ": unknown field"}, got); diff != "" {
		t.Errorf("strict (-want +got):\n%s", diff)
	}
	var results []importer.Result
	_, err = importer.Run(t.Context(), log, []string{f.dir}, importer.Config{Namespace: "default", Report: func(r importer.Result) { results = append(results, r) }})
	if err != nil || len(results) != 1 || !slices.Equal(results[0].Kept, []string{path}) || len(results[0].Dropped) != 0 {
		t.Errorf("%+v, %v", results, err)
	}
	if len(stored(t, log, "w", "A")[1].GetWorkflowExecutionSignaledEventAttributes().ProtoReflect().GetUnknown()) != 2*len(extra) {
		t.Error("what is not known is not stored")
	}
}

// A newline and an object of 124 bytes are JSON, though protobuf could be that.
func TestJSONThatCouldBeProtobuf(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	text := `{"eventId":1,"eventType":"WorkflowExecutionStarted","workflowExecutionStartedEventAttributes":{`
	text += strings.Repeat(" ", 122-len(text)) + "}}"
	if len(text) != 124 {
		t.Fatalf("%d bytes", len(text))
	}
	f.write("w.json", "\n"+text)
	if got, _ := f.run(log, importer.Config{}); strings.Contains(got["w.json"], "protobuf") || got["w.json"] == "" {
		t.Errorf("%v", got)
	}
}
