package execution

import (
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"

	"github.com/annals-io/annals/pkg/events"
)

// UpdateStatus is how far an update has come. The numbers are part of the
// state's encoding.
type UpdateStatus uint8

// Only the first two are pending.
const (
	UpdateAdmitted UpdateStatus = iota
	UpdateAccepted
	UpdateCompleted
	UpdateFailed // completed with a failure
	UpdateRejected
)

// String is the status as tables and JSON show it.
func (s UpdateStatus) String() string {
	return nameOf(s, "Admitted", "Accepted", "Completed", "Failed", "Rejected")
}

// Update is an update of the run. One that a worker rejects usually leaves no
// event, and one that is not yet accepted only after a reset. The fields from
// CloseEventID on are set by the event that closes it, which also takes it out of
// the State.
type Update struct {
	EventID         events.EventID `json:"eventId"` // that made it known: admitted, accepted without, or rejected without
	ID              string         `json:"updateId"`
	Name            string         `json:"name"`
	Identity        string         `json:"identity"`
	Status          UpdateStatus   `json:"status"`
	AdmittedTime    time.Time      `json:"admittedTime"`
	AcceptedEventID events.EventID `json:"acceptedEventId"` // 0: not accepted
	AcceptedTime    time.Time      `json:"acceptedTime"`

	AttachedRequestIDs  []string             `json:"attachedRequestIds"`
	CompletionCallbacks []*commonpb.Callback `json:"completionCallbacks"`

	CloseEventID events.EventID     `json:"closeEventId"`
	CloseTime    time.Time          `json:"closeTime"`
	Result       *commonpb.Payloads `json:"result"`  // Completed
	Failure      *failurepb.Failure `json:"failure"` // Failed, Rejected
}

func (u *Update) key() events.EventID { return u.EventID }

func (s *State) updateAdmitted(e *events.Event, ch *Changes) {
	s.Counts.UpdatesAdmitted++
	u := &Update{EventID: events.EventID(e.EventId), AdmittedTime: timeOf(e.EventTime)}
	u.requested(e.GetWorkflowExecutionUpdateAdmittedEventAttributes().GetRequest())
	open(&s.Updates, ch.updates(), u)
}

// updateAccepted carries the request unless an admitted event did.
func (s *State) updateAccepted(e *events.Event, ch *Changes) {
	a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes()
	s.refer(a.GetAcceptedRequestSequencingEventId(), e)
	s.Counts.UpdatesAccepted++
	id := firstOf(a.GetAcceptedRequest().GetMeta().GetUpdateId(), a.GetProtocolInstanceId())
	u := s.changeUpdate(s.pendingUpdate(id, UpdateAdmitted), ch)
	if u == nil {
		if a.GetAcceptedRequest() == nil {
			s.missing()
		}
		u = &Update{EventID: events.EventID(e.EventId), ID: id}
		open(&s.Updates, ch.updates(), u)
	}
	if r := a.GetAcceptedRequest(); r != nil {
		u.requested(r)
		u.ID = id
	}
	u.Status = UpdateAccepted
	u.AcceptedEventID = events.EventID(e.EventId)
	u.AcceptedTime = timeOf(e.EventTime)
}

// updateRejected ends an update that was admitted; one that was not is a change,
// and leaves nothing behind in the State.
func (s *State) updateRejected(e *events.Event, ch *Changes) {
	a := e.GetWorkflowExecutionUpdateRejectedEventAttributes()
	s.refer(a.GetRejectedRequestSequencingEventId(), e)
	s.Counts.UpdatesRejected++
	id := firstOf(a.GetRejectedRequest().GetMeta().GetUpdateId(), a.GetProtocolInstanceId())
	if u := s.pendingUpdate(id, UpdateAdmitted); u != nil {
		s.endUpdate(u, UpdateRejected, e, ch).rejected(a)
		return
	}
	if ch != nil {
		u := &Update{EventID: events.EventID(e.EventId), Status: UpdateRejected, CloseEventID: events.EventID(e.EventId), CloseTime: timeOf(e.EventTime)}
		u.requested(a.GetRejectedRequest())
		u.ID = id
		u.rejected(a)
		ch.Updates = put(ch.Updates, u)
	}
}

func (s *State) updateCompleted(e *events.Event, ch *Changes) {
	a := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
	s.Counts.UpdatesCompleted++
	u := s.acceptedUpdate(a.GetAcceptedEventId(), a.GetMeta().GetUpdateId())
	if u == nil {
		s.missing()
		return
	}
	status := UpdateCompleted
	if a.GetOutcome().GetFailure() != nil {
		status = UpdateFailed
	}
	if u := s.endUpdate(u, status, e, ch); u != nil {
		u.Result, u.Failure = a.GetOutcome().GetSuccess(), a.GetOutcome().GetFailure()
	}
}

// rejected takes why; u may be nil.
func (u *Update) rejected(a *historypb.WorkflowExecutionUpdateRejectedEventAttributes) {
	if u != nil {
		u.Failure = a.GetFailure()
	}
}

// requested takes what the request says.
func (u *Update) requested(r *updatepb.Request) {
	u.ID = r.GetMeta().GetUpdateId()
	u.Identity = r.GetMeta().GetIdentity()
	u.Name = r.GetInput().GetName()
	u.CompletionCallbacks = appendCallbacks(u.CompletionCallbacks, r.GetCompletionCallbacks())
	u.AttachedRequestIDs = appendNew(u.AttachedRequestIDs, r.GetRequestId())
}

// pendingUpdate is the newest update of that id and status, or nil.
func (s *State) pendingUpdate(id string, status UpdateStatus) *Update {
	if id == "" {
		return nil
	}
	for _, u := range slices.Backward(s.Updates) {
		if u.ID == id && u.Status == status {
			return u
		}
	}
	return nil
}

// acceptedUpdate goes by the event that accepted the update, else by its id.
func (s *State) acceptedUpdate(accepted int64, id string) *Update {
	if accepted == 0 {
		return s.pendingUpdate(id, UpdateAccepted)
	}
	for _, u := range slices.Backward(s.Updates) {
		if u.AcceptedEventID == events.EventID(accepted) {
			return u
		}
	}
	return nil
}

// changeUpdate is a pending update, for changing; nil of nil.
func (s *State) changeUpdate(u *Update, ch *Changes) *Update {
	if u == nil {
		return nil
	}
	i, found := search(s.Updates, u.key())
	if !found {
		return u
	}
	return change(s.Updates, ch.updates(), i)
}

// endUpdate lets go of a pending update, and returns it for its last change, or nil
// if nobody collects changes.
func (s *State) endUpdate(u *Update, status UpdateStatus, e *events.Event, ch *Changes) *Update {
	i, found := search(s.Updates, u.key())
	if !found {
		return nil
	}
	last := take(&s.Updates, ch.updates(), i)
	if last != nil {
		last.Status, last.CloseEventID, last.CloseTime = status, events.EventID(e.EventId), timeOf(e.EventTime)
	}
	return last
}
