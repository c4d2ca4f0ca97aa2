package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// echo is code that asks for exactly what a history has, found by what the
// events say of themselves.
func echo(history []*events.Event) replay.Code {
	return func(_ context.Context, t replay.Task) ([]*replay.Command, error) {
		var all []*replay.Command
		for _, e := range history[int(t.Next-1):] {
			c := replay.CommandOf(e)
			if c == nil && e.GetEventType() != enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED && e.GetEventType() != enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED {
				break
			}
			if c != nil {
				all = append(all, c)
			}
		}
		return all, nil
	}
}

func sequence(history []*events.Event) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		for _, e := range history {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// realHistories are those that tests are given, from a start on.
func realHistories(t *testing.T) map[string][]*events.Event {
	t.Helper()
	log := newLog(t)
	workflows, err := historytest.Real(t.Context(), log, "../..", rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*events.Event{}
	for _, w := range workflows {
		for run, history := range runsOf(t, log, w) {
			all[w.ID+" "+string(run)] = history
		}
	}
	if len(all) < 3 {
		t.Fatalf("only %d histories", len(all))
	}
	return all
}

// comparedEvents are those of a history that code must ask for.
func comparedEvents(history []*events.Event) []int {
	var all []int
	for i, e := range history {
		c := replay.CommandOf(e)
		m := e.GetMarkerRecordedEventAttributes().GetMarkerName()
		sa := e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()
		if c != nil && m != "Version" && m != "core_patch" && (len(sa) != 1 || sa["TemporalChangeVersion"] == nil) {
			all = append(all, i)
		}
	}
	return all
}

// Code that asks for what was recorded agrees with every real history, all of
// what can be compared included; code that leaves one thing out, asks for one
// more, for another or for two in another order is found, at that event.
func TestCheckFindsTheFirstDifferenceInRealHistories(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for name, history := range realHistories(t) {
		check := func(code replay.Code) *replay.CheckReport {
			report, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), code, replay.CheckOptions{Compare: replay.CompareAll})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if text, err := json.Marshal(report); err != nil || !json.Valid(text) {
				t.Fatalf("%s: %v", name, err)
			}
			return report
		}
		want := comparedEvents(history)
		same := check(echo(history))
		if !same.Agrees() || same.Commands != len(want) || same.Events != len(history) {
			t.Errorf("%s: %s\n%d commands compared, the history has %d", name, same, same.Commands, len(want))
			continue
		}
		if len(want) == 0 {
			continue
		}
		for range 4 {
			at := want[r.IntN(len(want))]
			original := history[at]
			// altered is echo, with the command of that event given to edit.
			altered := func(edit func(all []*replay.Command, i int) []*replay.Command) *replay.CheckReport {
				return check(func(ctx context.Context, task replay.Task) ([]*replay.Command, error) {
					all, err := echo(history)(ctx, task)
					n := 0
					for i := int(task.Next - 1); i <= at && n <= len(all); i++ {
						if i == at && n < len(all) {
							return edit(slices.Clone(all), n), err
						}
						if replay.CommandOf(history[i]) != nil {
							n++
						}
					}
					return all, err
				})
			}
			must := func(what string, report *replay.CheckReport, id int64, recorded bool) {
				t.Helper()
				m := report.Mismatch
				if m == nil || int64(m.EventID) != id || recorded && m.Recorded != original {
					t.Fatalf("%s: with event %d %s (%s): %s, want it at event %d", name, original.EventId, what, replay.CommandOf(original), report, id)
				}
				if !slices.ContainsFunc(m.Around, func(e *events.Event) bool { return e.EventId == min(id, int64(len(history))) }) {
					t.Errorf("%s: event %d is not among those around", name, id)
				}
			}
			must("left out", altered(func(all []*replay.Command, i int) []*replay.Command { return slices.Delete(all, i, i+1) }), original.EventId, true)
			must("changed", altered(func(all []*replay.Command, i int) []*replay.Command {
				all[i] = replay.CommandOf(events.TimerStarted("another", time.Hour))
				return all
			}), original.EventId, true)
			must("preceded by another", altered(func(all []*replay.Command, i int) []*replay.Command {
				return slices.Insert(all, i, replay.CommandOf(events.TimerStarted("another", time.Hour)))
			}), original.EventId, true)
			must("failing", altered(func([]*replay.Command, int) []*replay.Command { panic("no") }), 0+int64(firstOf(history, want, at)), false)
		}
	}
}

