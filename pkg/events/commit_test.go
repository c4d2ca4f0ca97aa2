package events_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
)

// body is a History of events with these ids.
func body(t *testing.T, ids ...int64) []byte {
	t.Helper()
	var h historypb.History
	for _, id := range ids {
		h.Events = append(h.Events, &events.Event{EventId: id, EventType: enumspb.EVENT_TYPE_MARKER_RECORDED})
	}
	b, err := proto.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSegmentsPartTheBody(t *testing.T) {
	closed := &events.Segment{Run: "a", First: 4, Last: 5}
	for _, c := range []struct {
		name   string
		commit events.Commit
		want   map[events.RunID][]int64
	}{
		{"one run", events.Commit{Run: events.Segment{Run: "a", First: 3, Last: 5}, Body: body(t, 3, 4, 5)}, map[events.RunID][]int64{"a": {3, 4, 5}}},
		{"two runs", events.Commit{Closed: closed, Run: events.Segment{Run: "b", First: 1, Last: 1}, Body: body(t, 4, 5, 1)}, map[events.RunID][]int64{"a": {4, 5}, "b": {1}}},
	} {
		parts, err := c.commit.Segments()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := map[events.RunID][]int64{}
		for _, p := range parts {
			for _, e := range p.Events {
				got[p.Run] = append(got[p.Run], e.EventId)
			}
			if c.commit.Segment(p.Run) != p.Segment || p.Count() != len(p.Events) {
				t.Errorf("%s: segment of run %s is %+v", c.name, p.Run, p.Segment)
			}
		}
		if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: events of runs (-want +got):\n%s", c.name, diff)
		}
		if c.commit.Segment("another") != nil {
			t.Errorf("%s: it has a run that it has not", c.name)
		}
	}
}

func TestSegmentsRefuseABodyThatIsAnother(t *testing.T) {
	run := events.Segment{Run: "a", First: 3, Last: 5}
	for _, c := range []struct {
		why    string
		commit events.Commit
	}{
		{"no History", events.Commit{Run: run, Body: []byte("\xff")}},
		{"more than a History", events.Commit{Run: run, Body: append(body(t, 3, 4, 5), 0x10, 0x01)}},
		{"empty", events.Commit{Run: run}},
		{"fewer events", events.Commit{Run: run, Body: body(t, 3, 4)}},
		{"more events", events.Commit{Run: run, Body: body(t, 3, 4, 5, 6)}},
		{"other ids", events.Commit{Run: run, Body: body(t, 4, 5, 6)}},
		{"ids in another order", events.Commit{Run: run, Body: body(t, 3, 5, 4)}},
		{"the other run first", events.Commit{Closed: &run, Run: events.Segment{Run: "b", First: 1, Last: 1}, Body: body(t, 1, 3, 4, 5)}},
		{"counts that overflow", events.Commit{Closed: &events.Segment{Run: "b", First: 1, Last: 1<<63 - 1}, Run: events.Segment{Run: "a", First: 1, Last: 1<<63 - 1}, Body: body(t, 1)}},
	} {
		if parts, err := c.commit.Segments(); !errors.Is(err, events.ErrCorrupt) || parts != nil {
			t.Errorf("%s: gave %+v, %v", c.why, parts, err)
		}
	}
}

func TestStatusAfterEachEventType(t *testing.T) {
	open := map[enumspb.EventType]events.Status{
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:  enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:   enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED,
	}
	for n, name := range enumspb.WorkflowExecutionStatus_name {
		isOpen := strings.HasSuffix(name, "_RUNNING") || strings.HasSuffix(name, "_PAUSED")
		if got := events.IsOpen(events.Status(n)); got != isOpen {
			t.Errorf("%s is open: %t, want %t", name, got, isOpen)
		}
	}
	// The closing events are named as their status is.
	for n := range enumspb.EventType_name {
		e := &events.Event{EventType: enumspb.EventType(n)}
		status := enumspb.WorkflowExecutionStatus_shorthandValue[strings.TrimPrefix(e.EventType.String(), "WorkflowExecution")]
		isClosing := status != 0
		want := enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED // what it was before
		switch {
		case open[e.EventType] != 0:
			want, isClosing = open[e.EventType], false
		case isClosing:
			want = events.Status(status)
		}
		if got := events.StatusAfter(enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, e); got != want {
			t.Errorf("after %s the status is %s, want %s", e.EventType, got, want)
		}
		if got := events.Closes(e); got != isClosing {
			t.Errorf("%s closes: %t, want %t", e.EventType, got, isClosing)
		}
		if got := events.Opens(e); got != (e.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED) {
			t.Errorf("%s opens: %t", e.EventType, got)
		}
	}
}
