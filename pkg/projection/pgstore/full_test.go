package pgstore_test

import (
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/pkg/events"
)

// fullHistory is an open run of which no column of its row is null that may be
// null in an open run.
func fullHistory() []*events.Event {
	start := events.WorkflowStarted("Order", "orders")
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
	return []*events.Event{
		start,
		events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(2, "worker"), reset,
		events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(5, "worker"), completed,
		events.ActivityScheduled("charge", "Charge"),
		events.ActivityStarted(8, 1, "worker"),
		events.ActivityFailed(8, 9, fmt.Errorf("refused: %w", errors.New("no money"))),
		events.CancelRequested("why"),
		events.WorkflowPaused("audit"),
	}
}
