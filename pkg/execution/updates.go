package execution

import (
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	updatepb "go.temporal.io/api/update/v1"

	"github.com/annals-io/annals/pkg/events"
)

// UpdateStatus is how far an update has come. The numbers are part of the
// state's encoding.
type UpdateStatus uint8

// Both are pending.
const (
	UpdateAdmitted UpdateStatus = iota
	UpdateAccepted
)

// String is the status as JSON shows it.
func (s UpdateStatus) String() string { return nameOf(s, "Admitted", "Accepted") }

// Update is an update of the run that has neither completed nor been rejected.
// One that a worker rejects usually leaves no event, and one that is not yet
// accepted only after a reset.
type Update struct {
	EventID         events.EventID `json:"eventId"` // that made it pending: admitted, or accepted without
	ID              string         `json:"updateId"`
	Name            string         `json:"name"`
	Identity        string         `json:"identity"`
	Status          UpdateStatus   `json:"status"`
	AdmittedTime    time.Time      `json:"admittedTime"`
	AcceptedEventID events.EventID `json:"acceptedEventId"` // 0: not accepted
	AcceptedTime    time.Time      `json:"acceptedTime"`

	AttachedRequestIDs  []string             `json:"attachedRequestIds"`
	CompletionCallbacks []*commonpb.Callback `json:"completionCallbacks"`
}

func (u *Update) key() events.EventID { return u.EventID }

func (s *State) updateAdmitted(e *events.Event, _ *Changes) {
	s.Counts.UpdatesAdmitted++
	u := &Update{EventID: events.EventID(e.EventId), AdmittedTime: timeOf(e.EventTime)}
	u.requested(e.GetWorkflowExecutionUpdateAdmittedEventAttributes().GetRequest())
	open(&s.Updates, nil, u)
}

// updateAccepted carries the request unless an admitted event did.
func (s *State) updateAccepted(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes()
	s.refer(a.GetAcceptedRequestSequencingEventId(), e)
	s.Counts.UpdatesAccepted++
	id := firstOf(a.GetAcceptedRequest().GetMeta().GetUpdateId(), a.GetProtocolInstanceId())
	u := s.pendingUpdate(id, UpdateAdmitted)
	if u == nil {
		if a.GetAcceptedRequest() == nil {
			s.missing()
		}
		u = &Update{EventID: events.EventID(e.EventId), ID: id}
		open(&s.Updates, nil, u)
	}
	if r := a.GetAcceptedRequest(); r != nil {
		u.requested(r)
		u.ID = id
	}
	u.Status = UpdateAccepted
	u.AcceptedEventID = events.EventID(e.EventId)
	u.AcceptedTime = timeOf(e.EventTime)
}

// updateRejected ends an update that was admitted; one that was not leaves
// nothing behind.
func (s *State) updateRejected(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionUpdateRejectedEventAttributes()
	s.refer(a.GetRejectedRequestSequencingEventId(), e)
	s.Counts.UpdatesRejected++
	id := firstOf(a.GetRejectedRequest().GetMeta().GetUpdateId(), a.GetProtocolInstanceId())
	if u := s.pendingUpdate(id, UpdateAdmitted); u != nil {
		s.endUpdate(u)
	}
}

func (s *State) updateCompleted(e *events.Event, _ *Changes) {
	a := e.GetWorkflowExecutionUpdateCompletedEventAttributes()
	s.Counts.UpdatesCompleted++
	u := s.acceptedUpdate(a.GetAcceptedEventId(), a.GetMeta().GetUpdateId())
	if u == nil {
		s.missing()
		return
	}
	s.endUpdate(u)
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

func (s *State) endUpdate(u *Update) {
	if i, found := search(s.Updates, u.key()); found {
		s.Updates = slices.Delete(s.Updates, i, i+1)
	}
}
