package eventstest

import (
	"fmt"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

func policyRaceCases() []testCase {
	return named(sixteenSignalsWithStartOfANewWorkflow, sixteenStartsOrUsesOfANewWorkflow, sixteenTerminateAndStarts,
		signalsWithStartWhileRunsEnd, sixteenStartsWhereOneMayFollow)
}

// raceStarts runs n starts that leave a barrier together; all must succeed.
func raceStarts(c *scene, n int, do func(i int) (events.StartResult, error)) []events.StartResult {
	c.Helper()
	results := make([]events.StartResult, n)
	for i, o := range race(c, n, func(i int) (events.Result, error) {
		var err error
		results[i], err = do(i)
		return events.Result{}, err
	}) {
		if o.err != nil {
			c.Fatalf("racer %d: %v", i, o.err)
		}
	}
	return results
}

// count is how many of the results have an outcome.
func count(results []events.StartResult, o events.StartOutcome) (n int) {
	for _, r := range results {
		if r.Outcome == o {
			n++
		}
	}
	return n
}

// sixteenSignalsWithStartOfANewWorkflow: one start, sixteen signals.
func sixteenSignalsWithStartOfANewWorkflow(c *scene) {
	for round := range c.h.times(4) {
		w := c.workflow(fmt.Sprint("w", round))
		results := raceStarts(c, 16, func(i int) (events.StartResult, error) {
			r := events.StartRequest{Workflow: w, Events: list(started("T"))}
			if round%2 == 1 {
				r.CommitID = events.CommitID(fmt.Sprint("commit ", i))
			}
			return events.SignalWithStart(c.ctx(), c.log, r, signaled(fmt.Sprint(i)))
		})
		if s, g := count(results, events.RunStarted), count(results, events.RunSignaled); s != 1 || g != 15 {
			c.Fatalf("%d started and %d signaled, want 1 and 15", s, g)
		}
		seen := map[string]bool{}
		history := c.history(w, "")
		for _, e := range history[1:] {
			seen[e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName()] = true
		}
		if len(history) != 17 || len(seen) != 16 || !events.Opens(history[0]) {
			c.Fatalf("the history has %d events with %d signals, want a start and 16", len(history), len(seen))
		}
		for _, r := range results {
			checkStart(c, w, r, 1)
		}
	}
}

// sixteenStartsOrUsesOfANewWorkflow: one run, which all are told of.
func sixteenStartsOrUsesOfANewWorkflow(c *scene) {
	for round := range c.h.times(8) {
		w := c.workflow(fmt.Sprint("w", round))
		if round%4 == 3 {
			c.start(w, completed())
		}
		results := raceStarts(c, 16, func(i int) (events.StartResult, error) {
			r := events.StartRequest{Workflow: w, Conflict: useExisting, Events: list(started(fmt.Sprint(i)))}
			if round%2 == 1 {
				r.CommitID = events.CommitID(fmt.Sprint("commit ", i))
			}
			return events.Start(c.ctx(), c.log, r)
		})
		if s, u := count(results, events.RunStarted), count(results, events.RunUsed); s != 1 || u != 15 {
			c.Fatalf("%d started and %d used it, want 1 and 15", s, u)
		}
		for _, r := range results {
			if r.RunID != results[0].RunID || text(r.Cursor) != text(results[0].Cursor) {
				c.Fatalf("one was told %+v, another %+v", results[0], r)
			}
		}
		if n := len(c.history(w, "")); n != 1 {
			c.Errorf("history has %d events, want 1", n)
		}
	}
}

// sixteenTerminateAndStarts: each start is one run, each run but the last was
// terminated by one of the others, which says so, and the commits are a chain.
func sixteenTerminateAndStarts(c *scene) {
	for round := range c.h.times(4) {
		w := c.workflow(fmt.Sprint("w", round))
		opened := map[events.RunID]bool{}
		if round%2 == 0 {
			opened[c.start(w).RunID] = true
		}
		results := raceStarts(c, 16, func(i int) (events.StartResult, error) {
			start, r := events.Start, events.StartRequest{Workflow: w, Conflict: terminate, Events: list(started(fmt.Sprint(i)))}
			if i%2 == 1 {
				start = startBy(true)
			}
			if i%4 > 1 {
				r.CommitID = events.CommitID(fmt.Sprint("commit ", i))
			}
			return start(c.ctx(), c.log, r)
		})
		if s, r := count(results, events.RunStarted), count(results, events.RunReplaced); s != round%2 || s+r != 16 {
			c.Fatalf("%d started and %d replaced a run, want %d and %d", s, r, round%2, 16-round%2)
		}
		for _, r := range results {
			checkStart(c, w, r, 1)
			opened[r.RunID] = true
		}
		for _, r := range results {
			if r.Outcome != events.RunReplaced {
				continue
			}
			if !opened[r.Terminated] {
				c.Errorf("run %s was terminated twice, or never opened", r.Terminated)
			}
			delete(opened, r.Terminated)
		}
		tail, err := c.log.Tail(c.ctx(), w)
		if err != nil || len(opened) != 1 || !opened[tail.Run()] || !events.IsOpen(tail.Status()) {
			c.Errorf("left open are %v, the workflow ends with %s, %v", opened, tail, err)
		}
		if got, want := c.countCommits(w), 17-round%2; got != want {
			c.Errorf("%d commits, want %d", got, want)
		}
	}
}

// signalsWithStartWhileRunsEnd: no signal is lost or doubled where runs end under
// the signals' hands.
func signalsWithStartWhileRunsEnd(c *scene) {
	const signalers, closers = 12, 4
	each := c.h.times(5)
	w := c.workflow("w")
	results := make([][]events.StartResult, signalers)
	out := race(c, signalers+closers, func(i int) (events.Result, error) {
		for j := range each {
			if i >= signalers {
				// What it has to close may not be there yet, or no more: both are right.
				_, _ = c.log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
				continue
			}
			r := events.StartRequest{Workflow: w, Events: list(started("T"))}
			if i%2 == 1 {
				r.CommitID = events.CommitID(fmt.Sprint(i, "/", j))
			}
			res, err := events.SignalWithStart(c.ctx(), c.log, r, signaled(fmt.Sprint(i, "/", j)))
			if err != nil {
				return events.Result{}, err
			}
			results[i] = append(results[i], res)
		}
		return events.Result{}, nil
	})
	for i, o := range out {
		if o.err != nil {
			c.Fatalf("racer %d: %v", i, o.err)
		}
	}
	in := map[string][]events.RunID{}
	for _, commit := range c.commits(w) {
		parts, err := commit.Segments()
		if err != nil {
			c.Fatal(err)
		}
		for _, p := range parts {
			for _, e := range p.Events {
				if name := e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName(); name != "" {
					in[name] = append(in[name], p.Run)
				}
			}
		}
	}
	if len(in) != signalers*each {
		c.Errorf("%d signals are stored, want %d", len(in), signalers*each)
	}
	for i := range signalers {
		for j, res := range results[i] {
			if got := in[fmt.Sprint(i, "/", j)]; !slices.Equal(got, []events.RunID{res.RunID}) {
				c.Errorf("signal %d/%d is in the runs %q, its sender was told %q", i, j, got, res.RunID)
			}
		}
	}
}

// sixteenStartsWhereOneMayFollow: after a failure one of them is let in, and the
// others are told of it.
func sixteenStartsWhereOneMayFollow(c *scene) {
	for _, reuse := range policies {
		if reuse.conflict != fail {
			continue
		}
		w := c.workflow(reuse.reuse.String())
		if reuse.reuse != rejectAny {
			c.start(w, failedBy(nil))
		}
		winner := onlyOneWins(c, race(c, 16, func(i int) (events.Result, error) {
			r := events.StartRequest{Workflow: w, Reuse: reuse.reuse, Conflict: fail, Events: list(started(fmt.Sprint(i)))}
			if i%2 == 1 {
				r.CommitID = events.CommitID(fmt.Sprint("commit ", i))
			}
			res, err := events.Start(c.ctx(), c.log, r)
			return res.Result, err
		}))
		if tail, err := c.log.Tail(c.ctx(), w); err != nil || text(tail) != text(winner.Cursor) {
			c.Errorf("%s: the workflow ends with %s, %v; the winner was told %s", reuse.reuse, tail, err, winner.Cursor)
		}
	}
}
