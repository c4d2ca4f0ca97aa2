package execution

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Close is how a run ended. Which of its fields are set depends on the status.
type Close struct {
	EventID    events.EventID                 `json:"eventId"`
	Time       time.Time                      `json:"time"`
	Result     *commonpb.Payloads             `json:"result"`     // Completed
	Failure    *failurepb.Failure             `json:"failure"`    // Failed, or what ContinuedAsNew is to retry
	RetryState enumspb.RetryState             `json:"retryState"` // Failed, TimedOut
	Details    *commonpb.Payloads             `json:"details"`    // Canceled, Terminated
	Reason     string                         `json:"reason"`     // Terminated
	Identity   string                         `json:"identity"`   // Terminated: of the client
	Initiator  enumspb.ContinueAsNewInitiator `json:"initiator"`  // ContinuedAsNew
}

// CancelRequest asks the run to cancel itself.
type CancelRequest struct {
	EventID  events.EventID `json:"eventId"`
	Time     time.Time      `json:"time"`
	Cause    string         `json:"cause"`
	Identity string         `json:"identity"`
	// External is the run that asked; nil if a client did.
	External *Execution `json:"external"`
}

// Pause is a pausing or resuming of the run by a client.
type Pause struct {
	EventID   events.EventID `json:"eventId"`
	Time      time.Time      `json:"time"`
	Identity  string         `json:"identity"`
	Reason    string         `json:"reason"`
	RequestID string         `json:"requestId"`
}

func (s *State) workflowStarted(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionStartedEventAttributes()
	s.openAs(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)
	s.Type = a.GetWorkflowType().GetName()
	s.TaskQueue = a.GetTaskQueue().GetName()
	s.Identity = a.GetIdentity()
	s.StartTime = timeOf(e.EventTime)
	s.FirstTaskBackoff = durationOf(a.GetFirstWorkflowTaskBackoff())
	s.ExecutionTime = later(s.StartTime, s.FirstTaskBackoff)
	s.ExpirationTime = timeOf(a.GetWorkflowExecutionExpirationTime())
	s.ExecutionTimeout = durationOf(a.GetWorkflowExecutionTimeout())
	s.RunTimeout = durationOf(a.GetWorkflowRunTimeout())
	s.TaskTimeout = durationOf(a.GetWorkflowTaskTimeout())
	s.RetryPolicy = a.GetRetryPolicy()
	s.CronSchedule = a.GetCronSchedule()
	s.Priority = a.GetPriority()
	s.Memo = merge(nil, a.GetMemo().GetFields())
	s.SearchAttributes = merge(nil, a.GetSearchAttributes().GetIndexedFields())

	s.Parent, s.Root = nil, executionOf(a.GetRootWorkflowExecution())
	if p := a.GetParentWorkflowExecution(); p != nil {
		s.Parent = &Parent{
			Namespace:        a.GetParentWorkflowNamespace(),
			WorkflowID:       p.GetWorkflowId(),
			RunID:            events.RunID(p.GetRunId()),
			InitiatedEventID: events.EventID(a.GetParentInitiatedEventId()),
		}
	}
	s.ContinuedFromRunID = events.RunID(a.GetContinuedExecutionRunId())
	s.FirstRunID = events.RunID(a.GetFirstExecutionRunId())
	s.OriginalRunID = events.RunID(a.GetOriginalExecutionRunId())
	s.Attempt = a.GetAttempt()
	s.Initiator = a.GetInitiator()
	s.ContinuedFailure = a.GetContinuedFailure()
	s.failed(e, s.ContinuedFailure)
	s.LastCompletionResult = a.GetLastCompletionResult()
	s.VersioningOverride = a.GetVersioningOverride()
	s.CompletionCallbacks = appendCallbacks(nil, a.GetCompletionCallbacks())
	s.Worker.inherit(a)
	s.resumeVersioning()
}

func (s *State) workflowCompleted(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionCompletedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.closeAs(enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, e, a.GetNewExecutionRunId()).Result = a.GetResult()
}

