package storetest

import (
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func appendCases() []testCase {
	return named(appendsOneEvent, appendsSeveralInOneCommit, appendsAreRecognised, appendsConflict, appendsToNoClosedRun, appendsAreAllOrNothing)
}

func appendsOneEvent(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, StartedAt: day(0)})
	res := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.At(day(1), events.Signaled("s", 7))}})
	if res.FirstEventID != 2 || res.LastEventID != 2 || res.Existed {
		c.Errorf("appended as %+v", res)
	}
	if x := c.only(store.Query{}); x.HistoryLength != 2 || !x.UpdatedAt.Equal(day(1)) || !x.StartedAt.Equal(day(0)) {
		c.Errorf("listed as %+v", x)
	}
}

func appendsSeveralInOneCommit(c *scene) {
	w := c.workflow()
	saved := c.save(store.NewExecution{Workflow: w})
	res := c.append(events.Request{Workflow: w, Expect: events.After(saved.Cursor), Events: []*events.Event{
		events.ActivityScheduled("1", "Charge"), events.ActivityStarted(2, 1, "worker"), events.ActivityCompleted(2, 3, "ok"),
	}})
	if res.FirstEventID != 2 || res.LastEventID != 4 || len(res.Cursor.Back()) != 2 {
		c.Errorf("appended as %+v", res)
	}
	if l := c.load(w, ""); l.State.Counts.MissingReferences != 0 || len(l.State.Activities) != 0 || l.State.Counts.Activities != 1 {
		c.Errorf("loaded as %+v", l.State.Counts)
	}
}

func appendsAreRecognised(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w})
	r := events.Request{Workflow: w, Expect: events.AtEnd(), CommitID: "once", Events: []*events.Event{events.Signaled("s")}}
	first := c.append(r)
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("t")}})
	if again := c.append(r); !again.Existed || again.Position != first.Position || again.LastEventID != 2 {
		c.Errorf("again: %+v", again)
	}
	r.Events = []*events.Event{events.Signaled("u")}
	_, err := c.store.AppendEvents(c.ctx(), r)
	refused[*events.CommitIDReusedError](c, "other content", err, events.ErrCommitIDReused)
	if x := c.only(store.Query{}); x.HistoryLength != 3 {
		c.Errorf("%d events", x.HistoryLength)
	}
}

func appendsConflict(c *scene) {
	w := c.workflow()
	saved := c.save(store.NewExecution{Workflow: w, RunID: "a"})
	last := c.append(events.Request{Workflow: w, Expect: events.AfterEvent("a", 1), Events: []*events.Event{events.Signaled("s")}})
	for name, expect := range map[string]events.Expectation{"cursor": events.After(saved.Cursor), "event": events.AfterEvent("a", 1)} {
		_, err := c.store.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: expect, Events: []*events.Event{events.Signaled("t")}})
		if e := refused[*events.ConflictError](c, name, err, events.ErrConflict); e.Actual.Position() != last.Position {
			c.Errorf("%s: %v", name, e)
		}
	}
	c.same("types", []string{"WorkflowExecutionStarted", "WorkflowExecutionSignaled"}, c.types(w, ""))
}

func appendsToNoClosedRun(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, RunID: "a"})
	closed := c.update(store.StateUpdate{Workflow: w, To: terminated})
	for name, expect := range map[string]events.Expectation{"cursor": events.After(closed.Cursor), "end": events.AtEnd(), "run": events.AtEndOf("a")} {
		_, err := c.store.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: expect, Events: []*events.Event{events.Signaled("s")}})
		if e := refused[*events.ClosedError](c, name, err, events.ErrClosed); e.Actual.Status() != terminated {
			c.Errorf("%s: %v", name, e)
		}
	}
	if x := c.only(store.Query{}); x.HistoryLength != 2 {
		c.Errorf("%d events", x.HistoryLength)
	}
}

func appendsAreAllOrNothing(c *scene) {
	w := c.workflow()
	saved := c.save(store.NewExecution{Workflow: w})
	_, err := c.store.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.After(saved.Cursor), Events: []*events.Event{
		events.Signaled("s"), events.Custom("c", make(chan int)),
	}})
	c.names("a bad second event", err, "events[1].value[0]")
	_, err = c.store.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.After(saved.Cursor)})
	c.names("no events", err, "events")
	if x := c.only(store.Query{}); x.HistoryLength != 1 {
		c.Errorf("%d events", x.HistoryLength)
	}
}
