package engine

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// child starts a child, if no worker before this one has, and waits until it
// has closed.
func (r *running) child(pending *execution.Child) func(context.Context) {
	c := events.Child{
		Workflow: events.Workflow{Namespace: pending.Namespace, ID: pending.WorkflowID},
		Type:     pending.Type, Run: pending.RunID, Initiated: pending.InitiatedEventID,
	}
	parent, initiated := r.state.Clone(), r.history[pending.InitiatedEventID-1]
	return func(ctx context.Context) {
		if c.Run == "" {
			run, err := startChild(ctx, r.config.Log, parent, initiated)
			switch {
			case errors.Is(err, events.ErrConflict):
				r.tell(ctx, parent.RunID, c.Initiated, unlessStarted(c, func() *events.Event { return notStarted(c, initiated) }))
				return
			case err != nil:
				r.give(ctx, c.Workflow, err)
				return
			}
			c.Run = run
			if !r.tell(ctx, parent.RunID, c.Initiated, unlessStarted(c, func() *events.Event { return events.ChildStarted(c) })) {
				return
			}
		}
		last, err := r.awaitClose(ctx, c.Workflow, c.Run)
		if err != nil {
			r.give(ctx, c.Workflow, err)
			return
		}
		r.tell(ctx, parent.RunID, c.Initiated, func(r *running) []*events.Event {
			c.Started = r.startedEvent(c.Initiated)
			return []*events.Event{closed(c, last)}
		})
	}
}

// unlessStarted is nothing to record if another worker has recorded that the
// child was started: it stays pending until it has closed.
func unlessStarted(c events.Child, event func() *events.Event) func(*running) []*events.Event {
	return func(r *running) []*events.Event {
		if r.startedEvent(c.Initiated) != 0 {
			return nil
		}
		return []*events.Event{event()}
	}
}

// startedEvent is that of a pending child, 0 if there is none yet.
func (r *running) startedEvent(initiated events.EventID) events.EventID {
	for _, p := range r.state.Children {
		if p.InitiatedEventID == initiated {
			return p.StartedEventID
		}
	}
	return 0
}

// awaitClose gives the closing event of the run, or of the last of those that
// continued it.
func (w *Worker) awaitClose(ctx context.Context, child events.Workflow, run events.RunID) (*events.Event, error) {
	changed, stop := w.watch(child)
	defer stop()
	for {
		last, err := w.lastEvent(ctx, child, run)
		if err != nil {
			return nil, err
		}
		if can := last.GetWorkflowExecutionContinuedAsNewEventAttributes(); can != nil {
			run = events.RunID(can.GetNewExecutionRunId())
			continue
		}
		if events.Closes(last) {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (w *Worker) lastEvent(ctx context.Context, workflow events.Workflow, run events.RunID) (last *events.Event, err error) {
	err = persist(ctx, func() error {
		for e, err := range w.config.Log.Read(ctx, workflow, events.ReadOptions{Run: run, Limit: 1, Reverse: true}) {
			if err != nil {
				return err
			}
			last = e
		}
		return nil
	})
	return last, err
}

// notStarted says that another run is open under the child's id.
func notStarted(c events.Child, initiated *events.Event) *events.Event {
	i := initiated.GetStartChildWorkflowExecutionInitiatedEventAttributes()
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
		Attributes: &historypb.HistoryEvent_StartChildWorkflowExecutionFailedEventAttributes{
			StartChildWorkflowExecutionFailedEventAttributes: &historypb.StartChildWorkflowExecutionFailedEventAttributes{
				Namespace: c.Workflow.Namespace, WorkflowId: c.Workflow.ID, WorkflowType: workflowType(c.Type),
				Cause:                        enumspb.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS,
				InitiatedEventId:             int64(c.Initiated),
				WorkflowTaskCompletedEventId: i.GetWorkflowTaskCompletedEventId(),
			},
		},
	}
}

// closed is how the parent's history tells that the child has closed.
func closed(c events.Child, last *events.Event) *events.Event {
	x, kind := executionOf(c.Workflow, c.Run), workflowType(c.Type)
	switch last.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		e := events.ChildCompleted(c)
		e.GetChildWorkflowExecutionCompletedEventAttributes().Result = last.GetWorkflowExecutionCompletedEventAttributes().GetResult()
		return e
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		e := events.ChildFailed(c, nil)
		a := e.GetChildWorkflowExecutionFailedEventAttributes()
		a.Failure = last.GetWorkflowExecutionFailedEventAttributes().GetFailure()
		a.RetryState = last.GetWorkflowExecutionFailedEventAttributes().GetRetryState()
		return e
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		return &events.Event{
			EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
			Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionCanceledEventAttributes{
				ChildWorkflowExecutionCanceledEventAttributes: &historypb.ChildWorkflowExecutionCanceledEventAttributes{
					Namespace: c.Workflow.Namespace, WorkflowExecution: x, WorkflowType: kind,
					InitiatedEventId: int64(c.Initiated), StartedEventId: int64(c.Started),
					Details: last.GetWorkflowExecutionCanceledEventAttributes().GetDetails(),
				},
			},
		}
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return &events.Event{
			EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
			Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionTimedOutEventAttributes{
				ChildWorkflowExecutionTimedOutEventAttributes: &historypb.ChildWorkflowExecutionTimedOutEventAttributes{
					Namespace: c.Workflow.Namespace, WorkflowExecution: x, WorkflowType: kind,
					InitiatedEventId: int64(c.Initiated), StartedEventId: int64(c.Started),
					RetryState: last.GetWorkflowExecutionTimedOutEventAttributes().GetRetryState(),
				},
			},
		}
	default: // the one way to close that is left
		return &events.Event{
			EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
			Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionTerminatedEventAttributes{
				ChildWorkflowExecutionTerminatedEventAttributes: &historypb.ChildWorkflowExecutionTerminatedEventAttributes{
					Namespace: c.Workflow.Namespace, WorkflowExecution: x, WorkflowType: kind,
					InitiatedEventId: int64(c.Initiated), StartedEventId: int64(c.Started),
				},
			},
		}
	}
}
