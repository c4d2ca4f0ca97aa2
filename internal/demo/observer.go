package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
)

// observer follows the whole log: what the demo knows of its workflows it has
// from there. Workflows of types that are not the demo's are somebody else's.
type observer struct {
	log   events.Log
	code  *engine.Registry
	total int // workflows that nobody else starts
	// met is told each commit, by one goroutine at a time.
	met func(*events.Commit)

	mu      sync.Mutex // guards the rest
	seen    view
	changed chan struct{} // closed and replaced at each commit
}

// view is what has been seen so far.
type view struct {
	commits, events int64
	reached         []uint64                            // by partition
	runs            map[events.Workflow]*events.Segment // the demo's, newest
	top             map[events.Workflow]bool            // those that customers start; true: ended
	done            int                                 // of top
}

func newObserver(log events.Log, starts []start, met func(*events.Commit)) *observer {
	o := &observer{log: log, code: workflows.Registry(), total: len(starts), met: met, changed: make(chan struct{})}
	o.seen = view{reached: make([]uint64, log.Identity().Map.Partitions()), runs: map[events.Workflow]*events.Segment{}, top: map[events.Workflow]bool{}}
	for _, s := range starts {
		o.seen.top[s.workflow] = false
	}
	return o
}

// run follows until the context ends, and then returns its cause.
func (o *observer) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for p := range o.seen.reached {
		g.Go(func() error {
			for m, err := range o.log.Follow(ctx, events.Partition(p), events.FollowOptions{}) {
				if err != nil {
					return err
				}
				c, err := events.Decode(m)
				if err != nil {
					return err
				}
				o.see(c)
			}
			return nil
		})
	}
	return g.Wait()
}

func (o *observer) see(c *events.Commit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := &o.seen
	v.commits++
	v.events += int64(c.Count())
	v.reached[c.Position.Partition] = c.Position.Sequence
	if o.code.Knows(c.Run.Type) {
		v.runs[c.Workflow] = &c.Run
	}
	if ended, top := v.top[c.Workflow]; top && !ended && !events.IsOpen(c.Run.After) {
		v.top[c.Workflow] = true
		v.done++
	}
	o.met(c)
	close(o.changed)
	o.changed = make(chan struct{})
}

// await returns once the view is as wanted; wanted is asked under the
// observer's lock. It fails if the context ends before.
func (o *observer) await(ctx context.Context, wanted func(*view) bool) error {
	for {
		o.mu.Lock()
		ok, changed := wanted(&o.seen), o.changed
		o.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// catchUp returns once everything has been seen that the log has now.
func (o *observer) catchUp(ctx context.Context) error {
	ends := make([]uint64, len(o.seen.reached))
	for p := range ends {
		b, err := o.log.Bounds(ctx, events.Partition(p))
		if err != nil {
			return fmt.Errorf("the log's end: %w", err)
		}
		ends[p] = b.Last
	}
	return o.await(ctx, func(v *view) bool {
		for p, end := range ends {
			if v.reached[p] < end {
				return false
			}
		}
		return true
	})
}

// heldBy lists the open runs of a worker's workflows.
func (v *view) heldBy(worker, of int) (runs []ResumedRun) {
	for w, s := range v.runs {
		if int(w.Slot())%of == worker && events.IsOpen(s.After) {
			runs = append(runs, ResumedRun{WorkflowID: w.ID, RunID: s.Run, Type: s.Type, EventID: s.Last})
		}
	}
	slices.SortFunc(runs, func(a, b ResumedRun) int { return cmp.Compare(a.WorkflowID, b.WorkflowID) })
	return runs
}

// victim is the worker that holds the most open runs, if these are enough to
// kill it; -1: none does.
func (v *view) victim(of int) int {
	victim, most := -1, minHeld-1
	for i := range of {
		if n := len(v.heldBy(i, of)); n > most {
			victim, most = i, n
		}
	}
	return victim
}

// workflows lists all that were seen, children too, in order of their ids.
func (v *view) workflows() []events.Workflow {
	all := make([]events.Workflow, 0, len(v.runs))
	for w := range v.runs {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b events.Workflow) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
