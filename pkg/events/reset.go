package events

import (
	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
)

// Base is where a run begins that resets another one: with that one's events up
// to Event, inclusive.
type Base struct {
	Run   RunID
	Event EventID
}

// ResetBase is a base as a commit names it. Run is the run in whose own commits
// Event lies: of a reset of a reset, the one that both begin with.
type ResetBase struct {
	Base
	Sequence uint64 // of the commit that holds Event: a hint
	Hash     Hash   // of that commit
}

// ResetOptions say how a run is reset. The zero value is for an engine without
// workflow tasks.
type ResetOptions struct {
	RunID    RunID  // of the new run; empty: a UUIDv7
	Reason   string // for people
	Identity string // of who resets
	// Scheduled and Started are the workflow task that the base's event leaves
	// open: it fails in the new run, so that its worker decides anew. 0 for an
	// engine without workflow tasks, which gets a marker instead.
	Scheduled, Started EventID
	// Reapply are events that came after the base's event and are to happen in
	// the new run, too: signals, updates. Their ids are assigned anew.
	Reapply []*Event
}

// MarkerReset is the name of the marker that begins what is new in a run that
// was reset without a workflow task.
const MarkerReset = "Reset"

// Reset is the usual request that resets a run of the workflow whose end the
// cursor is. A run that is open is terminated in the same commit; a run that is
// closed stays as it is. What the new run begins with after the base is a failed
// workflow task with the cause ResetWorkflow, or a marker.
func Reset(end Cursor, base Base, o ResetOptions) Request {
	if o.RunID == "" {
		o.RunID = RunID(uuid.Must(uuid.NewV7()).String())
	}
	r := Request{Workflow: end.Workflow(), Expect: After(end), RunID: o.RunID, Base: &base}
	if IsOpen(end.Status()) {
		r.Events = append(r.Events, &Event{
			EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
			Attributes: &historypb.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{
				WorkflowExecutionTerminatedEventAttributes: &historypb.WorkflowExecutionTerminatedEventAttributes{Reason: o.Reason, Identity: o.Identity},
			},
		})
	}
	first := &Event{
		EventType: enumspb.EVENT_TYPE_MARKER_RECORDED,
		Attributes: &historypb.HistoryEvent_MarkerRecordedEventAttributes{
			MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{MarkerName: MarkerReset},
		},
	}
	if o.Started != 0 {
		first = &Event{
			EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED,
			Attributes: &historypb.HistoryEvent_WorkflowTaskFailedEventAttributes{
				WorkflowTaskFailedEventAttributes: &historypb.WorkflowTaskFailedEventAttributes{
					ScheduledEventId: int64(o.Scheduled), StartedEventId: int64(o.Started),
					Cause: enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW, Identity: o.Identity,
					BaseRunId: string(base.Run), NewRunId: string(o.RunID),
					Failure: &failurepb.Failure{Message: o.Reason, FailureInfo: &failurepb.Failure_ResetWorkflowFailureInfo{ResetWorkflowFailureInfo: &failurepb.ResetWorkflowFailureInfo{}}},
				},
			},
		}
	}
	r.Events = append(r.Events, first)
	for _, e := range o.Reapply {
		again := proto.CloneOf(e)
		again.EventId = 0
		r.Events = append(r.Events, again)
	}
	return r
}
