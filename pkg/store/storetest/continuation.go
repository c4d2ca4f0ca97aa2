package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func continueCases() []testCase {
	return named(continuesWithAllOfTheRun, continuesWithWhatIsGiven, continuesInOneCommit, continuesAChain, continuationsAreRecognised, continuationsRefuseOtherContent, continuationsAreRefusedAsAWhole)
}

func continuesWithAllOfTheRun(c *scene) {
	n := full(c.workflow())
	c.save(n)
	c.append(events.Request{Workflow: n.Workflow, Expect: events.AtEnd(), Events: []*events.Event{
		events.SearchAttributesUpserted(map[string]any{"Region": "eu"}), events.MemoUpserted(map[string]any{"tier": "silver", "count": 3}),
	}})
	res := c.update(store.StateUpdate{Workflow: n.Workflow, To: continued, At: day(3)})
	a, b := c.load(n.Workflow, "run-1"), c.load(n.Workflow, "")
	if res.RunID == "run-1" || b.Execution.RunID != res.RunID || res.FirstEventID != 1 || res.LastEventID != 1 {
		c.Errorf("continued as %+v", res)
	}
	n.Tags["tier"] = "silver"
	want := store.Execution{
		Workflow: n.Workflow, RunID: res.RunID, Type: n.Type, TaskQueue: n.TaskQueue, Status: running, StartedAt: day(3), UpdatedAt: day(3),
		ExecutionTimeout: n.ExecutionTimeout, RunTimeout: n.RunTimeout, TaskTimeout: n.TaskTimeout, Tags: n.Tags,
		HistoryLength: 1, HistorySizeBytes: b.Execution.HistorySizeBytes, FirstRunID: "run-1", ContinuedFromRunID: "run-1",
	}
	c.same("the next run", want, b.Execution)
	c.same("memo", a.State.Memo, b.State.Memo)
	c.same("search attributes", a.State.SearchAttributes, b.State.SearchAttributes)
	if input := b.Events[0].GetWorkflowExecutionStartedEventAttributes().GetInput(); input != nil {
		c.Errorf("it was given %v", input)
	}
	if a.Execution.Status != continued || a.Execution.ContinuedToRunID != res.RunID || !a.Execution.ClosedAt.Equal(day(3)) || len(a.Events) != 4 {
		c.Errorf("the run that ended: %+v", a.Execution)
	}
	for _, l := range []store.Loaded{a, b} {
		x := l.Execution
		x.StartedAt, x.UpdatedAt = x.StartedAt.Truncate(time.Microsecond), x.UpdatedAt.Truncate(time.Microsecond)
		x.RunTimeout = x.RunTimeout.Truncate(time.Microsecond)
		c.same("listed", x, c.only(store.Query{Status: x.Status}))
	}
}

