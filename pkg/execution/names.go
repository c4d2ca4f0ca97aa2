package execution

import (
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// EventName is what tells events of one type apart for people: the workflow's
// or child's type, the activity's type, the timer's id, the name of a marker,
// signal or update, the Nexus operation. It is empty for events without such a
// name, and for those that only refer to the event that has it: see
// [State.EventName].
func EventName(e *events.Event) string {
	e = sound(e)
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		return e.GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		return e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		return e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
	case enumspb.EVENT_TYPE_TIMER_STARTED:
		return e.GetTimerStartedEventAttributes().GetTimerId()
	case enumspb.EVENT_TYPE_TIMER_FIRED:
		return e.GetTimerFiredEventAttributes().GetTimerId()
	case enumspb.EVENT_TYPE_TIMER_CANCELED:
		return e.GetTimerCanceledEventAttributes().GetTimerId()
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		return e.GetMarkerRecordedEventAttributes().GetMarkerName()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		return e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName()
	case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
		return e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes().GetSignalName()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
		return e.GetWorkflowExecutionUpdateAdmittedEventAttributes().GetRequest().GetInput().GetName()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		return e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput().GetName()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:
		return e.GetWorkflowExecutionUpdateRejectedEventAttributes().GetRejectedRequest().GetInput().GetName()
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
		return e.GetNexusOperationScheduledEventAttributes().GetOperation()
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
		return e.GetStartChildWorkflowExecutionInitiatedEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
		return e.GetStartChildWorkflowExecutionFailedEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
		return e.GetChildWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
		return e.GetChildWorkflowExecutionCompletedEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
		return e.GetChildWorkflowExecutionFailedEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
		return e.GetChildWorkflowExecutionCanceledEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
		return e.GetChildWorkflowExecutionTimedOutEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
		return e.GetChildWorkflowExecutionTerminatedEventAttributes().GetWorkflowType().GetName()
	}
	return ""
}

// EventName is [EventName], and for an event that only refers to what it is
// about, the name of that. It MUST be called before e is applied, since a
// closing event takes the name out of the state; a reference to what is not
// pending gives an empty name.
func (s *State) EventName(e *events.Event) string {
	if name := EventName(e); name != "" {
		return name
	}
	e = sound(e)
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		return s.activityName(e.GetActivityTaskStartedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		return s.activityName(e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		return s.activityName(e.GetActivityTaskFailedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		return s.activityName(e.GetActivityTaskTimedOutEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
		return s.activityName(e.GetActivityTaskCancelRequestedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		return s.activityName(e.GetActivityTaskCanceledEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY:
		return s.activityName(e.GetActivityPropertiesModifiedExternallyEventAttributes().GetScheduledEventId())

	case enumspb.EVENT_TYPE_TIMER_FIRED:
		return s.timerName(e.GetTimerFiredEventAttributes().GetStartedEventId())
	case enumspb.EVENT_TYPE_TIMER_CANCELED:
		return s.timerName(e.GetTimerCanceledEventAttributes().GetStartedEventId())

	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
		return s.childName(e.GetStartChildWorkflowExecutionFailedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
		return s.childName(e.GetChildWorkflowExecutionStartedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
		return s.childName(e.GetChildWorkflowExecutionCompletedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
		return s.childName(e.GetChildWorkflowExecutionFailedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
		return s.childName(e.GetChildWorkflowExecutionCanceledEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
		return s.childName(e.GetChildWorkflowExecutionTimedOutEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
		return s.childName(e.GetChildWorkflowExecutionTerminatedEventAttributes().GetInitiatedEventId())

	case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
		return s.externalSignalName(e.GetSignalExternalWorkflowExecutionFailedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:
		return s.externalSignalName(e.GetExternalWorkflowExecutionSignaledEventAttributes().GetInitiatedEventId())

	case enumspb.EVENT_TYPE_NEXUS_OPERATION_STARTED:
		return s.nexusName(e.GetNexusOperationStartedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_COMPLETED:
		return s.nexusName(e.GetNexusOperationCompletedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_FAILED:
		return s.nexusName(e.GetNexusOperationFailedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED:
		return s.nexusName(e.GetNexusOperationCanceledEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT:
		return s.nexusName(e.GetNexusOperationTimedOutEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED:
		return s.nexusName(e.GetNexusOperationCancelRequestedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED:
		return s.nexusName(e.GetNexusOperationCancelRequestCompletedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED:
		return s.nexusName(e.GetNexusOperationCancelRequestFailedEventAttributes().GetScheduledEventId())

	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		return s.pendingUpdate(e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetProtocolInstanceId(), UpdateAdmitted).name()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:
		return s.pendingUpdate(e.GetWorkflowExecutionUpdateRejectedEventAttributes().GetProtocolInstanceId(), UpdateAdmitted).name()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		a := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
		return s.acceptedUpdate(a.GetAcceptedEventId(), a.GetMeta().GetUpdateId()).name()
	}
	return ""
}

func (s *State) activityName(scheduled int64) string {
	if i, found := search(s.Activities, events.EventID(scheduled)); found {
		return s.Activities[i].Type
	}
	return ""
}

func (s *State) timerName(started int64) string {
	if i, found := search(s.Timers, events.EventID(started)); found {
		return s.Timers[i].TimerID
	}
	return ""
}

func (s *State) childName(initiated int64) string {
	if i, found := search(s.Children, events.EventID(initiated)); found {
		return s.Children[i].Type
	}
	return ""
}

func (s *State) externalSignalName(initiated int64) string {
	if i, found := search(s.ExternalSignals, events.EventID(initiated)); found {
		return s.ExternalSignals[i].SignalName
	}
	return ""
}

func (s *State) nexusName(scheduled int64) string {
	if i, found := search(s.NexusOperations, events.EventID(scheduled)); found {
		return s.NexusOperations[i].Operation
	}
	return ""
}

func (u *Update) name() string {
	if u == nil {
		return ""
	}
	return u.Name
}

// nameOf is the name of a small enum's value, which a decoder may have given
// any value at all.
func nameOf[T ~uint8](v T, names ...string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return "Unknown"
}
