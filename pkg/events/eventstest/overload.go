package eventstest

import (
	"context"
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

func overloadCases() []testCase {
	return named(tooManyCommitsAreRefusedAtOnce, tooManyBytesAreRefusedAtOnce)
}

// held has a handle with n appends under way that get no answer, each of one
// signal with this name. End ends them.
func (c *scene) held(o Options, n int, name string) (log events.Log, end func()) {
	c.Helper()
	entered := make(chan struct{}, n)
	o.Fault = func(id events.CommitID) Fault {
		if id != "held" {
			return Deliver
		}
		entered <- struct{}{}
		return NoAnswer
	}
	log = c.h.Open(c, o)
	ctx, cancel := context.WithCancel(c.ctx())
	ended := make(chan error, n)
	for i := range n {
		w := c.workflow(fmt.Sprint("held", i))
		at := c.start(w)
		go func() {
			_, err := log.Append(ctx, events.Request{Workflow: w, CommitID: "held", Expect: events.After(at.Cursor), Events: signals(1, name)})
			ended <- err
		}()
	}
	for range n {
		<-entered
	}
	return log, func() {
		cancel()
		for range n {
			if err := <-ended; !errors.Is(err, events.ErrOutcomeUnknown) {
				c.Errorf("an append without an answer gave %v", err)
			}
		}
	}
}

// overloaded is an append through log that must be refused because of what is
// under way, and must pass once that has ended.
func (c *scene) overloaded(log events.Log, end func(), r events.Request) *events.OverloadedError {
	c.Helper()
	_, err := log.Append(c.ctx(), r)
	got := as[*events.OverloadedError](c, err, events.ErrOverloaded, "one append too many")
	if !events.SafeToRetry(err) || errors.Is(err, events.ErrUnavailable) || got.Workflow != r.Workflow {
		c.Errorf("error is %+v", got)
	}
	if n := c.countCommits(r.Workflow); n != 0 {
		c.Errorf("%d commits of what was refused", n)
	}
	// What was of unknown outcome stays so.
	unknown := r
	unknown.CommitID = "unknown"
	unknown.Expect = r.Expect.WithAttempt(events.Attempt{})
	_, err = log.Append(c.ctx(), unknown)
	doubt := as[*events.OutcomeUnknownError](c, err, events.ErrOutcomeUnknown, "a repetition too many")
	if doubt.CommitID != "unknown" || !errors.Is(err, events.ErrOverloaded) {
		c.Errorf("error of a repetition is %+v", doubt)
	}
	// Without the commit id it could never be settled.
	unknown.CommitID = ""
	_, err = log.Append(c.ctx(), unknown)
	if invalid := as[*events.InvalidError](c, err, events.ErrInvalid, "a repetition without a commit id"); invalid.Field != "commitId" {
		c.Errorf("error of a repetition without a commit id is %+v", invalid)
	}
	end()
	if res, err := log.Append(c.ctx(), r); err != nil || res.Existed {
		c.Errorf("once the others have ended: %+v, %v", res, err)
	}
	return got
}

func tooManyCommitsAreRefusedAtOnce(c *scene) {
	log, end := c.held(Options{MaxInFlightCommits: 3}, 3, "s")
	got := c.overloaded(log, end, events.Request{Workflow: c.workflow("w"), Events: list(started("T"))})
	if got.Commits != 3 || got.MaxCommits != 3 {
		c.Errorf("error is %+v, want 3 commits of 3", got)
	}
}

func tooManyBytesAreRefusedAtOnce(c *scene) {
	const most = 1000
	big := marked(2 * most).GetMarkerRecordedEventAttributes().MarkerName
	log, end := c.held(Options{MaxInFlightBytes: most}, 1, big) // alone, it is let through
	got := c.overloaded(log, end, events.Request{Workflow: c.workflow("w"), Events: list(started("T"))})
	if got.Commits != 1 || got.Bytes < 2*most || got.MaxBytes != most {
		c.Errorf("error is %+v, want 1 commit of over %d bytes, %d are allowed", got, 2*most, most)
	}
}
