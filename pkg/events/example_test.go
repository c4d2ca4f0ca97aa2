package events_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// The examples use the log in memory. The one that lasts is opened by
// natslog.Open and has the same methods.
func open(c memlog.Config) *memlog.Log {
	annals, err := memlog.New(c)
	if err != nil {
		log.Fatal(err)
	}
	return annals
}

var order = events.Workflow{Namespace: "default", ID: "order-7"}

// start begins a run of the order, as the examples about what comes later need
// it.
func start(ctx context.Context, annals events.Appender) events.Result {
	r, err := annals.Append(ctx, events.Request{Workflow: order, RunID: "run-1", Events: []*events.Event{events.WorkflowStarted("Order", "orders")}})
	if err != nil {
		log.Fatal(err)
	}
	return r
}

// A request without an expectation starts a run: it is refused while another is
// open.
func Example_howDoIStartAWorkflow() {
	ctx, annals := context.Background(), open(memlog.Config{})
	request := events.Request{Workflow: order, RunID: "run-1", Events: []*events.Event{
		events.WorkflowStarted("Order", "orders", map[string]any{"customer": "c-31", "cents": 4200}),
	}}
	r, err := annals.Append(ctx, request)
	fmt.Println(r.RunID, r.FirstEventID, r.LastEventID, r.Cursor.Status(), err)

	request.RunID = "run-2"
	_, err = annals.Append(ctx, request)
	fmt.Println(errors.Is(err, events.ErrConflict))
	// Output:
	// run-1 1 1 Running <nil>
	// true
}

// Several events are one commit: all of them are stored, or none.
func Example_howDoIAppendSeveralEventsAtOnce() {
	ctx, annals := context.Background(), open(memlog.Config{})
	started := start(ctx, annals)
	r, err := annals.Append(ctx, events.Request{
		Workflow: order, Expect: events.After(started.Cursor),
		Events: append(
			[]*events.Event{events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(2, "worker-1"), events.WorkflowTaskCompleted(2, 3, "worker-1")},
			events.DecidedBy(4, events.ActivityScheduled("1", "ReserveStock"), events.ActivityScheduled("2", "ChargeCard"))...,
		),
	})
	fmt.Println(r.FirstEventID, r.LastEventID, err)
	// Output: 2 6 <nil>
}

// A cursor is the end of a workflow as somebody saw it. To append after it is to
// say: nobody else has appended since. Whoever loses reads again and decides
// again.
func Example_howDoIKnowThatNobodyElseAppended() {
	ctx, annals := context.Background(), open(memlog.Config{})
	seen := start(ctx, annals).Cursor
	pay := events.Request{Workflow: order, Expect: events.After(seen), Events: []*events.Event{events.Custom("OrderPaid", 4200)}}
	if _, err := annals.Append(ctx, pay); err != nil {
		log.Fatal(err)
	}

	cancel := events.Request{Workflow: order, Expect: events.After(seen), Events: []*events.Event{events.WorkflowCanceled()}}
	_, err := annals.Append(ctx, cancel)
	var conflict *events.ConflictError
	if errors.As(err, &conflict) {
		fmt.Println("the workflow is at event", conflict.Actual.LastEventID(), "by now")
	}
	// Output: the workflow is at event 2 by now
}

// AtEnd appends wherever the newest run ends, which is right for what others
// want to tell a workflow: nothing of it depends on the history.
func Example_howDoISendASignal() {
	ctx, annals := context.Background(), open(memlog.Config{})
	start(ctx, annals)
	signal := events.Request{Workflow: order, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("address-changed", "Elm Street 5")}}
	r, err := annals.Append(ctx, signal)
	fmt.Println(r.RunID, r.LastEventID, err)

	closing := events.Request{Workflow: order, Expect: events.After(r.Cursor), Events: []*events.Event{events.WorkflowCompleted()}}
	if _, err := annals.Append(ctx, closing); err != nil {
		log.Fatal(err)
	}
	_, err = annals.Append(ctx, signal)
	fmt.Println(errors.Is(err, events.ErrClosed))
	// Output:
	// run-1 2 <nil>
	// true
}

// An engine of your own records its facts under names of its own. Tables and
// feeds know them by these names.
func Example_howDoIRecordEventsOfMyOwn() {
	ctx, annals := context.Background(), open(memlog.Config{})
	started := start(ctx, annals)
	type payment struct{ Cents int }
	if _, err := annals.Append(ctx, events.Request{
		Workflow: order, Expect: events.After(started.Cursor), Events: []*events.Event{events.Custom("OrderPaid", payment{4200})},
	}); err != nil {
		log.Fatal(err)
	}
	for e, err := range annals.Read(ctx, order, events.ReadOptions{From: 2}) {
		if err != nil {
			log.Fatal(err)
		}
		var p payment
		fmt.Println(e.GetMarkerRecordedEventAttributes().GetMarkerName(), events.CustomValue(e, &p), p.Cents)
	}
	// Output: OrderPaid <nil> 4200
}