func continuesWithWhatIsGiven(c *scene) {
	n := full(c.workflow())
	c.save(n)
	next := &store.NewExecution{
		RunID: "run-2", Type: "Billing", TaskQueue: "bills", StartedAt: day(9), ExecutionTimeout: 1, RunTimeout: 2 * time.Second, TaskTimeout: 3 * time.Second,
		Tags: map[string]string{"only": "this"}, Input: []any{7}, Identity: "self", Events: []*events.Event{events.Signaled("s")},
	}
	res := c.update(store.StateUpdate{Workflow: n.Workflow, To: continued, Next: next, CommitID: "continue"})
	if res.RunID != "run-2" || res.FirstEventID != 1 || res.LastEventID != 2 || res.CommitID != "continue" {
		c.Errorf("continued as %+v", res)
	}
	l := c.load(n.Workflow, "run-2")
	want := store.Execution{
		Workflow: n.Workflow, RunID: "run-2", Type: "Billing", TaskQueue: "bills", Status: running, StartedAt: day(9), UpdatedAt: l.Execution.UpdatedAt,
		ExecutionTimeout: 1, RunTimeout: 2 * time.Second, TaskTimeout: 3 * time.Second, Tags: next.Tags,
		HistoryLength: 2, HistorySizeBytes: l.Execution.HistorySizeBytes, FirstRunID: "run-1", ContinuedFromRunID: "run-1",
	}
	c.same("the next run", want, l.Execution)
	var input int
	if p := l.Events[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads(); len(p) != 1 || events.Value(p[0], &input) != nil || input != 7 {
		c.Errorf("it was given %v", p)
	}
	ended := c.load(n.Workflow, "run-1").Events
	a := ended[len(ended)-1].GetWorkflowExecutionContinuedAsNewEventAttributes()
	if a.GetNewExecutionRunId() != "run-2" || a.GetWorkflowType().GetName() != "Billing" || a.GetTaskQueue().GetName() != "bills" || len(a.GetInput().GetPayloads()) != 1 {
		c.Errorf("the event that ended the run says %v", a)
	}
	// An empty set of tags is not the same as none.
	c.update(store.StateUpdate{Workflow: n.Workflow, To: continued, Next: &store.NewExecution{Workflow: n.Workflow, Tags: map[string]string{}}})
	if x := c.load(n.Workflow, "").Execution; x.Tags != nil || x.Type != "Billing" {
		c.Errorf("without tags: %+v", x)
	}
}

func continuesInOneCommit(c *scene) {
	w, run := c.reach(running)
	before := c.load(w, "").Cursor
	res := c.update(store.StateUpdate{Workflow: w, To: continued})
	l := c.load(w, "")
	if back := l.Cursor.Back(); len(back) != 2 || back[1] != before.Position().Sequence || l.Cursor.Position() != res.Position || l.Cursor.Run() == run {
		c.Errorf("from %s to %s by %v", before, l.Cursor, back)
	}
}

func continuesAChain(c *scene) {
	w := c.workflow()
	last := c.save(store.NewExecution{Workflow: w, RunID: "run-0", StartedAt: day(0)}).RunID
	for i := 1; i <= 4; i++ {
		run := events.RunID(fmt.Sprintf("run-%d", i))
		c.update(store.StateUpdate{Workflow: w, To: continued, At: day(i), Next: &store.NewExecution{RunID: run}})
		x := c.load(w, run).Execution
		if x.FirstRunID != "run-0" || x.ContinuedFromRunID != last {
			c.Errorf("run %d: %+v", i, x)
		}
		last = run
	}
	c.same("the runs, the last first", []events.RunID{"run-4", "run-3", "run-2", "run-1", "run-0"}, c.runs())
	for _, x := range c.query(store.Query{}) {
		c.same("run "+string(x.RunID), c.load(w, x.RunID).Execution, x)
	}
}

func continuationsAreRecognised(c *scene) {
	for name, next := range map[string]*store.NewExecution{
		"nothing given": nil,
		"a run id":      {RunID: "run-2"},
		"much":          {Type: "T", Tags: map[string]string{"a": "b"}, Input: []any{1}, Events: []*events.Event{events.Signaled("s"), events.Custom("c", 1)}},
	} {
		n := full(c.workflow())
		c.save(n)
		u := store.StateUpdate{Workflow: n.Workflow, To: continued, CommitID: "once", Next: next}
		first := c.update(u)
		again := c.update(u)
		c.update(store.StateUpdate{Workflow: n.Workflow, To: continued, Next: &store.NewExecution{RunID: "run-3"}})
		later := c.update(u)
		u.RunID = "run-1"
		byRun := c.update(u)
		for _, res := range []events.Result{again, later, byRun} {
			if !res.Existed || res.Position != first.Position || res.RunID != first.RunID || res.FirstEventID != first.FirstEventID ||
				res.LastEventID != first.LastEventID || res.Cursor.Hash() != first.Cursor.Hash() {
				c.Errorf("%s: %+v, then %+v", name, first, res)
			}
		}
		if x := c.load(n.Workflow, ""); x.Execution.ContinuedFromRunID != first.RunID {
			c.Errorf("%s: %+v", name, x.Execution)
		}
	}
}

func continuationsRefuseOtherContent(c *scene) {
	n := full(c.workflow())
	c.save(n)
	u := store.StateUpdate{Workflow: n.Workflow, RunID: "run-1", To: continued, CommitID: "once", Next: &store.NewExecution{RunID: "run-2", Input: []any{1}}}
	first := c.update(u)
	for name, change := range map[string]func(*store.StateUpdate){
		"run":     func(u *store.StateUpdate) { u.RunID = "run-2" },
		"status":  func(u *store.StateUpdate) { u.To, u.Next = completed, nil },
		"time":    func(u *store.StateUpdate) { u.At = day(7) },
		"next":    func(u *store.StateUpdate) { u.Next = nil },
		"next id": func(u *store.StateUpdate) { u.Next = &store.NewExecution{RunID: "run-9", Input: []any{1}} },
		"input":   func(u *store.StateUpdate) { u.Next = &store.NewExecution{RunID: "run-2"} },
		"tags": func(u *store.StateUpdate) {
			u.Next = &store.NewExecution{RunID: "run-2", Input: []any{1}, Tags: map[string]string{}}
		},
		"events": func(u *store.StateUpdate) {
			u.Next = &store.NewExecution{RunID: "run-2", Input: []any{1}, Events: []*events.Event{events.Signaled("s")}}
		},
	} {
		other := u
		change(&other)
		_, err := c.store.UpdateState(c.ctx(), other)
		if e := refused[*events.CommitIDReusedError](c, name, err, events.ErrCommitIDReused); e.Position != first.Position {
			c.Errorf("%s: %+v", name, e)
		}
	}
	if got := c.runs(); len(got) != 2 {
		c.Errorf("runs %v", got)
	}
}

func continuationsAreRefusedAsAWhole(c *scene) {
	w, run := c.reach(running)
	for field, next := range map[string]*store.NewExecution{
		"next.runId":              {RunID: run},
		"next.events[1]":          {Events: []*events.Event{events.Signaled("s"), nil}},
		"next.events[0].value[0]": {Events: []*events.Event{events.Custom("c", make(chan int))}},
		"next.input[0]":           {Input: []any{make(chan int)}},
	} {
		for _, id := range []events.CommitID{"", "named"} {
			_, err := c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: continued, Next: next, CommitID: id})
			c.names(field, err, field)
		}
	}
	_, err := c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: continued, Next: &store.NewExecution{Input: []any{make([]byte, 3<<20)}}})
	if !errors.Is(err, events.ErrLimit) {
		c.Errorf("a large input: %v", err)
	}
	if x := c.only(store.Query{}); x.Status != running || x.HistoryLength != 1 {
		c.Errorf("listed as %+v", x)
	}
}
