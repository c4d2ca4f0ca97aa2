package eventstest

import (
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
)

func startCases() []testCase {
	return named(
		startsWhatIsNew, startKeepsWhatWasGiven, startIsRefusedWhileARunIsOpen, startFollowsAClosedRun,
		startNamesItsRun, startIsRefusedTheRunBeforeItsId, startIsRefusedAnEarlierRunsId, startFollowsAClosedCursor,
		startOfTheFirstRunIsRefusedWhereOneWas, startRefusesOtherFirstEvents,
	)
}

func startsWhatIsNew(c *scene) {
	w := c.workflow("w")
	given := list(started("Order"), signaled("a"))
	before := proto.CloneOf(given[0])
	res := c.append(events.Request{Workflow: w, Events: given})
	c.same("the request's event after the append", before, given[0])

	if res.RunID == "" || res.CommitID == "" || res.Existed || res.Warning != "" {
		c.Errorf("result is %+v", res)
	}
	if res.FirstEventID != 1 || res.LastEventID != 2 {
		c.Errorf("events are %d to %d, want 1 to 2", res.FirstEventID, res.LastEventID)
	}
	if want := c.log.Identity().Map.Partition(w.Slot()); res.Position.Partition != want || res.Position.Sequence == 0 {
		c.Errorf("position is %s, want one in partition %d", res.Position, want)
	}
	cur := res.Cursor
	if cur.Workflow() != w || cur.Run() != res.RunID || cur.LastEventID() != 2 || cur.WorkflowType() != "Order" ||
		!events.IsOpen(cur.Status()) || cur.Position() != res.Position || cur.IsZero() || cur.RunFirst() != res.Position.Sequence {
		c.Errorf("cursor is %s", cur)
	}
	tail, err := c.log.Tail(c.ctx(), w)
	if err != nil {
		c.Fatal(err)
	}
	c.same("tail", cur, tail)

	got := c.history(w, "")
	if len(got) != 2 {
		c.Fatalf("history has %d events, want 2", len(got))
	}
	for i, e := range got {
		if e.EventTime == nil {
			c.Errorf("event %d has no time", i)
		}
		want := proto.CloneOf(given[i])
		want.EventId, want.EventTime = int64(i+1), e.EventTime
		c.same("event", want, e)
	}
}

func startKeepsWhatWasGiven(c *scene) {
	w := c.workflow("w")
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	given := numbered(1, list(started("Order"), signaled("a"), completed()))
	res := c.append(events.Request{Workflow: w, RunID: "my run", CommitID: "my commit", Events: given, Traceparent: trace})
	if res.RunID != "my run" || res.CommitID != "my commit" {
		c.Errorf("result is %+v", res)
	}
	c.same("history", given, c.history(w, "my run"))
	commit := c.commits(w)[0]
	if commit.ID != "my commit" || commit.Traceparent != trace || commit.Kind != events.KindEvents || commit.Position != res.Position || commit.Time.IsZero() {
		c.Errorf("commit is %+v", commit)
	}
}

func startIsRefusedWhileARunIsOpen(c *scene) {
	w := c.workflow("w")
	c.start(w)
	winner := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	got := refused[*events.ConflictError](c, events.Request{Workflow: w, Events: list(started("T"))}, events.ErrConflict)
	c.same("the conflict's cursor", winner.Cursor, got.Actual)
	if got.Workflow != w || got.Expected == "" {
		c.Errorf("conflict is %+v", got)
	}
	if n := len(c.history(w, "")); n != 2 {
		c.Errorf("history has %d events after the refusal, want 2", n)
	}
	// The conflict's cursor is what to go on from.
	c.append(events.Request{Workflow: w, Expect: events.After(got.Actual), Events: signals(1, "s")})
}

func startFollowsAClosedRun(c *scene) {
	w := c.workflow("w")
	one := c.start(w, completed())
	two := c.start(w)
	if one.RunID == two.RunID || two.FirstEventID != 1 {
		c.Errorf("second run is %+v, the first %+v", two, one)
	}
	if got := two.Cursor.PrevRunFirst(); got != one.Position.Sequence {
		c.Errorf("the run before began at %d, the cursor says %d", one.Position.Sequence, got)
	}
	refused[*events.ConflictError](c, events.Request{Workflow: w, Events: list(started("T"))}, events.ErrConflict)
}

