package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/memstore"
)

// newStore is in memory; pipeline.Open gives the same on NATS and Postgres.
func newStore() store.Store {
	s, err := memstore.New(memstore.Config{})
	if err != nil {
		panic(err)
	}
	return s
}

var (
	ctx   = context.Background()
	order = events.Workflow{Namespace: "default", ID: "order-7"}
)

// started is a store with one execution.
func started() store.Store {
	s := newStore()
	if _, err := s.SaveExecution(ctx, store.NewExecution{Workflow: order, RunID: "run-1", Type: "Order", TaskQueue: "orders"}); err != nil {
		panic(err)
	}
	return s
}

// The run id that comes back is the one that was made; what was left out of the
// execution has its default.
func Example_howDoIStartAnExecution() {
	s := newStore()
	res, err := s.SaveExecution(ctx, store.NewExecution{
		Workflow: order, Type: "Order", TaskQueue: "orders",
		StartedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), RunTimeout: time.Hour,
		Tags:  map[string]string{"customer": "4711"},
		Input: []any{map[string]int{"amount": 30}},
	})
	if err != nil {
		panic(err)
	}
	loaded, err := s.LoadExecution(ctx, order, "")
	if err != nil {
		panic(err)
	}
	x := loaded.Execution
	fmt.Println(x.RunID == res.RunID, x.Type, x.Status, x.StartedAt, x.RunTimeout, x.Tags["customer"])
	// Output:
	// true Order Running 2026-03-01 09:00:00 +0000 UTC 1h0m0s 4711
}

// Both are one commit: a second event that is refused leaves no execution.
func Example_howDoIStartAnExecutionWithItsFirstEvents() {
	s := newStore()
	_, err := s.SaveExecution(ctx, store.NewExecution{
		Workflow: order, Type: "Order",
		Events: []*events.Event{events.ActivityScheduled("1", "Charge"), events.Custom("OrderSeen", make(chan int))},
	})
	fmt.Println(err)
	_, err = s.LoadExecution(ctx, order, "")
	fmt.Println(err)
	// Output:
	// invalid events[1].value[0]: json: unsupported type: chan int
	// workflow default/order-7 not found
}

// What was decided on a history is recorded only if nothing came between.
func Example_howDoIDecideAndThenAppend() {
	s := started()
	loaded, err := s.LoadExecution(ctx, order, "")
	if err != nil {
		panic(err)
	}
	decided := func(name string) error {
		_, err := s.AppendEvents(ctx, events.Request{
			Workflow: order, Expect: events.After(loaded.Cursor),
			Events: []*events.Event{events.ActivityScheduled("1", name)},
		})
		return err
	}
	fmt.Println(decided("Charge"))
	fmt.Println(errors.Is(decided("Refund"), events.ErrConflict)) // load and decide again
	// Output:
	// <nil>
	// true
}

// From an event id (inclusive), and at most so many events.
func Example_howDoIReadAPartOfAHistory() {
	s := started()
	_, err := s.AppendEvents(ctx, events.Request{Workflow: order, Expect: events.AtEnd(), Events: []*events.Event{
		events.Signaled("hurry"), events.TimerStarted("t", time.Minute), events.Signaled("stop"),
	}})
	if err != nil {
		panic(err)
	}
	for e, err := range s.History(ctx, order, events.ReadOptions{From: 2, Limit: 2}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(e.EventId, e.EventType)
	}
	// Output:
	// 2 WorkflowExecutionSignaled
	// 3 TimerStarted
}

// The same update again, with its commit id, is recognised; a transition that is
// not in the table is refused by name.
func Example_howDoICompleteAnExecution() {
	s := started()
	done := store.StateUpdate{Workflow: order, To: enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, Result: []any{"paid"}, CommitID: "complete-order-7"}
	for range 2 {
		res, err := s.UpdateState(ctx, done)
		fmt.Println(res.LastEventID, res.Existed, err)
	}
	_, err := s.UpdateState(ctx, store.StateUpdate{Workflow: order, To: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING})
	fmt.Println(err)
	// Output:
	// 2 false <nil>
	// 2 true <nil>
	// run run-1 of default/order-7 cannot go from Completed to Running: allowed from Completed: none
}

// The end of the run and the start of the next are one commit.
func Example_howDoIKeepAHistoryShort() {
	s := started()
	_, err := s.UpdateState(ctx, store.StateUpdate{
		Workflow: order, To: enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
		Next: &store.NewExecution{RunID: "run-2", Input: []any{"what is left to do"}},
	})
	if err != nil {
		panic(err)
	}
	for _, run := range []events.RunID{"run-1", "run-2"} {
		loaded, err := s.LoadExecution(ctx, order, run)
		if err != nil {
			panic(err)
		}
		x := loaded.Execution
		fmt.Printf("%s %s %s: from %q to %q\n", x.RunID, x.Type, x.Status, x.ContinuedFromRunID, x.ContinuedToRunID)
	}
	// Output:
	// run-1 Order ContinuedAsNew: from "" to "run-2"
	// run-2 Order Running: from "run-1" to ""
}

// The last heartbeat of an activity has what its next attempt needs.
func Example_howDoesTheNextAttemptGoOn() {
	s := started()
	activity := events.Activity{Workflow: order, RunID: "run-1", ID: "1"}
	details, err := events.Payloads(map[string]int{"page": 12})
	if err != nil {
		panic(err)
	}
	newest, err := s.SaveActivityHeartbeat(ctx, events.Heartbeat{Activity: activity, Attempt: 1, Details: details, Identity: "worker-3"})
	fmt.Println(newest, err)

	last, err := s.LastActivityHeartbeat(ctx, activity)
	if err != nil {
		panic(err)
	}
	var at struct{ Page int }
	fmt.Println(events.Value(last.Details.Payloads[0], &at), at.Page)
	// Output:
	// true <nil>
	// <nil> 12
}

// Those of a type that began at a time (inclusive) or later, the latest first.
func Example_whichExecutionsAreRunning() {
	s := newStore()
	nine := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for i, kind := range []string{"Order", "Order", "Refund", "Order"} {
		_, err := s.SaveExecution(ctx, store.NewExecution{
			Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint("w", i)}, Type: kind, StartedAt: nine.Add(time.Duration(i) * time.Hour),
		})
		if err != nil {
			panic(err)
		}
	}
	list, err := s.Query(ctx, store.Query{
		Namespace: "default", Type: "Order", Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, StartedAfter: nine.Add(time.Hour), Limit: 10,
	})
	if err != nil {
		panic(err)
	}
	for _, x := range list {
		fmt.Println(x.Workflow.ID, x.StartedAt.Format(time.TimeOnly))
	}
	// Output:
	// w3 12:00:00
	// w1 10:00:00
}
