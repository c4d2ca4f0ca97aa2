package logstore

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

// UpdateState is store.Writer's.
//
// A commit id that the caller gave is looked for before anything is decided:
// the transition may be stored already, and the run gone on from there, even
// back to where the transition is legal again.
func (s *Store) UpdateState(ctx context.Context, u store.StateUpdate) (events.Result, error) {
	if err := u.Validate(); err != nil {
		return events.Result{}, err
	}
	r := updating{Store: s, u: u, given: u.CommitID != ""}
	if !r.given {
		r.u.CommitID = events.CommitID(uuid.Must(uuid.NewV7()).String())
	}
	return r.run(ctx)
}

// updating is one update under way.
type updating struct {
	*Store
	u     store.StateUpdate
	given bool // the caller named the commit id
}

func (r *updating) run(ctx context.Context) (events.Result, error) {
	for {
		tail, found, err := r.look(ctx)
		if found != nil || err != nil {
			return r.found(found), err
		}
		if r.u.RunID == "" {
			r.u.RunID = tail.Run() // for good: another run is another decision
		}
		if err := r.decide(ctx, tail); err != nil {
			return events.Result{}, err
		}
		list, err := r.events(ctx, tail)
		if err != nil {
			return events.Result{}, err
		}
		res, err := r.append(ctx, events.Request{
			Workflow: r.u.Workflow, Expect: events.After(tail), CommitID: r.u.CommitID, Events: list,
		})
		var reused *events.CommitIDReusedError
		switch {
		case errors.As(err, &reused):
			found, err := r.recognise(ctx, reused)
			return r.found(found), err
		case err == nil || !errors.Is(err, events.ErrConflict):
			return res, r.named(err)
		}
	}
}

func (r *updating) found(res *events.Result) events.Result {
	if res == nil {
		return events.Result{}
	}
	r.wrote(res.Position)
	return *res
}

// look is the end of the workflow, or the commit that an earlier attempt of this
// update has stored.
func (r *updating) look(ctx context.Context) (events.Cursor, *events.Result, error) {
	if !r.given {
		tail, err := r.log.Tail(ctx, r.u.Workflow)
		return tail, nil, err
	}
	// No run ends at event 0, so this is never stored: the log looks for the
	// commit id and says where the workflow ends.
	res, err := r.log.Append(ctx, events.Request{
		Workflow: r.u.Workflow, Expect: events.AfterEvent("", 0), CommitID: r.u.CommitID, Events: r.probe(),
	})
	var conflict *events.ConflictError
	var reused *events.CommitIDReusedError
	switch {
	case err == nil && r.u.RunID != "" && res.RunID != r.u.RunID:
		return events.Cursor{}, nil, &events.CommitIDReusedError{Workflow: r.u.Workflow, CommitID: r.u.CommitID, Position: res.Position}
	case err == nil:
		return events.Cursor{}, &res, nil
	case errors.As(err, &reused):
		found, err := r.recognise(ctx, reused)
		return events.Cursor{}, found, err
	case errors.As(err, &conflict):
		return conflict.Actual, nil, nil
	default:
		return events.Cursor{}, nil, r.named(err)
	}
}

// probe is the update's events as far as they do not depend on the run: all,
// but for a continuation, which recognise compares itself.
func (r *updating) probe() []*events.Event {
	if r.u.To == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
		return []*events.Event{events.ContinuedAsNew("", ""), events.WorkflowStarted("", "")}
	}
	return []*events.Event{transition(r.u)}
}

// decide refuses what the run's status does not allow.
func (r *updating) decide(ctx context.Context, tail events.Cursor) error {
	from := tail.Status()
	if r.u.RunID != tail.Run() {
		var err error
		if from, err = r.finalStatus(ctx, r.u.Workflow, r.u.RunID); err != nil {
			return err
		}
	}
	if _, ok := store.TransitionEvent(from, r.u.To); !ok {
		return &store.TransitionError{Workflow: r.u.Workflow, Run: r.u.RunID, From: from, To: r.u.To}
	}
	return nil
}

// events are those that record the transition.
func (r *updating) events(ctx context.Context, tail events.Cursor) ([]*events.Event, error) {
	if r.u.To == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
		return r.continuation(ctx, tail.LastEventID(), "")
	}
	e := transition(r.u)
	return []*events.Event{e}, events.ValueError(e)
}

// named has an error of the log name the update's fields.
func (r *updating) named(err error) error {
	if r.u.To == enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
		var e *events.InvalidError
		if errors.As(err, &e) && e.Field == "runId" {
			return &events.InvalidError{Field: "next.runId", Reason: e.Reason}
		}
		if err = shifted(err, continuationEvents, "next"); errors.As(err, &e) && e.Field != "next" && e.Field != "commitId" {
			return &events.InvalidError{Field: "next." + e.Field, Reason: e.Reason}
		}
		return err
	}
	if r.u.To == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		return shifted(err, 1, "result")
	}
	return shifted(err, 1, "details")
}

// transition is the event of an update that is none to a next run.
func transition(u store.StateUpdate) *events.Event {
	var e *events.Event
	switch u.To {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		e = events.WorkflowUnpaused(u.Reason)
		e.GetWorkflowExecutionUnpausedEventAttributes().Identity = u.Identity
	case enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:
		e = events.WorkflowPaused(u.Reason)
		e.GetWorkflowExecutionPausedEventAttributes().Identity = u.Identity
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		e = events.WorkflowCompleted(u.Result...)
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		e = events.WorkflowFailed(nil)
		e.GetWorkflowExecutionFailedEventAttributes().Failure = u.Failure
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		e = events.WorkflowCanceled(u.Details...)
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		e = events.WorkflowTerminated(u.Reason)
		a := e.GetWorkflowExecutionTerminatedEventAttributes()
		a.Identity = u.Identity
		if details := events.WorkflowCanceled(u.Details...); events.ValueError(details) != nil {
			return details // it says which value could not be encoded, and no log takes it
		} else if len(u.Details) > 0 {
			a.Details = details.GetWorkflowExecutionCanceledEventAttributes().Details
		}
	case enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		e = events.WorkflowTimedOut()
	default:
		panic("no event takes a run to " + u.To.String())
	}
	return at(u.At, e)
}