func startNamesItsRun(c *scene) {
	w := c.workflow("w")
	if res := c.append(events.Request{Workflow: w, Events: list(startedAs("by start"), completed())}); res.RunID != "by start" {
		c.Errorf("run is %q, the start says %q", res.RunID, "by start")
	}
	res := c.append(events.Request{Workflow: w, RunID: "by request", Events: list(startedAs("by start 2"))})
	if res.RunID != "by request" {
		c.Errorf("run is %q, the request says %q", res.RunID, "by request")
	}
	res = c.append(events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: list(continuedAs("by end"), startedAs("by start 3"))})
	if res.RunID != "by end" {
		c.Errorf("run is %q, the closing event says %q", res.RunID, "by end")
	}
}

func startIsRefusedTheRunBeforeItsId(c *scene) {
	w := c.workflow("w")
	c.append(events.Request{Workflow: w, RunID: "r", Events: list(started("T"), completed())})
	got := refused[*events.InvalidError](c, events.Request{Workflow: w, RunID: "r", Events: list(started("T"))}, events.ErrInvalid)
	if got.Field != "runId" {
		c.Errorf("field is %q", got.Field)
	}
	// Nor may a run of two in one commit have it.
	got = refused[*events.InvalidError](c, events.Request{Workflow: w, Events: list(startedAs("r"), completed(), startedAs("s"))}, events.ErrInvalid)
	if got.Field != "runId" {
		c.Errorf("field is %q", got.Field)
	}
	refused[*events.InvalidError](c, events.Request{Workflow: w, Events: list(startedAs("s"), completed(), startedAs("s"))}, events.ErrInvalid)
}

func startIsRefusedAnEarlierRunsId(c *scene) {
	w := c.workflow("w")
	c.append(events.Request{Workflow: w, RunID: "a", Events: list(started("T"), completed())})
	c.append(events.Request{Workflow: w, Events: list(startedAs("b"), continuedAs("c"), started("T"), completed())})
	tail := c.append(events.Request{Workflow: w, Events: list(started("T"))})
	for _, taken := range []events.RunID{"a", "b", "c"} {
		refused[*events.InvalidError](c, events.Request{
			Workflow: w, RunID: taken, Expect: events.After(tail.Cursor), Events: list(continuedAs(""), started("T")),
		}, events.ErrInvalid)
	}
	tail = c.append(events.Request{Workflow: w, Expect: events.After(tail.Cursor), Events: list(completed())})
	for _, r := range []events.Request{
		{RunID: "a", Events: list(started("T"))},
		{Events: list(startedAs("b"))},
		{Expect: events.After(tail.Cursor), Events: list(startedAs("a"))},
		{Events: list(startedAs("c"), completed(), started("T"))},
		{RunID: "a", Events: list(started("T"), completed(), started("T"))},
	} {
		r.Workflow = w
		if got := refused[*events.InvalidError](c, r, events.ErrInvalid); got.Field != "runId" {
			c.Errorf("field is %q", got.Field)
		}
	}
	c.append(events.Request{Workflow: w, RunID: "d", Events: list(started("T"))})
}

func startFollowsAClosedCursor(c *scene) {
	w := c.workflow("w")
	one := c.start(w, completed())
	two := c.append(events.Request{Workflow: w, Expect: events.After(one.Cursor), Events: list(started("T"), completed())})
	// The same cursor again is stale.
	got := refused[*events.ConflictError](c, events.Request{Workflow: w, Expect: events.After(one.Cursor), Events: list(started("T"))}, events.ErrConflict)
	c.same("the conflict's cursor", two.Cursor, got.Actual)
}

func startRefusesOtherFirstEvents(c *scene) {
	w := c.workflow("w")
	got := refused[*events.InvalidError](c, events.Request{Workflow: w, Events: signals(1, "s")}, events.ErrInvalid)
	if got.Field != "events[0].eventType" {
		c.Errorf("field is %q", got.Field)
	}
	open := c.start(w)
	got = refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: events.After(open.Cursor), Events: list(started("T"))}, events.ErrInvalid)
	if got.Field != "events[0].eventType" {
		c.Errorf("field is %q", got.Field)
	}
	refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(started("T"))}, events.ErrInvalid)
}

func startOfTheFirstRunIsRefusedWhereOneWas(c *scene) {
	w := c.workflow("w")
	r := events.Request{Workflow: w, Expect: events.NewWorkflow(), Events: list(started("T"))}
	refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: events.NewWorkflow(), Events: signals(1, "s")}, events.ErrInvalid)
	at := c.append(r)
	for _, more := range [][]*events.Event{signals(1, "s"), list(completed()), list(started("T"))} {
		got := refused[*events.ConflictError](c, r, events.ErrConflict)
		c.same("the conflict's cursor", at.Cursor, got.Actual)
		at = c.append(events.Request{Workflow: w, Expect: events.After(at.Cursor), Events: more})
	}
	if n := len(c.commits(w)); n != 4 {
		c.Errorf("%d commits, want 4", n)
	}
}
