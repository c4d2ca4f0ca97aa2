package execution

import (
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"

	"github.com/annals-io/annals/pkg/events"
)

func updateCases() []foldCase {
	callback := &commonpb.Callback{Variant: &commonpb.Callback_Nexus_{Nexus: &commonpb.Callback_Nexus{Url: "http://done"}}}
	request := &updatepb.Request{
		Meta: &updatepb.Meta{UpdateId: "u", Identity: "ann"}, Input: &updatepb.Input{Name: "add"},
		RequestId: "q", CompletionCallbacks: []*commonpb.Callback{callback},
	}
	admitted := []*events.Event{order()[0], event(2, &historypb.WorkflowExecutionUpdateAdmittedEventAttributes{Request: request})}
	accepted := []*events.Event{order()[0], event(2, &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{ProtocolInstanceId: "u", AcceptedRequest: request})}
	one := func(change func(*Update)) []*Update {
		u := &Update{EventID: 2, ID: "u", Name: "add", Identity: "ann", AttachedRequestIDs: []string{"q"}, CompletionCallbacks: []*commonpb.Callback{callback}}
		change(u)
		return []*Update{u}
	}
	return []foldCase{
		{
			name:   "pending from now",
			before: order()[:1],
			event:  admitted[1],
			want: func(s *State) {
				s.Updates = one(func(u *Update) { u.AdmittedTime = at(2) })
				s.Counts.UpdatesAdmitted = 1
			},
			changes: Changes{Updates: one(func(u *Update) { u.AdmittedTime = at(2) })},
		},
		{
			name:   "one that was admitted",
			before: admitted,
			event:  event(3, &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{ProtocolInstanceId: "u", AcceptedRequestSequencingEventId: 2}),
			want: func(s *State) {
				s.Updates = one(func(u *Update) {
					u.Status, u.AdmittedTime, u.AcceptedEventID, u.AcceptedTime = UpdateAccepted, at(2), 3, at(3)
				})
				s.Counts.UpdatesAccepted = 1
			},
			changes: Changes{Updates: one(func(u *Update) {
				u.Status, u.AdmittedTime, u.AcceptedEventID, u.AcceptedTime = UpdateAccepted, at(2), 3, at(3)
			})},
		},
		{
			name:   "one that was not, as usual",
			before: order()[:1],
			event:  accepted[1],
			want: func(s *State) {
				s.Updates = one(func(u *Update) { u.Status, u.AcceptedEventID, u.AcceptedTime = UpdateAccepted, 2, at(2) })
				s.Counts.UpdatesAccepted = 1
			},
			changes: Changes{Updates: one(func(u *Update) { u.Status, u.AcceptedEventID, u.AcceptedTime = UpdateAccepted, 2, at(2) })},
		},
		{
			name:   "whose request is nowhere",
			before: order()[:1],
			event:  event(2, &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{ProtocolInstanceId: "u", AcceptedRequestSequencingEventId: 5}),
			want: func(s *State) {
				s.Updates = []*Update{{EventID: 2, ID: "u", Status: UpdateAccepted, AcceptedEventID: 2, AcceptedTime: at(2)}}
				s.Counts.UpdatesAccepted = 1
				s.Counts.MissingReferences = 2
			},
			changes: Changes{Updates: []*Update{{EventID: 2, ID: "u", Status: UpdateAccepted, AcceptedEventID: 2, AcceptedTime: at(2)}}},
		},
		{
			name:   "one that was admitted",
			before: admitted,
			event:  event(3, &historypb.WorkflowExecutionUpdateRejectedEventAttributes{ProtocolInstanceId: "u", Failure: failure("no")}),
			want:   func(s *State) { s.Updates = nil; s.Counts.UpdatesRejected = 1 },
			changes: Changes{Updates: one(func(u *Update) {
				u.Status, u.AdmittedTime, u.CloseEventID, u.CloseTime, u.Failure = UpdateRejected, at(2), 3, at(3), failure("no")
			})},
		},
		{
			name:    "one that was not is a change only",
			before:  accepted,
			event:   event(3, &historypb.WorkflowExecutionUpdateRejectedEventAttributes{ProtocolInstanceId: "other", Failure: failure("no")}),
			want:    func(s *State) { s.Counts.UpdatesRejected = 1 },
			changes: Changes{Updates: []*Update{{EventID: 3, ID: "other", Status: UpdateRejected, CloseEventID: 3, CloseTime: at(3), Failure: failure("no")}}},
		},
		{
			name:   "by the event that accepted it",
			before: accepted,
			event:  event(3, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{AcceptedEventId: 2, Outcome: &updatepb.Outcome{Value: &updatepb.Outcome_Success{Success: &commonpb.Payloads{}}}}),
			want:   func(s *State) { s.Updates = nil; s.Counts.UpdatesCompleted = 1 },
			changes: Changes{Updates: one(func(u *Update) {
				u.Status, u.AcceptedEventID, u.AcceptedTime, u.CloseEventID, u.CloseTime, u.Result = UpdateCompleted, 2, at(2), 3, at(3), &commonpb.Payloads{}
			})},
		},
		{
			name:   "by its id, as older servers have it",
			before: accepted,
			event:  event(3, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{Meta: &updatepb.Meta{UpdateId: "u"}, Outcome: &updatepb.Outcome{Value: &updatepb.Outcome_Failure{Failure: failure("no")}}}),
			want:   func(s *State) { s.Updates = nil; s.Counts.UpdatesCompleted = 1 },
			changes: Changes{Updates: one(func(u *Update) {
				u.Status, u.AcceptedEventID, u.AcceptedTime, u.CloseEventID, u.CloseTime, u.Failure = UpdateFailed, 2, at(2), 3, at(3), failure("no")
			})},
		},
		{
			name:   "one that is only admitted",
			before: admitted,
			event:  event(3, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{AcceptedEventId: 2, Meta: &updatepb.Meta{UpdateId: "u"}}),
			want:   func(s *State) { s.Counts.UpdatesCompleted = 1; s.Counts.MissingReferences = 1 },
		},
	}
}
