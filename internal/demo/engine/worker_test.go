package engine_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func TestConfig(t *testing.T) {
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	code := engine.NewRegistry()
	for _, tc := range []struct {
		name  string
		c     engine.Config
		field string
	}{
		{"no log", engine.Config{Registry: code}, "Log"},
		{"no code", engine.Config{Log: log}, "Registry"},
		{"the fourth of three", engine.Config{Log: log, Registry: code, Index: 3, Of: 3}, "Index"},
		{"before the first", engine.Config{Log: log, Registry: code, Index: -1}, "Index"},
		{"of less than none", engine.Config{Log: log, Registry: code, Of: -1}, "Index"},
		{"less than no attempts", engine.Config{Log: log, Registry: code, Attempts: -1}, "Attempts"},
	} {
		var invalid *events.InvalidError
		if _, err := engine.New(tc.c); !errors.As(err, &invalid) || invalid.Field != tc.field {
			t.Errorf("%s: %v, want that %s is invalid", tc.name, err, tc.field)
		}
	}
}

// Each workflow has one owner.
func TestOwners(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		var workers []*engine.Worker
		for i := range 3 {
			w, err := engine.New(engine.Config{Log: log, Registry: engine.NewRegistry(), Index: i, Of: 3})
			if err != nil {
				t.Fatal(err)
			}
			workers = append(workers, w)
		}
		counts := map[int]int{}
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			owners := 0
			for i, w := range workers {
				if w.Owns(named(id)) {
					owners++
					counts[i]++
				}
			}
			if owners != 1 {
				t.Errorf("%s has %d owners", id, owners)
			}
		}
		if len(counts) != 3 {
			t.Errorf("workers own %v", counts)
		}
	})
}

// A workflow that somebody ends from outside is let go of, with what it was
// doing, and one that is started again under its id is run.
func TestEndedFromOutside(t *testing.T) {
	stuck := engine.Activity[int, int]{Name: "Stuck", StartToClose: time.Hour, Run: func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}}
	kind := engine.Workflow[int, int]{Name: "Long", Run: func(ctx *engine.Context, n int) (int, error) {
		if n == 0 {
			return 42, nil
		}
		return engine.ExecuteActivity(ctx, stuck, n).Get(ctx)
	}}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		dismiss := employ(t, engine.Config{Log: log}, kind, stuck)
		first := begin(t, log, "w", kind, 1)
		await(t, log, "w", "its first task", isTask)
		signal(t, log, "w", events.WorkflowTerminated("enough"))
		begin(t, log, "w", kind, 0)
		await(t, log, "w", "its completion", isCompletion)
		dismiss()
		wantOutline(t, history(t, log, "w", first), "WorkflowExecutionStarted", task, "ActivityTaskScheduled WorkflowExecutionTerminated")
		wantOutline(t, history(t, log, "w", ""), "WorkflowExecutionStarted", task, "WorkflowExecutionCompleted")
	})
}

func isCompletion(e *events.Event) bool {
	return e.GetWorkflowExecutionCompletedEventAttributes() != nil
}

// A run that continues as new closes in the commit that opens the next one, and
// hands on what is shown beside it.
func TestContinueAsNew(t *testing.T) {
	relay := engine.Workflow[int, int]{Name: "Relay"}
	relay.Run = func(ctx *engine.Context, leg int) (int, error) {
		if leg == 1 {
			engine.SetMemo(ctx, map[string]any{"team": "red"})
			engine.SetSearchAttributes(ctx, map[string]any{"Team": "red"})
		}
		engine.Sleep(ctx, time.Minute)
		if leg < 4 {
			return 0, engine.ContinueAsNew(relay, leg+1)
		}
		return leg, nil
	}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		first := begin(t, log, "w", relay, 1)
		dismiss := employ(t, engine.Config{Log: log}, relay)
		all := finish(t, log, "w")
		dismiss()
		if got := result[int](t, all); got != 4 {
			t.Errorf("got %d, want 4", got)
		}
		start := all[0].GetWorkflowExecutionStartedEventAttributes()
		if start.GetFirstExecutionRunId() != string(first) || start.GetMemo().GetFields()["team"] == nil || start.GetSearchAttributes().GetIndexedFields()["Team"] == nil {
			t.Errorf("the last run's start is %s", start)
		}
		previous, links := events.RunID(""), 0
		for c, err := range log.Commits(t.Context(), named("w")) {
			if err != nil {
				t.Fatal(err)
			}
			segments, err := c.Segments()
			if err != nil {
				t.Fatal(err)
			}
			if c.Closed != nil {
				links++
				next := segments[1].Events[0].GetWorkflowExecutionStartedEventAttributes()
				can := segments[0].Events[len(segments[0].Events)-1].GetWorkflowExecutionContinuedAsNewEventAttributes()
				if next.GetContinuedExecutionRunId() != string(previous) || can.GetNewExecutionRunId() != string(c.Run.Run) {
					t.Errorf("run %s says that it continues %s, and that one that it is continued by %s", c.Run.Run, next.GetContinuedExecutionRunId(), can.GetNewExecutionRunId())
				}
			}
			previous = c.Run.Run
		}
		if links != 3 {
			t.Errorf("%d commits close a run and open the next, want 3", links)
		}
	})
}

