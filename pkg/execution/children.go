package execution

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

// ChildStatus is how far a child workflow has come. The numbers are part of
// the state's encoding.
type ChildStatus uint8

// Only the first two are pending.
const (
	ChildInitiated ChildStatus = iota
	ChildStarted
	ChildStartFailed
	ChildCompleted
	ChildFailed
	ChildCanceled
	ChildTimedOut
	ChildTerminated
)

// String is the status as tables and JSON show it.
func (s ChildStatus) String() string {
	return nameOf(s, "Initiated", "Started", "StartFailed", "Completed", "Failed", "Canceled", "TimedOut", "Terminated")
}

// Child is a child workflow of the run, as the parent's history tells it. The
// fields from CloseEventID on are set by the event that closes it, which also
// takes it out of the State.
type Child struct {
	InitiatedEventID  events.EventID            `json:"initiatedEventId"`
	StartedEventID    events.EventID            `json:"startedEventId"` // 0: not started
	Namespace         string                    `json:"namespace"`
	WorkflowID        string                    `json:"workflowId"`
	RunID             events.RunID              `json:"runId"` // its first; empty before it has started
	Type              string                    `json:"workflowType"`
	TaskQueue         string                    `json:"taskQueue"`
	ParentClosePolicy enumspb.ParentClosePolicy `json:"parentClosePolicy"`
	Status            ChildStatus               `json:"status"`
	InitiatedTime     time.Time                 `json:"initiatedTime"`
	StartedTime       time.Time                 `json:"startedTime"`

	CloseEventID     events.EventID                                 `json:"closeEventId"`
	CloseTime        time.Time                                      `json:"closeTime"`
	Result           *commonpb.Payloads                             `json:"result"`           // Completed
	Details          *commonpb.Payloads                             `json:"details"`          // Canceled
	Failure          *failurepb.Failure                             `json:"failure"`          // Failed
	RetryState       enumspb.RetryState                             `json:"retryState"`       // Failed, TimedOut
	StartFailedCause enumspb.StartChildWorkflowExecutionFailedCause `json:"startFailedCause"` // StartFailed
}

func (c *Child) key() events.EventID { return c.InitiatedEventID }

func (s *State) childInitiated(e *events.Event, ch *Changes) {
	a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.Children++
	open(&s.Children, ch.children(), &Child{
		InitiatedEventID:  events.EventID(e.EventId),
		Namespace:         a.GetNamespace(),
		WorkflowID:        a.GetWorkflowId(),
		Type:              a.GetWorkflowType().GetName(),
		TaskQueue:         a.GetTaskQueue().GetName(),
		ParentClosePolicy: a.GetParentClosePolicy(),
		InitiatedTime:     timeOf(e.EventTime),
	})
}

func (s *State) childStarted(e *events.Event, ch *Changes) {
	a := e.GetChildWorkflowExecutionStartedEventAttributes()
	i, found := search(s.Children, events.EventID(a.GetInitiatedEventId()))
	if !found {
		s.missing()
		return
	}
	c := change(s.Children, ch.children(), i)
	c.Status = ChildStarted
	c.StartedEventID = events.EventID(e.EventId)
	c.StartedTime = timeOf(e.EventTime)
	c.WorkflowID = firstOf(a.GetWorkflowExecution().GetWorkflowId(), c.WorkflowID)
	c.RunID = events.RunID(a.GetWorkflowExecution().GetRunId())
	c.Type = firstOf(a.GetWorkflowType().GetName(), c.Type)
}

func (s *State) childStartFailed(e *events.Event, ch *Changes) {
	a := e.GetStartChildWorkflowExecutionFailedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	if c := s.endChild(ChildStartFailed, a.GetInitiatedEventId(), 0, e, ch); c != nil {
		c.StartFailedCause = a.GetCause()
	}
}

func (s *State) childCompleted(e *events.Event, ch *Changes) {
	a := e.GetChildWorkflowExecutionCompletedEventAttributes()
	if c := s.endChild(ChildCompleted, a.GetInitiatedEventId(), a.GetStartedEventId(), e, ch); c != nil {
		c.Result = a.GetResult()
	}
}

func (s *State) childFailed(e *events.Event, ch *Changes) {
	a := e.GetChildWorkflowExecutionFailedEventAttributes()
	s.failed(e, a.GetFailure())
	if c := s.endChild(ChildFailed, a.GetInitiatedEventId(), a.GetStartedEventId(), e, ch); c != nil {
		c.Failure = a.GetFailure()
		c.RetryState = a.GetRetryState()
	}
}

func (s *State) childCanceled(e *events.Event, ch *Changes) {
	a := e.GetChildWorkflowExecutionCanceledEventAttributes()
	if c := s.endChild(ChildCanceled, a.GetInitiatedEventId(), a.GetStartedEventId(), e, ch); c != nil {
		c.Details = a.GetDetails()
	}
}

func (s *State) childTimedOut(e *events.Event, ch *Changes) {
	a := e.GetChildWorkflowExecutionTimedOutEventAttributes()
	if c := s.endChild(ChildTimedOut, a.GetInitiatedEventId(), a.GetStartedEventId(), e, ch); c != nil {
		c.RetryState = a.GetRetryState()
	}
}

func (s *State) childTerminated(e *events.Event, ch *Changes) {
	a := e.GetChildWorkflowExecutionTerminatedEventAttributes()
	s.endChild(ChildTerminated, a.GetInitiatedEventId(), a.GetStartedEventId(), e, ch)
}

// endChild takes the child out of the State and returns it for its outcome, or
// nil if it is not pending or nobody collects changes.
func (s *State) endChild(status ChildStatus, initiated, started int64, e *events.Event, ch *Changes) *Child {
	s.refer(started, e)
	i, found := search(s.Children, events.EventID(initiated))
	if !found {
		s.missing()
		return nil
	}
	c := take(&s.Children, ch.children(), i)
	if c != nil {
		c.Status = status
		c.CloseEventID = events.EventID(e.EventId)
		c.CloseTime = timeOf(e.EventTime)
	}
	return c
}
