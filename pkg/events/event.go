package events

import (
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
)

// Event is a recorded fact of a workflow: Temporal's own history event, not a
// look-alike. Whatever reads or writes Temporal histories reads and writes
// these.
type Event = historypb.HistoryEvent

// EventID numbers the events of one run: dense, from 1.
type EventID int64

// RunID names one run of a workflow. It is unique within its workflow only.
type RunID string

// Status is the state of a run as Temporal names it. Zero means that the run
// has not begun. Paused counts as open.
type Status = enumspb.WorkflowExecutionStatus

// IsOpen reports whether a run in this status may still get events.
func IsOpen(s Status) bool {
	return s == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING || s == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
}

// Opens reports whether e is the first event of a run.
func Opens(e *Event) bool {
	return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
}

// Closes reports whether e is the last event of a run.
func Closes(e *Event) bool {
	s, ok := statusAfter[e.GetEventType()]
	return ok && !IsOpen(s)
}

// statusAfter lists the event types that decide a run's status.
var statusAfter = map[enumspb.EventType]Status{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:          enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:           enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED:         enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:        enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:           enumspb.WORKFLOW_EXECUTION_STATUS_FAILED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:        enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:         enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:       enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
}

// StatusAfter is the status of a run in status s once e has happened.
func StatusAfter(s Status, e *Event) Status {
	if next, ok := statusAfter[e.GetEventType()]; ok {
		return next
	}
	return s
}
