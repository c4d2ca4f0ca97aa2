package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// parent starts a child and reports what has come of it.
var (
	parent  = engine.Workflow[string, string]{Name: "Parent"}
	patient = engine.Workflow[string, string]{Name: "Patient", Run: func(ctx *engine.Context, in string) (string, error) {
		go1 := engine.SignalsNamed[string](ctx, "go")
		engine.Await(ctx, go1, engine.CancelRequest(ctx))
		if !go1.Ready() {
			return "", engine.ErrCanceled
		}
		word, err := go1.Receive(ctx)
		if err == nil && word == "fail" {
			err = errors.New("told to")
		}
		return in + word, err
	}}
)

func init() {
	parent.Run = func(ctx *engine.Context, child string) (string, error) {
		answer, err := engine.ExecuteChildWorkflow(ctx, patient, child, "child ").Get(ctx)
		var failed *engine.ChildError
		if errors.As(err, &failed) {
			return fmt.Sprintf("%s %d %t: %s", failed.Type, failed.Initiated, failed.Started > 0, failed.Failure.GetMessage()), nil
		}
		return answer, err
	}
}

// How a child ends is what its parent gets.
func TestHowChildrenEnd(t *testing.T) {
	for _, tc := range []struct {
		name   string
		end    func() *events.Event
		event  string
		result string
	}{
		{"completed", func() *events.Event { return events.Signaled("go", "done") }, "ChildWorkflowExecutionCompleted", "child done"},
		{"failed", func() *events.Event { return events.Signaled("go", "fail") }, "ChildWorkflowExecutionFailed", "Patient 5 true: told to"},
		{"canceled", func() *events.Event { return events.CancelRequested("enough") }, "ChildWorkflowExecutionCanceled", "Patient 5 true: was canceled"},
		{"terminated", func() *events.Event { return events.WorkflowTerminated("enough") }, "ChildWorkflowExecutionTerminated", "Patient 5 true: was terminated"},
		{"timed out", events.WorkflowTimedOut, "ChildWorkflowExecutionTimedOut", "Patient 5 true: timed out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, log *memlog.Log) {
				run := begin(t, log, "parent", parent, "child")
				dismiss := employ(t, engine.Config{Log: log}, parent, patient)
				await(t, log, "child", "its first task", isTask)
				signal(t, log, "child", tc.end())
				all := finish(t, log, "parent")
				dismiss()
				wantOutline(t, all, "WorkflowExecutionStarted", task, "StartChildWorkflowExecutionInitiated ChildWorkflowExecutionStarted", tc.event, task, "WorkflowExecutionCompleted")
				if got := result[string](t, all); got != tc.result {
					t.Errorf("the parent got %q, want %q", got, tc.result)
				}
				start := history(t, log, "child", "")[0].GetWorkflowExecutionStartedEventAttributes()
				if p := start.GetParentWorkflowExecution(); p.GetWorkflowId() != "parent" || p.GetRunId() != string(run) || start.GetParentInitiatedEventId() != 5 {
					t.Errorf("the child's start names the parent %s, event %d", p, start.GetParentInitiatedEventId())
				}
			})
		})
	}
}

func isTask(e *events.Event) bool {
	return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
}

// A child that goes on as a new run is waited for to its very end.
func TestChildContinuesAsNew(t *testing.T) {
	countdown := engine.Workflow[int, string]{Name: "Countdown"}
	countdown.Run = func(ctx *engine.Context, n int) (string, error) {
		engine.Sleep(ctx, time.Second)
		if n == 0 {
			return "lift-off", nil
		}
		return "", engine.ContinueAsNew(countdown, n-1)
	}
	launch := engine.Workflow[int, string]{Name: "Launch", Run: func(ctx *engine.Context, n int) (string, error) {
		return engine.ExecuteChildWorkflow(ctx, countdown, "countdown", n).Get(ctx)
	}}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		begin(t, log, "launch", launch, 3)
		dismiss := employ(t, engine.Config{Log: log}, launch, countdown)
		all := finish(t, log, "launch")
		dismiss()
		if got := result[string](t, all); got != "lift-off" {
			t.Errorf("got %q", got)
		}
	})
}

