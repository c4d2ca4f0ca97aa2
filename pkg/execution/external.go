package execution

import (
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// ExternalSignal is a signal to another workflow of which the run does not know
// yet whether it arrived.
type ExternalSignal struct {
	InitiatedEventID  events.EventID `json:"initiatedEventId"`
	InitiatedTime     time.Time      `json:"initiatedTime"`
	Namespace         string         `json:"namespace"`
	WorkflowID        string         `json:"workflowId"`
	RunID             events.RunID   `json:"runId"` // empty: whichever is open
	SignalName        string         `json:"signalName"`
	ChildWorkflowOnly bool           `json:"childWorkflowOnly"`
}

func (x *ExternalSignal) key() events.EventID { return x.InitiatedEventID }

// ExternalCancel is a cancel request to another workflow of which the run does
// not know yet whether it arrived.
type ExternalCancel struct {
	InitiatedEventID  events.EventID `json:"initiatedEventId"`
	InitiatedTime     time.Time      `json:"initiatedTime"`
	Namespace         string         `json:"namespace"`
	WorkflowID        string         `json:"workflowId"`
	RunID             events.RunID   `json:"runId"` // empty: whichever is open
	Reason            string         `json:"reason"`
	ChildWorkflowOnly bool           `json:"childWorkflowOnly"`
}

func (x *ExternalCancel) key() events.EventID { return x.InitiatedEventID }

func (s *State) externalSignalInitiated(e *events.Event, _ *Changes) {
	a := e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.ExternalSignals++
	open(&s.ExternalSignals, nil, &ExternalSignal{
		InitiatedEventID:  events.EventID(e.EventId),
		InitiatedTime:     timeOf(e.EventTime),
		Namespace:         a.GetNamespace(),
		WorkflowID:        a.GetWorkflowExecution().GetWorkflowId(),
		RunID:             events.RunID(a.GetWorkflowExecution().GetRunId()),
		SignalName:        a.GetSignalName(),
		ChildWorkflowOnly: a.GetChildWorkflowOnly(),
	})
}

func (s *State) externalSignalFailed(e *events.Event, _ *Changes) {
	a := e.GetSignalExternalWorkflowExecutionFailedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.endExternalSignal(a.GetInitiatedEventId())
}

func (s *State) externalSignaled(e *events.Event, _ *Changes) {
	s.endExternalSignal(e.GetExternalWorkflowExecutionSignaledEventAttributes().GetInitiatedEventId())
}

func (s *State) endExternalSignal(initiated int64) {
	i, found := search(s.ExternalSignals, events.EventID(initiated))
	if !found {
		s.missing()
		return
	}
	s.ExternalSignals = slices.Delete(s.ExternalSignals, i, i+1)
}

func (s *State) externalCancelInitiated(e *events.Event, _ *Changes) {
	a := e.GetRequestCancelExternalWorkflowExecutionInitiatedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.ExternalCancels++
	open(&s.ExternalCancels, nil, &ExternalCancel{
		InitiatedEventID:  events.EventID(e.EventId),
		InitiatedTime:     timeOf(e.EventTime),
		Namespace:         a.GetNamespace(),
		WorkflowID:        a.GetWorkflowExecution().GetWorkflowId(),
		RunID:             events.RunID(a.GetWorkflowExecution().GetRunId()),
		Reason:            a.GetReason(),
		ChildWorkflowOnly: a.GetChildWorkflowOnly(),
	})
}

func (s *State) externalCancelFailed(e *events.Event, _ *Changes) {
	a := e.GetRequestCancelExternalWorkflowExecutionFailedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.endExternalCancel(a.GetInitiatedEventId())
}

func (s *State) externalCancelRequested(e *events.Event, _ *Changes) {
	s.endExternalCancel(e.GetExternalWorkflowExecutionCancelRequestedEventAttributes().GetInitiatedEventId())
}

func (s *State) endExternalCancel(initiated int64) {
	i, found := search(s.ExternalCancels, events.EventID(initiated))
	if !found {
		s.missing()
		return
	}
	s.ExternalCancels = slices.Delete(s.ExternalCancels, i, i+1)
}