// firstOf is the id of the first compared event of the task that an event
// belongs to.
func firstOf(history []*events.Event, compared []int, at int) int64 {
	first := at
	for i := at - 1; i >= 0 && (replay.CommandOf(history[i]) != nil || history[i].GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED || history[i].GetEventType() == enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED); i-- {
		if slices.Contains(compared, i) {
			first = i
		}
	}
	return history[first].EventId
}

// withTasks is a history of an engine with workflow tasks: tasks come in
// order, each after what happened since the last one.
func withTasks(parts ...any) []*events.Event {
	var all []*events.Event
	for _, p := range parts {
		switch p := p.(type) {
		case *events.Event:
			all = append(all, p)
		case decided:
			n := events.EventID(len(all))
			all = append(all, events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(n+1, "w"), events.WorkflowTaskCompleted(n+1, n+2, "w"))
			all = append(all, events.DecidedBy(n+3, p...)...)
		}
	}
	for i, e := range all {
		e.EventId = int64(i + 1)
	}
	return all
}

type decided []*events.Event

// answers is code that gives one answer after the other.
func answers(all ...[]*replay.Command) replay.Code {
	n := 0
	return func(context.Context, replay.Task) ([]*replay.Command, error) {
		if n == len(all) {
			return nil, errors.New("asked once too often")
		}
		n++
		return all[n-1], nil
	}
}

func cmds(evs ...*events.Event) []*replay.Command { return replay.CommandsOf(evs...) }

// untimed is a timer whose time is left out, lasting one whose time is there.
func untimed() *events.Event {
	e := events.TimerStarted("t", time.Hour)
	e.GetTimerStartedEventAttributes().StartToFireTimeout = nil
	return e
}

func lasting(d time.Duration) *events.Event {
	e := untimed()
	e.GetTimerStartedEventAttributes().StartToFireTimeout = durationpb.New(d)
	return e
}

func timeouts(d time.Duration) *events.Event {
	e := events.ActivityScheduled("charge", "ChargeCard")
	e.GetActivityTaskScheduledEventAttributes().ScheduleToCloseTimeout = durationpb.New(d)
	return e
}

func noPayloads() *events.Event {
	e := events.ActivityScheduled("charge", "ChargeCard")
	e.GetActivityTaskScheduledEventAttributes().Input = &commonpb.Payloads{}
	return e
}

// scheduled is how a run ends that a cron schedule continues.
func scheduled(result any) *events.Event {
	e := events.ContinuedAsNew("Order", "orders", "the input")
	a := e.GetWorkflowExecutionContinuedAsNewEventAttributes()
	a.Initiator = enumspb.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
	a.LastCompletionResult = events.WorkflowCompleted(result).GetWorkflowExecutionCompletedEventAttributes().GetResult()
	return e
}

