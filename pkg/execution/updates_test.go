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
		},
		{
			name:   "one that was not, as usual",
			before: order()[:1],
			event:  accepted[1],
			want: func(s *State) {
				s.Updates = one(func(u *Update) { u.Status, u.AcceptedEventID, u.AcceptedTime = UpdateAccepted, 2, at(2) })
				s.Counts.UpdatesAccepted = 1
			},
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
		},
		{
			name:   "one that was admitted",
			before: admitted,
			event:  event(3, &historypb.WorkflowExecutionUpdateRejectedEventAttributes{ProtocolInstanceId: "u", Failure: failure("no")}),
			want:   func(s *State) { s.Updates = nil; s.Counts.UpdatesRejected = 1 },
		},
		{
			name:   "one that was not leaves nothing",
			before: accepted,
			event:  event(3, &historypb.WorkflowExecutionUpdateRejectedEventAttributes{ProtocolInstanceId: "other"}),
			want:   func(s *State) { s.Counts.UpdatesRejected = 1 },
		},
		{
			name:   "by the event that accepted it",
			before: accepted,
			event:  event(3, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{AcceptedEventId: 2}),
			want:   func(s *State) { s.Updates = nil; s.Counts.UpdatesCompleted = 1 },
		},
		{
			name:   "by its id, as older servers have it",
			before: accepted,
			event:  event(3, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{Meta: &updatepb.Meta{UpdateId: "u"}}),
			want:   func(s *State) { s.Updates = nil; s.Counts.UpdatesCompleted = 1 },
		},
		{
			name:   "one that is only admitted",
			before: admitted,
			event:  event(3, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{AcceptedEventId: 2, Meta: &updatepb.Meta{UpdateId: "u"}}),
			want:   func(s *State) { s.Counts.UpdatesCompleted = 1; s.Counts.MissingReferences = 1 },
		},
	}
}