// The end of a run and the start of the next go into one commit: there is no
// moment at which neither is open.
func Example_howDoIContinueAsNew() {
	ctx, annals := context.Background(), open(memlog.Config{})
	started := start(ctx, annals)
	r, err := annals.Append(ctx, events.Request{
		Workflow: order, Expect: events.After(started.Cursor), RunID: "run-2",
		Events: []*events.Event{events.ContinuedAsNew("Order", "orders"), events.WorkflowStarted("Order", "orders")},
	})
	fmt.Println(r.RunID, r.LastEventID, err)
	for e, err := range annals.Read(ctx, order, events.ReadOptions{Run: "run-1"}) {
		fmt.Println(e.GetEventId(), e.GetEventType(), err)
	}
	// Output:
	// run-2 1 <nil>
	// 1 WorkflowExecutionStarted <nil>
	// 2 WorkflowExecutionContinuedAsNew <nil>
}

// A commit id makes an append recognisable. The same one again is answered with
// what was stored, however often it is sent and by whom.
func Example_howDoIRepeatAnAppendSafely() {
	ctx, annals := context.Background(), open(memlog.Config{})
	request := events.Request{Workflow: order, RunID: "run-1", CommitID: "checkout-9913", Events: []*events.Event{events.WorkflowStarted("Order", "orders")}}
	for range 3 {
		r, err := annals.Append(ctx, request)
		fmt.Println(r.RunID, r.Existed, err)
	}
	// Output:
	// run-1 false <nil>
	// run-1 true <nil>
	// run-1 true <nil>
}

// No answer in time means that nobody knows whether the append was stored. What
// it was tried with comes with the error: to send that again, now or tomorrow,
// settles it.
func Example_whatDoIDoWhenTheOutcomeIsUnknown() {
	annals := open(memlog.Config{})
	ctx, giveUp := context.WithCancel(context.Background())
	broken := annals.Open(memlog.Config{Hook: func(memlog.Op) (apply bool, err error) {
		giveUp() // the commit is stored, its acknowledgement is lost, and nobody waits any longer
		return true, errors.New("connection reset")
	}})
	request := events.Request{Workflow: order, RunID: "run-1", Events: []*events.Event{events.WorkflowStarted("Order", "orders")}}
	_, err := broken.Append(ctx, request)

	var unknown *events.OutcomeUnknownError
	if errors.As(err, &unknown) {
		request.CommitID, request.Expect = unknown.CommitID, unknown.Expectation
		r, err := annals.Append(context.Background(), request)
		fmt.Println("it was stored:", r.Existed, err)
	}
	// Output: it was stored: true <nil>
}

// A read is complete or ends in an error. Reverse reads the last events first.
func Example_howDoIReadTheLastEvents() {
	ctx, annals := context.Background(), open(memlog.Config{})
	cursor := start(ctx, annals).Cursor
	for _, name := range []string{"OrderPaid", "OrderPacked", "OrderShipped"} {
		r, err := annals.Append(ctx, events.Request{Workflow: order, Expect: events.After(cursor), Events: []*events.Event{events.Custom(name, nil)}})
		if err != nil {
			log.Fatal(err)
		}
		cursor = r.Cursor
	}
	for e, err := range annals.Read(ctx, order, events.ReadOptions{Reverse: true, Limit: 2}) {
		fmt.Println(e.GetEventId(), e.GetMarkerRecordedEventAttributes().GetMarkerName(), err)
	}
	// Output:
	// 4 OrderShipped <nil>
	// 3 OrderPacked <nil>
}

// Follow yields the commits of a partition, those that are there and then those
// that come. Whoever keeps the last position goes on from there.
func Example_howDoIFollowEverythingThatHappens() {
	ctx, annals := context.Background(), open(memlog.Config{Streams: 1})
	last := start(ctx, annals).Position
	for m, err := range annals.Follow(ctx, last.Partition, events.FollowOptions{After: 0, Until: last.Sequence}) {
		if err != nil {
			log.Fatal(err)
		}
		c, err := events.Decode(m)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.Position, c.Workflow, c.Run.Type, c.Run.After, c.Count())
	}
	// Output: 0:1 default/order-7 Order Running 1
}

// A heartbeat says that an attempt of an activity is alive, and how far it is.
// The newest by attempt and time is kept, in whatever order they arrive.
func Example_howDoIKnowThatAnActivityIsAlive() {
	ctx, annals := context.Background(), open(memlog.Config{})
	started := start(ctx, annals)
	charge := events.Activity{Workflow: order, RunID: started.RunID, ID: "charge"}
	rows, err := events.Payloads("row 500")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(annals.RecordHeartbeat(ctx, events.Heartbeat{Activity: charge, Attempt: 2, Details: rows, Identity: "worker-1"}))
	fmt.Println(annals.RecordHeartbeat(ctx, events.Heartbeat{Activity: charge, Attempt: 1, Identity: "worker-2"}))

	h, err := annals.LastHeartbeat(ctx, charge)
	if err != nil {
		log.Fatal(err)
	}
	var progress string
	fmt.Println(h.Attempt, h.Identity, events.Value(h.Details.Payloads[0], &progress), progress)
	// Output:
	// true <nil>
	// false <nil>
	// 2 worker-1 <nil> row 500
}