func TestCheck(t *testing.T) {
	t.Parallel()
	start := func() *events.Event { return events.WorkflowStarted("Order", "orders") }
	charge := func() *events.Event { return events.ActivityScheduled("charge", "ChargeCard", 42) }
	failedTask := func(n events.EventID) []any {
		return []any{events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(n, "w"), events.WorkflowTaskFailed(n, n+1, errors.New("no"))}
	}
	reset := func(n events.EventID) *events.Event {
		e := events.WorkflowTaskFailed(n, n+1, errors.New("reset"))
		e.GetWorkflowTaskFailedEventAttributes().Cause = enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
		return e
	}
	rejected := &events.Event{EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED}
	for _, tt := range []struct {
		name, why string
		history   []*events.Event
		answers   [][]*replay.Command
		options   replay.CheckOptions
		at        events.EventID // 0: they agree
		says      string
		ahead     int
	}{
		{"as recorded", "", withTasks(start(), decided{charge()}), [][]*replay.Command{cmds(charge())}, replay.CheckOptions{}, 0, "1 commands", 0},
		{
			"another type", "what it is called is what it is", withTasks(start(), decided{charge()}),
			[][]*replay.Command{cmds(events.ActivityScheduled("charge", "Charge", 42))},
			replay.CheckOptions{},
			5, "activityType.name: recorded ChargeCard, the code has Charge", 0,
		},
		{"another input", "is compared if wanted only", withTasks(start(), decided{charge()}), [][]*replay.Command{cmds(events.ActivityScheduled("charge", "ChargeCard", 43))}, replay.CheckOptions{}, 0, "", 0},
		{
			"another input, compared", "", withTasks(start(), decided{charge()}),
			[][]*replay.Command{cmds(events.ActivityScheduled("charge", "ChargeCard", 43))},
			replay.CheckOptions{Compare: replay.CompareInputs},
			5, "input: recorded [42], the code has [43]", 0,
		},
		{"another timer", "its time is compared if wanted only", withTasks(start(), decided{events.TimerStarted("t", time.Hour)}), [][]*replay.Command{cmds(events.TimerStarted("t", time.Minute))}, replay.CheckOptions{}, 0, "", 0},
		{
			"another time, compared", "", withTasks(start(), decided{events.TimerStarted("t", time.Hour)}),
			[][]*replay.Command{cmds(events.TimerStarted("t", time.Minute))},
			replay.CheckOptions{Compare: replay.CompareTimes},
			5, "startToFireTimeout: recorded 1h0m0s, the code has 1m0s", 0,
		},
		{
			"no time", "0s is no time", withTasks(start(), decided{lasting(0)}),
			[][]*replay.Command{cmds(untimed())},
			replay.CheckOptions{Compare: replay.CompareTimes},
			0, "", 0,
		},
		{
			"a time left out", "a timer's is the code's", withTasks(start(), decided{lasting(time.Hour)}),
			[][]*replay.Command{cmds(untimed())},
			replay.CheckOptions{Compare: replay.CompareTimes},
			5, "startToFireTimeout: recorded 1h0m0s, the code has nothing", 0,
		},
		{
			"no timeouts", "a server fills them in", withTasks(start(), decided{timeouts(time.Hour)}),
			[][]*replay.Command{cmds(events.ActivityScheduled("charge", "ChargeCard"))},
			replay.CheckOptions{Compare: replay.CompareTimes},
			0, "", 0,
		},
		{
			"another timeout", "", withTasks(start(), decided{timeouts(time.Hour)}),
			[][]*replay.Command{cmds(timeouts(time.Minute))},
			replay.CheckOptions{Compare: replay.CompareTimes},
			5, "scheduleToCloseTimeout: recorded 1h0m0s, the code has 1m0s", 0,
		},
		{
			"no payloads", "are as none", withTasks(start(), decided{noPayloads()}),
			[][]*replay.Command{cmds(events.ActivityScheduled("charge", "ChargeCard"))},
			replay.CheckOptions{Compare: replay.CompareInputs},
			0, "", 0,
		},
		{
			"continued by a schedule", "what the run gave is for the next", withTasks(start(), decided{scheduled(7)}),
			[][]*replay.Command{cmds(events.WorkflowCompleted(7))},
			replay.CheckOptions{Compare: replay.CompareInputs},
			0, "1 commands", 0,
		},
		{
			"continued by a schedule, another result", "", withTasks(start(), decided{scheduled(7)}),
			[][]*replay.Command{cmds(events.WorkflowCompleted(8))},
			replay.CheckOptions{Compare: replay.CompareInputs},
			5, "result: recorded [7], the code has [8]", 0,
		},
		{"one more", "", withTasks(start(), decided{charge()}), [][]*replay.Command{cmds(charge(), events.TimerStarted("t", time.Hour))}, replay.CheckOptions{}, 6, "recorded: nothing more", 0},
		{"one less", "", withTasks(start(), decided{charge(), events.TimerStarted("t", time.Hour)}), [][]*replay.Command{cmds(charge())}, replay.CheckOptions{}, 6, "the code: nothing more", 0},
		{"nothing decided", "a workflow task may decide nothing", withTasks(start(), decided{}, events.Signaled("s"), decided{charge()}), [][]*replay.Command{nil, cmds(charge())}, replay.CheckOptions{}, 0, "", 0},
		{"something where nothing was", "", withTasks(start(), decided{}, events.Signaled("s"), decided{charge()}), [][]*replay.Command{cmds(charge())}, replay.CheckOptions{}, 5, "more than was recorded", 0},
		{"after a failed task", "a task that failed decided nothing", withTasks(slices.Concat([]any{start()}, failedTask(2), []any{decided{charge()}})...), [][]*replay.Command{cmds(charge())}, replay.CheckOptions{}, 0, "", 0},
		{
			"in the middle of a task", "the code may be ahead", withTasks(start(), decided{charge()}, events.Signaled("s"), events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(7, "w")),
			[][]*replay.Command{cmds(charge()), cmds(events.WorkflowCompleted())},
			replay.CheckOptions{},
			0, "", 1,
		},
		{"after a signal", "nobody has decided yet", withTasks(start(), decided{charge()}, events.Signaled("s")), [][]*replay.Command{cmds(charge()), nil}, replay.CheckOptions{}, 0, "", 0},
		{"terminated", "nothing is decided any more", withTasks(start(), decided{charge()}, events.WorkflowTerminated("enough")), [][]*replay.Command{cmds(charge())}, replay.CheckOptions{}, 0, "", 0},
		{
			"reset behind a task", "what the reset cut off is not missed", withTasks(start(), decided{charge()}, reset(2), decided{charge()}),
			[][]*replay.Command{cmds(charge(), charge()), cmds(charge())},
			replay.CheckOptions{},
			0, "", 0,
		},
		{
			"an update", "its messages are the commands", withTasks(start(), decided{events.UpdateAccepted("u", "add"), charge(), events.UpdateCompleted("u", 5)}),
			[][]*replay.Command{cmds(events.UpdateAccepted("u", "add"), charge(), events.UpdateCompleted("u", 0))},
			replay.CheckOptions{},
			0, "3 commands", 0,
		},
		{"an update not accepted", "", withTasks(start(), decided{events.UpdateAccepted("u", "add")}), [][]*replay.Command{nil}, replay.CheckOptions{}, 5, "ProtocolMessage u/accept", 0},
		{"an update rejected", "Temporal records no rejection", withTasks(start(), decided{charge()}), [][]*replay.Command{cmds(rejected, charge())}, replay.CheckOptions{}, 0, "", 0},
		{
			"no workflow tasks", "each block is a task", withTasks(start(), charge(), events.ActivityStarted(2, 1, "w"), events.ActivityCompleted(2, 3, "ok"), events.WorkflowCompleted()),
			[][]*replay.Command{cmds(charge()), cmds(events.WorkflowCompleted())},
			replay.CheckOptions{},
			0, "2 commands", 0,
		},
		{"one at a time", "a task may follow on a task", withTasks(start(), charge(), events.TimerStarted("t", time.Hour)), [][]*replay.Command{cmds(charge()), cmds(events.TimerStarted("t", time.Hour))}, replay.CheckOptions{}, 0, "", 0},
		{"no workflow tasks, one more", "", withTasks(start(), charge()), [][]*replay.Command{cmds(charge(), charge())}, replay.CheckOptions{}, 3, "more than was recorded", 0},
		{"piecemeal", "the rest may be to come", withTasks(start(), charge()), [][]*replay.Command{cmds(charge(), charge())}, replay.CheckOptions{Piecemeal: true}, 0, "", 0},
		{
			"a fact of somebody else's", "code need not ask for it", withTasks(start(), charge(), events.Custom("OrderPaid", 1), events.WorkflowCompleted()),
			[][]*replay.Command{cmds(charge()), cmds(events.WorkflowCompleted())},
			replay.CheckOptions{},
			0, "", 0,
		},
		{
			"a marker of one's own", "", withTasks(start(), charge(), events.Custom("OrderPaid", 1), events.WorkflowCompleted()),
			[][]*replay.Command{cmds(charge(), events.Custom("OrderPaid", 1), events.WorkflowCompleted())},
			replay.CheckOptions{},
			0, "3 commands", 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report, err := replay.CheckHistory(t.Context(), order, "r", sequence(tt.history), answers(tt.answers...), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			at := events.EventID(0)
			if report.Mismatch != nil {
				at = report.Mismatch.EventID
			}
			if at != tt.at || !strings.Contains(report.String(), tt.says) || len(report.Ahead) != tt.ahead {
				t.Errorf("it differs at %d, want %d and %q: %s\n%s\nahead: %v", at, tt.at, tt.says, tt.why, report, report.Ahead)
			}
		})
	}
}

