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

// How do I start an execution, and what comes back?
func Example_start() {
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

// How do I start an execution and record its first events, or neither?
func Example_startWithEvents() {
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

// How do I decide on a history, and record what I decided only if nothing came
// between?
func Example_decideAndAppend() {
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

// How do I read a part of a history?
func Example_history() {
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

// How do I complete an execution, and what if it is complete already?
func Example_complete() {
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

// How do I keep a history short?
func Example_continueAsNew() {
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

// How does the next attempt of an activity go on where the last one was?
func Example_heartbeat() {
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

// Which executions of a type are running since a certain time?
func Example_query() {
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
