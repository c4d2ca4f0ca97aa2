package execution

import (
	"slices"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"

	"github.com/annals-io/annals/pkg/events"
)

func TestEventName(t *testing.T) {
	ship := &commonpb.WorkflowType{Name: "Ship"}
	add := &updatepb.Request{Meta: &updatepb.Meta{UpdateId: "u"}, Input: &updatepb.Input{Name: "add"}}
	// What the references below refer to.
	before := []*events.Event{
		order()[0],
		activityScheduled(2, 0),
		event(3, &historypb.TimerStartedEventAttributes{TimerId: "deadline"}),
		event(4, &historypb.StartChildWorkflowExecutionInitiatedEventAttributes{WorkflowType: ship}),
		event(5, &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{SignalName: "paid"}),
		event(6, &historypb.NexusOperationScheduledEventAttributes{Operation: "transfer"}),
		event(7, &historypb.WorkflowExecutionUpdateAdmittedEventAttributes{Request: add}),
		event(8, &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{AcceptedRequest: &updatepb.Request{Meta: &updatepb.Meta{UpdateId: "v"}, Input: &updatepb.Input{Name: "sub"}}}),
	}
	s := fold(before...)
	for _, c := range []struct {
		event *events.Event
		own   string // what the event says itself
		want  string // what the state adds
	}{
		{before[0], "Order", "Order"},
		{before[1], "Charge", "Charge"},
		{before[2], "deadline", "deadline"},
		{before[3], "Ship", "Ship"},
		{before[4], "paid", "paid"},
		{before[5], "transfer", "transfer"},
		{before[6], "add", "add"},
		{before[7], "sub", "sub"},
		{event(9, &historypb.WorkflowExecutionContinuedAsNewEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.MarkerRecordedEventAttributes{MarkerName: "OrderPaid"}), "OrderPaid", "OrderPaid"},
		{event(9, &historypb.WorkflowExecutionSignaledEventAttributes{SignalName: "paid"}), "paid", "paid"},
		{event(9, &historypb.WorkflowTaskScheduledEventAttributes{}), "", ""},
		{bare(9, 9999), "", ""},

		{event(9, &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: 2}), "", "Charge"},
		{event(9, &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: 2}), "", "Charge"},
		{event(9, &historypb.ActivityTaskFailedEventAttributes{ScheduledEventId: 2}), "", "Charge"},
		{event(9, &historypb.ActivityTaskTimedOutEventAttributes{ScheduledEventId: 2}), "", "Charge"},
		{event(9, &historypb.ActivityTaskCancelRequestedEventAttributes{ScheduledEventId: 2}), "", "Charge"},
		{event(9, &historypb.ActivityTaskCanceledEventAttributes{ScheduledEventId: 2}), "", "Charge"},
		{event(9, &historypb.ActivityPropertiesModifiedExternallyEventAttributes{ScheduledEventId: 2}), "", "Charge"},
		{event(9, &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: 3}), "", ""},

		{event(9, &historypb.TimerFiredEventAttributes{TimerId: "deadline", StartedEventId: 3}), "deadline", "deadline"},
		{event(9, &historypb.TimerFiredEventAttributes{StartedEventId: 3}), "", "deadline"},
		{event(9, &historypb.TimerCanceledEventAttributes{TimerId: "deadline"}), "deadline", "deadline"},
		{event(9, &historypb.TimerCanceledEventAttributes{StartedEventId: 3}), "", "deadline"},
		{event(9, &historypb.TimerCanceledEventAttributes{StartedEventId: 2}), "", ""},

		{event(9, &historypb.StartChildWorkflowExecutionFailedEventAttributes{InitiatedEventId: 4}), "", "Ship"},
		{event(9, &historypb.StartChildWorkflowExecutionFailedEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionStartedEventAttributes{InitiatedEventId: 4}), "", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionStartedEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionCompletedEventAttributes{InitiatedEventId: 4}), "", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionCompletedEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionFailedEventAttributes{InitiatedEventId: 4}), "", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionFailedEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionCanceledEventAttributes{InitiatedEventId: 4}), "", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionCanceledEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionTimedOutEventAttributes{InitiatedEventId: 4}), "", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionTimedOutEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionTerminatedEventAttributes{InitiatedEventId: 4}), "", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionTerminatedEventAttributes{WorkflowType: ship}), "Ship", "Ship"},
		{event(9, &historypb.ChildWorkflowExecutionTerminatedEventAttributes{InitiatedEventId: 5}), "", ""},

		{event(9, &historypb.SignalExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 5}), "", "paid"},
		{event(9, &historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: 5}), "", "paid"},
		{event(9, &historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: 4}), "", ""},

		{event(9, &historypb.NexusOperationStartedEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationCompletedEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationFailedEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationCanceledEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationTimedOutEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationCancelRequestedEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationCancelRequestCompletedEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationCancelRequestFailedEventAttributes{ScheduledEventId: 6}), "", "transfer"},
		{event(9, &historypb.NexusOperationStartedEventAttributes{ScheduledEventId: 5}), "", ""},

		{event(9, &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{ProtocolInstanceId: "u"}), "", "add"},
		{event(9, &historypb.WorkflowExecutionUpdateRejectedEventAttributes{ProtocolInstanceId: "u"}), "", "add"},
		{event(9, &historypb.WorkflowExecutionUpdateRejectedEventAttributes{RejectedRequest: add}), "add", "add"},
		{event(9, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{AcceptedEventId: 8}), "", "sub"},
		{event(9, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{Meta: &updatepb.Meta{UpdateId: "v"}}), "", "sub"},
		{event(9, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{AcceptedEventId: 7}), "", ""},
	} {
		if got := EventName(c.event); got != c.own {
			t.Errorf("%v says its name is %q, want %q", c.event, got, c.own)
		}
		if got := s.EventName(c.event); got != c.want {
			t.Errorf("%v has the name %q, want %q", c.event, got, c.want)
		}
	}
}

// TestEveryReferenceIsNamed holds that in real histories each event about an
// activity, timer, child, Nexus operation, update or external signal is named.
func TestEveryReferenceIsNamed(t *testing.T) {
	nameless := []enumspb.EventType{
		enumspb.EVENT_TYPE_UNSPECIFIED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
		enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
		enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED,
		enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
		enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
		enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED,
		enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
		enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
		enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
		enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
		enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
	}
	for name, history := range histories(t) {
		s := New(testWF, testRun)
		for _, e := range history {
			if got := s.EventName(e); got == "" && !slices.Contains(nameless, e.EventType) && isWhole(name, history) {
				t.Errorf("%s: event %d, %v, has no name", name, e.EventId, e.EventType)
			}
			s.Apply(e)
		}
	}
}
