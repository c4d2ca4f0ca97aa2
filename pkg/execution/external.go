package execution

import (
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// ExternalStatus is how far a request to another workflow has come. The numbers are
// part of the state's encoding.
type ExternalStatus uint8

// Only the first is pending.
const (
	ExternalInitiated ExternalStatus = iota
	ExternalDelivered
	ExternalFailed
)

// String is the status as tables and JSON show it.
func (s ExternalStatus) String() string { return nameOf(s, "Initiated", "Delivered", "Failed") }

// ExternalSignal is a signal that the run sends to another workflow. The fields from
// Status on are set by the event that says whether it arrived, which also takes it out
// of the State.
type ExternalSignal struct {
	InitiatedEventID  events.EventID `json:"initiatedEventId"`
	InitiatedTime     time.Time      `json:"initiatedTime"`
	Namespace         string         `json:"namespace"`
	WorkflowID        string         `json:"workflowId"`
	RunID             events.RunID   `json:"runId"` // empty: whichever is open
	SignalName        string         `json:"signalName"`
	ChildWorkflowOnly bool           `json:"childWorkflowOnly"`

	Status       ExternalStatus `json:"status"`
	CloseEventID events.EventID `json:"closeEventId"`
	CloseTime    time.Time      `json:"closeTime"`
	FailedCause  string         `json:"failedCause"` // Failed
}

func (x *ExternalSignal) key() events.EventID { return x.InitiatedEventID }

// ExternalCancel is a cancel request that the run sends to another workflow. The
// fields from Status on are as those of ExternalSignal.
type ExternalCancel struct {
	InitiatedEventID  events.EventID `json:"initiatedEventId"`
	InitiatedTime     time.Time      `json:"initiatedTime"`
	Namespace         string         `json:"namespace"`
	WorkflowID        string         `json:"workflowId"`
	RunID             events.RunID   `json:"runId"` // empty: whichever is open
	Reason            string         `json:"reason"`
	ChildWorkflowOnly bool           `json:"childWorkflowOnly"`

	Status       ExternalStatus `json:"status"`
	CloseEventID events.EventID `json:"closeEventId"`
	CloseTime    time.Time      `json:"closeTime"`
	FailedCause  string         `json:"failedCause"` // Failed
}

func (x *ExternalCancel) key() events.EventID { return x.InitiatedEventID }

func (s *State) externalSignalInitiated(e *events.Event, ch *Changes) {
	a := e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.ExternalSignals++
	open(&s.ExternalSignals, ch.externalSignals(), &ExternalSignal{
		InitiatedEventID:  events.EventID(e.EventId),
		InitiatedTime:     timeOf(e.EventTime),
		Namespace:         a.GetNamespace(),
		WorkflowID:        a.GetWorkflowExecution().GetWorkflowId(),
		RunID:             events.RunID(a.GetWorkflowExecution().GetRunId()),
		SignalName:        a.GetSignalName(),
		ChildWorkflowOnly: a.GetChildWorkflowOnly(),
	})
}

func (s *State) externalSignalFailed(e *events.Event, ch *Changes) {
	a := e.GetSignalExternalWorkflowExecutionFailedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.endExternalSignal(ExternalFailed, a.GetInitiatedEventId(), a.GetCause().String(), e, ch)
}

func (s *State) externalSignaled(e *events.Event, ch *Changes) {
	s.endExternalSignal(ExternalDelivered, e.GetExternalWorkflowExecutionSignaledEventAttributes().GetInitiatedEventId(), "", e, ch)
}

func (s *State) endExternalSignal(status ExternalStatus, initiated int64, cause string, e *events.Event, ch *Changes) {
	i, found := search(s.ExternalSignals, events.EventID(initiated))
	if !found {
		s.missing()
		return
	}
	if x := take(&s.ExternalSignals, ch.externalSignals(), i); x != nil {
		x.Status, x.CloseEventID, x.CloseTime, x.FailedCause = status, events.EventID(e.EventId), timeOf(e.EventTime), cause
	}
}

func (s *State) externalCancelInitiated(e *events.Event, ch *Changes) {
	a := e.GetRequestCancelExternalWorkflowExecutionInitiatedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.ExternalCancels++
	open(&s.ExternalCancels, ch.externalCancels(), &ExternalCancel{
		InitiatedEventID:  events.EventID(e.EventId),
		InitiatedTime:     timeOf(e.EventTime),
		Namespace:         a.GetNamespace(),
		WorkflowID:        a.GetWorkflowExecution().GetWorkflowId(),
		RunID:             events.RunID(a.GetWorkflowExecution().GetRunId()),
		Reason:            a.GetReason(),
		ChildWorkflowOnly: a.GetChildWorkflowOnly(),
	})
}

func (s *State) externalCancelFailed(e *events.Event, ch *Changes) {
	a := e.GetRequestCancelExternalWorkflowExecutionFailedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.endExternalCancel(ExternalFailed, a.GetInitiatedEventId(), a.GetCause().String(), e, ch)
}

func (s *State) externalCancelRequested(e *events.Event, ch *Changes) {
	s.endExternalCancel(ExternalDelivered, e.GetExternalWorkflowExecutionCancelRequestedEventAttributes().GetInitiatedEventId(), "", e, ch)
}

func (s *State) endExternalCancel(status ExternalStatus, initiated int64, cause string, e *events.Event, ch *Changes) {
	i, found := search(s.ExternalCancels, events.EventID(initiated))
	if !found {
		s.missing()
		return
	}
	if x := take(&s.ExternalCancels, ch.externalCancels(), i); x != nil {
		x.Status, x.CloseEventID, x.CloseTime, x.FailedCause = status, events.EventID(e.EventId), timeOf(e.EventTime), cause
	}
}
