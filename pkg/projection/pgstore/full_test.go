package pgstore_test

import (
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	updatepb "go.temporal.io/api/update/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// fullHistory is an open run of which no column of its row is null that may be
// null in an open run.
func fullHistory() []*events.Event {
	start := events.WorkflowStarted("Order", "orders")
	start.GetWorkflowExecutionStartedEventAttributes().WorkflowExecutionExpirationTime = timestamppb.New(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	a := start.GetWorkflowExecutionStartedEventAttributes()
	a.WorkflowExecutionTimeout, a.WorkflowRunTimeout, a.WorkflowTaskTimeout = durationpb.New(time.Hour), durationpb.New(time.Minute), durationpb.New(time.Second)
	a.RetryPolicy = &commonpb.RetryPolicy{InitialInterval: durationpb.New(time.Second), BackoffCoefficient: -0.5, MaximumInterval: &durationpb.Duration{Seconds: 315_576_000_000}}
	a.Priority = &commonpb.Priority{PriorityKey: 1, FairnessWeight: 0.1}
	a.ParentWorkflowNamespace, a.ParentWorkflowExecution = "default", &commonpb.WorkflowExecution{WorkflowId: "parent", RunId: "run"}
	a.RootWorkflowExecution = &commonpb.WorkflowExecution{WorkflowId: "root", RunId: "run"}
	a.ContinuedExecutionRunId, a.FirstExecutionRunId = "before", "first"
	payload, err := events.Payload([]string{"change-1"})
	if err != nil {
		panic(err) // of a constant
	}
	a.Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{"a\x00": payload, "a\uFFFD": payload}}
	a.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{"TemporalChangeVersion": payload}}

	reset := events.WorkflowTaskFailed(2, 3, errors.New("reset"))
	r := reset.GetWorkflowTaskFailedEventAttributes()
	r.Cause, r.BaseRunId, r.NewRunId = enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW, "base", "new"
	completed := events.WorkflowTaskCompleted(5, 6, "worker")
	//nolint:staticcheck // one of the places where workers have said which code they run.
	completed.GetWorkflowTaskCompletedEventAttributes().BinaryChecksum = "build-1"
	completed.GetWorkflowTaskCompletedEventAttributes().DeploymentVersion = &deploymentpb.WorkerDeploymentVersion{DeploymentName: "orders", BuildId: "b1"}
	completed.GetWorkflowTaskCompletedEventAttributes().VersioningBehavior = enumspb.VERSIONING_BEHAVIOR_PINNED
	completed.GetWorkflowTaskCompletedEventAttributes().SdkMetadata = &sdkpb.WorkflowTaskCompletedMetadata{SdkName: "temporal-go", SdkVersion: "1.47.0"}
	charge := events.ActivityScheduled("charge", "Charge")
	charge.GetActivityTaskScheduledEventAttributes().RetryPolicy = &commonpb.RetryPolicy{MaximumAttempts: 3}
	refused := events.ActivityFailed(8, 9, fmt.Errorf("refused: %w", errors.New("no money")))
	refused.GetActivityTaskFailedEventAttributes().RetryState = enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
	return []*events.Event{
		start,
		events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(2, "worker"), reset,
		events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(5, "worker"), completed,
		charge,
		events.ActivityStarted(8, 1, "worker"),
		refused,
		events.CancelRequested("why"),
		{EventType: enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, Attributes: &historypb.HistoryEvent_SignalExternalWorkflowExecutionInitiatedEventAttributes{
			SignalExternalWorkflowExecutionInitiatedEventAttributes: &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{
				SignalName: "wake", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "other", RunId: "run"},
			},
		}},
		{EventType: enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, Attributes: &historypb.HistoryEvent_SignalExternalWorkflowExecutionFailedEventAttributes{
			SignalExternalWorkflowExecutionFailedEventAttributes: &historypb.SignalExternalWorkflowExecutionFailedEventAttributes{
				InitiatedEventId: 12, Cause: enumspb.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND,
			},
		}},
		{EventType: enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, Attributes: &historypb.HistoryEvent_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{
			RequestCancelExternalWorkflowExecutionInitiatedEventAttributes: &historypb.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{
				Reason: "late", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "other"},
			},
		}},
		{EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED, Attributes: &historypb.HistoryEvent_NexusOperationScheduledEventAttributes{
			NexusOperationScheduledEventAttributes: &historypb.NexusOperationScheduledEventAttributes{
				Endpoint: "billing", Service: "invoices", Operation: "issue", RequestId: "q",
				ScheduleToCloseTimeout: durationpb.New(time.Hour), ScheduleToStartTimeout: durationpb.New(time.Minute), StartToCloseTimeout: durationpb.New(time.Second),
			},
		}},
		{EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_STARTED, Attributes: &historypb.HistoryEvent_NexusOperationStartedEventAttributes{
			NexusOperationStartedEventAttributes: &historypb.NexusOperationStartedEventAttributes{ScheduledEventId: 15, OperationToken: "token"},
		}},
		{EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED, Attributes: &historypb.HistoryEvent_NexusOperationCancelRequestedEventAttributes{
			NexusOperationCancelRequestedEventAttributes: &historypb.NexusOperationCancelRequestedEventAttributes{ScheduledEventId: 15},
		}},
		{EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED, Attributes: &historypb.HistoryEvent_NexusOperationCancelRequestFailedEventAttributes{
			NexusOperationCancelRequestFailedEventAttributes: &historypb.NexusOperationCancelRequestFailedEventAttributes{
				ScheduledEventId: 15, RequestedEventId: 17, Failure: events.Failure(errors.New("gone")),
			},
		}},
		{EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_FAILED, Attributes: &historypb.HistoryEvent_NexusOperationFailedEventAttributes{
			NexusOperationFailedEventAttributes: &historypb.NexusOperationFailedEventAttributes{
				ScheduledEventId: 15, Failure: events.Failure(fmt.Errorf("no invoice: %w", errors.New("no customer"))),
			},
		}},
		{EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED, Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateRejectedEventAttributes{
			WorkflowExecutionUpdateRejectedEventAttributes: &historypb.WorkflowExecutionUpdateRejectedEventAttributes{
				ProtocolInstanceId: "u", Failure: events.Failure(fmt.Errorf("not now: %w", errors.New("closed"))),
				RejectedRequest: &updatepb.Request{Meta: &updatepb.Meta{UpdateId: "u", Identity: "ann"}, Input: &updatepb.Input{Name: "add"}, RequestId: "q"},
			},
		}},
		events.WorkflowPaused("audit"),
	}
}