// What the code is given: all there is, what is new, the ids to come, and the
// markers of the task that it repeats.
func TestCheckGivesTheTask(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	history := withTasks(
		events.WorkflowStarted("Order", "orders"),
		decided{replay.VersionMarker("fee", 2), events.Custom("SideEffect", 7), events.ActivityScheduled("a", "A")},
		events.Signaled("s"),
		decided{events.WorkflowCompleted()},
	)
	for i, e := range history {
		events.At(noon.Add(time.Duration(i)*time.Second), e)
	}
	var tasks []replay.Task
	_, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), func(ctx context.Context, task replay.Task) ([]*replay.Command, error) {
		tasks = append(tasks, task)
		return echo(history)(ctx, task)
	}, replay.CheckOptions{})
	if err != nil || len(tasks) != 2 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	first, second := tasks[0], tasks[1]
	if len(first.History) != 3 || len(first.New) != 3 || first.Next != 5 || !first.Time.Equal(noon.Add(2*time.Second)) || !first.Recorded ||
		first.Versions["fee"] != 2 || len(first.Markers) != 2 || first.Type != "Order" || first.Workflow != order || first.Run != "r" {
		t.Errorf("the first task is %+v", first)
	}
	if len(second.History) != 10 || len(second.New) != 7 || second.New[0].EventId != 4 || second.Next != 12 || len(second.Markers) != 0 {
		t.Errorf("the second task is %+v", second)
	}
}

