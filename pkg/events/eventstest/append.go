package eventstest

import (
	"context"
	"errors"

	"github.com/annals-io/annals/pkg/events"
)

func appendCases() []testCase {
	return named(
		appendGoesOnAfterACursor, appendGoesOnAfterAnEvent, appendAfterACloseIsRefused, appendAfterAStaleCursorIsRefused,
		appendAfterAnotherEventIsRefused, appendAfterNothingIsRefused, appendWithACursorOfAnotherLogIsRefused,
		appendWithACursorOfAnotherWorkflowIsRefused, appendWithAnEndedContextStoresNothing, appendTakesEveryStatus,
	)
}

func appendGoesOnAfterACursor(c *scene) {
	w := c.workflow("w")
	res := c.start(w)
	for i := range 25 {
		next := c.append(events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: signals(i%3+1, "s")})
		if next.RunID != res.RunID || next.FirstEventID != res.LastEventID+1 || next.Position.Sequence <= res.Position.Sequence {
			c.Fatalf("append %d gave %+v after %+v", i, next, res)
		}
		res = next
	}
	if n := len(c.history(w, "")); n != int(res.LastEventID) {
		c.Errorf("history has %d events, the cursor says %d", n, res.LastEventID)
	}
}

func appendGoesOnAfterAnEvent(c *scene) {
	w := c.workflow("w")
	res := c.start(w, signaled("a"))
	res = c.append(events.Request{Workflow: w, Expect: events.AfterEvent(res.RunID, 2), Events: list(signaled("b"), completed())})
	if res.FirstEventID != 3 {
		c.Errorf("result is %+v", res)
	}
	// After a closed run's last event, the next one starts.
	res = c.append(events.Request{Workflow: w, Expect: events.AfterEvent(res.RunID, 4), Events: list(started("T"))})
	if res.FirstEventID != 1 {
		c.Errorf("result is %+v", res)
	}
}

func appendAfterACloseIsRefused(c *scene) {
	w := c.workflow("w")
	closed := c.start(w, completed())
	for _, expect := range []events.Expectation{
		events.After(closed.Cursor), events.AfterEvent(closed.RunID, 2), events.AtEnd(), events.AtEndOf(closed.RunID),
	} {
		got := refused[*events.ClosedError](c, events.Request{Workflow: w, Expect: expect, Events: signals(1, "s")}, events.ErrClosed)
		c.same("the closed run's cursor", closed.Cursor, got.Actual)
	}
	if n := len(c.commits(w)); n != 1 {
		c.Errorf("%d commits, want 1", n)
	}
}

func appendAfterAStaleCursorIsRefused(c *scene) {
	w := c.workflow("w")
	one := c.start(w)
	two := c.append(events.Request{Workflow: w, Expect: events.After(one.Cursor), Events: signals(1, "a")})
	got := refused[*events.ConflictError](c, events.Request{Workflow: w, Expect: events.After(one.Cursor), Events: signals(1, "b")}, events.ErrConflict)
	c.same("the conflict's cursor", two.Cursor, got.Actual)
	three := c.append(events.Request{Workflow: w, Expect: events.After(two.Cursor), Events: signals(1, "c")})
	for _, stale := range []events.Cursor{one.Cursor, two.Cursor} {
		got := refused[*events.ConflictError](c, events.Request{Workflow: w, Expect: events.After(stale), CommitID: "x", Events: signals(1, "d")}, events.ErrConflict)
		c.same("the conflict's cursor", three.Cursor, got.Actual)
	}
	if n := len(c.history(w, "")); n != 3 {
		c.Errorf("history has %d events, want 3", n)
	}
}

func appendAfterAnotherEventIsRefused(c *scene) {
	w := c.workflow("w")
	res := c.start(w, signaled("a"))
	for _, expect := range []events.Expectation{
		events.AfterEvent(res.RunID, 1), events.AfterEvent(res.RunID, 3), events.AfterEvent("another", 2), events.AfterEvent("", 2),
	} {
		got := refused[*events.ConflictError](c, events.Request{Workflow: w, Expect: expect, Events: signals(1, "s")}, events.ErrConflict)
		c.same("the conflict's cursor", res.Cursor, got.Actual)
	}
}

