package temporal

import (
	"strings"
	"testing"
	"time"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/annals-io/annals/pkg/events"
)

// replayerOf is Temporal's, with workflows by type.
func replayerOf(t *testing.T, code map[string]any) worker.WorkflowReplayer {
	t.Helper()
	r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range code {
		r.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
	}
	return r
}

// history reads a run's history back from the stream.
func (a annals) history(t *testing.T, w events.Workflow, run events.RunID) *historypb.History {
	t.Helper()
	h := &historypb.History{}
	for e, err := range a.log.Read(t.Context(), w, events.ReadOptions{Run: run}) {
		if err != nil {
			t.Fatalf("%s, run %s: %v", w.ID, run, err)
		}
		h.Events = append(h.Events, e)
	}
	return h
}

// read reads a scenario's run back.
func (a annals) read(t *testing.T, r *recorded) *historypb.History {
	t.Helper()
	return a.history(t, events.Workflow{Namespace: a.namespace, ID: r.listed.Execution.WorkflowId}, events.RunID(r.listed.Execution.RunId))
}

// withoutTasks are the scenarios' runs that no worker took up: there is nothing to replay.
func withoutTasks(h *historypb.History) bool {
	for _, e := range h.Events {
		if e.GetWorkflowTaskCompletedEventAttributes() != nil || e.GetWorkflowTaskFailedEventAttributes() != nil {
			return false
		}
	}
	return true
}

// original says which run a history is of: workflows name their children after themselves.
func original(r *recorded) worker.ReplayWorkflowHistoryOptions {
	return worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: r.listed.Execution.WorkflowId, RunID: r.listed.Execution.RunId}}
}

// The histories as they are read back from the stream are the ones that the code
// replays without an error, and they tell on code that was changed.
func (a annals) replay(t *testing.T, all map[string][]*recorded) {
	t.Helper()
	r := replayerOf(t, code)
	replayed := 0
	for _, runs := range all {
		for _, run := range runs {
			h := a.read(t, run)
			if withoutTasks(h) {
				continue
			}
			if err := r.ReplayWorkflowHistoryWithOptions(silence{}, h, original(run)); err != nil {
				t.Errorf("%s: %v", run.id(), err)
			}
			replayed++
		}
	}
	if replayed < 20 {
		t.Errorf("%d histories were replayed", replayed)
	}

	for _, change := range []struct {
		scenario, kind string
		code           any
	}{
		{"complete", "Simple", func(ctx workflow.Context) (int, error) { // another activity
			return 0, workflow.ExecuteActivity(once(ctx, workflow.ActivityOptions{}), "Refund", 6).Get(ctx, nil)
		}},
		{"activity timeouts", "Timeouts", func(ctx workflow.Context) (int, error) { // a timer before
			if err := workflow.Sleep(ctx, time.Second); err != nil {
				return 0, err
			}
			return activityTimeouts(ctx)
		}},
		{"parent", "Parent", func(ctx workflow.Context) (int, error) { // no children
			return simple(ctx)
		}},
		{"continue as new", "Again", func(workflow.Context, int) (int, error) { return 0, nil }}, // ends
	} {
		run := all[change.scenario][0]
		err := replayerOf(t, map[string]any{change.kind: change.code}).ReplayWorkflowHistoryWithOptions(silence{}, a.read(t, run), original(run))
		if err == nil || !strings.Contains(err.Error(), "TMPRL1100") && !strings.Contains(err.Error(), "doesn't return the same result as the last event") {
			t.Errorf("%s after a change of %s: got %v, want it found out", change.scenario, change.kind, err)
		}
	}
}
