package eventstest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/annals-io/annals/pkg/events"
)

func raceCases() []testCase {
	return named(sixteenRacersStartOneWorkflow, sixteenRacersAppendAfterOneCursor)
}

type outcome struct {
	res events.Result
	err error
}

// race runs n appenders that leave a barrier together.
func race(c *scene, n int, do func(i int) (events.Result, error)) []outcome {
	c.Helper()
	out := make([]outcome, n)
	barrier := make(chan struct{})
	var ready, done sync.WaitGroup
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-barrier
			out[i].res, out[i].err = do(i)
		})
	}
	ready.Wait()
	close(barrier)
	done.Wait()
	return out
}

// onlyOneWins checks that one of the appenders stored, and that the others were
// told of it.
func onlyOneWins(c *scene, out []outcome) events.Result {
	c.Helper()
	var winner *events.Result
	for _, o := range out {
		if o.err == nil {
			if winner != nil {
				c.Fatalf("two appenders won: %+v and %+v", *winner, o.res)
			}
			winner = &o.res
		}
	}
	if winner == nil {
		c.Fatalf("nobody won: %v", out[0].err)
	}
	for i, o := range out {
		var conflict *events.ConflictError
		switch {
		case o.err == nil:
		case !errors.Is(o.err, events.ErrConflict) || !errors.As(o.err, &conflict):
			c.Fatalf("appender %d lost with %v, want a conflict", i, o.err)
		default:
			c.same("the conflict's cursor", winner.Cursor, conflict.Actual)
		}
	}
	return *winner
}

func sixteenRacersStartOneWorkflow(c *scene) {
	for round := range c.h.times(50) {
		w := c.workflow(fmt.Sprint("w", round))
		winner := onlyOneWins(c, race(c, 16, func(i int) (events.Result, error) {
			return c.log.Append(c.ctx(), events.Request{Workflow: w, Events: list(started(fmt.Sprint("T", i)))})
		}))
		if got := c.history(w, ""); len(got) != 1 {
			c.Fatalf("round %d: history has %d events", round, len(got))
		}
		if n := len(c.commits(w)); n != 1 || winner.FirstEventID != 1 {
			c.Fatalf("round %d: %d commits, the winner's result is %+v", round, n, winner)
		}
	}
}

func sixteenRacersAppendAfterOneCursor(c *scene) {
	w := c.workflow("w")
	at := c.start(w)
	for round := range c.h.times(20) {
		at = onlyOneWins(c, race(c, 16, func(i int) (events.Result, error) {
			return c.log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.After(at.Cursor), Events: signals(1, fmt.Sprint(i))})
		}))
		if n := len(c.commits(w)); n != round+2 {
			c.Fatalf("round %d: %d commits", round, n)
		}
	}
}
