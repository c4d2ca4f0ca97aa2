package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
)

// listen adds up the numbers of signals until one is 0.
var listen = engine.Workflow[int, int]{Name: "Listen", Run: func(ctx *engine.Context, sum int) (int, error) {
	numbers := engine.SignalsNamed[int](ctx, "number")
	for {
		n, err := numbers.Receive(ctx)
		if err != nil || n == 0 {
			return sum, err
		}
		sum += n
	}
}}

// A signal that arrives between what a workflow task knew and its append is
// part of what is decided: nothing of the first decision is stored.
func TestSignalRacesAWorkflowTask(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		begin(t, log, "w", listen, 1)
		var raced atomic.Bool
		racing := log.Open(memlog.Config{Hook: func(memlog.Op) (bool, error) {
			if !raced.Swap(true) {
				signal(t, log, "w", events.Signaled("number", 41))
				signal(t, log, "w", events.Signaled("number", 0))
			}
			return true, nil
		}})
		dismiss := employ(t, engine.Config{Log: racing}, listen)
		all := finish(t, log, "w")
		dismiss()
		wantOutline(t, all, "WorkflowExecutionStarted WorkflowExecutionSignaled WorkflowExecutionSignaled", task, "WorkflowExecutionCompleted")
		if got := result[int](t, all); got != 42 {
			t.Errorf("the sum is %d, want 42", got)
		}
	})
}

// The same for an activity's outcome, which is kept.
func TestSignalRacesAnOutcome(t *testing.T) {
	double := engine.Activity[int, int]{Name: "Double", Run: func(_ context.Context, n int) (int, error) { return 2 * n, nil }}
	kind := engine.Workflow[int, int]{Name: "DoubleAndAdd", Run: func(ctx *engine.Context, n int) (int, error) {
		doubled, err := engine.ExecuteActivity(ctx, double, n).Get(ctx)
		if err != nil {
			return 0, err
		}
		more, err := engine.SignalsNamed[int](ctx, "number").Receive(ctx)
		return doubled + more, err
	}}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		begin(t, log, "w", kind, 20)
		var appends atomic.Int64
		racing := log.Open(memlog.Config{Hook: func(memlog.Op) (bool, error) {
			if appends.Add(1) == 2 { // the first is the workflow task
				signal(t, log, "w", events.Signaled("number", 2))
			}
			return true, nil
		}})
		dismiss := employ(t, engine.Config{Log: racing}, kind, double)
		all := finish(t, log, "w")
		dismiss()
		wantOutline(t, all, "WorkflowExecutionStarted", task, "ActivityTaskScheduled WorkflowExecutionSignaled", activity, task, "WorkflowExecutionCompleted")
		if got := result[int](t, all); got != 42 {
			t.Errorf("got %d, want 42", got)
		}
	})
}

// Two workers that own the same workflows write each of them once.
func TestTwoWorkersOwnTheSame(t *testing.T) {
	var attempts atomic.Int64
	add := engine.Activity[int, int]{Name: "Add", Run: func(_ context.Context, n int) (int, error) { attempts.Add(1); return n + 1, nil }}
	kind := engine.Workflow[int, int]{Name: "Count", Run: func(ctx *engine.Context, n int) (_ int, err error) {
		for range 5 {
			if n, err = engine.ExecuteActivity(ctx, add, n).Get(ctx); err != nil {
				return 0, err
			}
			engine.Sleep(ctx, time.Second)
		}
		return n, nil
	}}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		var dismissals []func()
		for _, name := range []string{"one", "other"} {
			dismissals = append(dismissals, employ(t, engine.Config{Log: log, Identity: name}, kind, add))
		}
		for _, id := range []string{"a", "b", "c"} {
			begin(t, log, id, kind, 10)
		}
		for _, id := range []string{"a", "b", "c"} {
			all := finish(t, log, id)
			if got := result[int](t, all); got != 15 {
				t.Errorf("%s: got %d, want 15", id, got)
			}
			if n := strings.Count(outline(all), "ActivityTaskScheduled"); n != 5 {
				t.Errorf("%s: %d activities were scheduled, want 5", id, n)
			}
			if n := strings.Count(outline(all), "TimerFired"); n != 5 {
				t.Errorf("%s: timers fired %d times, want 5", id, n)
			}
		}
		for _, dismiss := range dismissals {
			dismiss()
		}
	})
	if n := attempts.Load(); n < 15 {
		t.Errorf("%d attempts, want 15 at least", n)
	}
}