// dense gives events their ids.
func dense(all ...*events.Event) []*events.Event {
	for i, e := range all {
		e.EventId = int64(i + 1)
	}
	return all
}

// An engine that commits the end of a task and what it decided one after the
// other has something between the two: what names its task is compared, and what
// can be compared with nothing is refused, by its id.
func TestCheckOfWhatWasRecordedLate(t *testing.T) {
	t.Parallel()
	charge := func() *events.Event { return events.ActivityScheduled("charge", "ChargeCard", 42) }
	task := func(n events.EventID) []*events.Event {
		return []*events.Event{events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(n, "w"), events.WorkflowTaskCompleted(n, n+1, "w")}
	}
	by := func(task events.EventID, e *events.Event) *events.Event { return events.DecidedBy(task, e)[0] }
	nothing := func(context.Context, replay.Task) ([]*replay.Command, error) { return nil, nil }
	for name, between := range map[string]*events.Event{"a fact": events.Custom("OrderPaid", 1), "a signal": events.Signaled("s")} {
		late := dense(slices.Concat([]*events.Event{events.WorkflowStarted("Order", "orders")}, task(2),
			[]*events.Event{between, by(4, charge()), by(4, replay.VersionMarker("fee", 2)), by(4, events.WorkflowCompleted())})...)
		report, err := replay.CheckHistory(t.Context(), order, "r", sequence(late), nothing, replay.CheckOptions{})
		if err != nil || report.Agrees() || report.Mismatch.EventID != 6 || len(report.Mismatch.AllRecorded) != 2 {
			t.Errorf("%s, code that asks for nothing: %v, %v", name, report, err)
		}
		var asked []replay.Task
		report, err = replay.CheckHistory(t.Context(), order, "r", sequence(late), func(_ context.Context, task replay.Task) ([]*replay.Command, error) {
			asked = append(asked, task)
			return cmds(charge(), events.WorkflowCompleted()), nil
		}, replay.CheckOptions{})
		if err != nil || !report.Agrees() || report.Commands != 2 || len(asked) != 1 {
			t.Fatalf("%s: %v, %v", name, report, err)
		}
		if first := asked[0]; first.Next != 6 || len(first.History) != 3 || first.Versions["fee"] != 2 || len(first.Markers) != 1 {
			t.Errorf("%s: it was asked %+v", name, first)
		}
		report, err = replay.CheckHistory(t.Context(), order, "r", sequence(late), answers(cmds(charge(), events.WorkflowCompleted(), charge())), replay.CheckOptions{})
		if err != nil || report.Agrees() || report.Mismatch.EventID != 9 {
			t.Errorf("%s, one more: %v, %v", name, report, err)
		}
	}
	// Of two tasks each has its own, though the first one's stand behind the second has begun.
	two := dense(slices.Concat([]*events.Event{events.WorkflowStarted("Order", "orders")}, task(2), []*events.Event{events.Signaled("s")},
		[]*events.Event{events.WorkflowTaskScheduled("orders"), by(4, charge()), events.WorkflowTaskStarted(6, "w"), events.WorkflowTaskCompleted(6, 8, "w")},
		events.DecidedBy(9, events.WorkflowCompleted()))...)
	report, err := replay.CheckHistory(t.Context(), order, "r", sequence(two), answers(cmds(charge()), cmds(events.WorkflowCompleted())), replay.CheckOptions{})
	if err != nil || !report.Agrees() || report.Commands != 2 {
		t.Errorf("two tasks: %v, %v", report, err)
	}
	for _, names := range []events.EventID{0, 1, 6, 99} {
		bad := dense(slices.Concat([]*events.Event{events.WorkflowStarted("Order", "orders")}, task(2), []*events.Event{events.Signaled("s"), by(names, charge())})...)
		_, err := replay.CheckHistory(t.Context(), order, "r", sequence(bad), nothing, replay.CheckOptions{})
		if !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), "event 6 (ActivityTaskScheduled)") {
			t.Errorf("one that names event %d: %v", names, err)
		}
	}
}

