package pgstore

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// row is the values of a table's key and columns, in their order.
type row = []any

func key(w events.Workflow, rest ...any) row {
	return append(row{int16(w.Slot()), w.Namespace, w.ID}, rest...)
}

// executionRow is the row of a run, and the search attributes that it has without a
// type.
func executionRow(r *run, types typesOf) (values row, untyped []string, err error) {
	s := r.state
	retryPolicy, err := message(s.RetryPolicy)
	if err != nil {
		return nil, nil, err
	}
	priority, err := message(s.Priority)
	if err != nil {
		return nil, nil, err
	}
	memo, err := payloads(s.Memo)
	if err != nil {
		return nil, nil, err
	}
	attributes, err := payloads(s.SearchAttributes)
	if err != nil {
		return nil, nil, err
	}
	typed, untyped, err := searchValues(s, types)
	if err != nil {
		return nil, nil, err
	}
	var pause any
	if s.Pause != nil {
		b, err := json.Marshal(s.Pause)
		if err != nil {
			return nil, nil, err
		}
		pause = withoutNUL(b)
	}
	var parentNamespace, parentWorkflow, parentRun any
	if s.Parent != nil {
		parentNamespace, parentWorkflow, parentRun = optional(s.Parent.Namespace), text(s.Parent.WorkflowID), text(s.Parent.RunID)
	}
	root := execution.Execution{WorkflowID: s.Workflow.ID, RunID: s.RunID}
	if s.Root != nil {
		root = *s.Root
	}
	var resetFrom any
	if s.Reset != nil {
		resetFrom = optional(s.Reset.BaseRunID)
	}
	lastFailure, causes := failureColumns(s.LastFailure)
	var closeReason any
	if s.Close != nil {
		closeReason = optional(s.Close.Reason)
	}
	deployed := s.Deployment()
	buildID := deployed.BuildID
	if buildID == "" {
		buildID = s.Worker.BuildID
	}
	var behavior any
	if deployed.Behavior != enumspb.VERSIONING_BEHAVIOR_UNSPECIFIED {
		behavior = deployed.Behavior.String()
	}
	var state any
	if s.IsOpen() {
		b, err := s.AppendBinary(nil)
		if err != nil {
			return nil, nil, fmt.Errorf("encode the state: %w", err)
		}
		state = b
	}
	return key(s.Workflow, string(s.RunID),
		s.Status.String(), text(s.Type), text(s.TaskQueue), text(s.Identity),
		moment(s.StartTime), moment(s.ExecutionTime), moment(s.CloseTime()), durationOf(s), moment(s.UpdatedAt),
		span(s.ExecutionTimeout), span(s.RunTimeout), span(s.TaskTimeout),
		retryPolicy, text(s.CronSchedule), priority, s.Attempt, memo, attributes, typed, texts(untyped),
		parentNamespace, parentWorkflow, parentRun, text(root.WorkflowID), text(root.RunID),
		own(s.FirstRunID, s.RunID), own(s.OriginalRunID, s.RunID), optional(s.ContinuedFromRunID), optional(s.ContinuedToRunID), resetFrom,
		s.CancelRequest != nil, pause, lastFailure, causes, closeReason, moment(s.ExpirationTime),
		s.Counts.WorkflowTasksFailed+s.Counts.WorkflowTasksTimedOut,
		int32(len(s.Activities)), int32(len(s.Timers)), int32(len(s.Children)), int32(len(s.NexusOperations)), int32(len(s.Updates)),
		s.Counts.Signals, texts(s.ChangeVersions()), texts(s.Worker.BuildIDs),
		optional(buildID), optional(deployed.Name), behavior, optional(s.Worker.SDKName), optional(s.Worker.SDKVersion),
		s.EventCount, s.HistorySizeBytes, s.Counts.UnknownEvents, s.Counts.MissingReferences,
		r.number, int16(r.partition), int64(r.firstSequence), int64(r.lastSequence), state,
	), untyped, nil
}

// own is id, or the run's own where the events name none.
func own(id, run events.RunID) string {
	if id == "" {
		return text(run)
	}
	return text(id)
}

func workflowRow(e *entry) row {
	hash := e.lastHash // the entry goes on while the row is being written
	return key(e.workflow, string(e.runID), e.runs, int16(e.partition), int64(e.firstSequence), int64(e.lastSequence), hash[:])
}

func activityRow(w events.Workflow, run events.RunID, a *execution.Activity) row {
	failure := a.Failure
	if failure == nil {
		failure = a.LastFailure
	}
	lastFailure, causes := failureColumns(failure)
	var maximumAttempts, retryState any
	if n := a.RetryPolicy.GetMaximumAttempts(); n != 0 {
		maximumAttempts = n
	}
	if a.RetryState != enumspb.RETRY_STATE_UNSPECIFIED {
		retryState = a.RetryState.String()
	}
	return key(w, string(run), int64(a.ScheduledEventID),
		text(a.ActivityID), text(a.Type), text(a.TaskQueue), a.Status.String(),
		moment(a.ScheduledTime), id(a.StartedEventID), moment(a.StartedTime), a.Attempt, a.CancelRequestedEventID != 0, text(a.WorkerIdentity),
		span(a.ScheduleToClose), span(a.ScheduleToStart), span(a.StartToClose), span(a.Heartbeat),
		id(a.CloseEventID), moment(a.CloseTime), lastFailure, causes, maximumAttempts, retryState,
	)
}

