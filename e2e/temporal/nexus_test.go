package temporal

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nexus-rpc/sdk-go/nexus"
	nexuspb "go.temporal.io/api/nexus/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/temporalnexus"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// The Nexus endpoints that workflows call, by the task queue behind each: behind
// one are the judge's own workers, behind the other nobody is.
var endpoints = map[string]string{"shelves": queue, "closed": nobody}

// service is what the workers behind an endpoint offer.
const service = "books"

// operations are the service's. One answers at once, one says no; one starts a
// workflow that ends by itself, and one a workflow that ends when it is canceled.
var operations = []nexus.RegisterableOperation{
	nexus.NewSyncOperation("double", func(_ context.Context, n int, _ nexus.StartOperationOptions) (int, error) { return 2 * n, nil }),
	nexus.NewSyncOperation("refuse", func(context.Context, int, nexus.StartOperationOptions) (int, error) {
		return 0, nexus.NewOperationFailedErrorf("not a book of ours")
	}),
	startedBy("fetch", "Handled"),
	startedBy("lend", "Wait"),
}

// startedBy is an operation whose input is the id of the workflow that it starts.
func startedBy(name, kind string) nexus.RegisterableOperation {
	return temporalnexus.MustNewWorkflowRunOperationWithOptions(temporalnexus.WorkflowRunOperationOptions[string, string]{
		Name: name, Handler: func(ctx context.Context, id string, o nexus.StartOperationOptions) (temporalnexus.WorkflowHandle[string], error) {
			return temporalnexus.ExecuteUntypedWorkflow[string](ctx, o, client.StartWorkflowOptions{ID: id, TaskQueue: queue}, kind, id)
		},
	})
}

// handled is the workflow behind "fetch".
func handled(_ workflow.Context, id string) (string, error) { return "from " + id, nil }

func registerNexus(r worker.Registry) {
	s := nexus.NewService(service)
	if err := s.Register(operations...); err != nil {
		panic(err) // two operations of one name
	}
	r.RegisterNexusService(s)
}

func (s server) createEndpoints(ctx context.Context, t *testing.T) {
	t.Helper()
	for name, behind := range endpoints {
		if _, err := s.OperatorService().CreateNexusEndpoint(ctx, &operatorservice.CreateNexusEndpointRequest{Spec: &nexuspb.EndpointSpec{
			Name: name, Target: &nexuspb.EndpointTarget{Variant: &nexuspb.EndpointTarget_Worker_{Worker: &nexuspb.EndpointTarget_Worker{Namespace: s.namespace, TaskQueue: behind}}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
}

// overNexus has an operation of each fate: one that answers at once, one that is
// refused, one whose workflow completes, one that is canceled, and one that nobody
// takes up in time. It returns how many have failed.
func overNexus(ctx workflow.Context) (int, error) {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	shelves, closed := workflow.NewNexusClient("shelves", service), workflow.NewNexusClient("closed", service)
	failures := 0
	count := func(f workflow.Future) {
		var failed *sdk.NexusOperationError
		if errors.As(f.Get(ctx, nil), &failed) {
			failures++
		}
	}
	count(shelves.ExecuteOperation(ctx, "double", 4, workflow.NexusOperationOptions{ScheduleToCloseTimeout: time.Hour, Summary: "twice four"}))
	count(shelves.ExecuteOperation(ctx, "refuse", 4, workflow.NexusOperationOptions{}))
	count(shelves.ExecuteOperation(ctx, "fetch", id+"/fetch", workflow.NexusOperationOptions{}))
	cancelable, cancel := workflow.WithCancel(ctx)
	lent := shelves.ExecuteOperation(cancelable, "lend", id+"/lend", workflow.NexusOperationOptions{})
	if err := lent.GetNexusOperationExecution().Get(ctx, nil); err != nil {
		return 0, err
	}
	_ = workflow.Sleep(ctx, time.Second) // it has its first task by then
	cancel()
	count(lent)
	count(closed.ExecuteOperation(ctx, "double", 4, workflow.NexusOperationOptions{ScheduleToCloseTimeout: time.Second}))
	return failures, nil
}

// pendingOverNexus has an operation that has begun, and one that nobody takes up,
// until it is told to end.
func pendingOverNexus(ctx workflow.Context) error {
	shelves, closed := workflow.NewNexusClient("shelves", service), workflow.NewNexusClient("closed", service)
	lent := shelves.ExecuteOperation(ctx, "lend", workflow.GetInfo(ctx).WorkflowExecution.ID+"/lend", workflow.NexusOperationOptions{StartToCloseTimeout: 2 * time.Hour})
	if err := lent.GetNexusOperationExecution().Get(ctx, nil); err != nil {
		return err
	}
	closed.ExecuteOperation(ctx, "double", 4, workflow.NexusOperationOptions{ScheduleToCloseTimeout: time.Hour})
	_, err := wait(ctx, "")
	return err
}