// A version that the run has not recorded is told with both sides, at the first
// event of the task that was recorded.
func TestCheckOfAnUnrecordedVersion(t *testing.T) {
	t.Parallel()
	charge := func() *events.Event { return events.ActivityScheduled("charge", "ChargeCard", 42) }
	history := withTasks(events.WorkflowStarted("Order", "orders"), decided{charge(), events.TimerStarted("t", time.Hour), events.TimerStarted("u", time.Hour)})
	report, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), answers(cmds(charge(), replay.VersionMarker("fee", 2))), replay.CheckOptions{})
	if err != nil || report.Agrees() {
		t.Fatal(report, err)
	}
	m := report.Mismatch
	if m.EventID != 5 || m.Recorded != history[4] || len(m.AllRecorded) != 3 || len(m.AllIssued) != 2 || m.Issued != m.AllIssued[1] {
		t.Errorf("%s", report)
	}
	for _, says := range []string{"> 5", "RecordMarker Version of fee, 2", "has not recorded this version"} {
		if !strings.Contains(report.String(), says) {
			t.Errorf("no %q in %s", says, report)
		}
	}
}

// What code says of itself reaches the terminal line by line, without what would
// break it; the name of a history has what there is of it.
func TestReportsAreFitForATerminal(t *testing.T) {
	t.Parallel()
	history := withTasks(events.WorkflowStarted("Order", "orders"), decided{events.ActivityScheduled("a", "A")})
	code := func(context.Context, replay.Task) ([]*replay.Command, error) {
		return nil, errors.New("no\x1b[2J such\rtype\nat line 7")
	}
	report, err := replay.CheckHistory(t.Context(), order, "", sequence(history), code, replay.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := report.String()
	if strings.ContainsAny(text, "\x1b\r") || !strings.Contains(text, "no [2J such type\n  at line 7\n") || !strings.HasPrefix(text, "default/order: differs at event 5") {
		t.Errorf("%q", text)
	}
	report.File = "orders.json"
	asJSON, err := json.Marshal(report)
	if err != nil || !strings.HasPrefix(report.String(), "default/order (orders.json): differs") || !strings.Contains(string(asJSON), `"file":"orders.json"`) {
		t.Errorf("%s\n%s\n%v", report, asJSON, err)
	}
}

// A report holds on to no more of a history than it shows.
func TestReportsLetGoOfTheHistory(t *testing.T) {
	t.Parallel()
	parts := []any{events.WorkflowStarted("Order", "orders"), decided{events.ActivityScheduled("a", "A")}}
	for range 1000 {
		parts = append(parts, events.Signaled("s"))
	}
	report, err := replay.CheckHistory(t.Context(), order, "r", sequence(withTasks(parts...)), answers(nil), replay.CheckOptions{Around: 2})
	if err != nil || report.Agrees() || len(report.Mismatch.Around) != 5 || cap(report.Mismatch.Around) > 100 {
		t.Errorf("%v, %v", report, err)
	}
}

func TestCheckOptionsAreChecked(t *testing.T) {
	t.Parallel()
	history := withTasks(events.WorkflowStarted("Order", "orders"), decided{events.ActivityScheduled("a", "A")})
	_, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), answers(nil), replay.CheckOptions{Around: -1})
	var invalid *events.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "Around" {
		t.Errorf("around -1: %v", err)
	}
	_, err = replay.CheckHistory(t.Context(), order, "r", sequence(history[3:]), answers(nil), replay.CheckOptions{})
	if !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), "begins with event 4: a check needs all of it, from event 1") {
		t.Errorf("a history that begins with event 4: %v", err)
	}
}