func timerRow(w events.Workflow, run events.RunID, t *execution.Timer) row {
	return key(w, string(run), int64(t.StartedEventID),
		text(t.TimerID), t.Status.String(), moment(t.StartedTime), moment(t.FireTime), id(t.CloseEventID), moment(t.CloseTime),
	)
}

func childRow(w events.Workflow, run events.RunID, c *execution.Child) row {
	failure := firstMessage(execution.FailureMessages(c.Failure))
	if c.Status == execution.ChildStartFailed {
		failure = c.StartFailedCause.String()
	}
	return key(w, string(run), int64(c.InitiatedEventID),
		text(c.Namespace), text(c.WorkflowID), optional(c.RunID), text(c.Type), text(c.TaskQueue), c.ParentClosePolicy.String(), c.Status.String(),
		moment(c.InitiatedTime), id(c.StartedEventID), moment(c.StartedTime), id(c.CloseEventID), moment(c.CloseTime), failure,
	)
}

func nexusRow(w events.Workflow, run events.RunID, o *execution.NexusOperation) row {
	failure, causes := failureColumns(o.Failure)
	return key(w, string(run), int64(o.ScheduledEventID),
		text(o.Endpoint), text(o.Service), text(o.Operation), text(o.RequestID), optional(o.OperationToken), o.Status.String(),
		moment(o.ScheduledTime), id(o.StartedEventID), moment(o.StartedTime), span(o.ScheduleToClose), span(o.ScheduleToStart), span(o.StartToClose),
		o.CancelRequestedEventID != 0, moment(o.CancelRequestedTime), o.CancelDeliveredEventID != 0, firstMessage(execution.FailureMessages(o.CancelFailure)),
		id(o.CloseEventID), moment(o.CloseTime), failure, causes,
	)
}

func updateRow(w events.Workflow, run events.RunID, u *execution.Update) row {
	failure, causes := failureColumns(u.Failure)
	return key(w, string(run), int64(u.EventID),
		text(u.ID), text(u.Name), u.Status.String(), text(u.Identity), moment(u.AdmittedTime), id(u.AcceptedEventID), moment(u.AcceptedTime),
		texts(u.AttachedRequestIDs), id(u.CloseEventID), moment(u.CloseTime), failure, causes,
	)
}

func signalRow(w events.Workflow, run events.RunID, x *execution.Signal) row {
	var senderWorkflow, senderRun any
	if x.External != nil {
		senderWorkflow, senderRun = text(x.External.WorkflowID), text(x.External.RunID)
	}
	return key(w, string(run), int64(x.EventID), text(x.Name), moment(x.Time), text(x.Identity), optional(x.RequestID), senderWorkflow, senderRun)
}

func externalSignalRow(w events.Workflow, run events.RunID, x *execution.ExternalSignal) row {
	return key(w, string(run), int64(x.InitiatedEventID),
		"Signal", x.Status.String(), text(x.Namespace), text(x.WorkflowID), optional(x.RunID), text(x.SignalName), nil, x.ChildWorkflowOnly,
		moment(x.InitiatedTime), id(x.CloseEventID), moment(x.CloseTime), optional(x.FailedCause),
	)
}

func externalCancelRow(w events.Workflow, run events.RunID, x *execution.ExternalCancel) row {
	return key(w, string(run), int64(x.InitiatedEventID),
		"Cancel", x.Status.String(), text(x.Namespace), text(x.WorkflowID), optional(x.RunID), nil, optional(x.Reason), x.ChildWorkflowOnly,
		moment(x.InitiatedTime), id(x.CloseEventID), moment(x.CloseTime), optional(x.FailedCause),
	)
}

// failureColumns are the messages of a failure, and of its chain of causes; nulls of none.
func failureColumns(f *failurepb.Failure) (message, causes any) {
	if f == nil {
		return nil, nil
	}
	messages := execution.FailureMessages(f)
	return firstMessage(messages), texts(messages[min(1, len(messages)):])
}

func firstMessage(messages []string) any {
	if len(messages) == 0 {
		return nil
	}
	return text(messages[0])
}

// eventRow is a row of run_events. There are more of these than of all other
// rows together, so it is made values or bytes only where it is written or
// compared.
type eventRow struct {
	of       *eventsOf
	id       int64
	typeName any // a string
	name     string
	time     time.Time
}

// eventsOf is what the events of one commit and run have in common.
type eventsOf struct {
	workflow events.Workflow
	run      events.RunID
	number   int64 // of the run
	at       events.Position
}

func (of *eventsOf) row(e *events.Event, name string) eventRow {
	return eventRow{of: of, id: e.EventId, typeName: typeName(e.EventType), name: text(name), time: execution.TimeOf(e)}
}

// values is the row like that of any other table.
func (r *eventRow) values() row {
	return row{int16(r.of.workflow.Slot()), int32(r.id), r.of.number, int64(r.of.at.Sequence), moment(r.time), r.typeName, r.name}
}

func eventValues(rows []eventRow) []row {
	out := make([]row, len(rows))
	for i := range rows {
		out[i] = rows[i].values()
	}
	return out
}

// typeName is Temporal's short name of an event type, or its number.
func typeName(t enumspb.EventType) any {
	if name, known := typeNames[t]; known {
		return name
	}
	return strconv.Itoa(int(t))
}

// typeNames are the names as values, made once.
var typeNames = func() map[enumspb.EventType]any {
	names := make(map[enumspb.EventType]any, len(enumspb.EventType_name))
	for n := range enumspb.EventType_name {
		t := enumspb.EventType(n)
		names[t] = t.String()
	}
	return names
}()
