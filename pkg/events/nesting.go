package events

import (
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
)

// CheckNesting refuses, as CheckEvent does, an event with a failure whose causes
// are nested over MaxNesting levels. It needs no encoding, which of a chain that
// is long enough, or that leads back to itself, would be the end of the program.
// It is safe for concurrent use.
func CheckNesting(e *Event) error {
	if overlong(failureOf(e)) {
		return unreadable(e, 1, "")
	}
	return nil
}

// overlong reports whether a failure has more causes than any event may.
func overlong(f *failurepb.Failure) bool {
	for range MaxNesting {
		if f == nil {
			return false
		}
		f = f.GetCause()
	}
	return f != nil
}

// failureOf is the failure that an event holds, nil if it holds none. No type of
// event holds two.
func failureOf(e *Event) *failurepb.Failure {
	switch a := e.GetAttributes().(type) {
	case *historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes:
		return a.WorkflowExecutionStartedEventAttributes.GetContinuedFailure()
	case *historypb.HistoryEvent_WorkflowExecutionFailedEventAttributes:
		return a.WorkflowExecutionFailedEventAttributes.GetFailure()
	case *historypb.HistoryEvent_WorkflowExecutionContinuedAsNewEventAttributes:
		return a.WorkflowExecutionContinuedAsNewEventAttributes.GetFailure()
	case *historypb.HistoryEvent_WorkflowTaskFailedEventAttributes:
		return a.WorkflowTaskFailedEventAttributes.GetFailure()
	case *historypb.HistoryEvent_ActivityTaskStartedEventAttributes:
		return a.ActivityTaskStartedEventAttributes.GetLastFailure()
	case *historypb.HistoryEvent_ActivityTaskFailedEventAttributes:
		return a.ActivityTaskFailedEventAttributes.GetFailure()
	case *historypb.HistoryEvent_ActivityTaskTimedOutEventAttributes:
		return a.ActivityTaskTimedOutEventAttributes.GetFailure()
	case *historypb.HistoryEvent_MarkerRecordedEventAttributes:
		return a.MarkerRecordedEventAttributes.GetFailure()
	case *historypb.HistoryEvent_ChildWorkflowExecutionFailedEventAttributes:
		return a.ChildWorkflowExecutionFailedEventAttributes.GetFailure()
	case *historypb.HistoryEvent_WorkflowExecutionUpdateRejectedEventAttributes:
		return a.WorkflowExecutionUpdateRejectedEventAttributes.GetFailure()
	case *historypb.HistoryEvent_WorkflowExecutionUpdateCompletedEventAttributes:
		return a.WorkflowExecutionUpdateCompletedEventAttributes.GetOutcome().GetFailure()
	case *historypb.HistoryEvent_NexusOperationFailedEventAttributes:
		return a.NexusOperationFailedEventAttributes.GetFailure()
	case *historypb.HistoryEvent_NexusOperationCanceledEventAttributes:
		return a.NexusOperationCanceledEventAttributes.GetFailure()
	case *historypb.HistoryEvent_NexusOperationTimedOutEventAttributes:
		return a.NexusOperationTimedOutEventAttributes.GetFailure()
	case *historypb.HistoryEvent_NexusOperationCancelRequestFailedEventAttributes:
		return a.NexusOperationCancelRequestFailedEventAttributes.GetFailure()
	}
	return nil
}