// Code that cannot be asked ends the check; code that has no answer is a finding.
func TestCheckOfCodeThatFails(t *testing.T) {
	t.Parallel()
	history := withTasks(events.WorkflowStarted("Order", "orders"), decided{events.ActivityScheduled("a", "A")})
	fails := func(err error) replay.Code {
		return func(context.Context, replay.Task) ([]*replay.Command, error) { return nil, err }
	}
	if _, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), fails(replay.ErrNotAsked), replay.CheckOptions{}); !errors.Is(err, replay.ErrNotAsked) {
		t.Errorf("code that is gone: %v", err)
	}
	report, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), fails(errors.New("no such type")), replay.CheckOptions{})
	if err != nil || report.Agrees() || report.Mismatch.EventID != 5 || !strings.Contains(report.String(), "no such type") {
		t.Errorf("code without an answer: %v %v", report, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := replay.CheckHistory(ctx, order, "r", sequence(history), fails(ctx.Err()), replay.CheckOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	for _, bad := range [][]*events.Event{nil, history[1:], slices.Delete(slices.Clone(history), 2, 3), slices.Delete(slices.Clone(history), 0, 4)} {
		if _, err := replay.CheckHistory(t.Context(), order, "r", sequence(bad), fails(nil), replay.CheckOptions{}); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("a history that begins nowhere: %v", err)
		}
	}
}

// A run of the log, by its name and as the newest.
func TestCheckReadsTheLog(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	history := withTasks(events.WorkflowStarted("Order", "orders"), decided{events.ActivityScheduled("a", "A")})
	res := add(t, log, events.NewRun(), history...)
	for _, run := range []events.RunID{"", res.RunID} {
		report, err := replay.Check(t.Context(), log, order, run, echo(history), replay.CheckOptions{})
		if err != nil || !report.Agrees() || report.Run != res.RunID {
			t.Errorf("%v %v", report, err)
		}
	}
	if _, err := replay.Check(t.Context(), log, order, "none", echo(history), replay.CheckOptions{}); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("a run that is not there: %v", err)
	}
}

// An event and the command that it was written for say the same, field by field.
func TestCommandOf(t *testing.T) {
	t.Parallel()
	for _, e := range []*events.Event{
		events.ActivityScheduled("a", "A", 1), events.TimerStarted("t", time.Hour), events.TimerCanceled("t", 5), events.ActivityCancelRequested(5),
		events.ChildInitiated(events.Child{Workflow: order, Type: "Ship"}, 1), events.Custom("m", 1), events.SearchAttributesUpserted(map[string]any{"A": 1}),
		events.MemoUpserted(map[string]any{"m": 1}), events.WorkflowCompleted(1), events.WorkflowFailed(errors.New("no")), events.WorkflowCanceled("d"),
		events.ContinuedAsNew("Order", "orders", 1), events.UpdateAccepted("u", "add"), events.UpdateCompleted("u", 3),
	} {
		c := replay.CommandOf(e)
		if c == nil || c.GetAttributes() == nil || proto.Size(c) < 3 {
			t.Errorf("%s has no command with attributes: %v", e.GetEventType(), c)
		}
	}
	for _, e := range []*events.Event{nil, {}, events.Signaled("s"), events.WorkflowTerminated("t"), events.ActivityStarted(1, 1, "w"), events.WorkflowStarted("T", "q")} {
		if c := replay.CommandOf(e); c != nil {
			t.Errorf("%s was decided: %v", e.GetEventType(), c)
		}
	}
}

// Every type of command has what it is compared by, and every event of a
// task its command.
func TestEveryCommandTypeIsKnown(t *testing.T) {
	t.Parallel()
	made := map[string]bool{}
	for n := range enumspb.EventType_name {
		if c := replay.CommandOf(&events.Event{EventType: enumspb.EventType(n)}); c != nil {
			made[c.GetCommandType().String()] = true
		}
	}
	for n := range enumspb.CommandType_name {
		if name := enumspb.CommandType(n).String(); n != 0 && !made[name] {
			t.Errorf("no event is for the command %s", name)
		}
	}
}