func appendAfterNothingIsRefused(c *scene) {
	w := c.workflow("w")
	got := refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: events.After(events.Cursor{}), Events: signals(1, "s")}, events.ErrInvalid)
	if got.Field != "after" {
		c.Errorf("field is %q", got.Field)
	}
	refused[*events.NotFoundError](c, events.Request{Workflow: w, Expect: events.AfterEvent("r", 1), Events: signals(1, "s")}, events.ErrNotFound)
	refused[*events.NotFoundError](c, events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")}, events.ErrNotFound)
	refused[*events.NotFoundError](c, events.Request{Workflow: w, Expect: events.AtEndOf("r"), Events: signals(1, "s")}, events.ErrNotFound)
}

func appendWithACursorOfAnotherLogIsRefused(c *scene) {
	w := c.workflow("w")
	here := c.start(w)
	there := elsewhere(c, w)
	got := refused[*events.WrongLogError](c, events.Request{Workflow: w, Expect: events.After(there), Events: signals(1, "s")}, events.ErrWrongLog)
	if got.What != "log id" || got.Want == got.Got {
		c.Errorf("error is %+v", got)
	}
	attempt := events.NewRun().WithAttempt(events.Attempt{After: there})
	refused[*events.WrongLogError](c, events.Request{Workflow: w, CommitID: "x", Expect: attempt, Events: list(started("T"))}, events.ErrWrongLog)
	c.same("the history's end", here.Cursor, c.commits(w)[0].Cursor(c.log.Identity()))
}

func appendWithACursorOfAnotherWorkflowIsRefused(c *scene) {
	w, other := c.workflow("w"), c.workflow("other")
	c.start(w)
	there := c.start(other)
	got := refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: events.After(there.Cursor), Events: signals(1, "s")}, events.ErrInvalid)
	if got.Field != "after" {
		c.Errorf("field is %q", got.Field)
	}
}

func appendWithAnEndedContextStoresNothing(c *scene) {
	w := c.workflow("w")
	ctx, cancel := context.WithCancel(c.ctx())
	cancel()
	_, err := c.log.Append(ctx, events.Request{Workflow: w, Events: list(started("T"))})
	if !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, context.Canceled) || !events.SafeToRetry(err) {
		c.Errorf("append gave %v, want unavailable because of the context", err)
	}
	if _, err := c.log.Tail(c.ctx(), w); !errors.Is(err, events.ErrNotFound) {
		c.Errorf("tail gave %v, want that nothing is there", err)
	}
	open := c.start(w)
	for _, expect := range []events.Expectation{
		events.After(open.Cursor), events.AfterEvent(open.RunID, 1), events.AtEnd(), events.AtEndOf(open.RunID),
	} {
		for _, id := range []events.CommitID{"", "x"} {
			_, err := c.log.Append(ctx, events.Request{Workflow: w, Expect: expect, CommitID: id, Events: signals(1, "s")})
			if !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				c.Errorf("append %s gave %v, want unavailable because of the context", expect, err)
			}
		}
	}
	if n := c.countCommits(w); n != 1 {
		c.Errorf("%d commits, want 1", n)
	}
	if _, err := c.log.Tail(ctx, w); !errors.Is(err, context.Canceled) {
		c.Errorf("tail gave %v, want that the context ended", err)
	}
	if got, err := collect(c.log.Read(ctx, w, events.ReadOptions{})); !errors.Is(err, context.Canceled) {
		c.Errorf("read gave %d events and %v, want that the context ended", len(got), err)
	}
}

// appendTakesEveryStatus goes through every event type that decides a status.
func appendTakesEveryStatus(c *scene) {
	for kind := range eventTypes() {
		w := c.workflow(kind.String())
		c.start(w)
		res := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(&events.Event{EventType: kind})})
		if want := events.StatusAfter(0, &events.Event{EventType: kind}); want != 0 && res.Cursor.Status() != want {
			c.Errorf("after %s the status is %s, want %s", kind, res.Cursor.Status(), want)
		}
		_, err := c.log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
		if closes := events.Closes(&events.Event{EventType: kind}); closes != errors.Is(err, events.ErrClosed) || !closes && err != nil {
			c.Errorf("a signal after %s gave %v", kind, err)
		}
	}
}