// Two workers that own the same parent start its child once, and record that
// once, though one of them finds out only after the other has recorded it.
func TestTwoWorkersOwnTheSameParent(t *testing.T) {
	isStarted := func(e *events.Event) bool { return e.GetChildWorkflowExecutionStartedEventAttributes() != nil }
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		childs := named("child").Subject()
		both := make(chan struct{}) // closed when both are about to start the child
		var late atomic.Bool
		slow := log.Open(memlog.Config{Hook: func(op memlog.Op) (bool, error) {
			if op.Subject == childs && !late.Swap(true) {
				close(both)
				await(t, log, "parent", "that the child has started", isStarted)
			}
			return true, nil
		}})
		quick := log.Open(memlog.Config{Hook: func(op memlog.Op) (bool, error) {
			if op.Subject == childs {
				<-both
			}
			return true, nil
		}})
		dismissSlow := employ(t, engine.Config{Log: slow, Identity: "slow"}, parent, patient)
		dismissQuick := employ(t, engine.Config{Log: quick, Identity: "quick"}, parent, patient)
		begin(t, log, "parent", parent, "child")
		await(t, log, "child", "its first task", isTask)
		synctest.Wait() // the slow one has recorded what it has to
		signal(t, log, "child", events.Signaled("go", "done"))
		all := finish(t, log, "parent")
		dismissSlow()
		dismissQuick()
		wantOutline(t, all, "WorkflowExecutionStarted", task, "StartChildWorkflowExecutionInitiated ChildWorkflowExecutionStarted ChildWorkflowExecutionCompleted", task, "WorkflowExecutionCompleted")
		if got := result[string](t, all); got != "child done" {
			t.Errorf("the parent got %q", got)
		}
		history(t, log, "child", "")
	})
}

// Every acknowledgement is lost once, and every second commit with it.
func TestLostAcknowledgements(t *testing.T) {
	kind := engine.Workflow[int, int]{Name: "Wait", Run: func(ctx *engine.Context, n int) (int, error) {
		engine.Sleep(ctx, time.Minute)
		engine.SetSearchAttributes(ctx, map[string]any{"Waited": n})
		engine.Sleep(ctx, time.Minute)
		return n, nil
	}}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		begin(t, log, "w", kind, 7)
		tried := map[events.CommitID]bool{}
		lost := errors.New("no answer")
		lossy := log.Open(memlog.Config{AppendTimeout: time.Millisecond, Hook: func(op memlog.Op) (bool, error) {
			if tried[op.CommitID] {
				return true, nil
			}
			tried[op.CommitID] = true
			return len(tried)%2 == 0, lost
		}})
		dismiss := employ(t, engine.Config{Log: lossy}, kind)
		all := finish(t, log, "w")
		dismiss()
		wantOutline(t, all, "WorkflowExecutionStarted", task, "TimerStarted TimerFired", task, "UpsertWorkflowSearchAttributes TimerStarted TimerFired", task, "WorkflowExecutionCompleted")
	})
}

// The same engine on JetStream: a worker that was there before the workflow,
// and one that finds it.
func TestOnJetStream(t *testing.T) {
	js, err := jetstream.New(testenv.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 2}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(t.Context(), js, natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	add := engine.Activity[int, int]{Name: "Add", Heartbeat: time.Second, Run: func(ctx context.Context, n int) (int, error) {
		return n + 1, engine.RecordHeartbeat(ctx, n)
	}}
	kind := engine.Workflow[int, int]{Name: "AddAndListen", Run: func(ctx *engine.Context, n int) (int, error) {
		sum, err := engine.ExecuteActivity(ctx, add, n).Get(ctx)
		if err != nil {
			return 0, err
		}
		engine.Sleep(ctx, time.Millisecond)
		engine.SetMemo(ctx, map[string]any{"sum": sum})
		more, err := engine.SignalsNamed[int](ctx, "number").Receive(ctx)
		return sum + more, err
	}}
	dismiss := employ(t, engine.Config{Log: log}, kind, add)
	begin(t, log, "w", kind, 39)
	await(t, log, "w", "the memo", func(e *events.Event) bool { return e.GetWorkflowPropertiesModifiedEventAttributes() != nil })
	dismiss()
	signal(t, log, "w", events.Signaled("number", 2))

	found := make(chan []engine.Resumed, 1)
	dismiss = employ(t, engine.Config{Log: log, Resumed: func(r []engine.Resumed) { found <- r }}, kind, add)
	all := finish(t, log, "w")
	dismiss()
	if r := <-found; len(r) != 1 || r[0].Workflow != named("w") || r[0].Type != "AddAndListen" || r[0].EventID < 14 {
		t.Errorf("resumed %+v", r)
	}
	if got := result[int](t, all); got != 42 {
		t.Errorf("got %d, want 42", got)
	}
}
