package engine

import (
	"strconv"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"

	"github.com/annals-io/annals/pkg/events"
)

// outcomeOf reads an event that ends what a command began: which command, by
// the id of its event, and what has come of it. The id is 0 for all others.
// Errors come without what only the command knows: see future.Get.
func outcomeOf(e *events.Event) (command events.EventID, result *commonpb.Payloads, err error) {
	var id int64
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		a := e.GetActivityTaskCompletedEventAttributes()
		id, result = a.GetScheduledEventId(), a.GetResult()
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := e.GetActivityTaskFailedEventAttributes()
		id, err = a.GetScheduledEventId(), &ActivityError{Failure: a.GetFailure()}
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		a := e.GetActivityTaskTimedOutEventAttributes()
		id, err = a.GetScheduledEventId(), &ActivityError{Failure: a.GetFailure()}
	case enumspb.EVENT_TYPE_TIMER_FIRED:
		id = e.GetTimerFiredEventAttributes().GetStartedEventId()
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
		a := e.GetStartChildWorkflowExecutionFailedEventAttributes()
		id, err = a.GetInitiatedEventId(), &ChildError{Failure: ended("was not started: " + a.GetCause().String())}
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
		a := e.GetChildWorkflowExecutionCompletedEventAttributes()
		id, result = a.GetInitiatedEventId(), a.GetResult()
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
		a := e.GetChildWorkflowExecutionFailedEventAttributes()
		id, err = a.GetInitiatedEventId(), childError(a.GetWorkflowExecution(), a.GetStartedEventId(), a.GetFailure())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
		a := e.GetChildWorkflowExecutionCanceledEventAttributes()
		id, err = a.GetInitiatedEventId(), childError(a.GetWorkflowExecution(), a.GetStartedEventId(), ended("was canceled"))
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
		a := e.GetChildWorkflowExecutionTimedOutEventAttributes()
		id, err = a.GetInitiatedEventId(), childError(a.GetWorkflowExecution(), a.GetStartedEventId(), ended("timed out"))
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
		a := e.GetChildWorkflowExecutionTerminatedEventAttributes()
		id, err = a.GetInitiatedEventId(), childError(a.GetWorkflowExecution(), a.GetStartedEventId(), ended("was terminated"))
	}
	return events.EventID(id), result, err
}

func childError(x *commonpb.WorkflowExecution, started int64, f *failurepb.Failure) *ChildError {
	return &ChildError{RunID: events.RunID(x.GetRunId()), Started: events.EventID(started), Failure: f}
}

// ended is the failure of a child that has none of its own.
func ended(how string) *failurepb.Failure { return &failurepb.Failure{Message: how, Source: source} }

// idOf is the id that an activity or a timer gets: that of its event.
func idOf(e events.EventID) string { return strconv.FormatInt(int64(e), 10) }

func activityType(name string) *commonpb.ActivityType { return &commonpb.ActivityType{Name: name} }
func workflowType(name string) *commonpb.WorkflowType { return &commonpb.WorkflowType{Name: name} }

func taskQueue(name string) *taskqueuepb.TaskQueue {
	return &taskqueuepb.TaskQueue{Name: name, Kind: enumspb.TASK_QUEUE_KIND_NORMAL}
}

func executionOf(w events.Workflow, run events.RunID) *commonpb.WorkflowExecution {
	return &commonpb.WorkflowExecution{WorkflowId: w.ID, RunId: string(run)}
}
