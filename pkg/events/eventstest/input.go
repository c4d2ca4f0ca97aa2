package eventstest

import (
	"errors"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// badInput is what no workflow could take, and the field that must be named.
var badInput = []struct {
	name  string
	field string
	make  func(w events.Workflow) events.Request
}{
	{"no namespace", "namespace", func(w events.Workflow) events.Request { w.Namespace = ""; return start(w) }},
	{"a namespace that is too long", "namespace", func(w events.Workflow) events.Request { w.Namespace = strings.Repeat("n", 256); return start(w) }},
	{"a namespace with a NUL", "namespace", func(w events.Workflow) events.Request { w.Namespace = "a\x00b"; return start(w) }},
	{"a namespace that is not UTF-8", "namespace", func(w events.Workflow) events.Request { w.Namespace = "a\xff"; return start(w) }},
	{"no workflow id", "workflowId", func(w events.Workflow) events.Request { w.ID = ""; return start(w) }},
	{"a workflow id that is too long", "workflowId", func(w events.Workflow) events.Request { w.ID = strings.Repeat("w", 1001); return start(w) }},
	{"a workflow id with a NUL", "workflowId", func(w events.Workflow) events.Request { w.ID = "\x00"; return start(w) }},
	{"a workflow id that is not UTF-8", "workflowId", func(w events.Workflow) events.Request { w.ID = "\xc3"; return start(w) }},
	{"a surrogate in UTF-8", "workflowId", func(w events.Workflow) events.Request { w.ID = "\xed\xa0\x80"; return start(w) }},
	{"a run id that is too long", "runId", func(w events.Workflow) events.Request {
		r := start(w)
		r.RunID = events.RunID(strings.Repeat("r", 256))
		return r
	}},
	{"a run id with a NUL", "runId", func(w events.Workflow) events.Request { r := start(w); r.RunID = "\x00"; return r }},
	{"a run id that is not UTF-8", "runId", func(w events.Workflow) events.Request { r := start(w); r.RunID = "\xff"; return r }},
	{"a run id without a start", "runId", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, RunID: "r", Expect: events.AtEnd(), Events: signals(1, "s")}
	}},
	{"a start's run id that is too long", "events[0].runId", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(startedAs(events.RunID(strings.Repeat("r", 256))))}
	}},
	{"the first of two runs' id with a NUL", "events[0].runId", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(startedAs("\x00"), completed(), started("T"))}
	}},
	{"a commit id that is too long", "commitId", func(w events.Workflow) events.Request {
		r := start(w)
		r.CommitID = events.CommitID(strings.Repeat("c", 256))
		return r
	}},
	{"a commit id with a NUL", "commitId", func(w events.Workflow) events.Request { r := start(w); r.CommitID = "\x00"; return r }},
	{"a commit id that is not UTF-8", "commitId", func(w events.Workflow) events.Request { r := start(w); r.CommitID = "\xff"; return r }},
	{"no events", "events", func(w events.Workflow) events.Request { return events.Request{Workflow: w} }},
	{"a nil event", "events[1]", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), nil)}
	}},
	{"a value that a constructor could not encode", "events[1].input[0]", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), events.Signaled("s", make(chan int)))}
	}},
	{"a run that begins with another event", "events[0].eventType", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: signals(1, "s")}
	}},
	{"an event after the closing one", "events[2].eventType", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), completed(), signaled("s"))}
	}},
	{"a start in an open run", "events[1].eventType", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), started("T"))}
	}},
	{"a third run", "events[4].eventType", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), completed(), started("T"), completed(), started("T"))}
	}},
	{"a start at the end", "events[0].eventType", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(started("T"))}
	}},
	{"an event id below 1", "events[0].eventId", func(w events.Workflow) events.Request {
		r := start(w)
		r.Events[0].EventId = -5
		return r
	}},
	{"a first event id that is not 1", "events[0].eventId", func(w events.Workflow) events.Request {
		r := start(w)
		r.Events[0].EventId = 2
		return r
	}},
	{"a time out of range", "events[0].eventTime", func(w events.Workflow) events.Request {
		r := start(w)
		r.Events[0].EventTime = &timestamppb.Timestamp{Seconds: 1 << 60}
		return r
	}},
	{"a time within that is out of range", "events[0].workflowExecutionStartedEventAttributes.workflowExecutionExpirationTime", func(w events.Workflow) events.Request {
		r := start(w)
		r.Events[0].GetWorkflowExecutionStartedEventAttributes().WorkflowExecutionExpirationTime = &timestamppb.Timestamp{Nanos: -1}
		return r
	}},
	{"a duration of two signs", "events[1].timerStartedEventAttributes.startToFireTimeout", func(w events.Workflow) events.Request {
		e := events.TimerStarted("t", 0)
		e.GetTimerStartedEventAttributes().StartToFireTimeout = &durationpb.Duration{Seconds: 1, Nanos: -1}
		return events.Request{Workflow: w, Events: list(started("T"), e)}
	}},
	{"a duration deep within that is out of range", "events[2].workflowExecutionFailedEventAttributes.failure.cause.cause.applicationFailureInfo.nextRetryDelay", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), signaled("s"), failedBy(&failurepb.Failure{Cause: &failurepb.Failure{Cause: endless()}}))}
	}},
	{"causes deeper than can be read", "events[1].workflowExecutionFailedEventAttributes.failure", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), failedBy(nested(100_000)))}
	}},
	{"a cause of itself", "events[1].workflowExecutionFailedEventAttributes.failure", func(w events.Workflow) events.Request {
		endless := nested(1)
		endless.Cause = endless
		return events.Request{Workflow: w, Events: list(started("T"), failedBy(endless))}
	}},
	{"causes a level too deep", "events[1].workflowExecutionFailedEventAttributes.failure", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), failedBy(nested(events.MaxNesting-2)))}
	}},
	{"a workflow type that is too long", "events[0].workflowType", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started(strings.Repeat("t", 1001)))}
	}},
	{"text that is not UTF-8", "events[1]", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Events: list(started("T"), signaled("\xff"))}
	}},
	{"a trace context that is none", "traceparent", func(w events.Workflow) events.Request {
		r := start(w)
		r.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nNats-Rollup: all"
		return r
	}},
	{"the zero cursor", "after", func(w events.Workflow) events.Request {
		return events.Request{Workflow: w, Expect: events.After(events.Cursor{}), Events: list(started("T"))}
	}},
	{"an attempt without its commit id", "commitId", func(w events.Workflow) events.Request {
		r := start(w)
		r.Expect = events.NewRun().WithAttempt(events.Attempt{})
		return r
	}},
	{"an attempt that started another run", "runId", func(w events.Workflow) events.Request {
		r := start(w)
		r.CommitID, r.RunID, r.Expect = "c", "a", events.NewRun().WithAttempt(events.Attempt{Run: "b"})
		return r
	}},
}

