package execution

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

func activityCases() []foldCase {
	scheduled := []*events.Event{order()[0], activityScheduled(2, 0)}
	running := append(scheduled[:2:2], event(3, &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: 2, Identity: "worker-2", Attempt: 2, LastFailure: failure("declined")}))
	// one is the activity of running, changed.
	one := func(change func(*Activity)) []*Activity {
		a := &Activity{
			ScheduledEventID: 2, ActivityID: "a", Type: "Charge", TaskQueue: "payments", ScheduledTime: at(2),
			ScheduleToClose: time.Minute, ScheduleToStart: 20 * time.Second, StartToClose: 30 * time.Second, Heartbeat: 5 * time.Second,
			RetryPolicy:    &commonpb.RetryPolicy{InitialInterval: seconds64(1), BackoffCoefficient: 2, MaximumInterval: seconds64(100), MaximumAttempts: 5},
			Status:         ActivityStarted,
			StartedEventID: 3, StartedTime: at(3), Attempt: 2, LastFailure: failure("declined"), WorkerIdentity: "worker-2",
		}
		change(a)
		return []*Activity{a}
	}
	unstarted := func(change func(*Activity)) []*Activity {
		return one(func(a *Activity) {
			a.Status = ActivityScheduled
			a.StartedEventID, a.StartedTime, a.Attempt, a.LastFailure, a.WorkerIdentity = 0, time.Time{}, 0, nil, ""
			change(a)
		})
	}
	nothing := func(*Activity) {}
	gone := func(s *State) { s.Activities = nil }
	return []foldCase{
		{
			name:    "pending from now",
			before:  order()[:1],
			event:   activityScheduled(2, 0),
			want:    func(s *State) { s.Activities = unstarted(nothing); s.Counts.Activities = 1 },
			changes: Changes{Activities: unstarted(nothing)},
		},
		{
			name:   "by a workflow task that is not there",
			before: order()[:1],
			event:  activityScheduled(2, 2),
			want: func(s *State) {
				s.Activities = unstarted(nothing)
				s.Counts.Activities = 1
				s.Counts.MissingReferences = 1
			},
			changes: Changes{Activities: unstarted(nothing)},
		},
		{
			name:   "with the failure of the attempt before",
			before: scheduled,
			event:  running[2],
			want: func(s *State) {
				s.Activities = one(nothing)
				s.LastFailure, s.LastFailureEventID = failure("declined"), 3
			},
			changes: Changes{Activities: one(nothing)},
		},
		{
			name:   "one that is not pending",
			before: scheduled,
			event:  event(3, &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: 1}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:   "with its result",
			before: running,
			event:  event(4, &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: 2, StartedEventId: 3, Identity: "worker-3", Result: payloads("1")}),
			want:   gone,
			changes: Changes{Activities: one(func(a *Activity) {
				a.Status, a.CloseEventID, a.CloseTime = ActivityCompleted, 4, at(4)
				a.Result, a.WorkerIdentity = payloads("1"), "worker-3"
			})},
		},
		{
			name:   "one that is over",
			before: append(running[:3:3], event(4, &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: 2, StartedEventId: 3})),
			event:  event(5, &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: 2, StartedEventId: 3}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:   "with its failure",
			before: running,
			event:  event(4, &historypb.ActivityTaskFailedEventAttributes{ScheduledEventId: 2, StartedEventId: 3, Failure: failure("broke"), RetryState: enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED}),
			want:   func(s *State) { gone(s); s.LastFailure, s.LastFailureEventID = failure("broke"), 4 },
			changes: Changes{Activities: one(func(a *Activity) {
				a.Status, a.CloseEventID, a.CloseTime = ActivityFailed, 4, at(4)
				a.Failure, a.LastFailure, a.RetryState = failure("broke"), failure("broke"), enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
			})},
		},
		{
			name:   "without ever starting",
			before: scheduled,
			event:  event(3, &historypb.ActivityTaskTimedOutEventAttributes{ScheduledEventId: 2, Failure: failure("late"), RetryState: enumspb.RETRY_STATE_TIMEOUT}),
			want:   func(s *State) { gone(s); s.LastFailure, s.LastFailureEventID = failure("late"), 3 },
			changes: Changes{Activities: unstarted(func(a *Activity) {
				a.Status, a.CloseEventID, a.CloseTime = ActivityTimedOut, 3, at(3)
				a.Failure, a.LastFailure, a.RetryState = failure("late"), failure("late"), enumspb.RETRY_STATE_TIMEOUT
			})},
		},
		{
			name:   "a pending one",
			before: running,
			event:  event(4, &historypb.ActivityTaskCancelRequestedEventAttributes{ScheduledEventId: 2}),
			want: func(s *State) {
				s.Activities = one(func(a *Activity) { a.CancelRequestedEventID, a.CancelRequestedTime = 4, at(4) })
			},
			changes: Changes{Activities: one(func(a *Activity) { a.CancelRequestedEventID, a.CancelRequestedTime = 4, at(4) })},
		},
		{
			name:   "one that is over already is no missing reference",
			before: append(running[:3:3], event(4, &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: 2, StartedEventId: 3})),
			event:  event(5, &historypb.ActivityTaskCancelRequestedEventAttributes{ScheduledEventId: 2}),
		},
		{
			name:   "with its details",
			before: running,
			event:  event(4, &historypb.ActivityTaskCanceledEventAttributes{ScheduledEventId: 2, StartedEventId: 3, Details: payloads("1"), LatestCancelRequestedEventId: 9}),
			want:   func(s *State) { gone(s); s.Counts.MissingReferences = 1 },
			changes: Changes{Activities: one(func(a *Activity) {
				a.Status, a.CloseEventID, a.CloseTime, a.Details = ActivityCanceled, 4, at(4), payloads("1")
			})},
		},
		{
			name:   "another retry policy",
			before: running,
			event:  event(4, &historypb.ActivityPropertiesModifiedExternallyEventAttributes{ScheduledEventId: 2, NewRetryPolicy: &commonpb.RetryPolicy{MaximumAttempts: 1}}),
			want: func(s *State) {
				s.Activities = one(func(a *Activity) { a.RetryPolicy = &commonpb.RetryPolicy{MaximumAttempts: 1} })
			},
			changes: Changes{Activities: one(func(a *Activity) { a.RetryPolicy = &commonpb.RetryPolicy{MaximumAttempts: 1} })},
		},
		{
			name:   "of one that is not pending",
			before: running,
			event:  event(4, &historypb.ActivityPropertiesModifiedExternallyEventAttributes{ScheduledEventId: 3}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
	}
}
