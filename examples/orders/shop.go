package main

import (
	"context"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

var customers = []string{"ada", "grace", "linus"}

// shop writes the orders [from, to): every third is refunded, every fourth is
// still open.
func shop(ctx context.Context, log events.Log, from, to int) (events.Vector, error) {
	var written events.Vector
	for i := from; i < to; i++ {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%d", i)}
		es := []*events.Event{
			events.WorkflowStarted("Order", "orders", order{Customer: customers[i%len(customers)]}),
			events.Custom("OrderPaid", payment{Cents: int64(1000 + i)}),
		}
		if i%3 == 2 {
			es = append(es, events.Custom("OrderRefunded", refund{Cents: 500}))
		}
		if i%4 != 3 {
			es = append(es, events.WorkflowCompleted())
		}
		r, err := log.Append(ctx, events.Request{Workflow: w, Events: es, CommitID: events.CommitID(w.ID)})
		if err != nil {
			return written, err
		}
		if written, err = written.Merge(r.Vector()); err != nil {
			return written, err
		}
	}
	return written, nil
}
