package storetest

import (
	"strings"
	"time"

	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func inputCases() []testCase {
	return named(refusesBadExecutions, refusesBadUpdates, refusesBadQueries, refusesBadReads)
}

// tooLate is in no year that a calendar of four digits has.
var tooLate = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)

// tooEarly is before the first.
var tooEarly = time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)

// badWorkflows are a workflow with one field wrong, by that field.
func badWorkflows(good events.Workflow) map[string][]events.Workflow {
	return map[string][]events.Workflow{
		"namespace": {
			{ID: good.ID},
			{Namespace: "a\x00", ID: good.ID},
			{Namespace: "\xff", ID: good.ID},
			{Namespace: strings.Repeat("n", events.MaxNamespaceBytes+1), ID: good.ID},
		},
		"workflowId": {
			{Namespace: good.Namespace},
			{Namespace: good.Namespace, ID: "a\x00"},
			{Namespace: good.Namespace, ID: "\xff"},
			{Namespace: good.Namespace, ID: strings.Repeat("w", events.MaxWorkflowIDBytes+1)},
		},
	}
}

// badExecutions are changes that make a run to be saved a bad one, by field.
func badExecutions() map[string][]func(*store.NewExecution) {
	type change = func(*store.NewExecution)
	return map[string][]change{
		"runId": {
			func(n *store.NewExecution) { n.RunID = "a\x00" },
			func(n *store.NewExecution) { n.RunID = "\xff" },
			func(n *store.NewExecution) { n.RunID = events.RunID(strings.Repeat("r", events.MaxRunIDBytes+1)) },
		},
		"type": {
			func(n *store.NewExecution) { n.Type = "\xff" },
			func(n *store.NewExecution) { n.Type = strings.Repeat("t", events.MaxWorkflowTypeBytes+1) },
		},
		"taskQueue": {
			func(n *store.NewExecution) { n.TaskQueue = "\xff" },
			func(n *store.NewExecution) { n.TaskQueue = strings.Repeat("q", store.MaxTaskQueueBytes+1) },
		},
		"startedAt": {
			func(n *store.NewExecution) { n.StartedAt = tooLate },
			func(n *store.NewExecution) { n.StartedAt = tooEarly },
		},
		"executionTimeout": {func(n *store.NewExecution) { n.ExecutionTimeout = -1 }},
		"runTimeout":       {func(n *store.NewExecution) { n.RunTimeout = -time.Hour }},
		"taskTimeout":      {func(n *store.NewExecution) { n.TaskTimeout = -1 }},
		`tags[""]`:         {func(n *store.NewExecution) { n.Tags = map[string]string{"a": "b", "": "c"} }},
		`tags["a\x00"]`:    {func(n *store.NewExecution) { n.Tags = map[string]string{"a\x00": "b"} }},
		`tags["\xff"]`:     {func(n *store.NewExecution) { n.Tags = map[string]string{"\xff": "b"} }},
		`tags["b"]`:        {func(n *store.NewExecution) { n.Tags = map[string]string{"a": "ok", "b": "\xff"} }},
		`tags["` + strings.Repeat("k", 40) + `"]`: {func(n *store.NewExecution) {
			n.Tags = map[string]string{strings.Repeat("k", store.MaxTagKeyBytes+1): "b"}
		}},
		"input[0]": {
			func(n *store.NewExecution) { n.Input = []any{make(chan int)} },
			func(n *store.NewExecution) { n.Input = []any{func() {}, 1} },
		},
		"input[1]": {func(n *store.NewExecution) { n.Input = []any{1, make(chan int)} }},
		"identity": {
			func(n *store.NewExecution) { n.Identity = "\xff" },
			func(n *store.NewExecution) { n.Identity = strings.Repeat("i", events.MaxIdentityBytes+1) },
		},
		"events[0]": {func(n *store.NewExecution) { n.Events = []*events.Event{nil} }},
	}
}