// The id of a child may be taken by somebody else's run.
func TestChildIsThereAlready(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		begin(t, log, "child", patient, "somebody's ")
		begin(t, log, "parent", parent, "child")
		dismiss := employ(t, engine.Config{Log: log}, parent, patient)
		all := finish(t, log, "parent")
		dismiss()
		wantOutline(t, all, "WorkflowExecutionStarted", task, "StartChildWorkflowExecutionInitiated StartChildWorkflowExecutionFailed", task, "WorkflowExecutionCompleted")
		if got := result[string](t, all); !strings.HasPrefix(got, "Patient 5 false: was not started") {
			t.Errorf("the parent got %q", got)
		}
	})
}

// The parent's worker dies before or after it has recorded that the child has
// started, and the child's worker ends the child before it is back.
func TestChildEndsWhileTheParentsWorkerIsDead(t *testing.T) {
	killed := errors.New("killed")
	childsSubject := named("child").Subject()
	for _, tc := range []struct {
		name string
		last func(op memlog.Op, n int) (last, stored bool) // n appends of the parent before it
		want string
	}{
		{"the start was not stored", func(op memlog.Op, _ int) (bool, bool) { return op.Subject == childsSubject, false }, "before"},
		{"the start was stored", func(op memlog.Op, _ int) (bool, bool) { return op.Subject == childsSubject, true }, "before"},
		{"it is not recorded that it has started", func(op memlog.Op, n int) (bool, bool) { return op.Subject != childsSubject && n == 1, false }, "before"},
		{"it is recorded that it has started", func(op memlog.Op, n int) (bool, bool) { return op.Subject != childsSubject && n == 1, true }, "after"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, log *memlog.Log) {
				begin(t, log, "parent", parent, "child")
				alive, kill := context.WithCancelCause(t.Context())
				n := 0
				var mu sync.Mutex
				doomed := log.Open(memlog.Config{Hook: func(op memlog.Op) (bool, error) {
					mu.Lock()
					defer mu.Unlock()
					if alive.Err() != nil {
						return false, killed
					}
					last, stored := tc.last(op, n)
					if op.Subject != childsSubject {
						n++
					}
					if last {
						kill(killed)
						return stored, killed
					}
					return true, nil
				}})
				// Only this worker knows the parent's code; the other only the child's.
				quiet, silent := func(events.Workflow, error) {}, slog.New(slog.DiscardHandler)
				first, err := engine.New(engine.Config{Log: doomed, Registry: engine.NewRegistry(parent), Aside: quiet, Logger: silent})
				if err != nil {
					t.Fatal(err)
				}
				if err := first.Run(alive); err != nil {
					t.Fatal(err)
				}
				dismissChilds := employ(t, engine.Config{Log: log, Registry: engine.NewRegistry(patient), Aside: quiet, Logger: silent})
				endChild := func() {
					await(t, log, "child", "its first task", isTask)
					signal(t, log, "child", events.Signaled("go", "done"))
					finish(t, log, "child")
				}
				if _, err := log.Tail(t.Context(), named("child")); err == nil {
					endChild()
					endChild = func() {}
				}
				recorded := strings.Contains(outline(history(t, log, "parent", "")), "ChildWorkflowExecutionStarted")
				if recorded != (tc.want == "after") {
					t.Errorf("recorded that it has started: %t", recorded)
				}
				dismiss := employ(t, engine.Config{Log: log, Registry: engine.NewRegistry(parent), Aside: quiet, Logger: silent})
				endChild()
				all := finish(t, log, "parent")
				dismiss()
				dismissChilds()
				wantOutline(t, all, "WorkflowExecutionStarted", task, "StartChildWorkflowExecutionInitiated ChildWorkflowExecutionStarted ChildWorkflowExecutionCompleted", task, "WorkflowExecutionCompleted")
				if got := result[string](t, all); got != "child done" {
					t.Errorf("the parent got %q", got)
				}
				starts := 0
				for c, err := range log.Commits(t.Context(), named("child")) {
					if err != nil {
						t.Fatal(err)
					}
					if c.Run.Opens() {
						starts++
					}
				}
				if starts != 1 {
					t.Errorf("the child was started %d times", starts)
				}
			})
		})
	}
}
