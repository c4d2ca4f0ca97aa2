package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Config is what a worker works with.
type Config struct {
	Log      events.Log
	Registry *Registry
	// Index and Of say which workflows the worker owns: those whose slot,
	// divided by Of, leaves Index. 0 of 0 is 0 of 1: all of them.
	Index, Of int
	// TaskQueue is the one whose runs it works on: those that were started for
	// another one it passes over. Empty: it works on all.
	TaskQueue string
	// Identity is what its events say they come from; empty: "worker INDEX".
	Identity string
	// Attempts is how many attempts of activities may run at a time; 0: 100.
	Attempts int
	// Resumed, if set, is told once, before any work is done, which open runs
	// were found in the log.
	Resumed func([]Resumed)
	// Aside, if set, is told of a workflow that cannot go on, and why; the
	// worker goes on with the others. It is called from many goroutines.
	Aside  func(events.Workflow, error)
	Logger *slog.Logger // nil: slog.Default()
}

// Resumed is an open run that a worker found in the log.
type Resumed struct {
	Workflow events.Workflow
	RunID    events.RunID
	Type     string
	// EventID is the last event of its history: where it goes on.
	EventID events.EventID
}

// Worker runs the workflows that it owns.
type Worker struct {
	config Config
	slots  chan struct{} // one for each attempt that runs

	mu       sync.Mutex // guards the rest
	known    map[events.Workflow]*known
	watchers map[events.Workflow]map[chan struct{}]bool
}

// known is an owned workflow that is open, or whose end was not followed yet; of
// one that was left to another task queue too, so that it is read once.
type known struct {
	sequence uint64       // of its newest commit that was followed
	run      events.RunID // the commit's
	open     bool
	running  *running     // nil: none
	left     uint64       // the commit with which the last running has left it
	foreign  events.RunID // the open run that it was left with, of another task queue
}