// A start that is repeated is the same start.
func TestStartIsRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		o := engine.StartOptions{TaskQueue: queue, CommitID: "first", Memo: map[string]any{"by": "test"}}
		first, err := engine.Start(t.Context(), log, named("w"), small, "x", o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := engine.Start(t.Context(), log, named("w"), small, "x", o)
		if err != nil || !again.Existed || again.RunID != first.RunID {
			t.Errorf("repeated: %+v, %v", again, err)
		}
		o.CommitID = "second"
		if _, err := engine.Start(t.Context(), log, named("w"), small, "x", o); !errors.Is(err, events.ErrConflict) {
			t.Errorf("another start: %v, want ErrConflict", err)
		}
		o.Memo = map[string]any{"bad": make(chan int)}
		if _, err := engine.Start(t.Context(), log, named("v"), small, "x", o); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("a memo that cannot be encoded: %v, want ErrInvalid", err)
		}
	})
}

// A worker passes over what was started for another task queue, without a word,
// and runs what is its own: before and after that, under the same id too.
func TestTaskQueues(t *testing.T) {
	elsewhere := func(e *events.Event) *events.Event {
		e.GetWorkflowExecutionStartedEventAttributes().TaskQueue.Name = "elsewhere"
		return e
	}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		start := func(id string, first *events.Event, more ...*events.Event) {
			t.Helper()
			if _, err := log.Append(t.Context(), events.Request{Workflow: named(id), Events: append([]*events.Event{first}, more...)}); err != nil {
				t.Fatal(err)
			}
		}
		start("before", elsewhere(events.WorkflowStarted("Unheard", queue)))
		start("reused", elsewhere(events.WorkflowStarted("Unheard", queue)))
		var reads atomic.Int64
		var found []engine.Resumed
		dismiss := employ(t, engine.Config{
			Log: countingReads{Log: log, of: "after", n: &reads}, TaskQueue: queue, Resumed: func(r []engine.Resumed) { found = r },
		}, small)
		synctest.Wait() // it has read the log
		begin(t, log, "own", small, "own")
		finish(t, log, "own")
		start("after", elsewhere(events.WorkflowStarted(small.Name, queue, "not mine")))
		for i := range 10 {
			signal(t, log, "after", events.Signaled("number", i))
			signal(t, log, "before", events.Signaled("number", i))
			synctest.Wait()
		}
		if n := reads.Load(); n != 1 {
			t.Errorf("it read another queue's workflow %d times, want once", n)
		}
		signal(t, log, "reused", events.WorkflowTerminated("enough"))
		begin(t, log, "reused", small, "again")
		await(t, log, "reused", "its completion", isCompletion)
		synctest.Wait()
		dismiss()
		if len(found) != 0 {
			t.Errorf("it resumed %v", found)
		}
		for _, id := range []string{"before", "after"} {
			all := history(t, log, id, "")
			for _, e := range all {
				if isTask(e) {
					t.Errorf("%s was worked on:\n%s", id, outline(all))
				}
			}
		}
	})
}

// countingReads counts how often a workflow's history is read.
type countingReads struct {
	events.Log
	of string
	n  *atomic.Int64
}

func (c countingReads) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	if w.ID == c.of {
		c.n.Add(1)
	}
	return c.Log.Read(ctx, w, o)
}