func refusesBadExecutions(c *scene) {
	w := c.workflow()
	refuse := func(field string, n store.NewExecution) {
		c.Helper()
		_, err := c.store.SaveExecution(c.ctx(), n)
		c.names("save", err, field)
	}
	for field, list := range badWorkflows(w) {
		for _, bad := range list {
			refuse(field, store.NewExecution{Workflow: bad, Type: "T"})
		}
	}
	for field, changes := range badExecutions() {
		for _, change := range changes {
			n := store.NewExecution{Workflow: w, Type: "T"}
			change(&n)
			refuse(field, n)
		}
	}
	refuse("type", store.NewExecution{Workflow: w})
	refuse("commitId", store.NewExecution{Workflow: w, Type: "T", CommitID: "a\x00"})
	refuse("commitId", store.NewExecution{Workflow: w, Type: "T", CommitID: events.CommitID(strings.Repeat("c", events.MaxCommitIDBytes+1))})
	c.nothing(w)
	// What is just not too long is taken.
	c.save(store.NewExecution{
		Workflow: w, RunID: events.RunID(strings.Repeat("r", events.MaxRunIDBytes)), Type: strings.Repeat("t", events.MaxWorkflowTypeBytes),
		TaskQueue: strings.Repeat("q", store.MaxTaskQueueBytes), Tags: map[string]string{strings.Repeat("k", store.MaxTagKeyBytes): ""},
		Identity: strings.Repeat("i", events.MaxIdentityBytes), CommitID: events.CommitID(strings.Repeat("c", events.MaxCommitIDBytes)),
	})
	if got := c.query(store.Query{Type: strings.Repeat("t", events.MaxWorkflowTypeBytes)}); len(got) != 1 {
		c.Errorf("%d executions", len(got))
	}
}

// nestedFailure has so many causes, one in the other.
func nestedFailure(causes int) *failurepb.Failure {
	f := &failurepb.Failure{Message: "the first"}
	for range causes {
		f = &failurepb.Failure{Cause: f}
	}
	return f
}

func refusesBadUpdates(c *scene) {
	w, run := c.reach(running)
	refuse := func(field string, u store.StateUpdate) {
		c.Helper()
		for _, id := range []events.CommitID{"", "c"} {
			if u.CommitID == "" || id == "" {
				u.CommitID = u.CommitID + id
			}
			_, err := c.store.UpdateState(c.ctx(), u)
			c.names("update to "+u.To.String(), err, field)
		}
	}
	for field, list := range badWorkflows(w) {
		for _, bad := range list {
			refuse(field, store.StateUpdate{Workflow: bad, To: completed})
		}
	}
	good := func(to events.Status) store.StateUpdate { return store.StateUpdate{Workflow: w, RunID: run, To: to} }
	for field, changes := range badExecutions() {
		for _, change := range changes {
			u := good(continued)
			u.Next = &store.NewExecution{}
			change(u.Next)
			refuse("next."+field, u)
		}
	}
	for _, tt := range []struct {
		field  string
		to     events.Status
		change func(*store.StateUpdate)
	}{
		{"runId", completed, func(u *store.StateUpdate) { u.RunID = "a\x00" }},
		{"runId", completed, func(u *store.StateUpdate) { u.RunID = events.RunID(strings.Repeat("r", events.MaxRunIDBytes+1)) }},
		{"to", 0, func(*store.StateUpdate) {}},
		{"to", 9, func(*store.StateUpdate) {}},
		{"to", -1, func(*store.StateUpdate) {}},
		{"commitId", completed, func(u *store.StateUpdate) { u.CommitID = "a\x00" }},
		{"at", completed, func(u *store.StateUpdate) { u.At = tooLate }},
		{"at", completed, func(u *store.StateUpdate) { u.At = tooEarly }},
		{"result", failed, func(u *store.StateUpdate) { u.Result = []any{1} }},
		{"result", completed, func(u *store.StateUpdate) { u.Result = []any{badPayload()} }},
		{"result[0]", completed, func(u *store.StateUpdate) { u.Result = []any{make(chan int)} }},
		{"details", completed, func(u *store.StateUpdate) { u.Details = []any{1} }},
		{"details", canceled, func(u *store.StateUpdate) { u.Details = []any{badPayload()} }},
		{"details[1]", canceled, func(u *store.StateUpdate) { u.Details = []any{1, make(chan int)} }},
		{"details[0]", terminated, func(u *store.StateUpdate) { u.Details = []any{make(chan int)} }},
		{"failure", completed, func(u *store.StateUpdate) { u.Failure = events.Failure(errAttempt) }},
		{"failure", failed, func(u *store.StateUpdate) { u.Failure = events.Failure(errAttempt); u.Failure.Message = "\xff" }},
		{"failure", failed, func(u *store.StateUpdate) { u.Failure = nestedFailure(9_999) }},
		{"failure", failed, func(u *store.StateUpdate) { u.Failure = nestedFailure(events.MaxNesting) }},
		{"failure.cause.applicationFailureInfo.nextRetryDelay", failed, func(u *store.StateUpdate) {
			u.Failure = &failurepb.Failure{Cause: &failurepb.Failure{FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
				ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{NextRetryDelay: &durationpb.Duration{Seconds: 1 << 60}},
			}}}
		}},
		{"reason", completed, func(u *store.StateUpdate) { u.Reason = "r" }},
		{"reason", terminated, func(u *store.StateUpdate) { u.Reason = "\xff" }},
		{"identity", timedOut, func(u *store.StateUpdate) { u.Identity = "i" }},
		{"identity", paused, func(u *store.StateUpdate) { u.Identity = "\xff" }},
		{"identity", paused, func(u *store.StateUpdate) { u.Identity = strings.Repeat("i", events.MaxIdentityBytes+1) }},
		{"next", completed, func(u *store.StateUpdate) { u.Next = &store.NewExecution{} }},
		{"next.workflow", continued, func(u *store.StateUpdate) {
			u.Next = &store.NewExecution{Workflow: events.Workflow{Namespace: c.ns, ID: "another"}}
		}},
		{"next.commitId", continued, func(u *store.StateUpdate) { u.Next = &store.NewExecution{CommitID: "c"} }},
	} {
		u := good(tt.to)
		tt.change(&u)
		refuse(tt.field, u)
	}
	if x := c.only(store.Query{}); x.Status != running || x.HistoryLength != 1 {
		c.Errorf("listed as %+v", x)
	}
}

