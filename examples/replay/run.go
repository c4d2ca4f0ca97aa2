package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// code is one version of the workflow's code.
type code func(replay.Task) []*events.Event

// run starts an order and takes it as far as a step, which is left to be done:
// a small engine. What was decided is appended exactly after what it was decided
// on; if something came in between, it is decided again.
func run(ctx context.Context, log events.Log, w events.Workflow, decide code, until string) error {
	if _, err := log.Append(ctx, events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Order", "orders")}}); err != nil {
		return err
	}
	for decided := false; ; {
		state, cursor, err := replay.Load(ctx, log, w)
		if err != nil {
			return err
		}
		if !state.IsOpen() {
			return nil
		}
		n := state.LastEventID
		var commit []*events.Event
		switch {
		case !decided: // a workflow task, with what it decides, in one commit
			t, err := taskAt(ctx, log, w, state.RunID, n)
			if err != nil {
				return err
			}
			commit = append([]*events.Event{
				events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(n+1, "example"), events.WorkflowTaskCompleted(n+1, n+2, "example"),
			}, events.DecidedBy(n+3, decide(t)...)...)
		case len(state.Activities) == 0 || state.Activities[0].ActivityID == until:
			return nil
		default: // what a worker for activities would do
			id := state.Activities[0].ScheduledEventID
			commit = []*events.Event{events.ActivityStarted(id, 1, "example"), events.ActivityCompleted(id, n+1, "ok")}
		}
		_, err = log.Append(ctx, events.Request{Workflow: w, Expect: events.After(cursor), Events: commit})
		if errors.Is(err, events.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("append to %s: %w", w, err)
		}
		decided = !decided
	}
}

// taskAt is a task that is to be made now, after the n-th event.
func taskAt(ctx context.Context, log events.Reader, w events.Workflow, run events.RunID, n events.EventID) (replay.Task, error) {
	t := replay.Task{Workflow: w, Run: run, Next: n + 4, Versions: map[string]int{}}
	for e, err := range log.Read(ctx, w, events.ReadOptions{Run: run, Limit: int(n)}) {
		if err != nil {
			return t, err
		}
		t.History = append(t.History, e)
		if change, version, ok := replay.RecordedVersion(e); ok {
			t.Versions[change] = version
		}
	}
	t.New = t.History
	return t, nil
}
