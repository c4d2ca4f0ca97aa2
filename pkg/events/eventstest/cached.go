package eventstest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
)

// cachedCases have one handle, which has seen where a workflow ends, append to it
// after another handle has. What it remembers must not show, but for the time
// that it saves.
func cachedCases() []testCase {
	cases := named(
		anotherHandleAppendsInBetween, anotherHandleClosesTheRun, anotherHandleStartsTheNextRun, anotherHandleContinuesTheFullRun,
		eventIdsFollowWhatIsThere, aLookUpIsNotTakenForALongerOne,
	)
	for _, id := range []struct {
		name string
		id   func() events.CommitID
	}{
		{"a word", func() events.CommitID { return "one id" }},
		{"a UUIDv7", func() events.CommitID { return events.CommitID(uuid.Must(uuid.NewV7()).String()) }},
		{"a UUIDv7 of yesterday", func() events.CommitID { return uuidOf(time.Now().Add(-24 * time.Hour)) }},
	} {
		cases = append(cases,
			testCase{"commit id again, " + id.name, func(c *scene) { commitIDAgain(c, id.id()) }},
			testCase{"commit id of another handle before the end that is known, " + id.name, func(c *scene) { commitIDBefore(c, id.id()) }},
			testCase{"commit id of another handle after the end that is known, " + id.name, func(c *scene) { commitIDAfter(c, id.id()) }},
			testCase{"commit id of another handle between ends that are known, " + id.name, func(c *scene) { commitIDBetween(c, id.id()) }},
			testCase{"commit id of another handle's run, " + id.name, func(c *scene) { commitIDOfARun(c, id.id()) }},
		)
	}
	return cases
}

// uuidOf is a UUIDv7 made at a time.
func uuidOf(t time.Time) events.CommitID {
	id := uuid.Must(uuid.NewV7())
	ms := t.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return events.CommitID(id.String())
}

// through appends through a handle, and it must succeed.
func (c *scene) through(log events.Log, r events.Request) events.Result {
	c.Helper()
	res, err := log.Append(c.ctx(), r)
	if err != nil {
		c.Fatalf("append %s to %s: %v", r.Expect, r.Workflow, err)
	}
	return res
}

// warm has a handle append at the end, so that it knows where that is.
func (c *scene) warm(log events.Log, w events.Workflow) events.Result {
	c.Helper()
	return c.through(log, events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "warm")})
}

// follows checks that an append is stored directly after another one.
func (c *scene) follows(before, res events.Result) {
	c.Helper()
	if res.Existed || res.RunID != before.RunID || res.FirstEventID != before.LastEventID+1 {
		c.Errorf("result is %+v, want the event after %d of run %s", res, before.LastEventID, before.RunID)
	}
}

func anotherHandleAppendsInBetween(c *scene) {
	mine := c.h.Open(c, Options{})
	for name, expect := range map[string]func(events.Result) events.Expectation{
		"at end":         func(events.Result) events.Expectation { return events.AtEnd() },
		"at end of run":  func(r events.Result) events.Expectation { return events.AtEndOf(r.RunID) },
		"after an event": func(r events.Result) events.Expectation { return events.AfterEvent(r.RunID, r.LastEventID) },
	} {
		w := c.workflow(name)
		c.start(w)
		known := c.warm(mine, w)
		other := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(3, "other")})
		res := c.through(mine, events.Request{Workflow: w, Expect: expect(other), Events: signals(1, "mine")})
		c.follows(other, res)
		c.follows(res, c.through(mine, events.Request{Workflow: w, Expect: expect(res), Events: signals(1, "mine")}))

		// What is expected after the end that was known is a conflict with what is there.
		other = c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")})
		_, err := mine.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AfterEvent(known.RunID, known.LastEventID), Events: signals(1, "mine")})
		got := as[*events.ConflictError](c, err, events.ErrConflict, name)
		c.same("the conflict's cursor", other.Cursor, got.Actual)
	}
}

