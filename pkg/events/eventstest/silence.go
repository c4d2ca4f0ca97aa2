package eventstest

import (
	"errors"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

const (
	// briefly is the first timeout of appends to a log that does not answer, and
	// patience what should never pass before they end.
	briefly  = 400 * time.Millisecond
	patience = 2 * time.Minute
)

// silent is a handle on the log that gets no answer to anything it sends.
func (c *scene) silent(timeout time.Duration) events.Log {
	return c.h.Open(c, Options{AppendTimeout: timeout, Fault: func(events.CommitID) Fault { return NoAnswer }})
}

// unanswered has the log do something that gets no answer, by a timeout that is
// longer each time that it does not suffice for the reads before that.
func (c *scene) unanswered(what string, do func(events.Log) error) error {
	c.Helper()
	for timeout := briefly; ; timeout *= 2 {
		log := c.silent(timeout)
		err := c.ends(what, timeout, func() error { return do(log) })
		if errors.Is(err, events.ErrOutcomeUnknown) || !errors.Is(err, events.ErrUnavailable) || timeout > 10*time.Second {
			return err
		}
	}
}

// ends waits for what do does, which must end by itself.
func (c *scene) ends(what string, timeout time.Duration, do func() error) error {
	c.Helper()
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	never := time.NewTimer(timeout + patience)
	defer never.Stop()
	select {
	case err := <-ended:
		return err
	case <-never.C:
		c.Fatalf("%s has not ended after %s, its timeout is %s", what, timeout+patience, timeout)
		return nil
	}
}

// anAppendWithoutADeadlineEnds: by the log's own timeout, though nothing that it
// sends is ever answered. What the error says settles it.
func anAppendWithoutADeadlineEnds(c *scene) {
	for name, expect := range map[string]func(events.Result) events.Expectation{
		"new":            func(events.Result) events.Expectation { return events.NewRun() },
		"after a cursor": func(open events.Result) events.Expectation { return events.After(open.Cursor) },
		"after an event": func(open events.Result) events.Expectation { return events.AfterEvent(open.RunID, open.LastEventID) },
		"at end":         func(events.Result) events.Expectation { return events.AtEnd() },
	} {
		r := events.Request{Workflow: c.workflow(name), Events: signals(1, "s")}
		before := 0
		if r.Expect = expect(events.Result{}); r.Expect.IsNewRun() {
			r.Events = list(started("T"))
		} else {
			r.Expect, before = expect(c.start(r.Workflow)), 1
		}
		err := c.unanswered("append "+name, func(log events.Log) error {
			_, err := log.Append(c.ctx(), r)
			return err
		})
		doubt := as[*events.OutcomeUnknownError](c, err, events.ErrOutcomeUnknown, "append "+name)
		r.CommitID, r.Expect = doubt.CommitID, doubt.Expectation
		if res := c.append(r); res.Existed {
			c.Errorf("%s: what never arrived was there: %+v", name, res)
		}
		if n := len(c.commits(r.Workflow)); n != before+1 {
			c.Errorf("%s: %d commits, want %d", name, n, before+1)
		}
	}
}

// aHeartbeatWithoutADeadlineEnds: as an append does.
func aHeartbeatWithoutADeadlineEnds(c *scene) {
	h := beat(c.activity("a"), 1, 0)
	err := c.unanswered("record of a heartbeat", func(log events.Log) error {
		_, err := log.RecordHeartbeat(c.ctx(), h)
		return err
	})
	as[*events.HeartbeatUnknownError](c, err, events.ErrOutcomeUnknown, "record")
	c.record(h, true)
	c.kept(h)
}
