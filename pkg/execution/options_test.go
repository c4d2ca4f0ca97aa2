package execution

import (
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
)

func optionCases() []foldCase {
	type updateOption = historypb.WorkflowExecutionOptionsUpdatedEventAttributes_WorkflowUpdateOptionsUpdate
	override := &workflowpb.VersioningOverride{PinnedVersion: "orders.b1"}
	callback := &commonpb.Callback{Variant: &commonpb.Callback_Nexus_{Nexus: &commonpb.Callback_Nexus{Url: "http://done"}}}
	pinned := append(order()[:1:1], event(2, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{VersioningOverride: override, AttachedRequestId: "q"}))
	updating := append(order()[:1:1], event(2, &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{AcceptedRequest: &updatepb.Request{Meta: &updatepb.Meta{UpdateId: "u"}}}))
	return []foldCase{
		{
			name:   "everything that it can set",
			before: order()[:1],
			event: event(2, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{
				VersioningOverride: override, AttachedRequestId: "q", AttachedCompletionCallbacks: []*commonpb.Callback{callback, nil}, Priority: &commonpb.Priority{PriorityKey: 3},
			}),
			want: func(s *State) {
				s.VersioningOverride = override
				s.Worker.BuildIDTags = []string{"unversioned"} // the override names no behavior
				s.AttachedRequestIDs = []string{"q"}
				s.CompletionCallbacks = []*commonpb.Callback{callback}
				s.Priority = &commonpb.Priority{PriorityKey: 3}
			},
		},
		{
			name:   "nothing said, nothing changed; a request is attached once",
			before: pinned,
			event:  event(3, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{AttachedRequestId: "q"}),
		},
		{
			name:   "the override is taken back",
			before: pinned,
			event:  event(3, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{UnsetVersioningOverride: true, VersioningOverride: override}),
			want:   func(s *State) { s.VersioningOverride = nil },
		},
		{
			name:   "a further caller of an update",
			before: updating,
			event: event(3, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{WorkflowUpdateOptions: []*updateOption{
				{UpdateId: "u", AttachedRequestId: "q", AttachedCompletionCallbacks: []*commonpb.Callback{callback}}, {UpdateId: "over"},
			}}),
			want: func(s *State) {
				s.Updates[0].AttachedRequestIDs = []string{"q"}
				s.Updates[0].CompletionCallbacks = []*commonpb.Callback{callback}
				s.Counts.MissingReferences = 1
			},
			changes: Changes{Updates: []*Update{{
				EventID: 2, ID: "u", Status: UpdateAccepted, AcceptedEventID: 2, AcceptedTime: at(2),
				AttachedRequestIDs: []string{"q"}, CompletionCallbacks: []*commonpb.Callback{callback},
			}}},
		},
	}
}