func start(w events.Workflow) events.Request {
	return events.Request{Workflow: w, Events: list(started("T"))}
}

func inputCases() []testCase {
	var cases []testCase
	for _, bad := range badInput {
		cases = append(cases, testCase{bad.name, func(c *scene) {
			w := c.workflow("w")
			r := bad.make(w)
			before := bounds(c)
			got := refused[*events.InvalidError](c, r, events.ErrInvalid)
			if got.Field != bad.field || got.Reason == "" {
				c.Errorf("refused for %q: %s; want field %q", got.Field, got.Reason, bad.field)
			}
			if after := bounds(c); after != before {
				c.Errorf("the log held %+v before and holds %+v", before, after)
			}
			if events.SafeToRetry(got) {
				c.Error("an error that never passes is said to be safe to retry")
			}
		}})
	}
	return append(cases, named(readsRefuseBadInput, everyEventTypeIsStored, whatIsJustNotTooDeepIsRead, theFirstAndTheLastTimeAreRead)...)
}

// bounds are those of all the log's partitions together.
func bounds(c *scene) events.Bounds {
	c.Helper()
	var sum events.Bounds
	for p := range c.log.Identity().Map.Partitions() {
		b, err := c.log.Bounds(c.ctx(), events.Partition(p))
		if err != nil {
			c.Fatal(err)
		}
		sum.First += b.First
		sum.Last += b.Last
	}
	return sum
}

