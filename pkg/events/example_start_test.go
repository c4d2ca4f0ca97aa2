package events_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// run is a run of the order, to be started under the id that the examples name.
func run(id events.RunID) events.StartRequest {
	return events.StartRequest{Workflow: order, RunID: id, Events: []*events.Event{events.WorkflowStarted("Order", "orders")}}
}

// With UseExisting the run that is open is the answer, whoever has started it:
// nothing is appended then.
func Example_howDoIStartAWorkflowOrUseTheOneThatRuns() {
	ctx, annals := context.Background(), open(memlog.Config{})
	for _, id := range []events.RunID{"run-1", "run-2"} {
		request := run(id)
		request.Conflict = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
		r, err := events.Start(ctx, annals, request)
		fmt.Println(r.Outcome, r.RunID, err)
	}
	// Output:
	// started run-1 <nil>
	// used existing run-1 <nil>
}

// With TerminateExisting the end of the open run and the start of the new one are
// one commit: there is no moment at which neither is open.
func Example_howDoIReplaceARunThatIsOpen() {
	ctx, annals := context.Background(), open(memlog.Config{})
	start(ctx, annals)
	request := run("run-2")
	request.Conflict = enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
	request.Terminate = events.WorkflowTerminated("the customer ordered again")
	r, err := events.Start(ctx, annals, request)
	fmt.Println(r.Outcome, r.Terminated, "by", r.RunID, err)
	// Output: replaced run-1 by run-2 <nil>
}

// With RejectDuplicate a workflow id is used once, however its run ended. Who is
// refused is told which run there is.
func Example_howDoIRunAWorkflowOnlyOnce() {
	ctx, annals := context.Background(), open(memlog.Config{})
	started := start(ctx, annals)
	closing := events.Request{Workflow: order, Expect: events.After(started.Cursor), Events: []*events.Event{events.WorkflowCompleted()}}
	if _, err := annals.Append(ctx, closing); err != nil {
		log.Fatal(err)
	}
	request := run("run-2")
	request.Reuse = enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	_, err := events.Start(ctx, annals, request)
	var there *events.ConflictError
	if errors.As(err, &there) {
		fmt.Println(there.Actual.Run(), there.Actual.Status())
	}
	// Output: run-1 Completed
}

// With AllowDuplicateFailedOnly a run may follow one that failed, timed out, or
// was canceled or terminated, and none that completed.
func Example_howDoITryAWorkflowAgainOnlyIfItFailed() {
	ctx, annals := context.Background(), open(memlog.Config{})
	for _, end := range []*events.Event{events.WorkflowFailed(errors.New("no stock")), events.WorkflowCompleted(), nil} {
		request := run("")
		request.Reuse = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
		r, err := events.Start(ctx, annals, request)
		if errors.Is(err, events.ErrConflict) {
			fmt.Println("refused")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		closing := events.Request{Workflow: order, Expect: events.After(r.Cursor), Events: []*events.Event{end}}
		if r, err := annals.Append(ctx, closing); err == nil {
			fmt.Println(r.Cursor.Status())
		}
	}
	// Output:
	// Failed
	// Completed
	// refused
}

// The signal and the start that it may need are one commit, and of many callers
// at once one starts the run.
func Example_howDoISignalAWorkflowThatMayNotRun() {
	ctx, annals := context.Background(), open(memlog.Config{})
	for _, item := range []string{"book", "lamp"} {
		r, err := events.SignalWithStart(ctx, annals, run(""), events.Signaled("item-added", item))
		fmt.Println(r.Outcome, r.FirstEventID, r.LastEventID, err)
	}
	// Output:
	// started 1 2 <nil>
	// signaled 3 3 <nil>
}

// What an error of unknown outcome carries goes back into the same call, which
// settles it: whatever it had sent is found, and whatever was lost is decided
// anew.
func Example_whatDoIDoWhenTheOutcomeOfAStartIsUnknown() {
	annals := open(memlog.Config{})
	ctx, giveUp := context.WithCancel(context.Background())
	broken := annals.Open(memlog.Config{Hook: func(memlog.Op) (apply bool, err error) {
		giveUp() // the commit is stored, its acknowledgement is lost, and nobody waits any longer
		return true, errors.New("connection reset")
	}})
	request, signal := run(""), events.Signaled("item-added", "book")
	_, err := events.SignalWithStart(ctx, broken, request, signal)

	var unknown *events.OutcomeUnknownError
	if errors.As(err, &unknown) {
		request.CommitID, request.Expect = unknown.CommitID, unknown.Expectation
		r, err := events.SignalWithStart(context.Background(), annals, request, signal)
		fmt.Println(r.Outcome, "it was there:", r.Existed, err)
	}
	// Output: started it was there: true <nil>
}