// New is a worker that does nothing before Run. It fails if there is no log, no
// code, or no such share of the workflows.
func New(c Config) (*Worker, error) {
	if c.Of == 0 {
		c.Of = 1
	}
	switch {
	case c.Log == nil:
		return nil, &events.InvalidError{Field: "Log", Reason: "is nil"}
	case c.Registry == nil:
		return nil, &events.InvalidError{Field: "Registry", Reason: "is nil"}
	case c.Of < 0 || c.Index < 0 || c.Index >= c.Of:
		return nil, &events.InvalidError{Field: "Index", Reason: fmt.Sprintf("is %d of %d", c.Index, c.Of)}
	case c.Attempts < 0:
		return nil, &events.InvalidError{Field: "Attempts", Reason: fmt.Sprintf("is %d", c.Attempts)}
	}
	if c.Attempts == 0 {
		c.Attempts = 100
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Identity = cmp.Or(c.Identity, fmt.Sprintf("worker %d", c.Index))
	return &Worker{config: c, slots: make(chan struct{}, c.Attempts), known: map[events.Workflow]*known{}, watchers: map[events.Workflow]map[chan struct{}]bool{}}, nil
}

// Owns reports whether the workflow is one of this worker's.
func (w *Worker) Owns(workflow events.Workflow) bool {
	return int(workflow.Slot())%w.config.Of == w.config.Index
}

// Run works until the context ends, and returns nil then. It reads the log from
// its beginning, goes on with the open runs that it finds there, and learns by
// following the log of those that come. It is to be called once. It fails if
// the log cannot be read.
//
// A worker for a log that has grown for years would keep how far it has read.
func (w *Worker) Run(ctx context.Context) error {
	err := w.work(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (w *Worker) work(ctx context.Context) error {
	ends, err := w.survey(ctx)
	if err != nil {
		return err
	}
	found, err := w.resume(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range found {
		w.goOn(ctx, g, r)
	}
	for p, end := range ends {
		g.Go(func() error {
			for m, err := range w.config.Log.Follow(ctx, events.Partition(p), events.FollowOptions{After: end}) {
				if err != nil {
					return err
				}
				if started := w.note(m); started != nil {
					w.goOn(ctx, g, started)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// survey reads every partition to its end, which it returns.
func (w *Worker) survey(ctx context.Context) ([]uint64, error) {
	ends := make([]uint64, w.config.Log.Identity().Map.Partitions())
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for p := range ends {
		g.Go(func() error {
			b, err := w.config.Log.Bounds(ctx, events.Partition(p))
			if err != nil {
				return err
			}
			if ends[p] = b.Last; b.Last < b.First {
				return nil
			}
			for m, err := range w.config.Log.Follow(ctx, events.Partition(p), events.FollowOptions{Until: b.Last}) {
				if err != nil {
					return err
				}
				w.note(m)
			}
			return nil
		})
	}
	return ends, g.Wait()
}

// resume reads the histories of the open runs that the survey has found.
func (w *Worker) resume(ctx context.Context) ([]*running, error) {
	var found []*running
	w.mu.Lock()
	for workflow, k := range w.known {
		if k.running = nil; !k.open {
			delete(w.known, workflow)
			continue
		}
		k.running = w.newRunning(workflow)
		found = append(found, k.running)
	}
	w.mu.Unlock()
	slices.SortFunc(found, func(a, b *running) int { return cmp.Compare(a.workflow.String(), b.workflow.String()) })
	g, loading := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, r := range found {
		g.Go(func() error { return r.load(loading) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if w.config.Resumed != nil {
		list := []Resumed{}
		for _, r := range found {
			if r.isOurs() { // another worker may be at it
				list = append(list, Resumed{Workflow: r.workflow, RunID: r.state.RunID, Type: r.state.Type, EventID: r.state.LastEventID})
			}
		}
		w.config.Resumed(list)
	}
	return found, nil
}

// note takes in a message of the log, and gives what is to be run that was not
// before.
func (w *Worker) note(m events.Message) *running {
	c, err := events.Decode(m)
	if err != nil {
		w.config.Logger.Error("not a commit; its workflow cannot go on", slog.Any("error", err))
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Closed != nil || !events.IsOpen(c.Run.After) {
		for ch := range w.watchers[c.Workflow] {
			poke(ch)
		}
	}
	if !w.Owns(c.Workflow) {
		return nil
	}
	k := w.known[c.Workflow]
	if k == nil {
		k = &known{}
		w.known[c.Workflow] = k
	}
	k.sequence, k.run, k.open = c.Position.Sequence, c.Run.Run, events.IsOpen(c.Run.After)
	if k.running != nil {
		k.running.newest.Store(k.sequence)
		poke(k.running.moved)
		return nil
	}
	switch {
	case k.sequence < k.left: // what it has done itself
	case k.open && k.run == k.foreign:
	case k.open:
		k.running = w.newRunning(c.Workflow)
		k.running.newest.Store(k.sequence)
	default:
		delete(w.known, c.Workflow)
	}
	return k.running
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// goOn runs a workflow until it is closed or another queue's, and again if a run
// was opened by then.
func (w *Worker) goOn(ctx context.Context, g *errgroup.Group, r *running) {
	g.Go(func() error {
		for r != nil {
			err := r.run(ctx)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				w.setAside(r.workflow, err)
				return nil
			}
			r = w.leave(r)
		}
		return nil
	})
}

// leave forgets a workflow whose newest run is closed, and keeps in mind one
// that is another queue's, unless something came after that.
func (w *Worker) leave(r *running) *running {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.known[r.workflow]
	k.running, k.left, k.foreign = nil, r.cursor.Position().Sequence, ""
	if r.state.IsOpen() {
		k.foreign = r.state.RunID
	}
	switch {
	case k.sequence < k.left:
	case k.open && k.run == k.foreign:
	case k.open && k.sequence > k.left:
		k.running = w.newRunning(r.workflow)
	default:
		delete(w.known, r.workflow)
	}
	return k.running
}

// setAside leaves a workflow as it is until the worker is started again.
func (w *Worker) setAside(workflow events.Workflow, err error) {
	attributes := []any{slog.String("workflow", workflow.String()), slog.Any("error", err)}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		attributes = append(attributes, slog.String("stack", panicked.Stack))
	}
	w.config.Logger.Error("a workflow cannot go on", attributes...)
	if w.config.Aside != nil {
		w.config.Aside(workflow, err)
	}
}

// give reports what kept a child or an activity of the workflow from being gone
// on with.
func (w *Worker) give(ctx context.Context, workflow events.Workflow, err error) {
	if ctx.Err() == nil {
		w.setAside(workflow, err)
	}
}

// watch gives a channel that gets a value when a run of the workflow closes.
func (w *Worker) watch(workflow events.Workflow) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watchers[workflow] == nil {
		w.watchers[workflow] = map[chan struct{}]bool{}
	}
	w.watchers[workflow][ch] = true
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers[workflow], ch)
		if len(w.watchers[workflow]) == 0 {
			delete(w.watchers, workflow)
		}
	}
}
