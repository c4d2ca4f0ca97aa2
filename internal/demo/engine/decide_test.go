package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// everything asks for whatever a workflow can ask for.
var (
	everything = engine.Workflow[string, string]{Name: "Everything"}
	greet      = engine.Activity[string, string]{Name: "Greet", Run: func(_ context.Context, whom string) (string, error) { return "hello " + whom, nil }}
	small      = engine.Workflow[string, string]{Name: "Small", Run: func(_ *engine.Context, in string) (string, error) { return in + "!", nil }}
)

func init() {
	everything.Run = func(ctx *engine.Context, in string) (string, error) {
		engine.SetSearchAttributes(ctx, map[string]any{"Whom": in})
		engine.SetMemo(ctx, map[string]any{"note": in})
		first := engine.ExecuteActivity(ctx, greet, in)
		child := engine.ExecuteChildWorkflow(ctx, small, ctx.Workflow().ID+"/child", in)
		never := engine.NewTimer(ctx, 24*time.Hour)
		greeting, err := first.Get(ctx)
		if err != nil {
			return "", err
		}
		answer, err := child.Get(ctx)
		if err != nil {
			return "", err
		}
		never.Cancel(ctx)
		engine.SetSearchAttributes(ctx, map[string]any{"Greeted": ctx.Now().Unix()})
		engine.Sleep(ctx, time.Second)
		if in == "world" {
			return "", engine.ContinueAsNew(everything, "moon")
		}
		return greeting + answer, nil
	}
}

// live runs a workflow to its end and gives the histories of its runs.
func live(t *testing.T, log events.Log) (runs [][]*events.Event, ids []events.RunID) {
	first := begin(t, log, "w", everything, "world")
	dismiss := employ(t, engine.Config{Log: log}, everything, small, greet)
	last := finish(t, log, "w")
	dismiss()
	tail, err := log.Tail(t.Context(), named("w"))
	if err != nil {
		t.Fatal(err)
	}
	return [][]*events.Event{history(t, log, "w", first), last}, []events.RunID{first, tail.Run()}
}

// Over each part of a history at which a workflow task was due, the code asks
// for what the history has next, and for the same each time.
func TestTheSameHistoryGivesTheSameCommands(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		runs, ids := live(t, log)
		registry := engine.NewRegistry(everything, small, greet)
		ignored := protocmp.IgnoreFields(&events.Event{}, "event_id", "event_time")
		tasks := 0
		for i, all := range runs {
			for at, e := range all {
				if e.GetWorkflowTaskScheduledEventAttributes() == nil {
					continue
				}
				tasks++
				now := all[at+1].GetEventTime().AsTime()
				decision, err := registry.Decide(named("w"), ids[i], all[:at], now)
				if err != nil || !decision.Due {
					t.Fatalf("before event %d: due %t, %v", at+1, decision.Due, err)
				}
				again, err := registry.Decide(named("w"), ids[i], all[:at], now)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(decision.Commands, again.Commands, protocmp.Transform()); diff != "" {
					t.Errorf("before event %d, twice: %s", at+1, diff)
				}
				// What only the append knows is not in the commands.
				got := events.DecidedBy(events.EventID(at+3), decision.Commands...)
				want := all[at+3 : at+3+len(got)]
				if len(got) == 0 {
					continue // what has happened is not all that is waited for
				}
				if can := got[len(got)-1].GetWorkflowExecutionContinuedAsNewEventAttributes(); can != nil {
					was := want[len(want)-1].GetWorkflowExecutionContinuedAsNewEventAttributes()
					can.NewExecutionRunId, can.Memo, can.SearchAttributes = was.NewExecutionRunId, was.Memo, was.SearchAttributes
				}
				if diff := cmp.Diff(want, got, protocmp.Transform(), ignored); diff != "" {
					t.Errorf("before event %d: (-recorded +issued) %s", at+1, diff)
				}
			}
		}
		if tasks < 6 {
			t.Errorf("%d workflow tasks, want more of them", tasks)
		}
	})
}

// A workflow task is due after what a workflow may wait for, and only then.
func TestWhatIsDue(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		live(t, log)
		registry := engine.NewRegistry(everything, small, greet)
		var all []*events.Event
		seen := map[bool]int{}
		for c, err := range log.Commits(t.Context(), named("w")) {
			if err != nil {
				t.Fatal(err)
			}
			segments, err := c.Segments()
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range segments {
				if s.Opens() {
					all = nil
				}
				all = append(all, s.Events...)
				want := true
				switch first := s.Events[0].GetEventType().String(); first {
				case "WorkflowTaskScheduled", "ChildWorkflowExecutionStarted":
					want = false
				}
				d, err := registry.Decide(named("w"), s.Run, all, time.Now())
				if err != nil || d.Due != want {
					t.Errorf("after %s: due %t, %v; want %t", outline(s.Events), d.Due, err, want)
				}
				seen[want]++
			}
		}
		if seen[true] < 5 || seen[false] < 5 {
			t.Errorf("tried %v", seen)
		}
	})
}

