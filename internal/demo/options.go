package demo

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/annals-io/annals/pkg/events"
)

// What a demo needs at least: it is to kill a worker that holds ten open runs.
const (
	MinWorkflows = 30
	MaxWorkflows = 10_000
	MaxWorkers   = 16

	minHeld = 10
)

// Options say what is shown.
type Options struct {
	Workflows int    // MinWorkflows to MaxWorkflows
	Workers   int    // processes, 2 to MaxWorkers
	Namespace string // of the workflows
	Seed      uint64 // demos of the same seed have the same customers; any, 0 too
	// HTTP is the address of ingest; empty: a free port of 127.0.0.1.
	HTTP string
	// Keep lets commands that are started in this folder find what runs, on the
	// standard ports if they are free.
	Keep bool
	// Phase, if set, is told in one line each what has come about.
	Phase func(line string)
	// Progress, if set, is told how many workflows have ended and how many
	// events there are. It is called by one goroutine at a time.
	Progress func(done, total int, events int64)
	// Err gets what worker processes write to their standard error, and Env is
	// added to their environment.
	Err    io.Writer
	Env    []string
	Logger *slog.Logger // nil: slog.Default()
}

func (o Options) validate() (Options, error) {
	if err := events.CheckID("namespace", o.Namespace, events.MaxNamespaceBytes); err != nil {
		return o, err
	}
	switch {
	case o.Workflows < MinWorkflows || o.Workflows > MaxWorkflows:
		return o, &events.InvalidError{Field: "workflows", Reason: fmt.Sprintf("is %d, want %d to %d", o.Workflows, MinWorkflows, MaxWorkflows)}
	case o.Workers < 2 || o.Workers > MaxWorkers:
		return o, &events.InvalidError{Field: "workers", Reason: fmt.Sprintf("is %d, want 2 to %d", o.Workers, MaxWorkers)}
	case o.Workflows < MinWorkflows/3*o.Workers:
		return o, &events.InvalidError{Field: "workers", Reason: fmt.Sprintf("is %d, want %d at most for %d workflows: one is killed when it holds %d open runs", o.Workers, o.Workflows/(MinWorkflows/3), o.Workflows, minHeld)}
	}
	if o.Phase == nil {
		o.Phase = func(string) {}
	}
	if o.Progress == nil {
		o.Progress = func(int, int, int64) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}
