package storetest

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func saveCases() []testCase {
	return named(
		keepsAllMetadata, needsLittle, treatsEmptyAsNone, holdsFurtherEvents, isRefusedAsAWhole, isClosedAtOnce,
		isRecognisedWhenRepeated, isRecognisedAfterMoreHappened, refusesOtherContent, isPerWorkflow,
		isFollowedInTheSameCommit, conflictsWithAnOpenRun, followsAClosedRun, refusesTheIdOfAnEarlierRun, keepsWhatItWasGiven,
	)
}

// full is a run with all that can be said of one.
func full(w events.Workflow) store.NewExecution {
	return store.NewExecution{
		Workflow: w, RunID: "run-1", Type: "Order", TaskQueue: "orders", StartedAt: day(0).Add(789 * time.Nanosecond),
		ExecutionTimeout: 48 * time.Hour, RunTimeout: 90*time.Minute + 1500*time.Nanosecond, TaskTimeout: 10 * time.Second,
		Tags:  map[string]string{"customer": "4711", "tier": "gold", "note": "", "quote": `"'\`, "Größe": "𝄞 \x00"},
		Input: []any{map[string]int{"amount": 3}, "now"}, Identity: "front-7", CommitID: "commit-1",
	}
}

func keepsAllMetadata(c *scene) {
	n := full(c.workflow())
	res := c.save(n)
	if res.RunID != n.RunID || res.FirstEventID != 1 || res.LastEventID != 1 || res.CommitID != n.CommitID || res.Existed || res.Position.Sequence == 0 {
		c.Errorf("saved as %+v", res)
	}
	l := c.load(n.Workflow, "")
	exact := store.Execution{
		Workflow: n.Workflow, RunID: n.RunID, Type: n.Type, TaskQueue: n.TaskQueue, Status: running,
		StartedAt: n.StartedAt, UpdatedAt: n.StartedAt,
		ExecutionTimeout: n.ExecutionTimeout, RunTimeout: n.RunTimeout, TaskTimeout: n.TaskTimeout,
		Tags: n.Tags, HistoryLength: 1, HistorySizeBytes: events.StoredSize(l.Events[0]), FirstRunID: n.RunID,
	}
	c.same("the loaded execution", exact, l.Execution)
	if l.Cursor.Position() != res.Position || l.Cursor.Run() != n.RunID {
		c.Errorf("loaded up to %s, saved at %s", l.Cursor, res.Position)
	}
	if l.State.Identity != n.Identity || l.State.Attempt != 1 {
		c.Errorf("the state has identity %q and attempt %d", l.State.Identity, l.State.Attempt)
	}
	var amount map[string]int
	var when string
	input := l.Events[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()
	if len(input) != 2 || events.Value(input[0], &amount) != nil || events.Value(input[1], &when) != nil || amount["amount"] != 3 || when != "now" {
		c.Errorf("the input is %v", input)
	}

	inTables := exact
	inTables.StartedAt, inTables.UpdatedAt = day(0), day(0)
	inTables.RunTimeout = 90*time.Minute + time.Microsecond
	c.same("the listed execution", inTables, c.only(store.Query{}))
}

func needsLittle(c *scene) {
	w := c.workflow()
	before := time.Now().Add(-time.Millisecond)
	res := c.save(store.NewExecution{Workflow: w, Type: "T"})
	x := c.load(w, "").Execution
	if x.StartedAt.Before(before) || x.StartedAt.After(time.Now()) || x.StartedAt.Location() != time.UTC {
		c.Errorf("started at %s", x.StartedAt)
	}
	if res.RunID == "" || x.RunID != res.RunID || res.CommitID == "" {
		c.Errorf("saved as %+v, loaded as %+v", res, x)
	}
	want := store.Execution{
		Workflow: w, RunID: res.RunID, Type: "T", Status: running, HistoryLength: 1, HistorySizeBytes: x.HistorySizeBytes, FirstRunID: res.RunID,
		StartedAt: x.StartedAt.Truncate(time.Microsecond), UpdatedAt: x.StartedAt.Truncate(time.Microsecond),
	}
	got := c.only(store.Query{})
	c.same("the listed execution", want, got)
	if x.Tags != nil || got.Tags != nil {
		c.Errorf("tags that nobody gave: %v, %v", x.Tags, got.Tags)
	}
}

// treatsEmptyAsNone: lists that are there and empty are none.
func treatsEmptyAsNone(c *scene) {
	a, b := c.workflow(), c.workflow()
	c.save(store.NewExecution{Workflow: a, Type: "T", StartedAt: day(0)})
	c.save(store.NewExecution{Workflow: b, Type: "T", StartedAt: day(0), Tags: map[string]string{}, Input: []any{}, Events: []*events.Event{}})
	x, y := c.load(a, "").Events[0], c.load(b, "").Events[0]
	for w, e := range map[events.Workflow]*events.Event{a: x, b: y} {
		if got := e.GetWorkflowExecutionStartedEventAttributes().GetWorkflowId(); got != w.ID {
			c.Errorf("the start of %s is of %q", w, got)
		}
		e.GetWorkflowExecutionStartedEventAttributes().WorkflowId = ""
	}
	c.same("start events", x, y)
}

func holdsFurtherEvents(c *scene) {
	w := c.workflow()
	res := c.save(store.NewExecution{Workflow: w, StartedAt: day(0), Events: []*events.Event{
		events.At(day(1), events.ActivityScheduled("1", "Charge")), events.At(day(2), events.Signaled("hurry")), events.Custom("OrderPaid", 3),
	}})
	if res.FirstEventID != 1 || res.LastEventID != 4 {
		c.Errorf("saved as events %d to %d", res.FirstEventID, res.LastEventID)
	}
	l := c.load(w, "")
	if l.Cursor.Position() != res.Position || l.Cursor.LastEventID() != 4 || len(l.Cursor.Back()) != 1 {
		c.Errorf("not one commit: %s after %v", l.Cursor, l.Cursor.Back())
	}
	if len(l.State.Activities) != 1 || l.State.Counts.Signals != 1 || l.State.Counts.Markers != 1 || l.Execution.HistoryLength != 4 {
		c.Errorf("loaded as %+v with %+v", l.Execution, l.State.Counts)
	}
	if got := c.only(store.Query{}); got.HistoryLength != 4 || got.HistorySizeBytes != l.Execution.HistorySizeBytes {
		c.Errorf("listed as %+v", got)
	}
}

// isRefusedAsAWhole: whichever of the events is bad, there is no execution.
func isRefusedAsAWhole(c *scene) {
	good := func() *events.Event { return events.Signaled("s") }
	numbered := good()
	numbered.EventId = 9
	dated := good()
	dated.EventTime = events.At(day(0), good()).EventTime
	dated.EventTime.Nanos = -1
	unreadable := events.Signaled("\xff")
	for _, tt := range []struct {
		name  string
		list  []*events.Event
		field string
	}{
		{"none", []*events.Event{nil}, "events[0]"},
		{"none, second", []*events.Event{good(), nil}, "events[1]"},
		{"another start", []*events.Event{good(), events.WorkflowStarted("T", "")}, "events[1].eventType"},
		{"wrong id", []*events.Event{good(), numbered}, "events[1].eventId"},
		{"no time", []*events.Event{dated}, "events[0].eventTime"},
		{"no payload", []*events.Event{good(), events.Custom("c", make(chan int))}, "events[1].value[0]"},
		{"no UTF-8", []*events.Event{good(), unreadable}, "events[1]"},
		{"after the end", []*events.Event{events.WorkflowCompleted(), good()}, "events[1].eventType"},
	} {
		w := c.workflow()
		_, err := c.store.SaveExecution(c.ctx(), store.NewExecution{Workflow: w, Type: "T", Events: tt.list})
		c.names(tt.name, err, tt.field)
		c.nothing(w)
	}
	w := c.workflow()
	_, err := c.store.SaveExecution(c.ctx(), store.NewExecution{Workflow: w, Type: "T", Events: []*events.Event{good(), events.Custom("large", make([]byte, 3<<20))}})
	refused[*events.LimitError](c, "a large event", err, events.ErrLimit)
	c.nothing(w)
	c.save(store.NewExecution{Workflow: w})
}

func isClosedAtOnce(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, StartedAt: day(0), Events: []*events.Event{events.At(day(1), events.WorkflowCompleted("done"))}})
	for what, x := range map[string]store.Execution{"loaded": c.load(w, "").Execution, "listed": c.only(store.Query{Status: completed})} {
		if x.Status != completed || !x.ClosedAt.Equal(day(1)) || x.HistoryLength != 2 {
			c.Errorf("%s: %+v", what, x)
		}
	}
}

// isFollowedInTheSameCommit: the events may even begin the next run. The id is
// that of the run that is saved.
func isFollowedInTheSameCommit(c *scene) {
	n := full(c.workflow())
	next := events.WorkflowStarted("Next", "")
	next.GetWorkflowExecutionStartedEventAttributes().OriginalExecutionRunId = "run-2"
	n.Events = []*events.Event{events.Signaled("s"), events.WorkflowCompleted(), next}
	for i := range 2 {
		res := c.save(n)
		if res.RunID != "run-2" || res.LastEventID != 1 || res.Existed != (i > 0) {
			c.Errorf("saved as %+v", res)
		}
		if a, b := c.load(n.Workflow, "run-1").Execution, c.load(n.Workflow, "").Execution; a.Status != completed || a.HistoryLength != 3 || b.RunID != "run-2" || b.Type != "Next" {
			c.Errorf("loaded as %+v and %+v", a, b)
		}
	}
	if got := c.runs(); len(got) != 2 {
		c.Errorf("runs %v", got)
	}
}

func isRecognisedWhenRepeated(c *scene) {
	n := full(c.workflow())
	n.Events = []*events.Event{events.Signaled("s")}
	first := c.save(n)
	for _, run := range []events.RunID{"run-1", ""} {
		if n.RunID = run; run == "" {
			n.Workflow, n.StartedAt = c.workflow(), time.Time{} // what is assigned is no other content
			first = c.save(n)
		}
		second := c.save(n)
		first.Existed = true
		if second.RunID != first.RunID || second.Position != first.Position || second.LastEventID != 2 || !second.Existed {
			c.Errorf("saved as %+v, then as %+v", first, second)
		}
		if x := c.load(n.Workflow, ""); len(x.Events) != 2 {
			c.Errorf("%d events", len(x.Events))
		}
	}
	if got := c.runs(); len(got) != 2 {
		c.Errorf("runs %v", got)
	}
}

func isRecognisedAfterMoreHappened(c *scene) {
	n := full(c.workflow())
	first := c.save(n)
	c.append(events.Request{Workflow: n.Workflow, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
	c.update(store.StateUpdate{Workflow: n.Workflow, To: completed})
	c.save(store.NewExecution{Workflow: n.Workflow, RunID: "run-2"})
	if again := c.save(n); !again.Existed || again.RunID != "run-1" || again.Position != first.Position {
		c.Errorf("again: %+v", again)
	}
	if got := c.runs(); len(got) != 2 {
		c.Errorf("runs %v", got)
	}
}

func refusesOtherContent(c *scene) {
	n := full(c.workflow())
	first := c.save(n)
	for name, change := range map[string]func(*store.NewExecution){
		"run":       func(n *store.NewExecution) { n.RunID = "run-2" },
		"type":      func(n *store.NewExecution) { n.Type = "Other" },
		"queue":     func(n *store.NewExecution) { n.TaskQueue = "other" },
		"time":      func(n *store.NewExecution) { n.StartedAt = n.StartedAt.Add(1) },
		"execution": func(n *store.NewExecution) { n.ExecutionTimeout++ },
		"timeout":   func(n *store.NewExecution) { n.RunTimeout = 0 },
		"task":      func(n *store.NewExecution) { n.TaskTimeout++ },
		"tags":      func(n *store.NewExecution) { n.Tags = map[string]string{"customer": "4712"} },
		"input":     func(n *store.NewExecution) { n.Input = nil },
		"identity":  func(n *store.NewExecution) { n.Identity = "" },
		"events":    func(n *store.NewExecution) { n.Events = []*events.Event{events.Signaled("s")} },
	} {
		other := n
		change(&other)
		_, err := c.store.SaveExecution(c.ctx(), other)
		if e := refused[*events.CommitIDReusedError](c, name, err, events.ErrCommitIDReused); e.Position != first.Position || e.CommitID != n.CommitID {
			c.Errorf("%s: %+v", name, e)
		}
	}
	c.same("the run", []events.RunID{"run-1"}, c.runs())
}

func isPerWorkflow(c *scene) {
	for range 3 {
		if res := c.save(full(c.workflow())); res.Existed || res.RunID != "run-1" {
			c.Errorf("saved as %+v", res)
		}
	}
	if got := c.runs(); len(got) != 3 {
		c.Errorf("runs %v", got)
	}
}

func conflictsWithAnOpenRun(c *scene) {
	n := full(c.workflow())
	res := c.save(n)
	for _, to := range []events.Status{running, paused} {
		if to == paused {
			res = c.update(store.StateUpdate{Workflow: n.Workflow, To: to})
		}
		_, err := c.store.SaveExecution(c.ctx(), store.NewExecution{Workflow: n.Workflow, Type: "T"})
		if e := refused[*events.ConflictError](c, to.String(), err, events.ErrConflict); e.Actual.Position() != res.Position || e.Actual.Run() != "run-1" {
			c.Errorf("%s: %v", to, e)
		}
	}
	c.same("the run", []events.RunID{"run-1"}, c.runs())
}

func followsAClosedRun(c *scene) {
	w := c.workflow()
	var want []events.RunID
	for i, to := range []events.Status{completed, failed, canceled, terminated, timedOut} {
		n := store.NewExecution{Workflow: w, RunID: events.RunID(fmt.Sprintf("run-%d", i)), StartedAt: day(i), Tags: map[string]string{"i": fmt.Sprint(i)}}
		if res := c.save(n); res.RunID != n.RunID || res.FirstEventID != 1 {
			c.Errorf("saved as %+v", res)
		}
		c.update(store.StateUpdate{Workflow: w, To: to, At: day(i).Add(time.Minute)})
		want = append([]events.RunID{n.RunID}, want...)
	}
	c.same("the runs, the last first", want, c.runs())
	for i, run := range want {
		x := c.load(w, run).Execution
		c.same("run "+string(run), c.query(store.Query{Limit: 1, Offset: i}), []store.Execution{x})
		if x.Tags["i"] != string(run[len("run-"):]) || x.ContinuedFromRunID != "" {
			c.Errorf("run %s: %+v", run, x)
		}
	}
}

func refusesTheIdOfAnEarlierRun(c *scene) {
	w := c.workflow()
	for _, run := range []events.RunID{"a", "b"} {
		c.save(store.NewExecution{Workflow: w, RunID: run})
		c.update(store.StateUpdate{Workflow: w, To: completed})
	}
	for _, run := range []events.RunID{"a", "b"} {
		_, err := c.store.SaveExecution(c.ctx(), store.NewExecution{Workflow: w, RunID: run, Type: "T"})
		c.names("run "+string(run), err, "runId")
	}
	if got := c.runs(); len(got) != 2 {
		c.Errorf("runs %v", got)
	}
}

// keepsWhatItWasGiven: neither the request nor what a load gave is changed later.
func keepsWhatItWasGiven(c *scene) {
	n := full(c.workflow())
	more := events.Signaled("s")
	n.Events = []*events.Event{more}
	c.save(n)
	if more.EventId != 0 || more.EventTime != nil || len(n.Events) != 1 {
		c.Errorf("the caller's event became %v", more)
	}
	l := c.load(n.Workflow, "")
	n.Tags["customer"] = "changed"
	l.Execution.Tags["tier"] = "changed"
	listed := c.only(store.Query{})
	listed.Tags["note"] = "changed"
	for what, x := range map[string]store.Execution{"loaded": c.load(n.Workflow, "").Execution, "listed": c.only(store.Query{})} {
		if x.Tags["customer"] != "4711" || x.Tags["tier"] != "gold" || x.Tags["note"] != "" {
			c.Errorf("%s: %v", what, x.Tags)
		}
	}
	if l.Events[1].EventType != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
		c.Errorf("the second event is %s", l.Events[1].EventType)
	}
}
