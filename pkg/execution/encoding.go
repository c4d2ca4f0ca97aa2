package execution

import (
	"encoding"

	"github.com/annals-io/annals/pkg/events"
)

// encodingVersion is the first byte. It changes with any change of what
// follows; a state of another version is folded anew.
const encodingVersion = 2

var (
	_ encoding.BinaryAppender    = (*State)(nil)
	_ encoding.BinaryMarshaler   = (*State)(nil)
	_ encoding.BinaryUnmarshaler = (*State)(nil)
)

// AppendBinary appends the state to b and returns the result. The same events
// give the same bytes, whether they were folded in one go or over any number of
// encodings in between. It fails only on messages with text that is not UTF-8,
// which no log holds; b is then returned as it was.
func (s *State) AppendBinary(b []byte) ([]byte, error) {
	c := coder{buf: append(b, encodingVersion)}
	codeState(&c, s)
	if c.err != nil {
		return b, c.err
	}
	return c.buf, nil
}

// MarshalBinary is AppendBinary into a slice of its own.
func (s *State) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces s by the state that [State.AppendBinary] wrote, or
// leaves it alone and returns an error that is [ErrEncoding]. It keeps no part
// of data. What it allocates is bounded by len(data) times a constant.
func (s *State) UnmarshalBinary(data []byte) error {
	c := coder{decoding: true, buf: data}
	if len(data) == 0 || data[0] != encodingVersion {
		c.fail("not of version %d", encodingVersion)
		return c.err
	}
	c.buf = data[1:]
	var decoded State
	codeState(&c, &decoded)
	if len(c.buf) > 0 {
		c.fail("%d bytes too many", len(c.buf))
	}
	if c.err == nil && (decoded.Close != nil) != isClosed(decoded.Status) {
		c.fail("status %v does not go with its close", decoded.Status)
	}
	if c.err != nil {
		return c.err
	}
	*s = decoded
	return nil
}

func isClosed(status events.Status) bool { return status != 0 && !events.IsOpen(status) }

func codeState(c *coder, s *State) {
	text(c, &s.Workflow.Namespace)
	text(c, &s.Workflow.ID)
	text(c, &s.RunID)
	number(c, &s.Status)
	text(c, &s.Type)
	text(c, &s.TaskQueue)
	text(c, &s.Identity)
	c.time(&s.StartTime)
	c.time(&s.ExecutionTime)
	c.time(&s.UpdatedAt)
	c.time(&s.ExpirationTime)
	number(c, &s.ExecutionTimeout)
	number(c, &s.RunTimeout)
	number(c, &s.TaskTimeout)
	message(c, &s.RetryPolicy)
	text(c, &s.CronSchedule)
	message(c, &s.Priority)
	c.payloads(&s.Memo)
	c.payloads(&s.SearchAttributes)
	optional(c, &s.Parent, codeParent)
	optional(c, &s.Root, codeExecution)
	text(c, &s.ContinuedFromRunID)
	text(c, &s.ContinuedToRunID)
	text(c, &s.FirstRunID)
	text(c, &s.OriginalRunID)
	number(c, &s.Attempt)
	number(c, &s.Initiator)
	message(c, &s.ContinuedFailure)
	message(c, &s.LastCompletionResult)
	number(c, &s.FirstTaskBackoff)
	message(c, &s.LastFailure)
	number(c, &s.LastFailureEventID)
	optional(c, &s.Close, codeClose)
	optional(c, &s.CancelRequest, codeCancelRequest)
	optional(c, &s.Reset, codeReset)
	optional(c, &s.Pause, codePause)
	optional(c, &s.LastUnpause, codePause)
	message(c, &s.VersioningOverride)
	each(c, &s.AttachedRequestIDs, text[string])
	each(c, &s.CompletionCallbacks, message)
	codeWorkflowTasks(c, &s.WorkflowTasks)
	codeWorker(c, &s.Worker)
	entities(c, &s.Activities, codeActivity)
	entities(c, &s.Timers, codeTimer)
	entities(c, &s.Children, codeChild)
	entities(c, &s.NexusOperations, codeNexusOperation)
	entities(c, &s.Updates, codeUpdate)
	entities(c, &s.ExternalSignals, codeExternalSignal)
	entities(c, &s.ExternalCancels, codeExternalCancel)
	codeCounts(c, &s.Counts)
	number(c, &s.EventCount)
	number(c, &s.LastEventID)
	number(c, &s.HistorySizeBytes)
}