func refusesBadQueries(c *scene) {
	w, _ := c.reach(running)
	for _, tt := range []struct {
		field  string
		change func(*store.Query)
	}{
		{"namespace", func(q *store.Query) { q.Namespace = "" }},
		{"namespace", func(q *store.Query) { q.Namespace = "\xff" }},
		{"namespace", func(q *store.Query) { q.Namespace = "a\x00" }},
		{"namespace", func(q *store.Query) { q.Namespace = strings.Repeat("n", events.MaxNamespaceBytes+1) }},
		{"type", func(q *store.Query) { q.Type = "\xff" }},
		{"type", func(q *store.Query) { q.Type = strings.Repeat("t", events.MaxWorkflowTypeBytes+1) }},
		{"status", func(q *store.Query) { q.Status = 9 }},
		{"status", func(q *store.Query) { q.Status = -1 }},
		{"startedAfter", func(q *store.Query) { q.StartedAfter = tooLate }},
		{"startedAfter", func(q *store.Query) { q.StartedAfter = tooEarly }},
		{"startedBefore", func(q *store.Query) { q.StartedBefore = tooLate }},
		{"startedBefore", func(q *store.Query) { q.StartedBefore = tooEarly }},
		{"limit", func(q *store.Query) { q.Limit = -1 }},
		{"limit", func(q *store.Query) { q.Limit = store.MaxLimit + 1 }},
		{"offset", func(q *store.Query) { q.Offset = -1 }},
		{"after", func(q *store.Query) { q.After = events.VectorOf(events.Position{Partition: -1, Sequence: 1}) }},
		{"after", func(q *store.Query) {
			q.After = events.VectorOf(events.Position{}, events.Position{Partition: 1024, Sequence: 1})
		}},
	} {
		q := store.Query{Namespace: w.Namespace}
		tt.change(&q)
		list, err := c.store.Query(c.ctx(), q)
		if c.names("query", err, tt.field); list != nil {
			c.Errorf("%s: %v", tt.field, ids(list))
		}
	}
}

func refusesBadReads(c *scene) {
	w, _ := c.reach(running)
	read := func(w events.Workflow, o events.ReadOptions, field string) {
		c.Helper()
		for _, err := range c.store.History(c.ctx(), w, o) {
			c.names("history", err, field)
		}
	}
	for field, list := range badWorkflows(w) {
		for _, bad := range list {
			_, err := c.store.LoadExecution(c.ctx(), bad, "")
			c.names("load", err, field)
			read(bad, events.ReadOptions{}, field)
			_, err = c.store.AppendEvents(c.ctx(), events.Request{Workflow: bad, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
			c.names("append", err, field)
		}
	}
	for _, run := range []events.RunID{"a\x00", "\xff", events.RunID(strings.Repeat("r", events.MaxRunIDBytes+1))} {
		_, err := c.store.LoadExecution(c.ctx(), w, run)
		c.names("load", err, "runId")
		read(w, events.ReadOptions{Run: run}, "runId")
	}
	read(w, events.ReadOptions{From: -1}, "from")
	read(w, events.ReadOptions{Limit: -1}, "limit")
}
