package wellformed_test

import (
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

var errBroken = errors.New("broken")

// breach is a way to break a rule.
type breach struct {
	rule, how string
	write     func(h *history)
}

// breaking has histories that break a rule by their last event, and no other
// rule.
var breaking = []breach{
	{wellformed.IDsAreDense, "a gap", func(h *history) {
		h.add(events.Signaled("go"))
		h.events[1].EventId = 3
	}},
	{wellformed.IDsAreDense, "a repeated id", func(h *history) {
		h.add(events.Signaled("go"))
		h.events[1].EventId = 1
	}},
	{wellformed.IDsAreDense, "no id", func(h *history) { h.events[0].EventId = 0 }},

	{wellformed.StartIsFirst, "another event first", func(h *history) {
		h.events = nil
		h.add(events.Signaled("go"))
	}},
	{wellformed.StartIsFirst, "a second start", func(h *history) { h.add(events.WorkflowStarted("Order", "orders")) }},

	{wellformed.NothingAfterClose, "a signal after the end", func(h *history) {
		h.add(events.WorkflowCompleted())
		h.add(events.Signaled("go"))
	}},
	{wellformed.NothingAfterClose, "a second end", func(h *history) {
		h.add(events.WorkflowTerminated("enough"))
		h.add(events.WorkflowTerminated("enough"))
	}},
	{wellformed.NothingAfterClose, "a new start", func(h *history) {
		h.add(events.WorkflowTimedOut())
		h.add(events.WorkflowStarted("Order", "orders"))
	}},

	{wellformed.AttributesFitType, "another type's", func(h *history) {
		e := events.Signaled("go")
		e.EventType = enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
		h.add(e)
	}},
	{wellformed.AttributesFitType, "none", func(h *history) {
		h.add(&events.Event{EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED})
	}},
	{wellformed.AttributesFitType, "no type", func(h *history) {
		e := events.Signaled("go")
		e.EventType = 0
		h.add(e)
	}},

	{wellformed.TimeIsSet, "no time", func(h *history) {
		h.add(events.Signaled("go"))
		h.events[1].EventTime = nil
	}},

	{wellformed.ReferenceIsThere, "to what never was", func(h *history) { h.add(events.ActivityStarted(99, 1, "worker")) }},
	{wellformed.ReferenceIsThere, "to itself", func(h *history) { h.add(events.ActivityStarted(h.next(), 1, "worker")) }},
	{wellformed.ReferenceIsThere, "below zero", func(h *history) { h.add(events.WorkflowTaskStarted(-1, "worker")) }},
	{wellformed.ReferenceIsThere, "left out", func(h *history) { h.add(events.WorkflowTaskStarted(0, "worker")) }},
	{wellformed.ReferenceIsThere, "of an update, any event but none", func(h *history) {
		h.task()
		e := events.UpdateAccepted("u1", "add")
		e.GetWorkflowExecutionUpdateAcceptedEventAttributes().AcceptedRequestSequencingEventId = 99
		h.add(e)
	}},

	{wellformed.ReferenceHasType, "an activity's scheduling", func(h *history) { h.add(events.ActivityStarted(1, 1, "worker")) }},
	{wellformed.ReferenceHasType, "a timer's start", func(h *history) {
		activity := h.add(events.ActivityScheduled("a1", "Charge"))
		h.add(events.TimerFired("a1", activity))
	}},
	{wellformed.ReferenceHasType, "the deciding workflow task's start", func(h *history) {
		h.completed = h.task() - 1
		h.decide(events.TimerStarted("t1", time.Hour))
	}},
	{wellformed.ReferenceHasType, "the outcome of an update", func(h *history) { h.add(events.UpdateCompleted("u1", 1)) }},
	{wellformed.ReferenceHasType, "an answer to a cancel request", func(h *history) {
		op := h.say(&historypb.NexusOperationScheduledEventAttributes{})
		h.say(&historypb.NexusOperationCancelRequestFailedEventAttributes{RequestedEventId: int64(op), ScheduledEventId: int64(op)})
	}},

	{wellformed.ReferencesAgree, "another activity's start", func(h *history) {
		one := h.add(events.ActivityScheduled("a1", "Charge"))
		two := h.add(events.ActivityScheduled("a2", "Ship"))
		started := h.add(events.ActivityStarted(one, 1, "worker"))
		h.add(events.ActivityStarted(two, 1, "worker"))
		h.add(events.ActivityCompleted(two, started))
	}},
	{wellformed.ReferencesAgree, "another timer's id", func(h *history) {
		h.add(events.TimerFired("t2", h.add(events.TimerStarted("t1", time.Hour))))
	}},
	{wellformed.ReferencesAgree, "another child's id", func(h *history) {
		c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
		c.Initiated = h.add(events.ChildInitiated(c))
		c.Workflow.ID = "part-2"
		h.add(events.ChildStarted(c))
	}},
	{wellformed.ReferencesAgree, "another update's id", func(h *history) {
		h.add(events.UpdateCompleted("u2", h.add(events.UpdateAccepted("u1", "add"))))
	}},
	{wellformed.ReferencesAgree, "another workflow that was signaled", func(h *history) {
		signal := h.say(&historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "w1"}})
		h.say(&historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: int64(signal), WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "w2"}})
	}},
	{wellformed.ReferencesAgree, "another Nexus request", func(h *history) {
		op := h.say(&historypb.NexusOperationScheduledEventAttributes{RequestId: "r1"})
		h.say(&historypb.NexusOperationCompletedEventAttributes{ScheduledEventId: int64(op), RequestId: "r2"})
	}},
	{wellformed.ReferencesAgree, "another activity's cancel request", func(h *history) {
		one := h.add(events.ActivityScheduled("a1", "Charge"))
		two := h.add(events.ActivityScheduled("a2", "Ship"))
		asked := h.add(events.ActivityCancelRequested(one))
		h.add(events.ActivityCancelRequested(two))
		e := events.ActivityCanceled(two, 0)
		e.GetActivityTaskCanceledEventAttributes().LatestCancelRequestedEventId = int64(asked)
		h.add(e)
	}},
	{wellformed.ReferencesAgree, "the start of another workflow task", func(h *history) {
		started := h.task() - 1
		scheduled := h.add(events.WorkflowTaskScheduled("orders"))
		h.add(events.WorkflowTaskStarted(scheduled, "worker"))
		h.add(events.WorkflowTaskCompleted(scheduled, started, "worker"))
	}},

	{wellformed.OneWorkflowTask, "two scheduled", func(h *history) {
		h.add(events.WorkflowTaskScheduled("orders"))
		h.add(events.WorkflowTaskScheduled("orders"))
	}},
	{wellformed.OneWorkflowTask, "one under way", func(h *history) {
		h.add(events.WorkflowTaskStarted(h.add(events.WorkflowTaskScheduled("orders")), "worker"))
		h.add(events.WorkflowTaskScheduled("orders"))
	}},

	{wellformed.StartedTaskHasOutcome, "a signal comes first", func(h *history) {
		h.add(events.WorkflowTaskStarted(h.add(events.WorkflowTaskScheduled("orders")), "worker"))
		h.add(events.Signaled("go"))
	}},
	{wellformed.StartedTaskHasOutcome, "an activity's outcome comes first", func(h *history) {
		h.task()
		activity := h.decide(events.ActivityScheduled("a1", "Charge"))
		h.add(events.WorkflowTaskStarted(h.add(events.WorkflowTaskScheduled("orders")), "worker"))
		h.add(events.ActivityStarted(activity, 1, "worker"))
	}},

	{wellformed.CommandNamesTask, "an activity", func(h *history) {
		h.task()
		h.add(events.ActivityScheduled("a1", "Charge"))
	}},
	{wellformed.CommandNamesTask, "a marker, after a workflow task that is not over", func(h *history) {
		h.add(events.WorkflowTaskScheduled("orders"))
		h.add(events.Custom("paid", 1))
	}},

	{wellformed.CommandsFollowTask, "a signal before the command", func(h *history) {
		h.task()
		h.add(events.Signaled("go"))
		h.decide(events.TimerStarted("t1", time.Hour))
	}},
	{wellformed.CommandsFollowTask, "a signal between two commands", func(h *history) {
		h.task()
		h.decide(events.TimerStarted("t1", time.Hour))
		h.add(events.Signaled("go"))
		h.decide(events.TimerStarted("t2", time.Hour))
	}},
	{wellformed.CommandsFollowTask, "another workflow task before the command", func(h *history) {
		decided := h.task()
		h.task()
		h.completed = decided
		h.decide(events.TimerStarted("t1", time.Hour))
	}},
	{wellformed.CommandsFollowTask, "a signal before the end", func(h *history) {
		h.task()
		h.add(events.Signaled("go"))
		h.decide(events.WorkflowCompleted())
	}},

	{wellformed.ClosedByCommand, "completed", func(h *history) {
		h.task()
		h.add(events.WorkflowCompleted())
	}},
	{wellformed.ClosedByCommand, "failed", func(h *history) {
		h.task()
		h.add(events.WorkflowFailed(errBroken))
	}},
	{wellformed.ClosedByCommand, "canceled", func(h *history) {
		h.task()
		h.add(events.WorkflowCanceled())
	}},
	{wellformed.ClosedByCommand, "continued as new", func(h *history) {
		h.task()
		h.add(continued("run-2"))
	}},

	{wellformed.PendingIDIsUnique, "two activities", func(h *history) {
		h.add(events.ActivityScheduled("a1", "Charge"))
		h.add(events.ActivityScheduled("a1", "Charge"))
	}},
	{wellformed.PendingIDIsUnique, "two timers", func(h *history) {
		h.add(events.TimerStarted("t1", time.Hour))
		h.add(events.TimerStarted("t1", time.Hour))
	}},
	{wellformed.PendingIDIsUnique, "two updates", func(h *history) {
		h.add(events.UpdateAccepted("u1", "add"))
		h.add(events.UpdateAccepted("u1", "add"))
	}},
	{wellformed.PendingIDIsUnique, "two children", func(h *history) {
		for range 2 {
			c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
			c.Initiated = h.add(events.ChildInitiated(c))
			h.add(events.ChildStarted(c))
		}
	}},

	{wellformed.StartedOnce, "an activity twice", func(h *history) {
		activity := h.add(events.ActivityScheduled("a1", "Charge"))
		h.add(events.ActivityStarted(activity, 1, "worker"))
		h.add(events.ActivityStarted(activity, 2, "worker"))
	}},
	{wellformed.StartedOnce, "an activity that is over", func(h *history) {
		activity := h.add(events.ActivityScheduled("a1", "Charge"))
		h.add(events.ActivityTimedOut(activity, 0, enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START))
		h.add(events.ActivityStarted(activity, 1, "worker"))
	}},
	{wellformed.StartedOnce, "a workflow task twice", func(h *history) {
		scheduled := h.add(events.WorkflowTaskScheduled("orders"))
		h.add(events.WorkflowTaskStarted(scheduled, "worker"))
		h.add(events.WorkflowTaskStarted(scheduled, "worker"))
	}},
	{wellformed.StartedOnce, "a child twice", func(h *history) {
		c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
		c.Initiated = h.add(events.ChildInitiated(c))
		h.add(events.ChildStarted(c))
		h.add(events.ChildStarted(c))
	}},
	{wellformed.StartedOnce, "a Nexus operation twice", func(h *history) {
		op := h.say(&historypb.NexusOperationScheduledEventAttributes{})
		h.say(&historypb.NexusOperationStartedEventAttributes{ScheduledEventId: int64(op)})
		h.say(&historypb.NexusOperationStartedEventAttributes{ScheduledEventId: int64(op)})
	}},

	{wellformed.EndedOnce, "a workflow task twice", func(h *history) {
		completed := h.task()
		h.add(events.WorkflowTaskCompleted(completed-2, completed-1, "worker"))
	}},
	{wellformed.EndedOnce, "an activity twice", func(h *history) {
		activity := h.add(events.ActivityScheduled("a1", "Charge"))
		started := h.add(events.ActivityStarted(activity, 1, "worker"))
		h.add(events.ActivityFailed(activity, started, errBroken))
		h.add(events.ActivityCompleted(activity, started))
	}},
	{wellformed.EndedOnce, "a timer that fired", func(h *history) {
		timer := h.add(events.TimerStarted("t1", time.Hour))
		h.add(events.TimerFired("t1", timer))
		h.add(events.TimerCanceled("t1", timer))
	}},
	{wellformed.EndedOnce, "a timer that was canceled", func(h *history) {
		timer := h.add(events.TimerStarted("t1", time.Hour))
		h.add(events.TimerCanceled("t1", timer))
		h.add(events.TimerFired("t1", timer))
	}},
	{wellformed.EndedOnce, "a child twice", func(h *history) {
		c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
		c.Initiated = h.add(events.ChildInitiated(c))
		c.Started = h.add(events.ChildStarted(c))
		h.add(events.ChildCompleted(c))
		h.add(events.ChildFailed(c, errBroken))
	}},
	{wellformed.EndedOnce, "an update twice", func(h *history) {
		accepted := h.add(events.UpdateAccepted("u1", "add"))
		h.add(events.UpdateCompleted("u1", accepted))
		h.add(events.UpdateCompleted("u1", accepted))
	}},
	{wellformed.EndedOnce, "an update that nobody accepted, by its id", func(h *history) {
		h.add(events.UpdateCompleted("u1", 0))
	}},
	{wellformed.EndedOnce, "a Nexus operation twice", func(h *history) {
		op := h.say(&historypb.NexusOperationScheduledEventAttributes{})
		h.say(&historypb.NexusOperationTimedOutEventAttributes{ScheduledEventId: int64(op)})
		h.say(&historypb.NexusOperationCompletedEventAttributes{ScheduledEventId: int64(op)})
	}},
	{wellformed.EndedOnce, "a Nexus cancel request answered twice", func(h *history) {
		op := h.say(&historypb.NexusOperationScheduledEventAttributes{})
		asked := h.say(&historypb.NexusOperationCancelRequestedEventAttributes{ScheduledEventId: int64(op)})
		h.say(&historypb.NexusOperationCancelRequestCompletedEventAttributes{RequestedEventId: int64(asked), ScheduledEventId: int64(op)})
		h.say(&historypb.NexusOperationCancelRequestFailedEventAttributes{RequestedEventId: int64(asked)})
	}},
	{wellformed.EndedOnce, "a signal delivered twice", func(h *history) {
		signal := h.say(&historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{})
		h.say(&historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: int64(signal)})
		h.say(&historypb.SignalExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: int64(signal)})
	}},
	{wellformed.EndedOnce, "a cancel request delivered twice", func(h *history) {
		asked := h.say(&historypb.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{})
		h.say(&historypb.RequestCancelExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: int64(asked)})
		h.say(&historypb.ExternalWorkflowExecutionCancelRequestedEventAttributes{InitiatedEventId: int64(asked)})
	}},

	{wellformed.OutcomeFollowsStart, "a workflow task that nobody started", func(h *history) {
		h.add(events.WorkflowTaskCompleted(h.add(events.WorkflowTaskScheduled("orders")), 0, "worker"))
	}},
	{wellformed.OutcomeFollowsStart, "an activity that nobody started", func(h *history) {
		h.add(events.ActivityCompleted(h.add(events.ActivityScheduled("a1", "Charge")), 0))
	}},
	{wellformed.OutcomeFollowsStart, "an activity whose start is not named", func(h *history) {
		activity := h.add(events.ActivityScheduled("a1", "Charge"))
		h.add(events.ActivityStarted(activity, 1, "worker"))
		h.add(events.ActivityTimedOut(activity, 0, enumspb.TIMEOUT_TYPE_START_TO_CLOSE))
	}},
	{wellformed.OutcomeFollowsStart, "a child that never ran", func(h *history) {
		c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
		c.Initiated = h.add(events.ChildInitiated(c))
		h.add(events.ChildCompleted(c))
	}},
	{wellformed.OutcomeFollowsStart, "a child refused that runs", func(h *history) {
		c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
		c.Initiated = h.add(events.ChildInitiated(c))
		h.add(events.ChildStarted(c))
		h.say(refused(c))
	}},

	{wellformed.CanceledIfAsked, "an activity canceled by nobody", func(h *history) {
		h.add(events.ActivityCanceled(h.add(events.ActivityScheduled("a1", "Charge")), 0))
	}},

	{wellformed.UpdateWasRequested, "accepted", func(h *history) {
		e := events.UpdateAccepted("u1", "add")
		e.GetWorkflowExecutionUpdateAcceptedEventAttributes().AcceptedRequest = nil
		h.add(e)
	}},
	{wellformed.UpdateWasRequested, "rejected", func(h *history) {
		h.say(&historypb.WorkflowExecutionUpdateRejectedEventAttributes{ProtocolInstanceId: "u1"})
	}},

	{wellformed.TimesFollowLife, "a workflow task starts before it is scheduled", func(h *history) {
		h.add(events.WorkflowTaskStarted(h.add(events.WorkflowTaskScheduled("orders")), "worker"))
		events.At(epoch, h.events[2])
	}},
	{wellformed.TimesFollowLife, "a workflow task completes before it starts", func(h *history) {
		completed := h.task()
		events.At(epoch, h.events[completed-1])
	}},
	{wellformed.TimesFollowLife, "a timer fires before it starts", func(h *history) {
		h.add(events.TimerFired("t1", h.add(events.TimerStarted("t1", time.Hour))))
		events.At(epoch, h.events[2])
	}},

	{wellformed.AttemptsFromOne, "a run's", func(h *history) {
		h.events[0].GetWorkflowExecutionStartedEventAttributes().Attempt = 0
	}},
	{wellformed.AttemptsFromOne, "a workflow task's", func(h *history) {
		e := events.WorkflowTaskScheduled("orders")
		e.GetWorkflowTaskScheduledEventAttributes().Attempt = -1
		h.add(e)
	}},
	{wellformed.AttemptsFromOne, "an activity's", func(h *history) {
		h.add(events.ActivityStarted(h.add(events.ActivityScheduled("a1", "Charge")), 0, "worker"))
	}},

	{wellformed.ContinuedRunIsNamed, "no run", func(h *history) {
		h.task()
		h.decide(events.ContinuedAsNew("Order", "orders"))
	}},
}

func continued(run string) *events.Event {
	e := events.ContinuedAsNew("Order", "orders")
	e.GetWorkflowExecutionContinuedAsNewEventAttributes().NewExecutionRunId = run
	return e
}

func refused(c events.Child) *historypb.StartChildWorkflowExecutionFailedEventAttributes {
	return &historypb.StartChildWorkflowExecutionFailedEventAttributes{InitiatedEventId: int64(c.Initiated), WorkflowId: c.Workflow.ID}
}