func codeExecution(c *coder, x *Execution) {
	text(c, &x.WorkflowID)
	text(c, &x.RunID)
}

func codeParent(c *coder, p *Parent) {
	text(c, &p.Namespace)
	text(c, &p.WorkflowID)
	text(c, &p.RunID)
	number(c, &p.InitiatedEventID)
}

func codeClose(c *coder, x *Close) {
	number(c, &x.EventID)
	c.time(&x.Time)
	message(c, &x.Result)
	message(c, &x.Failure)
	number(c, &x.RetryState)
	message(c, &x.Details)
	text(c, &x.Reason)
	text(c, &x.Identity)
	number(c, &x.Initiator)
}

func codeCancelRequest(c *coder, r *CancelRequest) {
	number(c, &r.EventID)
	c.time(&r.Time)
	text(c, &r.Cause)
	text(c, &r.Identity)
	optional(c, &r.External, codeExecution)
}

func codeReset(c *coder, r *Reset) {
	number(c, &r.EventID)
	c.time(&r.Time)
	text(c, &r.BaseRunID)
	text(c, &r.NewRunID)
	text(c, &r.Reason)
	text(c, &r.Identity)
}

func codePause(c *coder, p *Pause) {
	number(c, &p.EventID)
	c.time(&p.Time)
	text(c, &p.Identity)
	text(c, &p.Reason)
	text(c, &p.RequestID)
}

func codeWorkflowTasks(c *coder, t *WorkflowTasks) {
	optional(c, &t.Pending, codeWorkflowTask)
	number(c, &t.LastCompletedEventID)
	number(c, &t.LastStartedEventID)
	number(c, &t.LastFailureCause)
	number(c, &t.LastTimeoutType)
	message(c, &t.LastFailure)
	number(c, &t.ConsecutiveFailures)
}

func codeWorkflowTask(c *coder, t *WorkflowTask) {
	number(c, &t.ScheduledEventID)
	number(c, &t.StartedEventID)
	c.time(&t.ScheduledTime)
	c.time(&t.StartedTime)
	number(c, &t.Attempt)
	text(c, &t.TaskQueue)
	number(c, &t.StartToClose)
	text(c, &t.Identity)
}

func codeWorker(c *coder, w *Worker) {
	text(c, &w.BuildID)
	text(c, &w.DeploymentName)
	number(c, &w.VersioningBehavior)
	text(c, &w.SDKName)
	text(c, &w.SDKVersion)
	text(c, &w.Identity)
	text(c, &w.InheritedBuildID)
	each(c, &w.BuildIDs, text[string])
	each(c, &w.BuildIDTags, text[string])
	each(c, &w.BinaryChecksums, text[string])
	each(c, &w.UsedVersions, text[string])
}

func codeActivity(c *coder, a *Activity) {
	number(c, &a.ScheduledEventID)
	number(c, &a.StartedEventID)
	text(c, &a.ActivityID)
	text(c, &a.Type)
	text(c, &a.TaskQueue)
	number(c, &a.Status)
	c.time(&a.ScheduledTime)
	c.time(&a.StartedTime)
	number(c, &a.Attempt)
	message(c, &a.LastFailure)
	text(c, &a.WorkerIdentity)
	number(c, &a.CancelRequestedEventID)
	c.time(&a.CancelRequestedTime)
	number(c, &a.ScheduleToClose)
	number(c, &a.ScheduleToStart)
	number(c, &a.StartToClose)
	number(c, &a.Heartbeat)
	message(c, &a.RetryPolicy)
	message(c, &a.Priority)
	number(c, &a.CloseEventID)
	c.time(&a.CloseTime)
	message(c, &a.Result)
	message(c, &a.Details)
	message(c, &a.Failure)
	number(c, &a.RetryState)
}

