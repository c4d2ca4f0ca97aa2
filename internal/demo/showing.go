package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/replay"
)

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
		victim = v.victim(s.o.Workers)
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
		w := events.Workflow{Namespace: s.o.Namespace, ID: h.WorkflowID}
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
	lags, err := projection.LagOf(ctx, s.pipeline.Log(), s.tables.Checkpoints)
	if err == nil {
		err = lags.Err()
	}
	if err != nil {
		return err
	}
	s.summary.Lag.Commits, s.summary.Lag.Age = int64(lags.Commits()), lags.Age()
	var end events.Vector
	if err := s.observer.await(ctx, func(v *view) bool {
		s.summary.Commits, s.summary.Events = v.commits, v.events
		for p, sequence := range v.reached {
			end = end.With(events.Position{Partition: events.Partition(p), Sequence: sequence})
		}
		return true
	}); err != nil {
		return err
	}
	if s.summary.Lag.Commits == 0 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = s.tables.WaitFor(wait, end)
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
	c, err := s.tables.Count(ctx, pgstore.CountQuery{Namespace: s.o.Namespace, GroupBy: []string{"WorkflowType", "ExecutionStatus"}})
	if err != nil {
		return err
	}
	for _, group := range c.Groups {
		s.summary.Counts = append(s.summary.Counts, Count{Type: group.Values[0], Status: group.Values[1], Runs: group.Count})
	}
	s.summary.Workflows = s.observer.total
	for i := range s.summary.Resumed {
		r := &s.summary.Resumed[i]
		found, err := s.tables.Describe(ctx, pgstore.DescribeQuery{Workflow: events.Workflow{Namespace: s.o.Namespace, ID: r.WorkflowID}, Run: r.RunID})
		if err != nil {
			return err
		}
		r.Status = found.Execution.Status
	}
	return nil
}
