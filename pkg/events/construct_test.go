package events_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
)

var errDeclined = errors.New("card declined")

var child = events.Child{
	Workflow: events.Workflow{Namespace: "ns", ID: "child-1"}, Type: "Ship",
	Run: "r", Initiated: 4, Started: 5,
}

// constructed has each constructor once, and what it makes in the JSON that
// Temporal prints.
var constructed = []struct {
	name string
	e    *events.Event
	want string
}{
	{
		"WorkflowStarted", events.WorkflowStarted("Order", "orders", "x", 7),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED","workflowExecutionStartedEventAttributes":{
			"workflowType":{"name":"Order"},"taskQueue":{"name":"orders","kind":"TASK_QUEUE_KIND_NORMAL"},"attempt":1,
			"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Ingi"},{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Nw=="}]}}}`,
	},
	{
		"WorkflowStarted without queue or input", events.WorkflowStarted("Order", ""),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED","workflowExecutionStartedEventAttributes":{"workflowType":{"name":"Order"},"attempt":1}}`,
	},
	{
		"WorkflowCompleted", events.WorkflowCompleted(nil),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED","workflowExecutionCompletedEventAttributes":{"result":{"payloads":[{"metadata":{"encoding":"YmluYXJ5L251bGw="}}]}}}`,
	},
	{
		"WorkflowFailed", events.WorkflowFailed(fmt.Errorf("charge: %w", errDeclined)),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_FAILED","workflowExecutionFailedEventAttributes":{"failure":{
			"message":"charge: card declined","source":"Annals","applicationFailureInfo":{"type":"wrapError"},
			"cause":{"message":"card declined","source":"Annals","applicationFailureInfo":{"type":"errorString"}}}}}`,
	},
	{
		"WorkflowTimedOut", events.WorkflowTimedOut(),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT","workflowExecutionTimedOutEventAttributes":{}}`,
	},
	{
		"WorkflowCanceled", events.WorkflowCanceled([]byte{1}),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED","workflowExecutionCanceledEventAttributes":{"details":{"payloads":[{"metadata":{"encoding":"YmluYXJ5L3BsYWlu"},"data":"AQ=="}]}}}`,
	},
	{
		"WorkflowTerminated", events.WorkflowTerminated("too late"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED","workflowExecutionTerminatedEventAttributes":{"reason":"too late"}}`,
	},
	{
		"ContinuedAsNew", events.ContinuedAsNew("Order", "orders", true),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW","workflowExecutionContinuedAsNewEventAttributes":{
			"workflowType":{"name":"Order"},"taskQueue":{"name":"orders","kind":"TASK_QUEUE_KIND_NORMAL"},"initiator":"CONTINUE_AS_NEW_INITIATOR_WORKFLOW",
			"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"dHJ1ZQ=="}]}}}`,
	},
	{
		"WorkflowPaused", events.WorkflowPaused("look first"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED","workflowExecutionPausedEventAttributes":{"reason":"look first"}}`,
	},
	{
		"WorkflowUnpaused", events.WorkflowUnpaused("looked"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED","workflowExecutionUnpausedEventAttributes":{"reason":"looked"}}`,
	},
	{
		"Signaled", events.Signaled("approve", "me"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED","workflowExecutionSignaledEventAttributes":{"signalName":"approve",
			"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Im1lIg=="}]}}}`,
	},
	{
		"CancelRequested", events.CancelRequested("customer"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED","workflowExecutionCancelRequestedEventAttributes":{"cause":"customer"}}`,
	},
	{
		"Custom", events.Custom("OrderPaid", map[string]int{"cents": 5}),
		`{"eventType":"EVENT_TYPE_MARKER_RECORDED","markerRecordedEventAttributes":{"markerName":"OrderPaid",
			"details":{"data":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"eyJjZW50cyI6NX0="}]}}}}`,
	},
	{
		"SearchAttributesUpserted", events.SearchAttributesUpserted(map[string]any{"Region": "EU", "Gone": nil, "N": 3}),
		`{"eventType":"EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES","upsertWorkflowSearchAttributesEventAttributes":{"searchAttributes":{"indexedFields":{
			"Region":{"metadata":{"encoding":"anNvbi9wbGFpbg==","type":"S2V5d29yZA=="},"data":"IkVVIg=="},
			"N":{"metadata":{"encoding":"anNvbi9wbGFpbg==","type":"SW50"},"data":"Mw=="},
			"Gone":{"metadata":{"encoding":"YmluYXJ5L251bGw="}}}}}}`,
	},
	{
		"MemoUpserted", events.MemoUpserted(map[string]any{"note": "x"}),
		`{"eventType":"EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED","workflowPropertiesModifiedEventAttributes":{"upsertedMemo":{"fields":{
			"note":{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Ingi"}}}}}`,
	},
	{
		"WorkflowTaskScheduled", events.WorkflowTaskScheduled("orders"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_TASK_SCHEDULED","workflowTaskScheduledEventAttributes":{"taskQueue":{"name":"orders","kind":"TASK_QUEUE_KIND_NORMAL"},"attempt":1}}`,
	},
	{
		"WorkflowTaskStarted", events.WorkflowTaskStarted(2, "w1"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_TASK_STARTED","workflowTaskStartedEventAttributes":{"scheduledEventId":"2","identity":"w1"}}`,
	},
	{
		"WorkflowTaskCompleted", events.WorkflowTaskCompleted(2, 3, "w1"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_TASK_COMPLETED","workflowTaskCompletedEventAttributes":{"scheduledEventId":"2","startedEventId":"3","identity":"w1"}}`,
	},
	{
		"WorkflowTaskFailed", events.WorkflowTaskFailed(2, 3, errDeclined),
		`{"eventType":"EVENT_TYPE_WORKFLOW_TASK_FAILED","workflowTaskFailedEventAttributes":{"scheduledEventId":"2","startedEventId":"3",
			"cause":"WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE",
			"failure":{"message":"card declined","source":"Annals","applicationFailureInfo":{"type":"errorString"}}}}`,
	},
	{
		"WorkflowTaskTimedOut", events.WorkflowTaskTimedOut(2, 3),
		`{"eventType":"EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT","workflowTaskTimedOutEventAttributes":{"scheduledEventId":"2","startedEventId":"3","timeoutType":"TIMEOUT_TYPE_START_TO_CLOSE"}}`,
	},
	{
		"ActivityScheduled", events.ActivityScheduled("a1", "Charge", 1.5),
		`{"eventType":"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED","activityTaskScheduledEventAttributes":{"activityId":"a1","activityType":{"name":"Charge"},
			"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"MS41"}]}}}`,
	},
	{
		"ActivityStarted", events.ActivityStarted(5, 2, "w1"),
		`{"eventType":"EVENT_TYPE_ACTIVITY_TASK_STARTED","activityTaskStartedEventAttributes":{"scheduledEventId":"5","attempt":2,"identity":"w1"}}`,
	},
	{
		"ActivityCompleted", events.ActivityCompleted(5, 6, "ok"),
		`{"eventType":"EVENT_TYPE_ACTIVITY_TASK_COMPLETED","activityTaskCompletedEventAttributes":{"scheduledEventId":"5","startedEventId":"6",
			"result":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Im9rIg=="}]}}}`,
	},
	{
		"ActivityFailed", events.ActivityFailed(5, 6, errDeclined),
		`{"eventType":"EVENT_TYPE_ACTIVITY_TASK_FAILED","activityTaskFailedEventAttributes":{"scheduledEventId":"5","startedEventId":"6",
			"failure":{"message":"card declined","source":"Annals","applicationFailureInfo":{"type":"errorString"}}}}`,
	},
	{
		"ActivityTimedOut", events.ActivityTimedOut(5, 0, enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START),
		`{"eventType":"EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT","activityTaskTimedOutEventAttributes":{"scheduledEventId":"5",
			"failure":{"message":"activity ScheduleToStart timeout","timeoutFailureInfo":{"timeoutType":"TIMEOUT_TYPE_SCHEDULE_TO_START"}}}}`,
	},
	{
		"ActivityCancelRequested", events.ActivityCancelRequested(5),
		`{"eventType":"EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED","activityTaskCancelRequestedEventAttributes":{"scheduledEventId":"5"}}`,
	},
	{
		"ActivityCanceled", events.ActivityCanceled(5, 6),
		`{"eventType":"EVENT_TYPE_ACTIVITY_TASK_CANCELED","activityTaskCanceledEventAttributes":{"scheduledEventId":"5","startedEventId":"6"}}`,
	},
	{
		"TimerStarted", events.TimerStarted("t1", 90*time.Second),
		`{"eventType":"EVENT_TYPE_TIMER_STARTED","timerStartedEventAttributes":{"timerId":"t1","startToFireTimeout":"90s"}}`,
	},
	{
		"TimerFired", events.TimerFired("t1", 7),
		`{"eventType":"EVENT_TYPE_TIMER_FIRED","timerFiredEventAttributes":{"timerId":"t1","startedEventId":"7"}}`,
	},
	{
		"TimerCanceled", events.TimerCanceled("t1", 7),
		`{"eventType":"EVENT_TYPE_TIMER_CANCELED","timerCanceledEventAttributes":{"timerId":"t1","startedEventId":"7"}}`,
	},
	{
		"ChildInitiated", events.ChildInitiated(child, "x"),
		`{"eventType":"EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED","startChildWorkflowExecutionInitiatedEventAttributes":{
			"namespace":"ns","workflowId":"child-1","workflowType":{"name":"Ship"},
			"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Ingi"}]}}}`,
	},
	{
		"ChildStarted", events.ChildStarted(child),
		`{"eventType":"EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED","childWorkflowExecutionStartedEventAttributes":{
			"namespace":"ns","workflowExecution":{"workflowId":"child-1","runId":"r"},"workflowType":{"name":"Ship"},"initiatedEventId":"4"}}`,
	},
	{
		"ChildCompleted", events.ChildCompleted(child),
		`{"eventType":"EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED","childWorkflowExecutionCompletedEventAttributes":{
			"namespace":"ns","workflowExecution":{"workflowId":"child-1","runId":"r"},"workflowType":{"name":"Ship"},"initiatedEventId":"4","startedEventId":"5"}}`,
	},
	{
		"ChildFailed", events.ChildFailed(child, nil),
		`{"eventType":"EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED","childWorkflowExecutionFailedEventAttributes":{
			"namespace":"ns","workflowExecution":{"workflowId":"child-1","runId":"r"},"workflowType":{"name":"Ship"},"initiatedEventId":"4","startedEventId":"5"}}`,
	},
	{
		"UpdateAccepted", events.UpdateAccepted("u1", "setAddress", "x"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED","workflowExecutionUpdateAcceptedEventAttributes":{"protocolInstanceId":"u1",
			"acceptedRequest":{"meta":{"updateId":"u1"},"input":{"name":"setAddress","args":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Ingi"}]}}}}}`,
	},
	{
		"UpdateCompleted", events.UpdateCompleted("u1", 9, "x"),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED","workflowExecutionUpdateCompletedEventAttributes":{"meta":{"updateId":"u1"},"acceptedEventId":"9",
			"outcome":{"success":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Ingi"}]}}}}`,
	},
	{
		"UpdateFailed", events.UpdateFailed("u1", 9, errDeclined),
		`{"eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED","workflowExecutionUpdateCompletedEventAttributes":{"meta":{"updateId":"u1"},"acceptedEventId":"9",
			"outcome":{"failure":{"message":"card declined","source":"Annals","applicationFailureInfo":{"type":"errorString"}}}}}`,
	},
	{
		"At", events.At(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), events.WorkflowTimedOut()),
		`{"eventTime":"2026-01-02T03:04:05.000000006Z","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT","workflowExecutionTimedOutEventAttributes":{}}`,
	},
}

func TestConstructors(t *testing.T) {
	for _, tt := range constructed {
		t.Run(tt.name, func(t *testing.T) {
			want := new(historypb.HistoryEvent)
			if err := protojson.Unmarshal([]byte(tt.want), want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, tt.e, protocmp.Transform()); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			if err := events.ValueError(tt.e); err != nil {
				t.Errorf("ValueError: %v", err)
			}
		})
	}
}

func TestDecidedBy(t *testing.T) {
	evs := events.DecidedBy(4,
		events.ActivityScheduled("a", "Charge"), events.TimerStarted("t", time.Hour), events.TimerCanceled("t", 3),
		events.Custom("Paid", 1), events.ChildInitiated(child), events.WorkflowCompleted(), &events.Event{}, events.Signaled("s"),
	)
	var got []int64
	for _, e := range evs {
		got = append(got, e.GetActivityTaskScheduledEventAttributes().GetWorkflowTaskCompletedEventId()+
			e.GetTimerStartedEventAttributes().GetWorkflowTaskCompletedEventId()+
			e.GetTimerCanceledEventAttributes().GetWorkflowTaskCompletedEventId()+
			e.GetMarkerRecordedEventAttributes().GetWorkflowTaskCompletedEventId()+
			e.GetStartChildWorkflowExecutionInitiatedEventAttributes().GetWorkflowTaskCompletedEventId()+
			e.GetWorkflowExecutionCompletedEventAttributes().GetWorkflowTaskCompletedEventId())
	}
	if want := []int64{4, 4, 4, 4, 4, 4, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("workflow task completed ids are %v, want %v", got, want)
	}
}

func TestFailure(t *testing.T) {
	if f := events.Failure(nil); f != nil {
		t.Errorf("Failure(nil) = %v", f)
	}
	got := events.Failure(&events.InvalidError{Field: "\xff", Reason: "no text"})
	want := &failurepb.Failure{
		Message: "invalid \ufffd: no text", Source: "Annals",
		FailureInfo: &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: "InvalidError"}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("failure (-want +got):\n%s", diff)
	}
}

// TestValueError: a value that cannot be encoded makes an event that no log can
// take for a good one, whatever is done to it on its way there.
func TestValueError(t *testing.T) {
	bad := make(chan int)
	tests := []struct {
		name, why string
		e         *events.Event
		field     string
	}{
		{"start", "the second of two values", events.WorkflowStarted("Order", "", 1, bad), "input[1]"},
		{"custom", "its only value", events.Custom("Paid", bad), "value[0]"},
		{"not a number", "of a known type, but JSON has none", events.SearchAttributesUpserted(map[string]any{"b": inf(), "c": bad, "a": 1}), `searchAttributes["b"]`},
		{"memo", "the first by name", events.MemoUpserted(map[string]any{"z": bad, "y": bad}), `memo["y"]`},
		{"update", "made apart from its event", events.UpdateCompleted("u", 1, bad), "result[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(how string, e *events.Event) {
				t.Helper()
				err := events.ValueError(e)
				var invalid *events.InvalidError
				if !errors.As(err, &invalid) || !errors.Is(err, events.ErrInvalid) {
					t.Fatalf("%s, %s: ValueError = %v, want an *InvalidError", tt.why, how, err)
				}
				if invalid.Field != tt.field || invalid.Reason == "" {
					t.Errorf("%s, %s: field %q, reason %q, want field %q and a reason", tt.why, how, invalid.Field, invalid.Reason, tt.field)
				}
			}
			check("as made", tt.e)
			if tt.e.EventId != -1 {
				t.Errorf("event id %d: a log that does not ask would take it", tt.e.EventId)
			}
			numbered := proto.Clone(tt.e).(*events.Event)
			numbered.EventId = 5
			check("numbered by the caller", numbered)
			raw, err := proto.Marshal(numbered)
			if err != nil {
				t.Fatal(err)
			}
			sent := new(events.Event)
			if err := proto.Unmarshal(raw, sent); err != nil {
				t.Fatal(err)
			}
			check("sent elsewhere", sent)
		})
	}

	// The attributes are there to be set, as with a good event.
	e := events.ActivityScheduled("a", "Charge", bad)
	e.GetActivityTaskScheduledEventAttributes().TaskQueue = nil
	if events.ValueError(e) == nil {
		t.Error("ValueError = nil after setting a field")
	}
}

func TestValueErrorIgnoresOtherUnknownFields(t *testing.T) {
	e := events.WorkflowTimedOut()
	for name, unknown := range map[string][]byte{
		"of a later API": {0xa2, 0x06, 0x01, 'x'},
		"broken":         {0xff},
		"cut off":        {0xa2, 0x06, 0x09, 'x'},
	} {
		e.ProtoReflect().SetUnknown(unknown)
		if err := events.ValueError(e); err != nil {
			t.Errorf("%s: ValueError = %v", name, err)
		}
	}
}

func BenchmarkValueError(b *testing.B) {
	e := events.Custom("Paid", 1)
	for b.Loop() {
		if events.ValueError(e) != nil {
			b.Fatal("a good event")
		}
	}
}

func TestCustomValue(t *testing.T) {
	type paid struct{ Cents int }
	var got paid
	if err := events.CustomValue(events.Custom("OrderPaid", paid{Cents: 5}), &got); err != nil || got.Cents != 5 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, e := range []*events.Event{events.WorkflowTimedOut(), nil, {EventType: enumspb.EVENT_TYPE_MARKER_RECORDED}} {
		if err := events.CustomValue(e, &got); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("CustomValue of %v: %v, want ErrInvalid", e, err)
		}
	}
	if err := events.CustomValue(events.Custom("n", &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}}), &got); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("CustomValue of an encrypted payload: %v, want ErrInvalid", err)
	}
}
