package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
)

// WorkOptions say which worker a process is.
type WorkOptions struct {
	Log       events.Log
	Index, Of int       // from 0
	In        io.Reader // its end is the end of the demo, and of this worker
	Out       io.Writer // gets what the demo is told
	Logger    *slog.Logger
}

// Work is what a worker process does until the context or its input ends, and
// then returns nil. It fails if the log cannot be read, or the demo not be told.
func Work(ctx context.Context, o WorkOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, o.In)
		cancel(nil)
	}()
	var mu sync.Mutex // guards failed, and that lines are whole
	var failed error
	tell := func(m message) {
		mu.Lock()
		defer mu.Unlock()
		if err := json.NewEncoder(o.Out).Encode(m); err != nil && failed == nil {
			failed = fmt.Errorf("tell the demo: %w", err)
			cancel(failed)
		}
	}
	w, err := engine.New(engine.Config{
		Log: o.Log, Registry: workflows.Registry(), TaskQueue: workflows.TaskQueue, Index: o.Index, Of: o.Of, Identity: fmt.Sprintf("worker %d", o.Index+1), Logger: o.Logger,
		Resumed: func(found []engine.Resumed) {
			list := make([]ResumedRun, len(found))
			for i, r := range found {
				list[i] = ResumedRun{WorkflowID: r.Workflow.ID, RunID: r.RunID, Type: r.Type, EventID: r.EventID}
			}
			tell(message{Ready: &ready{Resumed: list}})
		},
		Aside: func(w events.Workflow, err error) {
			tell(message{Aside: &aside{Workflow: w.ID, Reason: err.Error()}})
		},
	})
	if err != nil {
		return err
	}
	if err := w.Run(ctx); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	return failed
}
