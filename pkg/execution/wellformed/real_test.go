package wellformed_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

// exceptions are the real histories that break rules, and the rules that each
// breaks.
var exceptions = func() map[string][]string {
	x := map[string][]string{
		// Edited by hand: event 12 names the workflow task of event 17.
		"sdk-go--child-workflow-cancel-with-update.json": {wellformed.ReferenceIsThere},
		// Edited by hand: event 23 was given a type that there is not.
		"sdk-go--workflow_with_bad_unknown_event.json": {wellformed.AttributesFitType},
		// Of a server that counted attempts from 0.
		"sdk-java--testAsyncActivityRetryHistory.json": {wellformed.AttemptsFromOne},
		"sdk-java--testChildWorkflowRetryHistory.json": {wellformed.AttemptsFromOne},
	}
	// No server wrote these: the Java SDK's tests put them together without the
	// starts of workflow tasks, or with those where completions belong.
	for _, name := range []string{
		"awaitTimerConditionOldBehavior", "get_version_after_scope_cancellation", "laSuccessfulCompletion_1_17",
		"testGetHistoryLength", "testGetHistorySize", "testGetVersionInterleavedUpdateReplayWaitForMarkerHistory",
		"testUnknownHistoryEventClean", "testUnknownHistoryEventMayIgnore", "testUnknownHistoryEventMayNotIgnore",
	} {
		x["sdk-java--"+name+".json"] = []string{wellformed.OutcomeFollowsStart, wellformed.ReferenceHasType}
	}
	x["sdk-java--awaitTimerConditionOldBehavior.json"] = []string{wellformed.OutcomeFollowsStart}
	return x
}()

// histories reads the project's example histories, those of e2e/temporal and, if
// ANNALS_HISTORIES names their folder, more of real servers.
func histories(t *testing.T) map[string][]*events.Event {
	all := map[string][]*events.Event{}
	read := func(dir string, least int) {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) < least {
			t.Fatalf("%d histories in %s, at least %d are expected", len(files), dir, least)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var h historypb.History
			if err := (temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &h); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all[filepath.Base(file)] = h.Events
		}
	}
	read("../../../examples/histories", 6)
	read("../../../e2e/temporal/testdata/histories", 40)
	if dir := os.Getenv("ANNALS_HISTORIES"); dir != "" {
		read(dir, 90)
	} else {
		t.Log("ANNALS_HISTORIES is not set: without the histories of real servers")
	}
	return all
}

// TestHistories holds the rules against what real servers wrote.
func TestHistories(t *testing.T) {
	all := histories(t)
	for name, h := range all {
		t.Run(name, func(t *testing.T) {
			broken := map[string]bool{}
			for _, v := range check(h) {
				broken[v.Rule] = true
				if !slices.Contains(exceptions[name], v.Rule) {
					t.Error(v)
				}
			}
			if diff := cmp.Diff(slices.Sorted(slices.Values(exceptions[name])), slices.Sorted(maps.Keys(broken))); diff != "" {
				t.Errorf("rules broken (-expected +found):\n%s", diff)
			}
		})
	}
	if os.Getenv("ANNALS_HISTORIES") != "" {
		for name := range exceptions {
			if all[name] == nil {
				t.Errorf("%s is an exception, and is not there", name)
			}
		}
	}
}

// TestDamagedHistories damages what is well formed, one reference or event at a
// time: nothing may go unnoticed.
func TestDamagedHistories(t *testing.T) {
	tried := 0
	for name, h := range histories(t) {
		if len(exceptions[name]) != 0 || len(h) > 200 {
			continue
		}
		for i := range h {
			for _, f := range references(h[i]) {
				if strings.HasSuffix(string(f.Name()), "_sequencing_event_id") {
					continue // may name any event
				}
				// The start, the event itself, one that is to come.
				for _, id := range []int64{1, int64(i) + 1, int64(len(h)) + 7} {
					damaged := clone(h[:i+1])
					set(damaged[i], f, id)
					tried++
					if len(check(damaged)) == 0 {
						t.Errorf("%s: event %d with the %s %d is taken for well formed", name, i+1, f.Name(), id)
					}
				}
			}
			if again, ok := repeated(h[:i+1]); ok {
				tried++
				if len(check(again)) == 0 {
					t.Errorf("%s: event %d twice is taken for well formed", name, i+1)
				}
			}
		}
	}
	if tried < 400 {
		t.Errorf("only %d damages tried", tried)
	}
}

// repeated appends the last event once more, if that is a second outcome or
// start of something.
func repeated(h []*events.Event) ([]*events.Event, bool) {
	last := h[len(h)-1]
	switch last.EventType {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED:
		return nil, false // asked twice is harmless
	}
	for _, f := range references(last) {
		if f.Name() != "workflow_task_completed_event_id" && !strings.HasSuffix(string(f.Name()), "_sequencing_event_id") {
			again := proto.CloneOf(last)
			again.EventId++
			return append(slices.Clone(h), again), true
		}
	}
	return nil, false
}

// references are the set fields by which an event names others of its run.
func references(e *events.Event) (set []protoreflect.FieldDescriptor) {
	m := e.ProtoReflect()
	f := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	if f == nil {
		return nil
	}
	m.Get(f).Message().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if strings.HasSuffix(string(f.Name()), "event_id") && f.Name() != "parent_initiated_event_id" && f.Name() != "external_initiated_event_id" {
			set = append(set, f)
		}
		return true
	})
	return set
}

func set(e *events.Event, f protoreflect.FieldDescriptor, id int64) {
	m := e.ProtoReflect()
	m.Mutable(m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))).Message().Set(f, protoreflect.ValueOfInt64(id))
}