func codeTimer(c *coder, t *Timer) {
	number(c, &t.StartedEventID)
	text(c, &t.TimerID)
	number(c, &t.Status)
	c.time(&t.StartedTime)
	number(c, &t.StartToFire)
	c.time(&t.FireTime)
	number(c, &t.CloseEventID)
	c.time(&t.CloseTime)
}

func codeChild(c *coder, x *Child) {
	number(c, &x.InitiatedEventID)
	number(c, &x.StartedEventID)
	text(c, &x.Namespace)
	text(c, &x.WorkflowID)
	text(c, &x.RunID)
	text(c, &x.Type)
	text(c, &x.TaskQueue)
	number(c, &x.ParentClosePolicy)
	number(c, &x.Status)
	c.time(&x.InitiatedTime)
	c.time(&x.StartedTime)
	number(c, &x.CloseEventID)
	c.time(&x.CloseTime)
	message(c, &x.Result)
	message(c, &x.Details)
	message(c, &x.Failure)
	number(c, &x.RetryState)
	number(c, &x.StartFailedCause)
}

func codeNexusOperation(c *coder, o *NexusOperation) {
	number(c, &o.ScheduledEventID)
	number(c, &o.StartedEventID)
	text(c, &o.Endpoint)
	text(c, &o.Service)
	text(c, &o.Operation)
	text(c, &o.RequestID)
	text(c, &o.OperationToken)
	number(c, &o.Status)
	c.time(&o.ScheduledTime)
	c.time(&o.StartedTime)
	number(c, &o.ScheduleToClose)
	number(c, &o.ScheduleToStart)
	number(c, &o.StartToClose)
	number(c, &o.CancelRequestedEventID)
	c.time(&o.CancelRequestedTime)
	number(c, &o.CancelDeliveredEventID)
	message(c, &o.CancelFailure)
	number(c, &o.CloseEventID)
	c.time(&o.CloseTime)
	message(c, &o.Result)
	message(c, &o.Failure)
}

func codeUpdate(c *coder, u *Update) {
	number(c, &u.EventID)
	text(c, &u.ID)
	text(c, &u.Name)
	text(c, &u.Identity)
	number(c, &u.Status)
	c.time(&u.AdmittedTime)
	number(c, &u.AcceptedEventID)
	c.time(&u.AcceptedTime)
	each(c, &u.AttachedRequestIDs, text[string])
	each(c, &u.CompletionCallbacks, message)
	number(c, &u.CloseEventID)
	c.time(&u.CloseTime)
	message(c, &u.Result)
	message(c, &u.Failure)
}

func codeExternalSignal(c *coder, x *ExternalSignal) {
	number(c, &x.InitiatedEventID)
	c.time(&x.InitiatedTime)
	text(c, &x.Namespace)
	text(c, &x.WorkflowID)
	text(c, &x.RunID)
	text(c, &x.SignalName)
	c.flag(&x.ChildWorkflowOnly)
	number(c, &x.Status)
	number(c, &x.CloseEventID)
	c.time(&x.CloseTime)
	text(c, &x.FailedCause)
}

func codeExternalCancel(c *coder, x *ExternalCancel) {
	number(c, &x.InitiatedEventID)
	c.time(&x.InitiatedTime)
	text(c, &x.Namespace)
	text(c, &x.WorkflowID)
	text(c, &x.RunID)
	text(c, &x.Reason)
	c.flag(&x.ChildWorkflowOnly)
	number(c, &x.Status)
	number(c, &x.CloseEventID)
	c.time(&x.CloseTime)
	text(c, &x.FailedCause)
}

func codeCounts(c *coder, n *Counts) {
	for _, v := range [...]*int64{
		&n.Activities, &n.Timers, &n.Children, &n.NexusOperations, &n.ExternalSignals, &n.ExternalCancels,
		&n.Signals, &n.CancelRequests, &n.Markers, &n.VersionMarkers,
		&n.UpdatesAdmitted, &n.UpdatesAccepted, &n.UpdatesCompleted, &n.UpdatesRejected,
		&n.Pauses, &n.Resets,
		&n.WorkflowTasksCompleted, &n.WorkflowTasksFailed, &n.WorkflowTasksTimedOut,
		&n.UnknownEvents, &n.MissingReferences,
	} {
		number(c, v)
	}
}
