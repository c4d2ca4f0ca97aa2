package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

// patience ends what nobody waits for on a clock that moves by itself.
const patience = 200 * time.Hour

// queue is where the tests' workflows run.
const queue = "tests"

func named(id string) events.Workflow { return events.Workflow{Namespace: "tests", ID: id} }

// inBubble runs a test on a clock that moves when everybody waits.
func inBubble(t *testing.T, test func(t *testing.T, log *memlog.Log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log, err := memlog.New(memlog.Config{Streams: 2})
		if err != nil {
			t.Fatal(err)
		}
		test(t, log)
	})
}

// begin starts a workflow and gives its run.
func begin[In, Out any](t *testing.T, log events.Log, id string, kind engine.Workflow[In, Out], in In) events.RunID {
	t.Helper()
	res, err := engine.Start(t.Context(), log, named(id), kind, in, engine.StartOptions{TaskQueue: queue})
	if err != nil {
		t.Fatal(err)
	}
	return res.RunID
}

// employ lets a worker work until the returned function is called, which
// returns when it is gone.
func employ(t *testing.T, c engine.Config, code ...engine.Definition) (dismiss func()) {
	t.Helper()
	if c.Registry == nil {
		c.Registry = engine.NewRegistry(code...)
	}
	if c.Aside == nil {
		c.Aside = func(w events.Workflow, err error) { t.Errorf("%s cannot go on: %v", w, err) }
	}
	w, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	return func() { cancel(); working.Wait() }
}

// await returns once an event of the workflow is as wanted.
func await(t *testing.T, log events.Log, id, what string, is func(*events.Event) bool) {
	t.Helper()
	w := named(id)
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("it does not come"))
	defer cancel()
	for m, err := range log.Follow(ctx, log.Identity().Map.Partition(w.Slot()), events.FollowOptions{Workflow: &w}) {
		if err != nil {
			t.Fatalf("wait for %s: %v", what, err)
		}
		c, err := events.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		segments, err := c.Segments()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			if slices.ContainsFunc(s.Events, is) {
				return
			}
		}
	}
}

// finish waits until the workflow has ended, and gives its last run.
func finish(t *testing.T, log events.Log, id string) []*events.Event {
	t.Helper()
	await(t, log, id, "the end of "+id, func(e *events.Event) bool {
		return events.Closes(e) && e.GetWorkflowExecutionContinuedAsNewEventAttributes() == nil
	})
	return history(t, log, id, "")
}

// history reads a run (empty: the newest), which must be well-formed.
func history(t *testing.T, log events.Log, id string, run events.RunID) (all []*events.Event) {
	t.Helper()
	for e, err := range log.Read(t.Context(), named(id), events.ReadOptions{Run: run}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	for _, v := range wellformed.Check(slices.Values(all)) {
		t.Errorf("%s is not well-formed: %s\n%s", id, v, outline(all))
	}
	return all
}

// outline is the types of events, one a word.
func outline(all []*events.Event) string {
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.GetEventType().String()
	}
	return strings.Join(names, " ")
}

func wantOutline(t *testing.T, all []*events.Event, want ...string) {
	t.Helper()
	if got := outline(all); got != strings.Join(want, " ") {
		t.Errorf("the history is\n%s\nwant\n%s", got, strings.Join(want, " "))
	}
}

// The events of a workflow task, and of an activity that has completed.
const (
	task     = "WorkflowTaskScheduled WorkflowTaskStarted WorkflowTaskCompleted"
	activity = "ActivityTaskStarted ActivityTaskCompleted"
)

// result is what the completed run has come to.
func result[T any](t *testing.T, all []*events.Event) (v T) {
	t.Helper()
	a := all[len(all)-1].GetWorkflowExecutionCompletedEventAttributes()
	if a == nil {
		t.Fatalf("it has not completed: %s", all[len(all)-1])
	}
	if err := events.Value(a.GetResult().GetPayloads()[0], &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// signal appends to the end of the workflow.
func signal(t *testing.T, log events.Appender, id string, e *events.Event) {
	t.Helper()
	if _, err := log.Append(t.Context(), events.Request{Workflow: named(id), Expect: events.AtEnd(), Events: []*events.Event{e}}); err != nil {
		t.Fatal(err)
	}
}