func readsRefuseBadInput(c *scene) {
	w := c.workflow("w")
	c.start(w)
	invalid := func(field string, err error) {
		c.Helper()
		var got *events.InvalidError
		if !errors.As(err, &got) || !errors.Is(err, events.ErrInvalid) || got.Field != field {
			c.Errorf("gave %v, want an invalid %s", err, field)
		}
	}
	for name, bad := range map[string]events.Workflow{"namespace": {ID: "w"}, "workflowId": {Namespace: "n", ID: "\x00"}} {
		_, err := c.log.Tail(c.ctx(), bad)
		invalid(name, err)
		_, err = collect(c.log.Read(c.ctx(), bad, events.ReadOptions{}))
		invalid(name, err)
		_, err = collect(c.log.Commits(c.ctx(), bad))
		invalid(name, err)
	}
	_, err := collect(c.log.Read(c.ctx(), w, events.ReadOptions{From: -1}))
	invalid("from", err)
	_, err = collect(c.log.Read(c.ctx(), w, events.ReadOptions{Limit: -1}))
	invalid("limit", err)
	for _, p := range []events.Partition{-1, events.Partition(c.log.Identity().Map.Partitions())} {
		_, err := c.log.Bounds(c.ctx(), p)
		invalid("partition", err)
		_, err = c.log.Message(c.ctx(), events.Position{Partition: p, Sequence: 1})
		invalid("partition", err)
		_, err = collect(c.log.Follow(c.ctx(), p, events.FollowOptions{}))
		invalid("partition", err)
	}
}

// everyEventTypeIsStored: those of a later API too.
func everyEventTypeIsStored(c *scene) {
	w := c.workflow("w")
	given := list(started("T"))
	for kind := range eventTypes() {
		if !events.Closes(&events.Event{EventType: kind}) {
			given = append(given, &events.Event{EventType: kind})
		}
	}
	given = numbered(1, append(given, &events.Event{EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED}))
	c.append(events.Request{Workflow: w, Events: given})
	c.same("history", given, c.history(w, ""))
}

// whatIsJustNotTooDeepIsRead: by the log, and as JSON.
func whatIsJustNotTooDeepIsRead(c *scene) {
	w := c.workflow("w")
	// The event and its attributes are two levels, of which the causes are not.
	given := numbered(1, list(started("T"), failedBy(nested(events.MaxNesting-3))))
	c.append(events.Request{Workflow: w, Events: given})
	c.same("history", given, c.history(w, ""))
	c.readAsJSON(w, given)
}

// theFirstAndTheLastTimeAreRead: and so are the longest durations, in both directions.
func theFirstAndTheLastTimeAreRead(c *scene) {
	first, last := &timestamppb.Timestamp{Seconds: -62135596800}, &timestamppb.Timestamp{Seconds: 253402300799, Nanos: 999999999}
	w := c.workflow("w")
	given := numbered(1, list(started("T")))
	a := given[0].GetWorkflowExecutionStartedEventAttributes()
	given[0].EventTime, a.WorkflowExecutionExpirationTime = first, last
	a.WorkflowExecutionTimeout = &durationpb.Duration{Seconds: 315_576_000_000, Nanos: 999999999}
	a.WorkflowRunTimeout = &durationpb.Duration{Seconds: -315_576_000_000, Nanos: -999999999}
	c.append(events.Request{Workflow: w, Events: given})
	c.same("history", given, c.history(w, ""))
	c.readAsJSON(w, given)
}

// readAsJSON writes the history as JSON and reads it again.
func (c *scene) readAsJSON(w events.Workflow, want []*events.Event) {
	c.Helper()
	written, err := eventjson.Encode(c.history(w, ""))
	if err != nil {
		c.Fatal(err)
	}
	got, _, err := eventjson.Decode(written, eventjson.Options{})
	if err != nil {
		c.Fatal(err)
	}
	c.same("history as JSON", want, got)
}
