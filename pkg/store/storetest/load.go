package storetest

import (
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func loadCases() []testCase {
	return named(loadsAHistory, loadsEarlierRuns, findsNothing, historyHasBounds, historyEndsWhereItMust, historyMayBeLeft)
}

func loadsAHistory(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, StartedAt: day(0), Tags: map[string]string{"a": "1"}})
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{
		events.At(day(1), events.TimerStarted("t", 1000)), events.At(day(2), events.MemoUpserted(map[string]any{"a": "2", "b": "3", "n": 4})),
	}})
	last := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.At(day(3), events.TimerFired("t", 2))}})
	l := c.load(w, "")
	c.same("events of the load and of the history", c.events(w, events.ReadOptions{}), l.Events)
	c.same("types", []string{"WorkflowExecutionStarted", "TimerStarted", "WorkflowPropertiesModified", "TimerFired"}, c.types(w, ""))
	if l.State.LastEventID != 4 || len(l.State.Timers) != 0 || l.State.Counts.Timers != 1 || l.State.HistorySizeBytes != l.Cursor.Size() {
		c.Errorf("the state is %+v", l.State)
	}
	c.same("tags are what the memo became", map[string]string{"a": "2", "b": "3"}, l.Execution.Tags)
	if l.Cursor.Position() != last.Position || !l.Execution.UpdatedAt.Equal(day(3)) {
		c.Errorf("loaded up to %s", l.Cursor)
	}
	c.same("as it is listed", l.Execution, c.only(store.Query{}))

	// What was decided on it goes directly after it, or not at all.
	c.append(events.Request{Workflow: w, Expect: events.After(l.Cursor), Events: []*events.Event{events.Signaled("s")}})
	_, err := c.store.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.After(l.Cursor), Events: []*events.Event{events.Signaled("s")}})
	refused[*events.ConflictError](c, "decided on an old load", err, events.ErrConflict)
}

func loadsEarlierRuns(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, RunID: "a", Type: "A", Events: []*events.Event{events.Signaled("s")}})
	c.update(store.StateUpdate{Workflow: w, To: completed})
	c.save(store.NewExecution{Workflow: w, RunID: "b", Type: "B"})
	a, b, newest := c.load(w, "a"), c.load(w, "b"), c.load(w, "")
	if a.Execution.RunID != "a" || a.Execution.Type != "A" || a.Execution.Status != completed || len(a.Events) != 3 {
		c.Errorf("the earlier run: %+v", a.Execution)
	}
	if !a.Cursor.IsZero() {
		c.Errorf("the earlier run ends at %s, where an append would go to the later one", a.Cursor)
	}
	if b.Execution.RunID != "b" || b.Execution.Status != running || len(b.Events) != 1 || b.Cursor.IsZero() {
		c.Errorf("the newest run: %+v, %s", b.Execution, b.Cursor)
	}
	c.same("the newest run", b.Execution, newest.Execution)
	c.same("its events", b.Events, newest.Events)
}

func findsNothing(c *scene) {
	w := c.workflow()
	c.nothing(w)
	for _, err := range c.store.History(c.ctx(), w, events.ReadOptions{}) {
		refused[*events.NotFoundError](c, "history", err, events.ErrNotFound)
	}
	_, err := c.store.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
	refused[*events.NotFoundError](c, "append", err, events.ErrNotFound)
	_, err = c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: completed})
	refused[*events.NotFoundError](c, "update", err, events.ErrNotFound)
	_, err = c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: completed, CommitID: "c"})
	refused[*events.NotFoundError](c, "update with a commit id", err, events.ErrNotFound)
	c.nothing(w)

	c.save(store.NewExecution{Workflow: w, RunID: "a"})
	_, err = c.store.LoadExecution(c.ctx(), w, "b")
	if e := refused[*events.NotFoundError](c, "load of a run", err, events.ErrNotFound); e.Run != "b" || e.Workflow != w {
		c.Errorf("load says %v", e)
	}
	_, err = c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, RunID: "b", To: completed})
	if e := refused[*events.NotFoundError](c, "update of a run", err, events.ErrNotFound); e.Run != "b" {
		c.Errorf("update says %v", e)
	}
	if got := c.query(store.Query{Namespace: "another-" + c.ns}); got != nil {
		c.Errorf("another namespace has %v", got)
	}
}

func historyHasBounds(c *scene) {
	w := c.workflow()
	var more []*events.Event
	for i := range 4 {
		more = append(more, events.Signaled(fmt.Sprint(i)))
	}
	c.save(store.NewExecution{Workflow: w, RunID: "a", Events: more})
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: more})
	c.update(store.StateUpdate{Workflow: w, To: completed}) // 10 events
	c.save(store.NewExecution{Workflow: w, RunID: "b"})
	for from := range 11 {
		for _, limit := range []int{0, 1, 3, 10, 100} {
			for _, reverse := range []bool{false, true} {
				var want, got []int64
				step, at := int64(1), int64(max(from, 1))
				if reverse {
					if step = -1; from == 0 {
						at = 10
					}
				}
				for ; at >= 1 && at <= 10 && (limit == 0 || len(want) < limit); at += step {
					want = append(want, at)
				}
				for _, e := range c.events(w, events.ReadOptions{Run: "a", From: events.EventID(from), Limit: limit, Reverse: reverse}) {
					got = append(got, e.EventId)
				}
				c.same(fmt.Sprintf("from %d, limit %d, reverse %t", from, limit, reverse), want, got)
			}
		}
	}
}

func historyEndsWhereItMust(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, RunID: "a"})
	for name, o := range map[string]events.ReadOptions{"event": {From: 2}, "far event": {From: 1 << 40}, "run": {Run: "b"}, "event backwards": {From: 2, Reverse: true}} {
		n := 0
		for e, err := range c.store.History(c.ctx(), w, o) {
			n++
			if refused[*events.NotFoundError](c, name, err, events.ErrNotFound); e != nil {
				c.Errorf("%s: an event beside the error", name)
			}
		}
		if n != 1 {
			c.Errorf("%s: %d steps, want the error alone", name, n)
		}
	}
}

func historyMayBeLeft(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, Events: []*events.Event{events.Signaled("a"), events.Signaled("b")}})
	for e, err := range c.store.History(c.ctx(), w, events.ReadOptions{From: 2}) {
		if err != nil || e.EventId != 2 {
			c.Errorf("the first step gives %v, %v", e, err)
		}
		break
	}
}
