package eventstest

import (
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

// truncatedCases cut the log back under a handle that knows a later end, and have
// another handle append before it does.
func truncatedCases() []testCase {
	var cases []testCase
	for _, between := range []struct {
		name string
		n    int // how many appends come in between
	}{{"nothing", 0}, {"fewer than were lost", 1}, {"more than were lost", 4}} {
		for i, expect := range []string{"at end", "", "after an event"} {
			if i != 1 {
				cases = append(cases, testCase{expect + ", then " + between.name, func(c *scene) { truncated(c, between.n, i) }})
			}
		}
	}
	return append(cases, named(theWorkflowIsGone, readsOfALogThatWasCutBack)...)
}

func truncated(c *scene, between, i int) {
	h, truncate := c.h.Features.Truncatable(c)
	mine, other := h.Open(c, Options{}), h.Open(c, Options{})
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	at := c.through(other, events.Request{Workflow: w, Events: list(started("T"))})
	c.warm(mine, w)
	c.warm(mine, w)
	truncate(at.Position.Partition, at.Position.Sequence)
	r := events.Request{Workflow: w, CommitID: "mine", Expect: events.AtEnd(), Events: signals(1, "mine")}
	var stored events.Result
	for n := range between {
		q := events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")}
		if n == 2 { // an earlier repetition of what mine is about to append
			r.Expect = expectations(at)[i]
			q = r
		}
		at = c.through(other, q)
		if n == 2 {
			stored = at
		}
	}
	if stored.CommitID != "" {
		stored.Existed = true
		c.same("the repeated append", stored, c.through(mine, r))
	} else {
		r.Expect = expectations(at)[i]
		c.follows(at, c.through(mine, r))
	}
	CheckWorkflow(c, other, w)
}

// theWorkflowIsGone: it was started after the point that the log came back to.
func theWorkflowIsGone(c *scene) {
	h, truncate := c.h.Features.Truncatable(c)
	mine := h.Open(c, Options{})
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	at := c.through(mine, events.Request{Workflow: w, Events: list(started("T"))})
	c.warm(mine, w)
	truncate(at.Position.Partition, 0)
	_, err := mine.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "mine")})
	if !errors.Is(err, events.ErrNotFound) {
		c.Errorf("an append at the end of nothing gave %v", err)
	}
	at = c.through(mine, events.Request{Workflow: w, Events: list(started("T"), completed())})
	truncate(at.Position.Partition, 0)
	again := c.through(mine, events.Request{Workflow: w, Events: list(started("T"))})
	if again.FirstEventID != 1 || again.Existed {
		c.Errorf("the first run anew is %+v", again)
	}
	CheckWorkflow(c, mine, w)
}

// readsOfALogThatWasCutBack: what is read by an end that the log has no more is refused,
// also where something else lies there now.
func readsOfALogThatWasCutBack(c *scene) {
	h, truncate := c.h.Features.Truncatable(c)
	mine, other := h.Open(c, Options{}), h.Open(c, Options{})
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	first := c.through(mine, events.Request{Workflow: w, Events: list(started("T"))})
	lost := c.through(mine, events.Request{Workflow: w, Expect: events.After(first.Cursor), Events: signals(2, "lost")})
	truncate(first.Position.Partition, first.Position.Sequence)
	at := first
	refused := func(when string) {
		c.Helper()
		for name, o := range map[string]events.ReadOptions{
			"after": {After: lost.Cursor}, "until": {Until: lost.Cursor}, "until, reversed": {Until: lost.Cursor, Reverse: true},
			"between": {After: first.Cursor, Until: lost.Cursor}, "after, until": {After: lost.Cursor, Until: at.Cursor},
		} {
			if _, err := collect(mine.Read(c.ctx(), w, o)); !errors.Is(err, events.ErrConflict) {
				c.Errorf("%s, read %s an end that is gone: %v", when, name, err)
			}
		}
		if got, err := collect(mine.Read(c.ctx(), w, events.ReadOptions{After: first.Cursor})); err != nil {
			c.Errorf("%s, after an end that is there: %d events, %v", when, len(got), err)
		}
	}
	refused("cut back")
	at = c.through(other, events.Request{Workflow: w, Expect: events.After(first.Cursor), Events: signals(2, "another")})
	refused("another in its place")
	// Others lie between, so that the next commit is not where the cursor would have it;
	// and as many as are read together, one less and one more.
	for i := range 2*(events.MaxBack+1) + 1 {
		c.through(other, events.Request{Workflow: events.Workflow{Namespace: c.ns, ID: fmt.Sprintf("between-%d", i)}, Events: list(started("T"))})
		at = c.through(other, events.Request{Workflow: w, Expect: events.After(at.Cursor), Events: signals(1, "more")})
		refused(fmt.Sprintf("and %d more behind it", i+1))
	}
}
