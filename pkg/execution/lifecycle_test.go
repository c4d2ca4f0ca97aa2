package execution

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

func lifecycleCases() []foldCase {
	policy := &commonpb.RetryPolicy{MaximumAttempts: 3}
	priority := &commonpb.Priority{PriorityKey: 2}
	override := &workflowpb.VersioningOverride{PinnedVersion: "orders.b1"}
	callback := &commonpb.Callback{Variant: &commonpb.Callback_Nexus_{Nexus: &commonpb.Callback_Nexus{Url: "http://done"}}}
	running := order()[:1]
	paused := append(order()[:1:1], event(2, &historypb.WorkflowExecutionPausedEventAttributes{Identity: "ann", Reason: "wait", RequestId: "r-1"}))
	closed := append(order()[:1:1], event(2, &historypb.WorkflowExecutionCompletedEventAttributes{NewExecutionRunId: "run-2"}))
	return []foldCase{
		{
			name: "everything that a start says",
			event: event(1, &historypb.WorkflowExecutionStartedEventAttributes{
				WorkflowType:                    &commonpb.WorkflowType{Name: "Order"},
				TaskQueue:                       &taskqueuepb.TaskQueue{Name: "orders"},
				Identity:                        "client-1",
				WorkflowExecutionTimeout:        seconds64(100),
				WorkflowRunTimeout:              seconds64(50),
				WorkflowTaskTimeout:             seconds64(10),
				WorkflowExecutionExpirationTime: timestamppb.New(at(100)),
				FirstWorkflowTaskBackoff:        seconds64(7),
				RetryPolicy:                     policy,
				CronSchedule:                    "@daily",
				Priority:                        priority,
				Memo:                            &commonpb.Memo{Fields: map[string]*commonpb.Payload{"note": payload(`1`), "gone": payload("null")}},
				SearchAttributes:                &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{"k": payload(`2`), "none": payload("[]")}},
				ParentWorkflowNamespace:         "shop",
				ParentWorkflowExecution:         &commonpb.WorkflowExecution{WorkflowId: "cart", RunId: "cart-run"},
				ParentInitiatedEventId:          12,
				RootWorkflowExecution:           &commonpb.WorkflowExecution{WorkflowId: "visit", RunId: "visit-run"},
				ContinuedExecutionRunId:         "run-0",
				FirstExecutionRunId:             "run-first",
				OriginalExecutionRunId:          "run-orig",
				Attempt:                         3,
				Initiator:                       enumspb.CONTINUE_AS_NEW_INITIATOR_RETRY,
				ContinuedFailure:                failure("last time", "timeout"),
				LastCompletionResult:            payloads("5"),
				VersioningOverride:              override,
				CompletionCallbacks:             []*commonpb.Callback{callback},
				InheritedPinnedVersion:          &deploymentpb.WorkerDeploymentVersion{BuildId: "b0"},
			}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
				s.Type, s.TaskQueue, s.Identity = "Order", "orders", "client-1"
				s.StartTime, s.ExecutionTime, s.ExpirationTime = at(1), at(8), at(100)
				s.ExecutionTimeout, s.RunTimeout, s.TaskTimeout = 100*time.Second, 50*time.Second, 10*time.Second
				s.FirstTaskBackoff = 7 * time.Second
				s.RetryPolicy, s.CronSchedule, s.Priority = policy, "@daily", priority
				s.Memo = map[string]*commonpb.Payload{"note": payload(`1`)}
				s.SearchAttributes = map[string]*commonpb.Payload{"k": payload(`2`)}
				s.Parent = &Parent{Namespace: "shop", WorkflowID: "cart", RunID: "cart-run", InitiatedEventID: 12}
				s.Root = &Execution{WorkflowID: "visit", RunID: "visit-run"}
				s.ContinuedFromRunID, s.FirstRunID, s.OriginalRunID = "run-0", "run-first", "run-orig"
				s.Attempt, s.Initiator = 3, enumspb.CONTINUE_AS_NEW_INITIATOR_RETRY
				s.ContinuedFailure = failure("last time", "timeout")
				s.LastFailure, s.LastFailureEventID = s.ContinuedFailure, 1
				s.LastCompletionResult = payloads("5")
				s.VersioningOverride = override
				s.CompletionCallbacks = []*commonpb.Callback{callback}
				s.Worker.InheritedBuildID = "b0"
			},
		},
		{
			name: "times and durations that no calendar holds",
			event: event(1, &historypb.WorkflowExecutionStartedEventAttributes{
				WorkflowExecutionExpirationTime: &timestamppb.Timestamp{Seconds: 1 << 60},
				WorkflowRunTimeout:              &durationpb.Duration{Seconds: 1 << 60},
				FirstWorkflowTaskBackoff:        &durationpb.Duration{Seconds: 1 << 60},
			}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
				s.RunTimeout, s.FirstTaskBackoff = 1<<63-1, 1<<63-1
				s.StartTime, s.ExecutionTime = at(1), at(1).Add(1<<63-1)
			},
		},
		{
			name:   "with its result and what follows",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionCompletedEventAttributes{Result: payloads("1"), NewExecutionRunId: "run-2"}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
				s.ContinuedToRunID = "run-2"
				s.Close = &Close{EventID: 2, Time: at(2), Result: payloads("1")}
			},
		},
		{
			name:   "what is pending stays so",
			before: order()[:8],
			event:  event(9, &historypb.WorkflowExecutionCompletedEventAttributes{WorkflowTaskCompletedEventId: 4}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
				s.Close = &Close{EventID: 9, Time: at(9)}
			},
		},
		{
			name:   "the workflow task that it names is not there",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionCompletedEventAttributes{WorkflowTaskCompletedEventId: 17}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
				s.Close = &Close{EventID: 2, Time: at(2)}
				s.Counts.MissingReferences = 1
			},
		},
		{
			name:   "with its failure",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionFailedEventAttributes{Failure: failure("no", "why"), RetryState: enumspb.RETRY_STATE_TIMEOUT, NewExecutionRunId: "run-2"}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
				s.ContinuedToRunID = "run-2"
				s.Close = &Close{EventID: 2, Time: at(2), Failure: failure("no", "why"), RetryState: enumspb.RETRY_STATE_TIMEOUT}
				s.LastFailure, s.LastFailureEventID = failure("no", "why"), 2
			},
		},
		{
			name:   "with its retry state",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionTimedOutEventAttributes{RetryState: enumspb.RETRY_STATE_IN_PROGRESS, NewExecutionRunId: "run-2"}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
				s.ContinuedToRunID = "run-2"
				s.Close = &Close{EventID: 2, Time: at(2), RetryState: enumspb.RETRY_STATE_IN_PROGRESS}
			},
		},
		{
			name:   "with its details",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionCanceledEventAttributes{Details: payloads("1")}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
				s.Close = &Close{EventID: 2, Time: at(2), Details: payloads("1")}
			},
		},
		{
			name:   "a paused run, by whom and why",
			before: paused,
			event:  event(3, &historypb.WorkflowExecutionTerminatedEventAttributes{Details: payloads("1"), Reason: "stuck", Identity: "ann"}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
				s.Pause = nil
				s.Close = &Close{EventID: 3, Time: at(3), Details: payloads("1"), Reason: "stuck", Identity: "ann"}
			},
		},
		{
			name:   "with what follows",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionContinuedAsNewEventAttributes{NewExecutionRunId: "run-2", Initiator: enumspb.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE, Failure: failure("again")}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
				s.ContinuedToRunID = "run-2"
				s.Close = &Close{EventID: 2, Time: at(2), Initiator: enumspb.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE, Failure: failure("again")}
				s.LastFailure, s.LastFailureEventID = failure("again"), 2
			},
		},
		{
			name:   "by a client",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionCancelRequestedEventAttributes{Cause: "late", Identity: "ann"}),
			want: func(s *State) {
				s.CancelRequest = &CancelRequest{EventID: 2, Time: at(2), Cause: "late", Identity: "ann"}
				s.Counts.CancelRequests = 1
			},
		},
		{
			name:   "by another workflow",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionCancelRequestedEventAttributes{ExternalInitiatedEventId: 99, ExternalWorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "cart", RunId: "cart-run"}}),
			want: func(s *State) {
				s.CancelRequest = &CancelRequest{EventID: 2, Time: at(2), External: &Execution{WorkflowID: "cart", RunID: "cart-run"}}
				s.Counts.CancelRequests = 1
			},
		},
		{
			name:    "counted",
			before:  running,
			event:   event(2, &historypb.WorkflowExecutionSignaledEventAttributes{SignalName: "paid", Identity: "ann", RequestId: "q", ExternalWorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "cart", RunId: "r"}}),
			changes: Changes{Signals: []*Signal{{EventID: 2, Name: "paid", Time: at(2), Identity: "ann", RequestID: "q", External: &Execution{WorkflowID: "cart", RunID: "r"}}}},
			want:    func(s *State) { s.Counts.Signals = 1 },
		},
		{
			name:   "by whom and why",
			before: running,
			event:  event(2, &historypb.WorkflowExecutionPausedEventAttributes{Identity: "ann", Reason: "wait", RequestId: "r-1"}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
				s.Pause = &Pause{EventID: 2, Time: at(2), Identity: "ann", Reason: "wait", RequestID: "r-1"}
				s.Counts.Pauses = 1
			},
		},
		{
			name:   "by whom and why",
			before: paused,
			event:  event(3, &historypb.WorkflowExecutionUnpausedEventAttributes{Identity: "bob", Reason: "go", RequestId: "r-2"}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
				s.Pause = nil
				s.LastUnpause = &Pause{EventID: 3, Time: at(3), Identity: "bob", Reason: "go", RequestID: "r-2"}
			},
		},
		{
			name:   "after the close, which no log takes, leaves an open run without one",
			before: closed,
			event:  event(3, &historypb.WorkflowExecutionUnpausedEventAttributes{}),
			want: func(s *State) {
				s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
				s.Close = nil
				s.ContinuedToRunID = events.RunID("")
				s.LastUnpause = &Pause{EventID: 3, Time: at(3)}
			},
		},
	}
}
