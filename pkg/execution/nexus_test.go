package execution

import (
	"time"

	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

func nexusCases() []foldCase {
	scheduled := []*events.Event{order()[0], event(2, &historypb.NexusOperationScheduledEventAttributes{
		Endpoint: "bank", Service: "ledger", Operation: "transfer", RequestId: "q",
		ScheduleToCloseTimeout: seconds64(60), ScheduleToStartTimeout: seconds64(20), StartToCloseTimeout: seconds64(30),
	})}
	running := append(scheduled[:2:2], event(3, &historypb.NexusOperationStartedEventAttributes{ScheduledEventId: 2, OperationToken: "token"}))
	canceling := append(running[:3:3], event(4, &historypb.NexusOperationCancelRequestedEventAttributes{ScheduledEventId: 2}))
	over := append(canceling[:4:4], event(5, &historypb.NexusOperationCompletedEventAttributes{ScheduledEventId: 2}))
	unstarted := func(change func(*NexusOperation)) []*NexusOperation {
		o := &NexusOperation{
			ScheduledEventID: 2, Endpoint: "bank", Service: "ledger", Operation: "transfer", RequestID: "q", ScheduledTime: at(2),
			ScheduleToClose: time.Minute, ScheduleToStart: 20 * time.Second, StartToClose: 30 * time.Second,
		}
		change(o)
		return []*NexusOperation{o}
	}
	one := func(change func(*NexusOperation)) []*NexusOperation {
		return unstarted(func(o *NexusOperation) {
			o.Status, o.StartedEventID, o.StartedTime, o.OperationToken = NexusStarted, 3, at(3), "token"
			change(o)
		})
	}
	canceled := func(change func(*NexusOperation)) []*NexusOperation {
		return one(func(o *NexusOperation) {
			o.CancelRequestedEventID, o.CancelRequestedTime = 4, at(4)
			change(o)
		})
	}
	ended := func(status NexusStatus, change func(*NexusOperation)) []*NexusOperation {
		return one(func(o *NexusOperation) {
			o.Status, o.CloseEventID, o.CloseTime = status, 4, at(4)
			change(o)
		})
	}
	nothing := func(*NexusOperation) {}
	pending := func(list []*NexusOperation) func(*State) {
		return func(s *State) { s.NexusOperations = list }
	}
	return []foldCase{
		{
			name:    "pending from now",
			before:  order()[:1],
			event:   scheduled[1],
			want:    func(s *State) { s.NexusOperations = unstarted(nothing); s.Counts.NexusOperations = 1 },
			changes: Changes{NexusOperations: unstarted(nothing)},
		},
		{
			name:    "with its token",
			before:  scheduled,
			event:   running[2],
			want:    pending(one(nothing)),
			changes: Changes{NexusOperations: one(nothing)},
		},
		{
			name:    "with its token under the older name",
			before:  scheduled,
			event:   event(3, &historypb.NexusOperationStartedEventAttributes{ScheduledEventId: 2, OperationId: "token"}),
			want:    pending(one(nothing)),
			changes: Changes{NexusOperations: one(nothing)},
		},
		{
			name:   "one that is not pending",
			before: scheduled,
			event:  event(3, &historypb.NexusOperationStartedEventAttributes{ScheduledEventId: 1}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:    "with its result",
			before:  running,
			event:   event(4, &historypb.NexusOperationCompletedEventAttributes{ScheduledEventId: 2, Result: payload("1")}),
			want:    pending(nil),
			changes: Changes{NexusOperations: ended(NexusCompleted, func(o *NexusOperation) { o.Result = payload("1") })},
		},
		{
			name:   "one that is not pending",
			before: running,
			event:  event(4, &historypb.NexusOperationCompletedEventAttributes{ScheduledEventId: 3}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:    "with its failure",
			before:  running,
			event:   event(4, &historypb.NexusOperationFailedEventAttributes{ScheduledEventId: 2, Failure: failure("broke")}),
			want:    func(s *State) { s.NexusOperations = nil; s.LastFailure, s.LastFailureEventID = failure("broke"), 4 },
			changes: Changes{NexusOperations: ended(NexusFailed, func(o *NexusOperation) { o.Failure = failure("broke") })},
		},
		{
			name:    "which is no failure of the run",
			before:  running,
			event:   event(4, &historypb.NexusOperationCanceledEventAttributes{ScheduledEventId: 2, Failure: failure("canceled")}),
			want:    pending(nil),
			changes: Changes{NexusOperations: ended(NexusCanceled, func(o *NexusOperation) { o.Failure = failure("canceled") })},
		},
		{
			name:    "with its failure",
			before:  running,
			event:   event(4, &historypb.NexusOperationTimedOutEventAttributes{ScheduledEventId: 2, Failure: failure("late")}),
			want:    func(s *State) { s.NexusOperations = nil; s.LastFailure, s.LastFailureEventID = failure("late"), 4 },
			changes: Changes{NexusOperations: ended(NexusTimedOut, func(o *NexusOperation) { o.Failure = failure("late") })},
		},
		{
			name:    "a pending one",
			before:  running,
			event:   canceling[3],
			want:    pending(canceled(nothing)),
			changes: Changes{NexusOperations: canceled(nothing)},
		},
		{
			name:   "one that is over is no missing reference",
			before: over,
			event:  event(6, &historypb.NexusOperationCancelRequestedEventAttributes{ScheduledEventId: 2}),
		},
		{
			name:    "the handler has the request",
			before:  canceling,
			event:   event(5, &historypb.NexusOperationCancelRequestCompletedEventAttributes{ScheduledEventId: 2, RequestedEventId: 4}),
			want:    pending(canceled(func(o *NexusOperation) { o.CancelDeliveredEventID = 5 })),
			changes: Changes{NexusOperations: canceled(func(o *NexusOperation) { o.CancelDeliveredEventID = 5 })},
		},
		{
			name:    "found by the request, where the operation is left out",
			before:  canceling,
			event:   event(5, &historypb.NexusOperationCancelRequestCompletedEventAttributes{RequestedEventId: 4}),
			want:    pending(canceled(func(o *NexusOperation) { o.CancelDeliveredEventID = 5 })),
			changes: Changes{NexusOperations: canceled(func(o *NexusOperation) { o.CancelDeliveredEventID = 5 })},
		},
		{
			name:   "after the operation is over",
			before: over,
			event:  event(6, &historypb.NexusOperationCancelRequestCompletedEventAttributes{ScheduledEventId: 2, RequestedEventId: 4}),
		},
		{
			name:    "with the failure of the request",
			before:  canceling,
			event:   event(5, &historypb.NexusOperationCancelRequestFailedEventAttributes{ScheduledEventId: 2, RequestedEventId: 4, Failure: failure("deaf")}),
			want:    pending(canceled(func(o *NexusOperation) { o.CancelFailure = failure("deaf") })),
			changes: Changes{NexusOperations: canceled(func(o *NexusOperation) { o.CancelFailure = failure("deaf") })},
		},
		{
			name:    "delivered at last, the failure is forgotten",
			before:  append(canceling[:4:4], event(5, &historypb.NexusOperationCancelRequestFailedEventAttributes{ScheduledEventId: 2, RequestedEventId: 4, Failure: failure("deaf")})),
			event:   event(6, &historypb.NexusOperationCancelRequestCompletedEventAttributes{ScheduledEventId: 2, RequestedEventId: 4}),
			want:    pending(canceled(func(o *NexusOperation) { o.CancelDeliveredEventID = 6 })),
			changes: Changes{NexusOperations: canceled(func(o *NexusOperation) { o.CancelDeliveredEventID = 6 })},
		},
		{
			name:   "a request that is not there",
			before: running,
			event:  event(4, &historypb.NexusOperationCancelRequestFailedEventAttributes{RequestedEventId: 7}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
	}
}
