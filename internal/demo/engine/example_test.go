package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// How is a workflow written, and run?
func Example() {
	brew := engine.Activity[string, string]{
		Name:  "Brew",
		Retry: engine.Retry{MaximumAttempts: 3},
		Run:   func(_ context.Context, what string) (string, error) { return "a cup of " + what, nil },
	}
	tea := engine.Workflow[string, string]{
		Name: "Tea",
		Run: func(ctx *engine.Context, leaves string) (string, error) {
			cup, err := engine.ExecuteActivity(ctx, brew, leaves).Get(ctx)
			if err != nil {
				return "", err
			}
			engine.SetSearchAttributes(ctx, map[string]any{"Brewed": leaves})
			engine.Sleep(ctx, 10*time.Millisecond) // it is hot
			return cup, nil
		},
	}

	log, err := memlog.New(memlog.Config{})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := events.Workflow{Namespace: "kitchen", ID: "breakfast"}
	if _, err := engine.Start(ctx, log, w, tea, "oolong", engine.StartOptions{TaskQueue: "kitchen"}); err != nil {
		panic(err)
	}
	worker, err := engine.New(engine.Config{Log: log, Registry: engine.NewRegistry(tea, brew)})
	if err != nil {
		panic(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()

	// The history is in the log; whoever follows it sees the end.
	for m, err := range log.Follow(ctx, log.Identity().Map.Partition(w.Slot()), events.FollowOptions{Workflow: &w}) {
		if err != nil {
			panic(err)
		}
		c, err := events.Decode(m)
		if err != nil {
			panic(err)
		}
		if !events.IsOpen(c.Run.After) {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		panic(err)
	}
	for e, err := range log.Read(context.Background(), w, events.ReadOptions{}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(e.GetEventId(), e.GetEventType())
	}
	// Output:
	// 1 WorkflowExecutionStarted
	// 2 WorkflowTaskScheduled
	// 3 WorkflowTaskStarted
	// 4 WorkflowTaskCompleted
	// 5 ActivityTaskScheduled
	// 6 ActivityTaskStarted
	// 7 ActivityTaskCompleted
	// 8 WorkflowTaskScheduled
	// 9 WorkflowTaskStarted
	// 10 WorkflowTaskCompleted
	// 11 UpsertWorkflowSearchAttributes
	// 12 TimerStarted
	// 13 TimerFired
	// 14 WorkflowTaskScheduled
	// 15 WorkflowTaskStarted
	// 16 WorkflowTaskCompleted
	// 17 WorkflowExecutionCompleted
}