func (s *State) workflowFailed(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionFailedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	c := s.closeAs(enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, e, a.GetNewExecutionRunId())
	c.Failure = a.GetFailure()
	c.RetryState = a.GetRetryState()
	s.failed(e, c.Failure)
}

func (s *State) workflowTimedOut(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionTimedOutEventAttributes()
	c := s.closeAs(enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, e, a.GetNewExecutionRunId())
	c.RetryState = a.GetRetryState()
}

func (s *State) workflowCanceled(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionCanceledEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.closeAs(enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, e, "").Details = a.GetDetails()
}

func (s *State) workflowTerminated(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionTerminatedEventAttributes()
	c := s.closeAs(enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, e, "")
	c.Details = a.GetDetails()
	c.Reason = a.GetReason()
	c.Identity = a.GetIdentity()
}

func (s *State) workflowContinuedAsNew(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionContinuedAsNewEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	c := s.closeAs(enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, e, a.GetNewExecutionRunId())
	c.Failure = a.GetFailure()
	c.Initiator = a.GetInitiator()
	s.failed(e, c.Failure)
}

func (s *State) workflowCancelRequested(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionCancelRequestedEventAttributes()
	s.Counts.CancelRequests++
	s.CancelRequest = &CancelRequest{
		EventID:  events.EventID(e.EventId),
		Time:     timeOf(e.EventTime),
		Cause:    a.GetCause(),
		Identity: a.GetIdentity(),
		External: executionOf(a.GetExternalWorkflowExecution()),
	}
}

// Signal is a signal that the run received. It is a change, and leaves nothing but a
// count behind in the State.
type Signal struct {
	EventID   events.EventID
	Name      string
	Time      time.Time
	Identity  string     // of the client that sent it
	RequestID string     // of the request that sent it
	External  *Execution // the run that sent it; nil if a client did
}

func (x *Signal) key() events.EventID { return x.EventID }

func (s *State) workflowSignaled(e *events.Event, ch *Changes) {
	s.Counts.Signals++
	if ch == nil {
		return
	}
	a := e.GetWorkflowExecutionSignaledEventAttributes()
	ch.Signals = put(ch.Signals, &Signal{
		EventID:   events.EventID(e.EventId),
		Name:      a.GetSignalName(),
		Time:      timeOf(e.EventTime),
		Identity:  a.GetIdentity(),
		RequestID: a.GetRequestId(),
		External:  executionOf(a.GetExternalWorkflowExecution()),
	})
}

func (s *State) workflowPaused(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionPausedEventAttributes()
	s.openAs(enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED)
	s.Counts.Pauses++
	s.Pause = &Pause{
		EventID:   events.EventID(e.EventId),
		Time:      timeOf(e.EventTime),
		Identity:  a.GetIdentity(),
		Reason:    a.GetReason(),
		RequestID: a.GetRequestId(),
	}
}

func (s *State) workflowUnpaused(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionUnpausedEventAttributes()
	s.openAs(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)
	s.LastUnpause = &Pause{
		EventID:   events.EventID(e.EventId),
		Time:      timeOf(e.EventTime),
		Identity:  a.GetIdentity(),
		Reason:    a.GetReason(),
		RequestID: a.GetRequestId(),
	}
}

// openAs gives the run an open status. Close is nil in an open run and Pause
// in one that is not paused, whatever came before.
func (s *State) openAs(status events.Status) {
	s.Status = status
	s.Close = nil
	s.ContinuedToRunID = ""
	s.Pause = nil
}

// closeAs gives the run a closed status; the caller fills in the rest.
func (s *State) closeAs(status events.Status, e *events.Event, next string) *Close {
	s.Status = status
	s.Pause = nil
	s.ContinuedToRunID = events.RunID(next)
	s.Close = &Close{EventID: events.EventID(e.EventId), Time: timeOf(e.EventTime)}
	return s.Close
}

func executionOf(x *commonpb.WorkflowExecution) *Execution {
	if x == nil {
		return nil
	}
	return &Execution{WorkflowID: x.WorkflowId, RunID: events.RunID(x.RunId)}
}
