package execution

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

// NexusStatus is how far a Nexus operation has come. The numbers are part of
// the state's encoding.
type NexusStatus uint8

// Only the first two are pending.
const (
	NexusScheduled NexusStatus = iota
	NexusStarted
	NexusCompleted
	NexusFailed
	NexusCanceled
	NexusTimedOut
)

// String is the status as tables and JSON show it.
func (s NexusStatus) String() string {
	return nameOf(s, "Scheduled", "Started", "Completed", "Failed", "Canceled", "TimedOut")
}

// NexusOperation is a Nexus operation that the run called. The fields from
// CloseEventID on are set by the event that closes it, which also takes it out
// of the State.
type NexusOperation struct {
	ScheduledEventID events.EventID `json:"scheduledEventId"`
	StartedEventID   events.EventID `json:"startedEventId"` // 0: not started, or never, as it answered at once
	Endpoint         string         `json:"endpoint"`
	Service          string         `json:"service"`
	Operation        string         `json:"operation"`
	RequestID        string         `json:"requestId"`
	OperationToken   string         `json:"operationToken"`
	Status           NexusStatus    `json:"status"`
	ScheduledTime    time.Time      `json:"scheduledTime"`
	StartedTime      time.Time      `json:"startedTime"`

	ScheduleToClose time.Duration `json:"scheduleToCloseTimeout"` // 0: none, as for the next two
	ScheduleToStart time.Duration `json:"scheduleToStartTimeout"`
	StartToClose    time.Duration `json:"startToCloseTimeout"`

	CancelRequestedEventID events.EventID     `json:"cancelRequestedEventId"` // 0: not requested
	CancelRequestedTime    time.Time          `json:"cancelRequestedTime"`
	CancelDeliveredEventID events.EventID     `json:"cancelDeliveredEventId"` // 0: the handler has not taken the request
	CancelFailure          *failurepb.Failure `json:"cancelFailure"`          // of delivering the request

	CloseEventID events.EventID     `json:"closeEventId"`
	CloseTime    time.Time          `json:"closeTime"`
	Result       *commonpb.Payload  `json:"result"`  // Completed
	Failure      *failurepb.Failure `json:"failure"` // Failed, Canceled, TimedOut
}

func (o *NexusOperation) key() events.EventID { return o.ScheduledEventID }

func (s *State) nexusScheduled(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationScheduledEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.NexusOperations++
	open(&s.NexusOperations, ch.nexusOperations(), &NexusOperation{
		ScheduledEventID: events.EventID(e.EventId),
		Endpoint:         a.GetEndpoint(),
		Service:          a.GetService(),
		Operation:        a.GetOperation(),
		RequestID:        a.GetRequestId(),
		ScheduledTime:    timeOf(e.EventTime),
		ScheduleToClose:  durationOf(a.GetScheduleToCloseTimeout()),
		ScheduleToStart:  durationOf(a.GetScheduleToStartTimeout()),
		StartToClose:     durationOf(a.GetStartToCloseTimeout()),
	})
}

func (s *State) nexusStarted(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationStartedEventAttributes()
	i, found := search(s.NexusOperations, events.EventID(a.GetScheduledEventId()))
	if !found {
		s.missing()
		return
	}
	o := change(s.NexusOperations, ch.nexusOperations(), i)
	o.Status = NexusStarted
	o.StartedEventID = events.EventID(e.EventId)
	o.StartedTime = timeOf(e.EventTime)
	// OperationId is what servers before the rename wrote.
	o.OperationToken = firstOf(a.GetOperationToken(), a.GetOperationId())
}

func (s *State) nexusCompleted(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationCompletedEventAttributes()
	if o := s.endNexus(NexusCompleted, a.GetScheduledEventId(), e, ch); o != nil {
		o.Result = a.GetResult()
	}
}

func (s *State) nexusFailed(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationFailedEventAttributes()
	s.failed(e, a.GetFailure())
	if o := s.endNexus(NexusFailed, a.GetScheduledEventId(), e, ch); o != nil {
		o.Failure = a.GetFailure()
	}
}

func (s *State) nexusCanceled(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationCanceledEventAttributes()
	if o := s.endNexus(NexusCanceled, a.GetScheduledEventId(), e, ch); o != nil {
		o.Failure = a.GetFailure()
	}
}

func (s *State) nexusTimedOut(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationTimedOutEventAttributes()
	s.failed(e, a.GetFailure())
	if o := s.endNexus(NexusTimedOut, a.GetScheduledEventId(), e, ch); o != nil {
		o.Failure = a.GetFailure()
	}
}

// nexusCancelRequested and the two after it may come when the operation is
// over already.
func (s *State) nexusCancelRequested(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationCancelRequestedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	i, found := search(s.NexusOperations, events.EventID(a.GetScheduledEventId()))
	if !found {
		s.refer(a.GetScheduledEventId(), e)
		return
	}
	o := change(s.NexusOperations, ch.nexusOperations(), i)
	o.CancelRequestedEventID = events.EventID(e.EventId)
	o.CancelRequestedTime = timeOf(e.EventTime)
}

func (s *State) nexusCancelCompleted(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationCancelRequestCompletedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	if o := s.canceledNexus(a.GetScheduledEventId(), a.GetRequestedEventId(), e, ch); o != nil {
		o.CancelDeliveredEventID = events.EventID(e.EventId)
		o.CancelFailure = nil
	}
}

func (s *State) nexusCancelFailed(e *events.Event, ch *Changes) {
	a := e.GetNexusOperationCancelRequestFailedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	if o := s.canceledNexus(a.GetScheduledEventId(), a.GetRequestedEventId(), e, ch); o != nil {
		o.CancelFailure = a.GetFailure()
	}
}

// canceledNexus is the pending operation that a cancel request was for, nil if
// it is over. Servers before a certain version named only the request.
func (s *State) canceledNexus(scheduled, requested int64, e *events.Event, ch *Changes) *NexusOperation {
	s.refer(requested, e)
	s.refer(scheduled, e)
	i, found := search(s.NexusOperations, events.EventID(scheduled))
	for j := 0; !found && scheduled == 0 && requested != 0 && j < len(s.NexusOperations); j++ {
		i, found = j, s.NexusOperations[j].CancelRequestedEventID == events.EventID(requested)
	}
	if !found {
		return nil
	}
	return change(s.NexusOperations, ch.nexusOperations(), i)
}

// endNexus takes the operation out of the State and returns it for its
// outcome, or nil if it is not pending or nobody collects changes.
func (s *State) endNexus(status NexusStatus, scheduled int64, e *events.Event, ch *Changes) *NexusOperation {
	i, found := search(s.NexusOperations, events.EventID(scheduled))
	if !found {
		s.missing()
		return nil
	}
	o := take(&s.NexusOperations, ch.nexusOperations(), i)
	if o != nil {
		o.Status = status
		o.CloseEventID = events.EventID(e.EventId)
		o.CloseTime = timeOf(e.EventTime)
	}
	return o
}
