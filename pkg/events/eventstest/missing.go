package eventstest

import (
	"errors"

	"github.com/annals-io/annals/pkg/events"
)

func missingCases() []testCase {
	return named(missingWorkflow, missingRun, missingMessage)
}

// notFound checks that an error says what is missing.
func notFound(c *scene, err error, want events.NotFoundError) {
	c.Helper()
	got := as[*events.NotFoundError](c, err, events.ErrNotFound, "")
	if *got != want || got.Error() == "" {
		c.Errorf("error is %+v, want %+v", *got, want)
	}
}

func missingWorkflow(c *scene) {
	w := c.workflow("w")
	c.start(c.workflow("another"))
	want := events.NotFoundError{Workflow: w}
	_, err := c.log.Tail(c.ctx(), w)
	notFound(c, err, want)
	for _, o := range []events.ReadOptions{{}, {Run: "r"}, {Reverse: true}, {From: 7, Limit: 1}} {
		_, err = collect(c.log.Read(c.ctx(), w, o))
		notFound(c, err, want)
	}
	_, err = collect(c.log.Commits(c.ctx(), w))
	notFound(c, err, want)
}

func missingRun(c *scene) {
	w := c.workflow("w")
	c.start(w, completed())
	c.append(events.Request{Workflow: w, Events: list(started("T"), completed(), started("T"))})
	for _, reverse := range []bool{false, true} {
		_, err := collect(c.log.Read(c.ctx(), w, events.ReadOptions{Run: "never", Reverse: reverse}))
		notFound(c, err, events.NotFoundError{Workflow: w, Run: "never"})
	}
}

func missingMessage(c *scene) {
	w := c.workflow("w")
	res := c.start(w)
	m, err := c.log.Message(c.ctx(), res.Position)
	if err != nil || m.Position != res.Position || m.Subject != w.Subject() {
		c.Errorf("message is %+v, %v", m, err)
	}
	for _, seq := range []uint64{0, 1 << 40} {
		m, err := c.log.Message(c.ctx(), events.Position{Partition: res.Position.Partition, Sequence: seq})
		if !errors.Is(err, events.ErrNotFound) {
			c.Errorf("message %d is %+v, %v; want not found", seq, m, err)
		}
	}
}
