package wellformed_test

import (
	"iter"
	"slices"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	updatepb "go.temporal.io/api/update/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

// TestWellFormed has what looks like a broken rule and is none.
func TestWellFormed(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(h *history)
	}{
		{"no events", func(h *history) { h.events = nil }},
		{"a start alone", func(*history) {}},
		{"an engine without workflow tasks", func(h *history) {
			activity := h.add(events.ActivityScheduled("a1", "Charge"))
			timer := h.add(events.TimerStarted("t1", time.Hour))
			h.add(events.Custom("paid", 1))
			h.add(events.ActivityCompleted(activity, h.add(events.ActivityStarted(activity, 1, "worker"))))
			h.add(events.TimerCanceled("t1", timer))
			h.add(events.WorkflowCompleted())
		}},
		{"a workflow task is under way", func(h *history) {
			h.add(events.WorkflowTaskStarted(h.add(events.WorkflowTaskScheduled("orders")), "worker"))
		}},
		{"terminated during a workflow task", func(h *history) {
			h.add(events.WorkflowTaskStarted(h.add(events.WorkflowTaskScheduled("orders")), "worker"))
			h.add(events.WorkflowTerminated("enough"))
		}},
		{"timed out with all that was pending", func(h *history) {
			h.task()
			h.decide(events.ActivityScheduled("a1", "Charge"))
			h.decide(events.TimerStarted("t1", time.Hour))
			h.add(events.WorkflowTimedOut())
		}},
		{"a signal between scheduling and start", func(h *history) {
			scheduled := h.add(events.WorkflowTaskScheduled("orders"))
			h.add(events.Signaled("go"))
			h.add(events.WorkflowTaskCompleted(scheduled, h.add(events.WorkflowTaskStarted(scheduled, "worker")), "worker"))
		}},
		{"a workflow task that nobody started times out", func(h *history) {
			h.add(events.WorkflowTaskTimedOut(h.add(events.WorkflowTaskScheduled("sticky")), 0))
			h.task()
		}},
		{"a workflow task fails and is tried again", func(h *history) {
			scheduled := h.add(events.WorkflowTaskScheduled("orders"))
			h.add(events.WorkflowTaskFailed(scheduled, h.add(events.WorkflowTaskStarted(scheduled, "worker")), errBroken))
			h.task()
			h.decide(events.WorkflowCompleted())
		}},
		{"a signal after the commands", func(h *history) {
			h.task()
			h.decide(events.TimerStarted("t1", time.Hour))
			h.add(events.Signaled("go"))
			h.task()
			h.decide(events.WorkflowCompleted())
		}},
		{"an update among the commands", func(h *history) {
			h.task()
			accepted := h.add(events.UpdateAccepted("u1", "add"))
			h.decide(events.TimerStarted("t1", time.Hour))
			h.add(events.UpdateCompleted("u1", accepted))
			h.decide(events.TimerStarted("t2", time.Hour))
		}},
		{"an activity canceled at once among the commands", func(h *history) {
			h.task()
			activity := h.decide(events.ActivityScheduled("a1", "Charge"))
			h.task()
			asked := h.decide(events.ActivityCancelRequested(activity))
			e := events.ActivityCanceled(activity, 0)
			e.GetActivityTaskCanceledEventAttributes().LatestCancelRequestedEventId = int64(asked)
			h.add(e)
			h.decide(events.TimerStarted("t1", time.Hour))
		}},
		{"an activity asked to cancel itself that is over", func(h *history) {
			h.task()
			activity := h.decide(events.ActivityScheduled("a1", "Charge"))
			started := h.add(events.ActivityStarted(activity, 1, "worker"))
			h.add(events.ActivityCompleted(activity, started))
			h.task()
			h.decide(events.ActivityCancelRequested(activity))
		}},
		{"ids used again", func(h *history) {
			for range 2 {
				activity := h.add(events.ActivityScheduled("a1", "Charge"))
				h.add(events.ActivityTimedOut(activity, 0, enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START))
				timer := h.add(events.TimerStarted("t1", time.Hour))
				h.add(events.TimerFired("t1", timer))
				accepted := h.add(events.UpdateAccepted("u1", "add"))
				h.add(events.UpdateFailed("u1", accepted, errBroken))
				c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
				c.Initiated = h.add(events.ChildInitiated(c))
				c.Started = h.add(events.ChildStarted(c))
				h.add(events.ChildCompleted(c))
			}
		}},
		{"a child refused while another runs", func(h *history) {
			c := events.Child{Workflow: events.Workflow{ID: "part-1"}}
			c.Initiated = h.add(events.ChildInitiated(c))
			c.Started = h.add(events.ChildStarted(c))
			second := c
			second.Initiated = h.add(events.ChildInitiated(second))
			h.say(refused(second))
			h.add(events.ChildCompleted(c))
		}},
		{"children of one id in two namespaces", func(h *history) {
			for _, namespace := range []string{"one", "two"} {
				c := events.Child{Workflow: events.Workflow{Namespace: namespace, ID: "part-1"}}
				c.Initiated = h.add(events.ChildInitiated(c))
				h.add(events.ChildStarted(c))
			}
		}},
		{"an update completed without naming its acceptance", func(h *history) {
			h.add(events.UpdateAccepted("u1", "add"))
			h.add(events.UpdateCompleted("u1", 0))
		}},
		{"an update admitted, then accepted without its request", func(h *history) {
			h.say(&historypb.WorkflowExecutionUpdateAdmittedEventAttributes{Request: &updatepb.Request{Meta: &updatepb.Meta{UpdateId: "u1"}}})
			h.say(&historypb.WorkflowExecutionUpdateAcceptedEventAttributes{ProtocolInstanceId: "u1"})
		}},
		{"a synchronous Nexus operation", func(h *history) {
			op := h.say(&historypb.NexusOperationScheduledEventAttributes{RequestId: "r1"})
			h.say(&historypb.NexusOperationCompletedEventAttributes{ScheduledEventId: int64(op), RequestId: "r1"})
		}},
		{"a Nexus operation started by another clock", func(h *history) {
			op := h.say(&historypb.NexusOperationScheduledEventAttributes{})
			events.At(epoch, h.events[h.say(&historypb.NexusOperationStartedEventAttributes{ScheduledEventId: int64(op)})-1])
		}},
		{"a Nexus cancel request answered without naming the operation", func(h *history) {
			op := h.say(&historypb.NexusOperationScheduledEventAttributes{})
			asked := h.say(&historypb.NexusOperationCancelRequestedEventAttributes{ScheduledEventId: int64(op)})
			h.say(&historypb.NexusOperationCancelRequestCompletedEventAttributes{RequestedEventId: int64(asked)})
		}},
		{"an event type that is not known yet", func(h *history) {
			h.add(&events.Event{EventType: 9999})
			h.add(&events.Event{})
		}},
		{"times that run backwards between things", func(h *history) {
			h.add(events.TimerStarted("t1", time.Hour))
			events.At(epoch, h.events[h.add(events.Signaled("go"))-1])
		}},
		{"continued as a run", func(h *history) {
			h.task()
			h.decide(continued("run-2"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := begin()
			test.write(h)
			mustBeWell(t, h.events)
		})
	}
}

// TestSeveralViolations: one broken event does not hide the next, and does not
// make the good ones after it bad.
func TestSeveralViolations(t *testing.T) {
	h := begin()
	h.task()
	gap := h.decide(events.TimerStarted("t1", time.Hour))
	for _, e := range h.events[gap-1:] {
		e.EventId += 10
	}
	var evs []*events.Event
	evs = append(evs, h.events...)
	for _, e := range []*events.Event{events.TimerFired("t1", gap+10), events.TimerFired("t1", gap+10), events.Signaled("go")} {
		e.EventId = evs[len(evs)-1].EventId + 1
		evs = append(evs, events.At(epoch.Add(time.Hour), e))
	}
	got := check(evs)
	want := []struct {
		rule string
		id   events.EventID
	}{{wellformed.IDsAreDense, gap + 10}, {wellformed.EndedOnce, gap + 12}}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i, w := range want {
		if got[i].Rule != w.rule || got[i].EventID != w.id {
			t.Errorf("got %v, want %v", got[i], w)
		}
	}
	const line = "event 15: ids-are-dense: TimerStarted has the id 15, the next one is 5"
	if s := got[0].String(); s != line {
		t.Errorf("%q, want %q", s, line)
	}
}

// TestOddEvents: what no log stores is reported and breaks nothing.
func TestOddEvents(t *testing.T) {
	var odd iter.Seq[*events.Event] = slices.Values([]*events.Event{nil, {}, {EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED}, nil})
	if got := wellformed.Check(odd); len(got) < 4 {
		t.Errorf("only %v", got)
	}
}