// Code that was changed is found out, at the first event where it parts.
func TestChangedCode(t *testing.T) {
	other := engine.Activity[string, string]{Name: "Salute"}
	for _, tc := range []struct {
		name string
		code func(ctx *engine.Context, in string) (string, error)
		want string
	}{
		{"another activity", func(ctx *engine.Context, in string) (string, error) {
			engine.SetSearchAttributes(ctx, map[string]any{"Whom": in})
			engine.SetMemo(ctx, map[string]any{"note": in})
			return engine.ExecuteActivity(ctx, other, in).Get(ctx)
		}, "event 7: the history has ActivityTaskScheduled Greet as 7, the code asks for ActivityTaskScheduled Salute as 7"},
		{"a command fewer", func(ctx *engine.Context, in string) (string, error) {
			engine.SetSearchAttributes(ctx, map[string]any{"Whom": in})
			engine.Await(ctx, engine.CancelRequest(ctx))
			return in, nil
		}, "event 6: the history has WorkflowPropertiesModified, the code asks for nothing more"},
		{"a command more", func(ctx *engine.Context, in string) (string, error) {
			engine.SetSearchAttributes(ctx, map[string]any{"Whom": in})
			engine.SetMemo(ctx, map[string]any{"note": in})
			engine.ExecuteActivity(ctx, greet, in)
			engine.ExecuteChildWorkflow(ctx, small, ctx.Workflow().ID+"/child", in)
			engine.NewTimer(ctx, time.Hour)
			engine.Sleep(ctx, time.Hour)
			return in, nil
		}, "event 10: the history has nothing more, the code asks for TimerStarted 10"},
		{"another child", func(ctx *engine.Context, in string) (string, error) {
			engine.SetSearchAttributes(ctx, map[string]any{"Whom": in})
			engine.SetMemo(ctx, map[string]any{"note": in})
			engine.ExecuteActivity(ctx, greet, in)
			return engine.ExecuteChildWorkflow(ctx, small, "another", in).Get(ctx)
		}, "event 8: the history has StartChildWorkflowExecutionInitiated Small as w/child, the code asks for StartChildWorkflowExecutionInitiated Small as another"},
		{"an end too early", func(_ *engine.Context, in string) (string, error) { return in, nil }, "event 5: the history has UpsertWorkflowSearchAttributes, the code asks for WorkflowExecutionCompleted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, log *memlog.Log) {
				runs, ids := live(t, log)
				changed := engine.NewRegistry(engine.Workflow[string, string]{Name: everything.Name, Run: tc.code})
				_, err := changed.Decide(named("w"), ids[1], runs[1], time.Now())
				var parts *engine.NondeterminismError
				if !errors.As(err, &parts) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v\nwant %s", err, tc.want)
				}
			})
		})
	}
}

// A workflow whose code panics, or is not known, or asks for what cannot be
// written, is set aside; the others go on.
func TestSetAside(t *testing.T) {
	panics := engine.Workflow[int, int]{Name: "Panics", Run: func(*engine.Context, int) (int, error) { panic("out of paper") }}
	channel := engine.Workflow[int, chan int]{Name: "Channel", Run: func(*engine.Context, int) (chan int, error) { return make(chan int), nil }}
	unknown := engine.Workflow[int, int]{Name: "Unknown"}
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		begin(t, log, "panics", panics, 1)
		begin(t, log, "channel", channel, 1)
		begin(t, log, "unknown", unknown, 1)
		begin(t, log, "fine", small, "fine")
		said := make(chan string, 3)
		dismiss := employ(t, engine.Config{Log: log, Logger: slog.New(slog.DiscardHandler), Aside: func(w events.Workflow, err error) { said <- fmt.Sprint(w.ID, ": ", err) }}, panics, channel, small)
		if got := result[string](t, finish(t, log, "fine")); got != "fine!" {
			t.Errorf("the other workflow came to %q", got)
		}
		all := <-said + <-said + <-said
		for _, want := range []string{"panics: ", "out of paper", `unknown: this worker knows no workflow "Unknown"`, "channel: ", "result[0]"} {
			if !strings.Contains(all, want) {
				t.Errorf("set aside %s\nwant %q", all, want)
			}
		}
		dismiss()
		wantOutline(t, history(t, log, "panics", ""), "WorkflowExecutionStarted")
	})
}
