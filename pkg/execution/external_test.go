package execution

import (
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

func externalCases() []foldCase {
	other := &commonpb.WorkflowExecution{WorkflowId: "cart", RunId: "r"}
	signaling := []*events.Event{order()[0], event(2, &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{Namespace: "shop", WorkflowExecution: other, SignalName: "paid", ChildWorkflowOnly: true})}
	canceling := []*events.Event{order()[0], event(2, &historypb.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{Namespace: "shop", WorkflowExecution: other, Reason: "late", ChildWorkflowOnly: true})}
	delivered := func(s *State) { s.ExternalSignals, s.ExternalCancels = nil, nil }
	missing := func(s *State) { s.Counts.MissingReferences = 1 }
	return []foldCase{
		{
			name:   "pending from now",
			before: order()[:1],
			event:  signaling[1],
			want: func(s *State) {
				s.Counts.ExternalSignals = 1
				s.ExternalSignals = []*ExternalSignal{{InitiatedEventID: 2, InitiatedTime: at(2), Namespace: "shop", WorkflowID: "cart", RunID: "r", SignalName: "paid", ChildWorkflowOnly: true}}
			},
		},
		{name: "a pending one", before: signaling, event: event(3, &historypb.SignalExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2}), want: delivered},
		{name: "one that is not pending", before: signaling, event: event(3, &historypb.SignalExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 1}), want: missing},
		{name: "a pending one", before: signaling, event: event(3, &historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: 2}), want: delivered},
		{name: "one that is not pending", before: canceling, event: event(3, &historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: 2}), want: missing},
		{
			name:   "pending from now",
			before: order()[:1],
			event:  canceling[1],
			want: func(s *State) {
				s.Counts.ExternalCancels = 1
				s.ExternalCancels = []*ExternalCancel{{InitiatedEventID: 2, InitiatedTime: at(2), Namespace: "shop", WorkflowID: "cart", RunID: "r", Reason: "late", ChildWorkflowOnly: true}}
			},
		},
		{name: "a pending one", before: canceling, event: event(3, &historypb.RequestCancelExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2}), want: delivered},
		{name: "one that is not pending", before: signaling, event: event(3, &historypb.RequestCancelExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2}), want: missing},
		{name: "a pending one", before: canceling, event: event(3, &historypb.ExternalWorkflowExecutionCancelRequestedEventAttributes{InitiatedEventId: 2}), want: delivered},
		{name: "one that is not pending", before: canceling, event: event(3, &historypb.ExternalWorkflowExecutionCancelRequestedEventAttributes{InitiatedEventId: 9}), want: missing},
	}
}
