package storetest

import (
	"errors"
	"fmt"
	"sync"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

// errAttempt is why an attempt failed.
var errAttempt = errors.New("card declined")

// badPayload is one that protobuf cannot write.
func badPayload() *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{"\xff": nil}}
}

func raceCases() []testCase {
	return named(oneUpdateWins, oneUpdateWinsWhenAllAreTheSame, oneContinuationWins, oneSaveWins, appendsAllLand, updatesLandAmongAppends)
}

const racers = 16

// race calls f from several goroutines, each with a handle of its own.
func race[T any](c *scene, f func(i int, s store.Store) (T, error)) ([]T, []error) {
	c.Helper()
	results, errs := make([]T, racers), make([]error, racers)
	handles := make([]store.Store, racers)
	for i := range handles {
		handles[i] = c.h.Open(c.T, Options{})
	}
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range racers {
		done.Go(func() {
			start.Wait()
			results[i], errs[i] = f(i, handles[i])
		})
	}
	start.Done()
	done.Wait()
	return results, errs
}

func oneUpdateWins(c *scene) {
	targets := []events.Status{completed, failed, canceled, terminated, timedOut}
	for range c.h.times(8) {
		w, run := c.reach(running)
		_, errs := race(c, func(i int, s store.Store) (events.Result, error) {
			return s.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: targets[i%len(targets)]})
		})
		x := c.load(w, "").Execution
		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				continue
			}
			e := refused[*store.TransitionError](c, fmt.Sprint(i), err, store.ErrTransition)
			if e.From != x.Status || e.Run != run || e.To != targets[i%len(targets)] {
				c.Errorf("refused as %+v", e)
			}
		}
		if won != 1 || x.HistoryLength != 2 {
			c.Errorf("%d updates won, and there are %d events", won, x.HistoryLength)
		}
	}
}

func oneUpdateWinsWhenAllAreTheSame(c *scene) {
	for range c.h.times(8) {
		w, _ := c.reach(running)
		for _, u := range []store.StateUpdate{{To: paused, CommitID: "p"}, {To: continued, CommitID: "n"}} {
			u.Workflow = w
			results, errs := race(c, func(_ int, s store.Store) (events.Result, error) { return s.UpdateState(c.ctx(), u) })
			stored := 0
			for i, res := range results {
				if errs[i] != nil {
					c.Fatalf("to %s: %v", u.To, errs[i])
				}
				if !res.Existed {
					stored++
				}
				if res.Position != results[0].Position || res.RunID != results[0].RunID {
					c.Errorf("to %s: %+v and %+v", u.To, results[0], res)
				}
			}
			if stored != 1 {
				c.Errorf("to %s: stored %d times", u.To, stored)
			}
		}
	}
}

// oneContinuationWins: the others meant the run that is over.
func oneContinuationWins(c *scene) {
	w, run := c.reach(running)
	results, errs := race(c, func(i int, s store.Store) (events.Result, error) {
		return s.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, RunID: run, To: continued, Next: &store.NewExecution{RunID: events.RunID(fmt.Sprintf("next-%d", i))}})
	})
	won := 0
	var at events.Position
	for i, err := range errs {
		if err == nil {
			won++
			at = results[i].Position
			continue
		}
		if e := refused[*store.TransitionError](c, fmt.Sprint(i), err, store.ErrTransition); e.Run != run || e.From != continued {
			c.Errorf("refused as %+v", e)
		}
	}
	if got := c.query(store.Query{After: events.VectorOf(at)}); won != 1 || len(got) != 2 {
		c.Errorf("%d won, and there are %v", won, ids(got))
	}
}

func oneSaveWins(c *scene) {
	for range c.h.times(8) {
		w := c.workflow()
		_, errs := race(c, func(i int, s store.Store) (events.Result, error) {
			return s.SaveExecution(c.ctx(), store.NewExecution{Workflow: w, RunID: events.RunID(fmt.Sprint(i)), Type: "T", Events: []*events.Event{events.Signaled(fmt.Sprint(i))}})
		})
		l := c.load(w, "")
		won := 0
		for i, err := range errs {
			if err == nil {
				if won++; string(l.Execution.RunID) != fmt.Sprint(i) {
					c.Errorf("%d won, and the run is %s", i, l.Execution.RunID)
				}
				continue
			}
			refused[*events.ConflictError](c, fmt.Sprint(i), err, events.ErrConflict)
		}
		if won != 1 || len(l.Events) != 2 {
			c.Errorf("%d saves won, and there are %d events", won, len(l.Events))
		}
	}
}

func appendsAllLand(c *scene) {
	w, _ := c.reach(running)
	results, errs := race(c, func(i int, s store.Store) (events.Result, error) {
		return s.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled(fmt.Sprint(i)), events.Signaled(fmt.Sprint(i))}})
	})
	if err := errors.Join(errs...); err != nil {
		c.Fatal(err)
	}
	l := c.load(w, "")
	for i, res := range results {
		for id := res.FirstEventID; id <= res.LastEventID; id++ {
			if name := l.Events[id-1].GetWorkflowExecutionSignaledEventAttributes().GetSignalName(); name != fmt.Sprint(i) {
				c.Errorf("event %d is %s, of %d", id, name, i)
			}
		}
	}
	if len(l.Events) != 1+2*racers {
		c.Errorf("%d events", len(l.Events))
	}
}

// updatesLandAmongAppends: what does not touch the status never keeps an update
// out, nor is it decided on what was.
func updatesLandAmongAppends(c *scene) {
	w, _ := c.reach(running)
	_, errs := race(c, func(i int, s store.Store) (struct{}, error) {
		if i == 0 {
			_, err := s.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: paused})
			return struct{}{}, err
		}
		_, err := s.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
		return struct{}{}, err
	})
	if err := errors.Join(errs...); err != nil {
		c.Fatal(err)
	}
	if x := c.load(w, "").Execution; x.Status != paused || x.HistoryLength != 1+racers {
		c.Errorf("loaded as %+v", x)
	}
}
