package temporal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
)

// The demo's workers know nothing of Temporal; their histories, read back from the
// stream, are such that Temporal's replayer takes them for those of the same
// workflows written for its SDK: every command is the recorded one, and what the
// code returns in the end is what it returned to us.
func TestTemporalsReplayerTakesTheDemosHistories(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a := annals{namespace: "shop", log: newLog(ctx, t)}
	all := a.trade(ctx, t)

	r := replayerOf(t, shop)
	// The SDK's replayer has it, and leaves it out of its interface.
	results, ok := r.(interface {
		GetWorkflowResult(workflowID string, into any) error
	})
	if !ok {
		t.Fatal("the replayer does not tell results")
	}
	ends := map[string]map[enumspb.EventType]int{}
	for _, w := range all {
		for run, h := range a.runs(t, w) {
			if withoutTasks(h) {
				continue // ended before any worker took it up
			}
			if err := r.ReplayWorkflowHistoryWithOptions(silence{}, h, worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: w.ID, RunID: string(run)}}); err != nil {
				t.Errorf("%s, run %s: %v", w.ID, run, err)
				continue
			}
			kind, last := h.Events[0].GetWorkflowExecutionStartedEventAttributes().WorkflowType.Name, h.Events[len(h.Events)-1]
			if ends[kind] == nil {
				ends[kind] = map[enumspb.EventType]int{}
			}
			ends[kind][last.EventType]++
			if result := last.GetWorkflowExecutionCompletedEventAttributes().GetResult(); result != nil {
				var recorded, returned any
				if err := errors.Join(converter.GetDefaultDataConverter().FromPayloads(result, &recorded), results.GetWorkflowResult(w.ID, &returned)); err != nil {
					t.Errorf("%s, run %s: %v", w.ID, run, err)
				}
				if diff := cmp.Diff(recorded, returned); diff != "" {
					t.Errorf("%s, run %s, the result (-recorded +returned):\n%s", w.ID, run, diff)
				}
			}
		}
	}
	t.Logf("replayed: %v", ends)
	for kind, how := range map[string][]enumspb.EventType{
		// Only what is the same however fast the machine is.
		workflows.Order.Name:        {enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED},
		workflows.Subscription.Name: {enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW},
		workflows.Batch.Name:        {enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED},
		workflows.ImportFile.Name:   {enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED},
	} {
		for _, end := range how {
			if ends[kind][end] == 0 {
				t.Errorf("no %s that ends with %s was replayed", kind, end)
			}
		}
	}
	a.wantFoundOut(t, all)
}

// wantFoundOut replays the orders by code that ships before it charges.
func (a annals) wantFoundOut(t *testing.T, all []events.Workflow) {
	t.Helper()
	r := replayerOf(t, map[string]any{workflows.Order.Name: func(ctx workflow.Context, o workflows.OrderRequest) (receipt workflows.Receipt, err error) {
		if err := workflow.UpsertTypedSearchAttributes(ctx, shopCustomer.ValueSet(o.Customer), shopCents.ValueSet(o.Cents)); err != nil {
			return receipt, err
		}
		return receipt, do(ctx, "ShipParcel", workflows.Parcel{Customer: o.Customer}).Get(ctx, nil)
	}})
	tried := 0
	for _, w := range all {
		for run, h := range a.runs(t, w) {
			if h.Events[0].GetWorkflowExecutionStartedEventAttributes().WorkflowType.Name != workflows.Order.Name || h.Events[len(h.Events)-1].GetWorkflowExecutionCompletedEventAttributes() == nil {
				continue
			}
			tried++
			err := r.ReplayWorkflowHistoryWithOptions(silence{}, h, worker.ReplayWorkflowHistoryOptions{})
			if err == nil || !strings.Contains(err.Error(), "TMPRL1100") {
				t.Errorf("%s, run %s, by code that ships before it charges: got %v, want it found out", w.ID, run, err)
			}
		}
	}
	if tried == 0 {
		t.Error("no order was tried")
	}
}

// shopper is a workflow of the demo, and what somebody does to it.
type shopper struct {
	id    string
	start func(ctx context.Context, log events.Appender, w events.Workflow, o engine.StartOptions) (events.Result, error)
	// after is the search attribute whose being set the wish follows; empty: the first
	// workflow task.
	after string
	wish  *events.Event // nil: there is none
}

func buys[In, Out any](id string, kind engine.Workflow[In, Out], in In) shopper {
	return shopper{id: id, start: func(ctx context.Context, log events.Appender, w events.Workflow, o engine.StartOptions) (events.Result, error) {
		return engine.Start(ctx, log, w, kind, in, o)
	}}
}

