package replay_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/replay"
)

var orderSeven = events.Workflow{Namespace: "default", ID: "order-7"}

// orderWithHistory is a log in memory with one order: it was started at noon,
// its card was charged from one minute past on, and it is still being charged.
func orderWithHistory(ctx context.Context) *memlog.Log {
	annals, err := memlog.New(memlog.Config{})
	if err != nil {
		log.Fatal(err)
	}
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	if _, err := annals.Append(ctx, events.Request{Workflow: orderSeven, RunID: "run-1", Events: []*events.Event{
		events.At(noon, events.WorkflowStarted("Order", "orders")),
		events.At(noon.Add(time.Minute), events.ActivityScheduled("charge", "ChargeCard")),
		events.At(noon.Add(2*time.Minute), events.ActivityStarted(2, 1, "worker-1")),
	}}); err != nil {
		log.Fatal(err)
	}
	return annals
}

// The state after an event is what the events up to it add up to, that one
// included.
func Example_whatWasSoAfterAnEvent() {
	ctx := context.Background()
	annals := orderWithHistory(ctx)
	for _, id := range []events.EventID{1, 2, 3} {
		s, err := replay.State(ctx, annals, orderSeven, "", replay.AtEvent(id))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(s.LastEventID, " ", s.Status)
		for _, a := range s.Activities {
			fmt.Print(" ", a.Type, " on attempt ", a.Attempt)
		}
		fmt.Println()
	}
	// Output:
	// 1 Running
	// 2 Running ChargeCard on attempt 0
	// 3 Running ChargeCard on attempt 1
}

func Example_whatWasSoAtATime() {
	ctx := context.Background()
	annals := orderWithHistory(ctx)
	s, err := replay.State(ctx, annals, orderSeven, "run-1", replay.AtTime(time.Date(2026, 11, 23, 12, 1, 30, 0, time.UTC)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.LastEventID, s.Activities[0].Type)

	_, err = replay.State(ctx, annals, orderSeven, "run-1", replay.AtTime(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)))
	fmt.Println("the day before:", errors.Is(err, events.ErrNotFound))
	// Output:
	// 2 ChargeCard
	// the day before: true
}

// Diff says what happened between two points of a run: what was opened, changed
// or closed, and the fields of its state that differ.
func Example_whatChangedBetweenTwoPoints() {
	ctx := context.Background()
	annals := orderWithHistory(ctx)
	d, err := replay.Diff(ctx, annals,
		replay.Place{Workflow: orderSeven, At: replay.AtEvent(1)},
		replay.Place{Workflow: orderSeven, At: replay.AtTime(time.Date(2026, 11, 23, 12, 5, 0, 0, time.UTC))})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(d)
	for _, f := range d.Fields {
		if f.Path == "counts.activities" {
			fmt.Printf("\n%s: %s, %s\n", f.Path, f.Before, f.After)
		}
	}
	// Output:
	// default/order-7 run run-1: from event 1 (2026-11-23T12:00:00Z) to event 3 (2026-11-23T12:02:00Z)
	//
	// WHAT      EVENT  ID      NAME        BEFORE  AFTER
	// activity  2      charge  ChargeCard  -       Started
	//
	// counts.activities: 0, 1
}

// Load gives the state and the cursor that goes with it. What is decided on the
// one is appended after the other, or refused if something came between.
func Example_howDoIDecideAndThenAppend() {
	ctx := context.Background()
	annals := orderWithHistory(ctx)
	s, cursor, err := replay.Load(ctx, annals, orderSeven)
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range s.Activities {
		_, err := annals.Append(ctx, events.Request{
			Workflow: orderSeven, Expect: events.After(cursor),
			Events: []*events.Event{events.ActivityCompleted(a.ScheduledEventID, a.StartedEventID, "paid"), events.WorkflowCompleted()},
		})
		fmt.Println(a.Type, err)
	}
	s, _, err = replay.Load(ctx, annals, orderSeven)
	fmt.Println(s.Status, s.IsOpen(), err)
	// Output:
	// ChargeCard <nil>
	// Completed false <nil>
}

// VerifyLog reads the whole log and says what is not as it was written.
func Example_isTheLogWhatWasWritten() {
	ctx := context.Background()
	annals := orderWithHistory(ctx)
	tail, err := annals.Tail(ctx, orderSeven)
	if err != nil {
		log.Fatal(err)
	}
	report, err := replay.VerifyLog(ctx, annals, replay.VerifyOptions{})
	fmt.Println(report.Commits, report.Events, len(report.Differences), err)

	annals.Alter(tail.Position(), func(m *events.Message) { m.Body[len(m.Body)-1]++ })
	report, err = replay.VerifyLog(ctx, annals, replay.VerifyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range report.Differences {
		fmt.Println(d.Kind, d.Workflow)
	}
	// Output:
	// 1 3 0 <nil>
	// broken chain default/order-7
}
