package eventstest

import (
	"iter"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func list(first *events.Event, more ...*events.Event) []*events.Event {
	return append([]*events.Event{first}, more...)
}

func started(workflowType string) *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
			WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
				WorkflowType: &commonpb.WorkflowType{Name: workflowType},
			},
		},
	}
}

// startedAs is a start that names its run.
func startedAs(run events.RunID) *events.Event {
	e := started("T")
	e.GetWorkflowExecutionStartedEventAttributes().OriginalExecutionRunId = string(run)
	return e
}

func signaled(name string) *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionSignaledEventAttributes{
			WorkflowExecutionSignaledEventAttributes: &historypb.WorkflowExecutionSignaledEventAttributes{SignalName: name},
		},
	}
}

func signals(n int, name string) []*events.Event {
	out := make([]*events.Event, n)
	for i := range out {
		out[i] = signaled(name)
	}
	return out
}

func completed() *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{
			WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{},
		},
	}
}

func failedBy(f *failurepb.Failure) *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionFailedEventAttributes{
			WorkflowExecutionFailedEventAttributes: &historypb.WorkflowExecutionFailedEventAttributes{Failure: f},
		},
	}
}

// nested is a failure with so many causes, one in the other.
func nested(causes int) *failurepb.Failure {
	f := &failurepb.Failure{Message: "the first"}
	for range causes {
		f = &failurepb.Failure{Cause: f}
	}
	return f
}

// endless is a failure that asks for a delay which is longer than a Duration.
func endless() *failurepb.Failure {
	return &failurepb.Failure{FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{NextRetryDelay: &durationpb.Duration{Seconds: 315_576_000_001}},
	}}
}

func terminated() *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{
			WorkflowExecutionTerminatedEventAttributes: &historypb.WorkflowExecutionTerminatedEventAttributes{Reason: "because"},
		},
	}
}

func continuedAs(next events.RunID) *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionContinuedAsNewEventAttributes{
			WorkflowExecutionContinuedAsNewEventAttributes: &historypb.WorkflowExecutionContinuedAsNewEventAttributes{NewExecutionRunId: string(next)},
		},
	}
}

// marked is a marker with n bytes of details.
func marked(n int) *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_MARKER_RECORDED,
		Attributes: &historypb.HistoryEvent_MarkerRecordedEventAttributes{
			MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{MarkerName: strings.Repeat("m", n)},
		},
	}
}

// numbered gives events their ids from first on, and a time.
func numbered(first events.EventID, list []*events.Event) []*events.Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	out := make([]*events.Event, len(list))
	for i, e := range list {
		out[i] = proto.CloneOf(e)
		out[i].EventId = int64(first) + int64(i)
		out[i].EventTime = timestamppb.New(at.Add(time.Duration(i) * time.Second))
	}
	return out
}

// bodySize is the bytes of a commit's body with these events.
func bodySize(list []*events.Event) int { return proto.Size(&historypb.History{Events: list}) }

// ofSize is n events, numbered from first on, that take exactly size bytes as a
// body: the last one is a marker that is as long as it must be.
func ofSize(first events.EventID, list []*events.Event, size int) []*events.Event {
	pad := max(0, size-bodySize(numbered(first, append(list[:len(list):len(list)], marked(0))))-24)
	for {
		got := numbered(first, append(list[:len(list):len(list)], marked(pad)))
		switch n := bodySize(got); {
		case n == size:
			return got
		case n > size:
			panic("no marker fits exactly")
		}
		pad++
	}
}

// eventTypes are all that the API has, but the start, and one that it does not
// have yet.
func eventTypes() iter.Seq[enumspb.EventType] {
	return func(yield func(enumspb.EventType) bool) {
		for n := range enumspb.EventType_name {
			if kind := enumspb.EventType(n); kind != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED && !yield(kind) {
				return
			}
		}
		yield(enumspb.EventType(9999))
	}
}

// elsewhere is the cursor of a workflow of the same name in another log.
func elsewhere(c *scene, w events.Workflow) events.Cursor {
	c.Helper()
	other, err := memlog.New(memlog.Config{})
	if err != nil {
		c.Fatal(err)
	}
	res, err := other.Append(c.ctx(), events.Request{Workflow: w, Events: list(started("T"))})
	if err != nil {
		c.Fatal(err)
	}
	return res.Cursor
}
