// Package bulk writes many short histories, all alike, for what is measured.
package bulk

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Events is the length of each history.
const Events = 10

// history is a short run as an engine writes it: a workflow task, an
// activity, a timer, the end.
func history() []*events.Event {
	return []*events.Event{
		events.WorkflowStarted("Order", "orders", map[string]any{"customer": "c-1042", "items": 3}),
		events.WorkflowTaskScheduled("orders"),
		events.WorkflowTaskStarted(2, "worker-1@host"),
		events.WorkflowTaskCompleted(2, 3, "worker-1@host"),
		events.ActivityScheduled("charge", "ChargeCard", map[string]any{"amount": 4200, "currency": "EUR"}),
		events.ActivityStarted(5, 1, "worker-2@host"),
		events.ActivityCompleted(5, 6, "receipt-77"),
		events.TimerStarted("grace", 1e9),
		events.TimerFired("grace", 8),
		events.WorkflowCompleted("done"),
	}
}

// Write writes histories of Events events in commits of size events (the
// last one may be smaller): rounds times workflows of them, of which one
// round's are open at a time and interleaved. 64 writers share the work. The
// events lie in the log as in time.
func Write(ctx context.Context, log events.Appender, rounds, workflows, size int) error {
	const writers = 64
	for round := range rounds {
		cursors := make([]events.Cursor, workflows)
		for from := 0; from < Events; from += size {
			g, ctx := errgroup.WithContext(ctx)
			for writer := range min(writers, workflows) {
				g.Go(func() error {
					for w := writer; w < workflows; w += writers {
						r := events.Request{
							Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%d-%d", round, w)},
							Events:   history()[from:min(from+size, Events)],
						}
						if from > 0 {
							r.Expect = events.After(cursors[w])
						}
						res, err := log.Append(ctx, r)
						if err != nil {
							return err
						}
						cursors[w] = res.Cursor
					}
					return nil
				})
			}
			if err := g.Wait(); err != nil {
				return err
			}
		}
	}
	return nil
}
