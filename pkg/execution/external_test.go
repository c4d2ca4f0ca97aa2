package execution

import (
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

func externalCases() []foldCase {
	other := &commonpb.WorkflowExecution{WorkflowId: "cart", RunId: "r"}
	signaling := []*events.Event{order()[0], event(2, &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{Namespace: "shop", WorkflowExecution: other, SignalName: "paid", ChildWorkflowOnly: true})}
	canceling := []*events.Event{order()[0], event(2, &historypb.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{Namespace: "shop", WorkflowExecution: other, Reason: "late", ChildWorkflowOnly: true})}
	delivered := func(s *State) { s.ExternalSignals, s.ExternalCancels = nil, nil }
	missing := func(s *State) { s.Counts.MissingReferences = 1 }
	signal := func(change func(*ExternalSignal)) []*ExternalSignal {
		x := &ExternalSignal{InitiatedEventID: 2, InitiatedTime: at(2), Namespace: "shop", WorkflowID: "cart", RunID: "r", SignalName: "paid", ChildWorkflowOnly: true}
		if change != nil {
			change(x)
		}
		return []*ExternalSignal{x}
	}
	cancel := func(change func(*ExternalCancel)) []*ExternalCancel {
		x := &ExternalCancel{InitiatedEventID: 2, InitiatedTime: at(2), Namespace: "shop", WorkflowID: "cart", RunID: "r", Reason: "late", ChildWorkflowOnly: true}
		if change != nil {
			change(x)
		}
		return []*ExternalCancel{x}
	}
	return []foldCase{
		{
			name:   "pending from now",
			before: order()[:1],
			event:  signaling[1],
			want: func(s *State) {
				s.Counts.ExternalSignals = 1
				s.ExternalSignals = signal(nil)
			},
			changes: Changes{ExternalSignals: signal(nil)},
		},
		{name: "a pending one", before: signaling, event: event(3, &historypb.SignalExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2, Cause: enumspb.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND}), want: delivered, changes: Changes{ExternalSignals: signal(func(x *ExternalSignal) {
			x.Status, x.CloseEventID, x.CloseTime, x.FailedCause = ExternalFailed, 3, at(3), "NamespaceNotFound"
		})}},
		{name: "one that is not pending", before: signaling, event: event(3, &historypb.SignalExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 1}), want: missing},
		{name: "a pending one", before: signaling, event: event(3, &historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: 2}), want: delivered, changes: Changes{ExternalSignals: signal(func(x *ExternalSignal) {
			x.Status, x.CloseEventID, x.CloseTime = ExternalDelivered, 3, at(3)
		})}},
		{name: "one that is not pending", before: canceling, event: event(3, &historypb.ExternalWorkflowExecutionSignaledEventAttributes{InitiatedEventId: 2}), want: missing},
		{
			name:   "pending from now",
			before: order()[:1],
			event:  canceling[1],
			want: func(s *State) {
				s.Counts.ExternalCancels = 1
				s.ExternalCancels = cancel(nil)
			},
			changes: Changes{ExternalCancels: cancel(nil)},
		},
		{name: "a pending one", before: canceling, event: event(3, &historypb.RequestCancelExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2, Cause: enumspb.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND}), want: delivered, changes: Changes{ExternalCancels: cancel(func(x *ExternalCancel) {
			x.Status, x.CloseEventID, x.CloseTime, x.FailedCause = ExternalFailed, 3, at(3), "NamespaceNotFound"
		})}},
		{name: "one that is not pending", before: signaling, event: event(3, &historypb.RequestCancelExternalWorkflowExecutionFailedEventAttributes{InitiatedEventId: 2}), want: missing},
		{name: "a pending one", before: canceling, event: event(3, &historypb.ExternalWorkflowExecutionCancelRequestedEventAttributes{InitiatedEventId: 2}), want: delivered, changes: Changes{ExternalCancels: cancel(func(x *ExternalCancel) {
			x.Status, x.CloseEventID, x.CloseTime = ExternalDelivered, 3, at(3)
		})}},
		{name: "one that is not pending", before: canceling, event: event(3, &historypb.ExternalWorkflowExecutionCancelRequestedEventAttributes{InitiatedEventId: 9}), want: missing},
	}
}