func anotherHandleClosesTheRun(c *scene) {
	mine := c.h.Open(c, Options{})
	w := c.workflow("w")
	run := c.start(w).RunID
	c.warm(mine, w)
	closed := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
	for _, expect := range []events.Expectation{events.AtEnd(), events.AtEndOf(run), events.AtEnd()} {
		_, err := mine.Append(c.ctx(), events.Request{Workflow: w, Expect: expect, Events: signals(1, "mine")})
		c.same("the closed run", closed.Cursor, as[*events.ClosedError](c, err, events.ErrClosed, expect.String()).Actual)
	}
	w = c.workflow("v")
	c.start(w)
	c.warm(mine, w)
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
	if res := c.through(mine, events.Request{Workflow: w, Events: list(started("T"))}); res.Existed || res.FirstEventID != 1 {
		c.Errorf("the next run is %+v", res)
	}
}

func anotherHandleStartsTheNextRun(c *scene) {
	mine := c.h.Open(c, Options{})
	for _, knownOpen := range []bool{true, false} {
		w := c.workflow(fmt.Sprint("known to be open ", knownOpen))
		run := c.start(w).RunID
		c.warm(mine, w)
		if knownOpen {
			c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
		} else {
			c.through(mine, events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
		}
		next := c.start(w)
		_, err := mine.Append(c.ctx(), events.Request{Workflow: w, Events: list(started("T"))})
		c.same("the open run", next.Cursor, as[*events.ConflictError](c, err, events.ErrConflict, "a new run").Actual)
		// By a handle that does not know better from that error.
		for _, expect := range []events.Expectation{events.AtEnd(), events.AtEndOf(next.RunID), events.AfterEvent(next.RunID, next.LastEventID)} {
			w := c.workflow(fmt.Sprint("known to be open ", knownOpen, ", ", expect))
			c.start(w)
			c.warm(mine, w)
			if knownOpen {
				c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
			} else {
				c.through(mine, events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
			}
			next := c.append(events.Request{Workflow: w, RunID: next.RunID, Events: list(started("T"))})
			c.follows(next, c.through(mine, events.Request{Workflow: w, Expect: expect, Events: signals(1, "mine")}))
		}
		_, err = mine.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEndOf(run), Events: signals(1, "mine")})
		as[*events.ClosedError](c, err, events.ErrClosed, "at the end of the run before")
	}
}

// anotherHandleContinuesTheFullRun: a limit is judged by what is there.
func anotherHandleContinuesTheFullRun(c *scene) {
	mine := c.h.Open(c, Options{Limits: events.Limits{MaxEvents: 3}})
	w := c.workflow("w")
	c.start(w, signaled("s"))
	c.warm(mine, w)
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(continuedAs(""), started("T"))})
	res := c.through(mine, events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "mine")})
	if res.FirstEventID != 2 {
		c.Errorf("result is %+v, want event 2 of the next run", res)
	}
}

func eventIdsFollowWhatIsThere(c *scene) {
	mine := c.h.Open(c, Options{})
	w := c.workflow("w")
	c.start(w)
	c.warm(mine, w)
	other := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(2, "other")})
	r := events.Request{Workflow: w, Expect: events.AtEnd(), Events: numbered(other.LastEventID+1, signals(1, "mine"))}
	c.follows(other, c.through(mine, r))
}

// again repeats an append through a handle, and it must be found where it is.
func (c *scene) again(log events.Log, r events.Request, first events.Result) {
	c.Helper()
	res := c.through(log, r)
	first.Existed = true
	c.same("the repeated append", first, res)
	if n := len(c.commitsWith(r.Workflow, r.CommitID)); n != 1 {
		c.Errorf("the log holds it %d times", n)
	}
}

// expectations at the end of an open run.
func expectations(at events.Result) []events.Expectation {
	return []events.Expectation{events.AtEnd(), events.AtEndOf(at.RunID), events.AfterEvent(at.RunID, at.LastEventID)}
}

func commitIDAgain(c *scene, id events.CommitID) {
	mine := c.h.Open(c, Options{})
	for i := range 3 {
		w := c.workflow(fmt.Sprint("w", i))
		r := events.Request{Workflow: w, CommitID: id, Expect: expectations(c.start(w))[i], Events: signals(1, "mine")}
		first := c.through(mine, r)
		c.again(mine, r, first)
		for range 5 {
			c.warm(mine, w)
		}
		c.again(mine, r, first)
		r.Events = signals(1, "something else")
		_, err := mine.Append(c.ctx(), r)
		as[*events.CommitIDReusedError](c, err, events.ErrCommitIDReused, "other content")
	}
}

