// Quickstart appends to a log and reads it back: the example of README.md, which
// a test holds to be this file.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func main() {
	ctx := context.Background()
	annals, err := memlog.New(memlog.Config{}) // natslog.Open(ctx, js, natslog.Config{}) for the one that lasts
	if err != nil {
		log.Fatal(err)
	}
	order := events.Workflow{Namespace: "default", ID: "order-7"}
	started, err := annals.Append(ctx, events.Request{Workflow: order, Events: []*events.Event{events.WorkflowStarted("Order", "orders", 7)}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := annals.Append(ctx, events.Request{
		Workflow: order, Expect: events.After(started.Cursor), // nobody else may have appended since
		Events: []*events.Event{events.Custom("OrderPaid", map[string]any{"amount": 42}), events.WorkflowCompleted("shipped")},
	}); err != nil {
		log.Fatal(err)
	}
	for e, err := range annals.Read(ctx, order, events.ReadOptions{}) {
		fmt.Println(e.GetEventId(), e.GetEventType(), err)
	}
}
