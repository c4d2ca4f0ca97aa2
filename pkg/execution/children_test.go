package execution

import (
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"

	"github.com/annals-io/annals/pkg/events"
)

func childCases() []foldCase {
	initiated := []*events.Event{order()[0], event(2, &historypb.StartChildWorkflowExecutionInitiatedEventAttributes{
		Namespace: "ships", WorkflowId: "ship-7", WorkflowType: &commonpb.WorkflowType{Name: "Ship"},
		TaskQueue: &taskqueuepb.TaskQueue{Name: "q"}, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
	})}
	running := append(initiated[:2:2], event(3, &historypb.ChildWorkflowExecutionStartedEventAttributes{
		InitiatedEventId: 2, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "ship-7", RunId: "r"}, WorkflowType: &commonpb.WorkflowType{Name: "Ship"},
	}))
	unstarted := func(change func(*Child)) []*Child {
		c := &Child{
			InitiatedEventID: 2, Namespace: "ships", WorkflowID: "ship-7", Type: "Ship", TaskQueue: "q",
			ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON, InitiatedTime: at(2),
		}
		change(c)
		return []*Child{c}
	}
	one := func(change func(*Child)) []*Child {
		return unstarted(func(c *Child) {
			c.Status, c.StartedEventID, c.StartedTime, c.RunID = ChildStarted, 3, at(3), "r"
			change(c)
		})
	}
	ended := func(status ChildStatus, change func(*Child)) []*Child {
		return one(func(c *Child) {
			c.Status, c.CloseEventID, c.CloseTime = status, 4, at(4)
			change(c)
		})
	}
	nothing := func(*Child) {}
	gone := func(s *State) { s.Children = nil }
	return []foldCase{
		{
			name:    "pending from now",
			before:  order()[:1],
			event:   initiated[1],
			want:    func(s *State) { s.Children = unstarted(nothing); s.Counts.Children = 1 },
			changes: Changes{Children: unstarted(nothing)},
		},
		{
			name:   "with its cause",
			before: initiated,
			event:  event(3, &historypb.StartChildWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2, Cause: enumspb.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS}),
			want:   gone,
			changes: Changes{Children: unstarted(func(c *Child) {
				c.Status, c.CloseEventID, c.CloseTime = ChildStartFailed, 3, at(3)
				c.StartFailedCause = enumspb.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
			})},
		},
		{
			name:    "with its run id",
			before:  initiated,
			event:   running[2],
			want:    func(s *State) { s.Children = one(nothing) },
			changes: Changes{Children: one(nothing)},
		},
		{
			name:   "one that is not pending",
			before: initiated,
			event:  event(3, &historypb.ChildWorkflowExecutionStartedEventAttributes{InitiatedEventId: 1}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:    "with its result",
			before:  running,
			event:   event(4, &historypb.ChildWorkflowExecutionCompletedEventAttributes{InitiatedEventId: 2, StartedEventId: 3, Result: payloads("1")}),
			want:    gone,
			changes: Changes{Children: ended(ChildCompleted, func(c *Child) { c.Result = payloads("1") })},
		},
		{
			name:   "one that is not pending",
			before: running,
			event:  event(4, &historypb.ChildWorkflowExecutionCompletedEventAttributes{InitiatedEventId: 3, StartedEventId: 3}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:   "with its failure",
			before: running,
			event:  event(4, &historypb.ChildWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2, StartedEventId: 3, Failure: failure("sank"), RetryState: enumspb.RETRY_STATE_TIMEOUT}),
			want:   func(s *State) { gone(s); s.LastFailure, s.LastFailureEventID = failure("sank"), 4 },
			changes: Changes{Children: ended(ChildFailed, func(c *Child) {
				c.Failure, c.RetryState = failure("sank"), enumspb.RETRY_STATE_TIMEOUT
			})},
		},
		{
			name:    "with its details",
			before:  running,
			event:   event(4, &historypb.ChildWorkflowExecutionCanceledEventAttributes{InitiatedEventId: 2, StartedEventId: 3, Details: payloads("1")}),
			want:    gone,
			changes: Changes{Children: ended(ChildCanceled, func(c *Child) { c.Details = payloads("1") })},
		},
		{
			name:    "with its retry state",
			before:  running,
			event:   event(4, &historypb.ChildWorkflowExecutionTimedOutEventAttributes{InitiatedEventId: 2, StartedEventId: 3, RetryState: enumspb.RETRY_STATE_TIMEOUT}),
			want:    gone,
			changes: Changes{Children: ended(ChildTimedOut, func(c *Child) { c.RetryState = enumspb.RETRY_STATE_TIMEOUT })},
		},
		{
			name:    "gone",
			before:  running,
			event:   event(4, &historypb.ChildWorkflowExecutionTerminatedEventAttributes{InitiatedEventId: 2, StartedEventId: 3}),
			want:    gone,
			changes: Changes{Children: ended(ChildTerminated, nothing)},
		},
	}
}