func commitIDBefore(c *scene, id events.CommitID) {
	for i := range 3 {
		mine := c.h.Open(c, Options{})
		w := c.workflow(fmt.Sprint("w", i))
		r := events.Request{Workflow: w, CommitID: id, Expect: expectations(c.start(w))[i], Events: signals(1, "mine")}
		first := c.append(r)
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")})
		for range 5 {
			c.warm(mine, w)
		}
		c.again(mine, r, first)
	}
}

func commitIDAfter(c *scene, id events.CommitID) {
	mine := c.h.Open(c, Options{})
	other := func(w events.Workflow) {
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")})
	}
	for i := range 3 {
		for _, further := range []bool{false, true} { // than directly after the end that mine knows
			w := c.workflow(fmt.Sprintf("w%d further %t", i, further))
			c.start(w)
			at := c.warm(mine, w)
			r := events.Request{Workflow: w, CommitID: id, Expect: expectations(at)[i], Events: signals(1, "mine")}
			first := r
			if further {
				other(w)
				first.Expect = events.AtEnd()
			}
			stored := c.append(first)
			if further {
				other(w)
			}
			c.again(mine, r, stored)
		}
	}
}

// commitIDBetween: before an end that mine has found, however it did, and after
// one that it knew.
func commitIDBetween(c *scene, id events.CommitID) {
	for how, find := range map[string]func(log events.Log, at events.Result){
		"by an append at the end": func(log events.Log, at events.Result) { c.warm(log, at.Cursor.Workflow()) },
		"by an append after a cursor": func(log events.Log, at events.Result) {
			c.through(log, events.Request{Workflow: at.Cursor.Workflow(), Expect: events.After(at.Cursor), Events: signals(1, "after")})
		},
		"by a look at the end": func(log events.Log, at events.Result) {
			if _, err := log.Tail(c.ctx(), at.Cursor.Workflow()); err != nil {
				c.Fatal(err)
			}
		},
		"by a conflict": func(log events.Log, at events.Result) {
			_, err := log.Append(c.ctx(), events.Request{Workflow: at.Cursor.Workflow(), Events: list(started("T"))})
			as[*events.ConflictError](c, err, events.ErrConflict, "a start")
		},
	} {
		for i := range 2 {
			mine := c.h.Open(c, Options{})
			w := c.workflow(fmt.Sprint(how, i))
			at := c.start(w)
			c.warm(mine, w)
			r := events.Request{Workflow: w, CommitID: id, Expect: expectations(at)[i], Events: signals(1, "mine")}
			stored := c.append(r)
			find(mine, c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")}))
			c.again(mine, r, stored)
		}
	}
}

func commitIDOfARun(c *scene, id events.CommitID) {
	for _, after := range []bool{false, true} { // the end that mine knows
		mine := c.h.Open(c, Options{})
		w := c.workflow(fmt.Sprint("after ", after))
		closed := func(log events.Log) {
			c.Helper()
			c.through(log, events.Request{Workflow: w, Events: list(started("T"), completed())})
		}
		r := events.Request{Workflow: w, CommitID: id, Events: list(started("mine"), completed())}
		closed(c.log)
		if after {
			closed(mine)
		}
		first := c.append(r)
		closed(c.log)
		if !after {
			closed(mine)
		}
		c.again(mine, r, first)
		c.again(mine, r, first)
	}
}

// aLookUpIsNotTakenForALongerOne: that one id was looked for says nothing of
// another that has to be looked for further back.
func aLookUpIsNotTakenForALongerOne(c *scene) {
	mine := c.h.Open(c, Options{LookBack: 4})
	w := c.workflow("w")
	c.start(w)
	r := events.Request{Workflow: w, CommitID: uuidOf(time.Now().Add(-time.Hour)), Expect: events.AtEnd(), Events: signals(1, "mine")}
	stored := c.append(r)
	for range 10 {
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")})
	}
	for _, id := range []events.CommitID{"", "a word", "another", "a third"} {
		c.through(mine, events.Request{Workflow: w, CommitID: id, Expect: events.AtEnd(), Events: signals(1, "warm")})
	}
	c.again(mine, r, stored)
}