// shoppers want whatever the demo's do: orders that are looked at, canceled, found
// to be fraud, and left alone; subscriptions that are ended in two ways, and that run
// out; deliveries.
func shoppers() (all []shopper) {
	for i := range 24 {
		o := workflows.OrderRequest{Customer: "ada", Items: []workflows.Item{{SKU: "teapot", Quantity: 1 + i%3}}, Cents: int64(1900 + i), Card: "**** 4242", Review: i%6 < 2}
		c := buys(fmt.Sprintf("order-%d", 100+i), workflows.Order, o)
		switch i % 6 {
		case 0:
			c.wish = events.Signaled(workflows.SignalReviewed, workflows.Review{By: "back office"})
		case 1:
			c.wish = events.WorkflowTerminated("fraud: the card is reported stolen")
		case 2:
			c.after, c.wish = workflows.AttributeOrderStatus, events.Signaled(workflows.SignalCancelOrder, workflows.Cancellation{Reason: "ordered the wrong size"})
		}
		all = append(all, c)
	}
	for i := range 9 {
		c := buys(fmt.Sprintf("subscription-%d", i), workflows.Subscription, workflows.SubscriptionTerms{
			Customer: fmt.Sprintf("grace-%d", i), Plan: "basic", Cents: 990, Card: "**** 4242", Month: 300 * time.Millisecond, Period: 1, Periods: 2 + i%2,
		})
		c.after = workflows.AttributePaidPeriods
		switch i % 3 {
		case 0:
			c.wish = events.Signaled(workflows.SignalUnsubscribe, workflows.Cancellation{Reason: "not used enough"})
		case 1:
			c.wish = events.CancelRequested("the account was closed")
		}
		all = append(all, c)
	}
	for i := range 3 {
		all = append(all, buys(fmt.Sprintf("batch-%d", i), workflows.Batch, workflows.BatchRequest{Supplier: fmt.Sprintf("contoso-%d", i), Files: 4}))
	}
	return all
}

// trade has the customers trade with two of the demo's workers until every workflow
// has ended, and returns the workflows, children too.
func (a annals) trade(ctx context.Context, t *testing.T) (all []events.Workflow) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	for i := range 2 {
		w, err := engine.New(engine.Config{
			Log: a.log, Registry: workflows.Registry(), TaskQueue: workflows.TaskQueue, Index: i, Of: 2, Identity: fmt.Sprintf("worker %d", i+1), Logger: quiet,
			Aside: func(w events.Workflow, err error) { cancel(fmt.Errorf("%s is set aside: %w", w.ID, err)) },
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- w.Run(done) }()
	}
	g, trading := errgroup.WithContext(ctx)
	for _, c := range shoppers() {
		g.Go(func() error { return a.serve(trading, c) })
	}
	err := g.Wait()
	stop()
	if err := errors.Join(err, <-ended, <-ended); err != nil {
		t.Fatal(err, context.Cause(ctx))
	}
	seen := map[events.Workflow]bool{}
	for p := range events.Partition(a.log.Identity().Map.Partitions()) {
		b, err := a.log.Bounds(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if b.Last < b.First {
			continue
		}
		for m, err := range a.log.Follow(ctx, p, events.FollowOptions{Until: b.Last}) {
			if err != nil {
				t.Fatal(err)
			}
			c, err := events.Decode(m)
			if err != nil {
				t.Fatal(err)
			}
			if !seen[c.Workflow] {
				seen[c.Workflow] = true
				all = append(all, c.Workflow)
			}
		}
	}
	return all
}

// serve starts a customer's workflow, does what the customer wishes, and waits for
// the end.
func (a annals) serve(ctx context.Context, c shopper) error {
	w := events.Workflow{Namespace: a.namespace, ID: c.id}
	if _, err := c.start(ctx, a.log, w, engine.StartOptions{TaskQueue: workflows.TaskQueue, Identity: "customer"}); err != nil {
		return err
	}
	wished := c.wish == nil
	for m, err := range a.log.Follow(ctx, a.log.Identity().Map.Partition(w.Slot()), events.FollowOptions{Workflow: &w}) {
		if err != nil {
			return fmt.Errorf("%s: %w", w.ID, err)
		}
		commit, err := events.Decode(m)
		if err != nil {
			return err
		}
		if !events.IsOpen(commit.Run.After) {
			return nil
		}
		segments, err := commit.Segments()
		if err != nil {
			return err
		}
		for _, s := range segments {
			if wished || !slices.ContainsFunc(s.Events, c.mayWish) {
				continue
			}
			wished = true
			// It may have ended meanwhile.
			if _, err := a.log.Append(ctx, events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{c.wish}}); err != nil && !errors.Is(err, events.ErrClosed) {
				return fmt.Errorf("%s: %w", w.ID, err)
			}
		}
	}
	return nil
}

func (c shopper) mayWish(e *events.Event) bool {
	if c.after == "" {
		return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
	}
	return e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()[c.after] != nil
}

// runs reads the histories of all runs of a workflow back from the stream.
func (a annals) runs(t *testing.T, w events.Workflow) map[events.RunID]*historypb.History {
	t.Helper()
	all := map[events.RunID]*historypb.History{}
	for c, err := range a.log.Commits(t.Context(), w) {
		if err != nil {
			t.Fatalf("%s: %v", w.ID, err)
		}
		segments, err := c.Segments()
		if err != nil {
			t.Fatalf("%s: %v", w.ID, err)
		}
		for _, s := range segments {
			if all[s.Run] == nil {
				all[s.Run] = a.history(t, w, s.Run)
			}
		}
	}
	return all
}
