package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/dev"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/replay"
)

// Demo is what runs. Start, Play once, Stop.
type Demo struct {
	o         Options
	pipeline  *dev.Pipeline
	tables    *pgstore.Store
	customers customers

	mu      sync.Mutex // guards workers
	workers []*process // by index
	failed  chan error // the first thing that went wrong by itself
}

// Start starts the servers and the workers, and returns when they are ready.
// What it has started is stopped if it fails. See dev.Start for its errors.
func Start(ctx context.Context, o Options) (*Demo, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	d := &Demo{o: o, customers: newCustomers(o.Workflows, o.Seed), failed: make(chan error, 1), workers: make([]*process, o.Workers)}
	if d.pipeline, err = dev.Start(ctx, dev.Options{Ephemeral: true, HTTP: o.HTTP, Private: !o.Keep, Logger: o.Logger}); err != nil {
		return nil, err
	}
	if err := d.startWorkers(ctx); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	o.Phase(fmt.Sprintf("NATS, Postgres, ingest, the projector and %d workers started in %s", o.Workers, short(time.Since(began))))
	return d, nil
}

func (d *Demo) startWorkers(ctx context.Context) (err error) {
	if d.tables, err = pgstore.New(d.pipeline.Pool(), pgstore.Config{}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := range d.o.Workers {
		g.Go(func() error {
			_, _, err := d.startWorker(ctx, i)
			return err
		})
	}
	return g.Wait()
}

// startWorker starts a worker and returns when it has read the log.
func (d *Demo) startWorker(ctx context.Context, index int) (*process, []ResumedRun, error) {
	p, err := startProcess(d.o, d.pipeline.NATSURL(), index, func(m message) {
		if m.Aside != nil {
			d.fail(&AsideError{Workflow: m.Aside.Workflow, Reason: m.Aside.Reason})
		}
	})
	if err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	d.workers[index] = p
	d.mu.Unlock()
	resumed, err := p.awaitReady(ctx)
	if err != nil {
		return nil, nil, err
	}
	go func() {
		<-p.done
		d.mu.Lock()
		current := d.workers[index] == p
		d.mu.Unlock()
		if current {
			d.fail(p.ended())
		}
	}()
	return p, resumed, nil
}

// dismiss takes a worker out of those that must go on.
func (d *Demo) dismiss(index int) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.workers[index]
	d.workers[index] = nil
	return p
}

func (d *Demo) fail(err error) {
	select {
	case d.failed <- err:
	default:
	}
}

// Failed gives one error if a server or a worker ends, or a workflow cannot go
// on. It is never closed.
func (d *Demo) Failed() <-chan error { return d.failed }

// Exports are lines that export the servers' URLs to a shell.
func (d *Demo) Exports() string { return d.pipeline.Exports() }

// Stop ends the workers, then the servers, and returns when they are gone.
func (d *Demo) Stop() error {
	var g errgroup.Group
	for i := range d.workers {
		if p := d.dismiss(i); p != nil {
			g.Go(p.stop)
		}
	}
	return errors.Join(g.Wait(), d.pipeline.Stop())
}

// Play has the customers come, kills a worker in the middle and starts it
// again, waits until every workflow has ended, and checks what there is then.
// What is found to be wrong is in the summary; an error means that it could not
// be shown to the end.
func (d *Demo) Play(whole context.Context) (Summary, error) {
	ctx, cancel := context.WithCancelCause(whole)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case err := <-d.failed:
			return err
		case err := <-d.pipeline.Ended():
			return err
		case <-ctx.Done():
			return nil
		}
	})
	s := &showing{Demo: d, group: g}
	s.observer = newObserver(d.pipeline.Log(), d.o.Workers, d.customers.starts, func(c *events.Commit) { s.met(ctx, c) })
	g.Go(func() error { return s.observer.run(ctx) })
	g.Go(func() error {
		if err := s.show(ctx); err != nil {
			return err
		}
		cancel(errShown)
		return nil
	})
	err := g.Wait()
	cancel(nil)
	switch {
	case errors.Is(err, errShown):
		return s.summary, nil
	case whole.Err() != nil:
		return s.summary, fmt.Errorf("interrupted: %w", context.Cause(whole))
	}
	return s.summary, err
}

// errShown ends what goes on while the demo is shown.
var errShown = errors.New("shown")

// showing is a demo that is played.
type showing struct {
	*Demo
	group    *errgroup.Group
	observer *observer
	summary  Summary
}

// met is told every commit: it shows the progress, and has the customers do
// what they wish.
func (s *showing) met(ctx context.Context, c *events.Commit) {
	v := &s.observer.seen
	s.o.Progress(v.done, s.observer.total, v.events)
	w, ok := s.customers.wishes[c.Workflow]
	if !ok {
		return
	}
	segments, err := c.Segments()
	if err != nil {
		s.fail(err)
		return
	}
	for _, segment := range segments {
		if slices.ContainsFunc(segment.Events, w.follows) {
			delete(s.customers.wishes, c.Workflow)
			s.group.Go(func() error { return w.express(ctx, s.pipeline.Log(), c.Workflow) })
			return
		}
	}
}

func (s *showing) show(ctx context.Context) error {
	began := time.Now()
	if err := s.start(ctx); err != nil {
		return err
	}
	s.o.Phase(fmt.Sprintf("%d workflows started in %s", len(s.customers.starts), short(time.Since(began))))
	if err := s.kill(ctx); err != nil {
		return err
	}
	if err := s.observer.await(ctx, func(v *view) bool { return v.done == s.observer.total }); err != nil {
		return err
	}
	s.summary.Took = time.Since(began)
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	s.o.Phase(fmt.Sprintf("all %d workflows ended, %s after the first was started", s.observer.total, short(s.summary.Took)))
	return s.check(ctx)
}

