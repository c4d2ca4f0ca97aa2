package engine

import (
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

// ErrCanceled is what a workflow function returns (or wraps) when it gives in
// to a cancel request: the run closes as Canceled, not as Failed.
var ErrCanceled = errors.New("canceled")

// ErrOvertaken occurs when an attempt records a heartbeat and a newer attempt of
// the same activity has done so: stop, somebody else does it.
var ErrOvertaken = errors.New("a newer attempt of the activity is under way")

// NondeterminismError occurs when the code of a workflow does not ask for what
// its history records. Run the code that wrote the history; the run stays as it
// is until then.
type NondeterminismError struct {
	Workflow events.Workflow
	RunID    events.RunID
	EventID  events.EventID // the first at which they part
	Recorded string         // what the history has there
	Issued   string         // what the code asks for
}

func (e *NondeterminismError) Error() string {
	return fmt.Sprintf("run %s of %s at event %d: the history has %s, the code asks for %s", e.RunID, e.Workflow, e.EventID, e.Recorded, e.Issued)
}

// PanicError occurs when the code of a workflow panics. The run stays as it is:
// mend the code and start the worker again.
type PanicError struct {
	Workflow events.Workflow
	RunID    events.RunID
	Value    any
	Stack    string // as debug.Stack gives it
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("run %s of %s: the workflow's code panicked: %v", e.RunID, e.Workflow, e.Value)
}

// UnknownTypeError occurs when a history asks for a workflow or an activity
// that the worker was not given.
type UnknownTypeError struct{ Kind, Name string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("this worker knows no %s %q", e.Kind, e.Name)
}

// ActivityError is what a workflow gets from an activity that failed for good.
type ActivityError struct {
	Activity  string
	Scheduled events.EventID
	Failure   *failurepb.Failure // of the last attempt
}

func (e *ActivityError) Error() string {
	return fmt.Sprintf("activity %s: %s", e.Activity, e.Failure.GetMessage())
}

// ChildError is what a workflow gets from a child that did not complete.
type ChildError struct {
	Child     events.Workflow
	RunID     events.RunID // empty if it was not started
	Type      string
	Initiated events.EventID
	Started   events.EventID
	Failure   *failurepb.Failure
}

func (e *ChildError) Error() string {
	return fmt.Sprintf("child workflow %s: %s", e.Child.ID, e.Failure.GetMessage())
}

// FailureType is the type of the error that an activity or a child failed with,
// e.g. "CardDeclined"; empty if err is of neither, or the failure has no type.
func FailureType(err error) string {
	var activity *ActivityError
	var child *ChildError
	var f *failurepb.Failure
	switch {
	case errors.As(err, &activity):
		f = activity.Failure
	case errors.As(err, &child):
		f = child.Failure
	}
	for ; f != nil; f = f.GetCause() {
		if info := f.GetApplicationFailureInfo(); info != nil {
			return info.GetType()
		}
	}
	return ""
}

// failureOf is an error as history records it, with what it came from.
func failureOf(err error) *failurepb.Failure {
	var activity *ActivityError
	var child *ChildError
	switch {
	case errors.As(err, &activity):
		return &failurepb.Failure{
			Message: err.Error(), Source: source, Cause: activity.Failure,
			FailureInfo: &failurepb.Failure_ActivityFailureInfo{ActivityFailureInfo: &failurepb.ActivityFailureInfo{
				ScheduledEventId: int64(activity.Scheduled), ActivityType: activityType(activity.Activity),
				ActivityId: idOf(activity.Scheduled), RetryState: enumspb.RETRY_STATE_UNSPECIFIED,
			}},
		}
	case errors.As(err, &child):
		return &failurepb.Failure{
			Message: err.Error(), Source: source, Cause: child.Failure,
			FailureInfo: &failurepb.Failure_ChildWorkflowExecutionFailureInfo{ChildWorkflowExecutionFailureInfo: &failurepb.ChildWorkflowExecutionFailureInfo{
				Namespace: child.Child.Namespace, WorkflowExecution: executionOf(child.Child, child.RunID), WorkflowType: workflowType(child.Type),
				InitiatedEventId: int64(child.Initiated), StartedEventId: int64(child.Started),
			}},
		}
	}
	return events.Failure(err)
}

// timeoutFailure is that of an attempt that took too long.
func timeoutFailure(kind enumspb.TimeoutType) *failurepb.Failure {
	return &failurepb.Failure{
		Message: "activity " + kind.String() + " timeout", Source: source,
		FailureInfo: &failurepb.Failure_TimeoutFailureInfo{TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{TimeoutType: kind}},
	}
}

// source is where failures say that they come from.
const source = "Annals"