// start has all customers come at once.
func (s *showing) start(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, one := range s.customers.starts {
		g.Go(func() error { return one.begin(ctx, s.pipeline.Log()) })
	}
	return g.Wait()
}

// kill waits until a worker holds enough open runs while a part of the
// workflows has ended, kills it, and starts it again.
func (s *showing) kill(ctx context.Context) error {
	victim := -1
	err := s.observer.await(ctx, func(v *view) bool {
		if v.done < s.observer.total/4 {
			return false
		}
		most := minHeld
		for i := range s.o.Workers {
			if n := len(v.heldBy(i, s.o.Workers)); n > most {
				victim, most = i, n
			}
		}
		return victim >= 0 || v.done == s.observer.total
	})
	if err != nil {
		return err
	}
	if victim < 0 {
		return errNotHeld
	}
	p := s.dismiss(victim)
	if err := p.kill(); err != nil {
		return err
	}
	// Its last commits are in the log, and nobody goes on with its workflows.
	if err := s.observer.catchUp(ctx); err != nil {
		return err
	}
	var held []ResumedRun
	if err := s.observer.await(ctx, func(v *view) bool { held = v.heldBy(victim, s.o.Workers); return true }); err != nil {
		return err
	}
	s.summary.Killed = Killed{Worker: victim + 1, PID: p.pid(), Held: len(held)}
	s.o.Phase(fmt.Sprintf("worker %d killed (SIGKILL, process %d) holding %d open runs", victim+1, p.pid(), len(held)))
	began := time.Now()
	p, s.summary.Resumed, err = s.startWorker(ctx, victim)
	if err != nil {
		return err
	}
	s.o.Phase(fmt.Sprintf("worker %d is back (process %d): it read the log and goes on with %d open runs, after %s", victim+1, p.pid(), len(s.summary.Resumed), short(time.Since(began))))
	return s.compare(ctx, held)
}

// compare finds runs that the killed worker held and that were not taken up
// again though they are open.
func (s *showing) compare(ctx context.Context, held []ResumedRun) error {
	resumed := map[events.RunID]bool{}
	for _, r := range s.summary.Resumed {
		resumed[r.RunID] = true
	}
	for _, h := range held {
		if resumed[h.RunID] {
			continue
		}
		// A customer may have ended it meanwhile.
		w := events.Workflow{Namespace: namespace, ID: h.WorkflowID}
		tail, err := s.pipeline.Log().Tail(ctx, w)
		if err != nil {
			return err
		}
		if tail.Run() == h.RunID && events.IsOpen(tail.Status()) {
			s.summary.Histories.Faults = append(s.summary.Histories.Faults, Fault{Kind: FaultForgotten, Workflow: w, Run: h.RunID, Detail: fmt.Sprintf("it was open at event %d", h.EventID)})
		}
	}
	return nil
}

// catchUp measures how far the tables are behind, and waits for them.
func (s *showing) catchUp(ctx context.Context) error {
	if err := s.observer.catchUp(ctx); err != nil {
		return err
	}
	began := time.Now()
	checkpoints, err := s.tables.Checkpoints(ctx)
	if err != nil {
		return err
	}
	var ends []events.Position
	if err := s.observer.await(ctx, func(v *view) bool {
		s.summary.Commits, s.summary.Events = v.commits, v.events
		for p, sequence := range v.reached {
			if sequence > 0 {
				ends = append(ends, events.Position{Partition: events.Partition(p), Sequence: sequence})
				s.summary.Lag.Commits += int64(sequence)
			}
		}
		return true
	}); err != nil {
		return err
	}
	for _, c := range checkpoints {
		s.summary.Lag.Commits -= int64(c.Sequence)
	}
	if s.summary.Lag.Commits <= 0 {
		s.summary.Lag.Commits = 0
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = s.tables.WaitFor(wait, ends)
	s.summary.Lag.CaughtUp = time.Since(began)
	return err
}

// check reads everything again.
func (s *showing) check(ctx context.Context) error {
	var all []events.Workflow
	if err := s.observer.await(ctx, func(v *view) bool { all = v.workflows(); return true }); err != nil {
		return err
	}
	log := s.pipeline.Log()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		h, err := readHistories(ctx, log, all)
		h.Faults = append(s.summary.Histories.Faults, h.Faults...)
		s.summary.Histories = h
		return err
	})
	g.Go(func() (err error) {
		s.summary.Log, err = replay.VerifyLog(ctx, log, replay.VerifyOptions{})
		return err
	})
	g.Go(func() (err error) {
		s.summary.Tables, err = s.tables.Verify(ctx, log, pgstore.VerifyOptions{})
		return err
	})
	g.Go(func() error { return s.count(ctx) })
	return g.Wait()
}

// count asks the tables what the runs have come to.
func (s *showing) count(ctx context.Context) error {
	c, err := s.tables.Count(ctx, pgstore.CountQuery{Namespace: namespace, GroupBy: []string{"WorkflowType", "ExecutionStatus"}})
	if err != nil {
		return err
	}
	for _, group := range c.Groups {
		s.summary.Counts = append(s.summary.Counts, Count{Type: group.Values[0], Status: group.Values[1], Runs: group.Count})
	}
	s.summary.Workflows = s.observer.total
	for i := range s.summary.Resumed {
		r := &s.summary.Resumed[i]
		found, err := s.tables.Describe(ctx, events.Workflow{Namespace: namespace, ID: r.WorkflowID}, r.RunID)
		if err != nil {
			return err
		}
		r.Status = found.Execution.Status
	}
	return nil
}

// short is a duration for people.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
