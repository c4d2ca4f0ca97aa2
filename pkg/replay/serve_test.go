package replay_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// served is code that is asked by the protocol, of a Serve at the other end.
func served(t *testing.T, code replay.Code) replay.Code {
	t.Helper()
	ask, questions := io.Pipe()
	answers, answer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- replay.Serve(context.Background(), ask, answer, code)
		_ = answer.Close()
	}()
	t.Cleanup(func() {
		_ = questions.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	lines, n := bufio.NewReader(answers), 0
	return func(_ context.Context, task replay.Task) ([]*replay.Command, error) {
		n++
		question, err := replay.EncodeTask(n, task)
		if err != nil {
			return nil, errors.Join(replay.ErrNotAsked, err)
		}
		if _, err := questions.Write(question); err != nil {
			return nil, errors.Join(replay.ErrNotAsked, err)
		}
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, errors.Join(replay.ErrNotAsked, err)
		}
		return replay.DecodeAnswer(line, n)
	}
}

// Over the protocol code is given the same tasks and gives the same answers, of
// all real histories, one after the other.
func TestServeIsAskingTheCode(t *testing.T) {
	t.Parallel()
	var direct, there replay.Task
	var history []*events.Event
	over := served(t, func(ctx context.Context, task replay.Task) ([]*replay.Command, error) {
		there = task
		return echo(history)(ctx, task)
	})
	for name, h := range realHistories(t) {
		history = h
		report, err := replay.CheckHistory(t.Context(), order, "r", sequence(h), func(ctx context.Context, task replay.Task) ([]*replay.Command, error) {
			direct = task
			commands, err := over(ctx, task)
			if err == nil {
				sameTask(t, name, direct, there)
			}
			return commands, err
		}, replay.CheckOptions{Compare: replay.CompareAll})
		if err != nil && strings.Contains(err.Error(), "as JSON") {
			continue // an event that JSON cannot hold
		}
		if err != nil || !report.Agrees() || report.Commands != len(comparedEvents(h)) {
			t.Errorf("%s: %v, %v", name, report, err)
		}
	}
}

func sameTask(t *testing.T, name string, a, b replay.Task) {
	t.Helper()
	same := func(x, y []*events.Event) bool {
		for i := range x {
			if len(x) != len(y) || !proto.Equal(x[i], y[i]) {
				return false
			}
		}
		return len(x) == len(y)
	}
	if a.Workflow != b.Workflow || a.Run != b.Run || a.Type != b.Type || a.Next != b.Next || !a.Time.Equal(b.Time) || a.Recorded != b.Recorded ||
		len(a.Versions) != len(b.Versions) || !same(a.New, b.New) || !same(a.History, b.History) || !same(a.Markers, b.Markers) {
		t.Fatalf("%s: task of event %d: asked with %d events, %d new, %d markers, versions %v; there are %d, %d, %d, %v",
			name, a.Next, len(a.History), len(a.New), len(a.Markers), a.Versions, len(b.History), len(b.New), len(b.Markers), b.Versions)
	}
}

func TestServeAnswersErrorsAndPanics(t *testing.T) {
	t.Parallel()
	history := withTasks(events.WorkflowStarted("Order", "orders"), decided{events.ActivityScheduled("a", "A")})
	for says, code := range map[string]replay.Code{
		"no such type":  func(context.Context, replay.Task) ([]*replay.Command, error) { return nil, errors.New("no such type") },
		"it panics: no": func(context.Context, replay.Task) ([]*replay.Command, error) { panic("no") },
	} {
		report, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), served(t, code), replay.CheckOptions{})
		if err != nil || report.Agrees() || !strings.Contains(report.Mismatch.Reason, says) {
			t.Errorf("%s: %v, %v", says, report, err)
		}
	}
	for _, in := range []string{"hello\n", "{\n", `{"task":1,"time":"noon"}` + "\n", `{"task":1,"events":[{"eventId":{}}]}`} {
		if err := replay.Serve(t.Context(), strings.NewReader(in), io.Discard, echo(nil)); err == nil {
			t.Errorf("%q was taken for a question", in)
		}
	}
	gone := errors.Join(replay.ErrNotAsked, errors.New("gone"))
	err := replay.Serve(t.Context(), strings.NewReader(`{"task":1,"begin":true}`), io.Discard, func(context.Context, replay.Task) ([]*replay.Command, error) { return nil, gone })
	if !errors.Is(err, replay.ErrNotAsked) {
		t.Errorf("code that cannot be asked: %v", err)
	}
}

// An answer is refused by the place at which it is wrong.
func TestAnswersAreRefusedByPath(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		`{"task":1,"commands":[{"commandType":"StartTimer","scheduleActivityTaskCommandAttributes":{"activityId":"x"}}]}`: "commands[0].commandType: StartTimer has startTimerCommandAttributes, and not scheduleActivityTaskCommandAttributes",
		`{"task":1,"events":[{"eventType":"TimerStarted","activityTaskScheduledEventAttributes":{"activityId":"x"}}]}`:    "events[0].eventType: TimerStarted has timerStartedEventAttributes, and not activityTaskScheduledEventAttributes",
		`{"task":1,"commands":[null]}`:                 "is none: commands[0]: invalid value",
		`{"task":1,"events":[null]}`:                   "is none: events[0]: invalid value",
		`{"task":1,"commands":[{"commandType":9999}]}`: "commands[0].commandType: 9999 is no type of command",
		`{"task":1,"commands":[{"commandType":"StartTimer","startTimerCommandAttributes":{"timmerId":"t"}}]}`: "commands[0].startTimerCommandAttributes.timmerId: unknown field",
	} {
		_, err := replay.DecodeAnswer([]byte(line), 1)
		if !errors.Is(err, replay.ErrNotAsked) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", line, err, says)
		}
	}
	for _, line := range []string{`{"task":1,"error":""}`, `{"task":1,"error":" "}`} {
		var none *replay.CodeError
		if _, err := replay.DecodeAnswer([]byte(line), 1); !errors.As(err, &none) || none.Reason != "(it does not say why)" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Commands that are none, which only code in Go can have, are a difference.
func TestCheckOfCommandsThatAreNone(t *testing.T) {
	t.Parallel()
	another := replay.CommandOf(events.ActivityScheduled("a", "A"))
	another.CommandType = enumspb.COMMAND_TYPE_START_TIMER
	unknown := &replay.Command{CommandType: 9999}
	for _, recorded := range []*events.Event{
		events.ActivityScheduled("a", "A"), events.TimerStarted("t", time.Hour), events.SearchAttributesUpserted(map[string]any{"A": 1}),
		events.ChildInitiated(events.Child{Workflow: order, Type: "Ship"}), events.Custom("m", 1), events.MemoUpserted(map[string]any{"m": 1}),
	} {
		for _, c := range []*replay.Command{nil, {}, another, unknown} {
			bare := proto.CloneOf(another)
			bare.CommandType = replay.CommandOf(recorded).GetCommandType()
			for _, c := range []*replay.Command{c, bare} {
				history := withTasks(events.WorkflowStarted("Order", "orders"), decided{recorded})
				report, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), answers([]*replay.Command{c, c}), replay.CheckOptions{Compare: replay.CompareAll})
				if err != nil || report.Agrees() || report.String() == "" {
					t.Errorf("%v against %v: %v, %v", c, recorded, report, err)
				}
				if _, err := json.Marshal(report); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// Whatever a program prints is commands, an error of the code, or none of these
// with a reason; commands have a type and can be written again.
func FuzzDecodeAnswer(f *testing.F) {
	for _, line := range []string{
		`{"task":1}`, `{"task":1,"commands":[]}`, `{"task":1,"commands":[{"commandType":"StartTimer","startTimerCommandAttributes":{"timerId":"t"}}]}`,
		`{"task":1,"events":[{"eventType":"TimerStarted","timerStartedEventAttributes":{"timerId":"t"}}]}`, `{"task":1,"error":"no"}`, `{"task":2}`, `{}`, `hello`, ``,
		`{"task":1,"events":[{"eventType":"MarkerRecorded"}]} {}`, `{"task":1,"events":[{"eventType":"WorkflowExecutionUpdateAccepted"}]}`,
		`{"task":1,"commands":[{"commandType":"StartTimer","scheduleActivityTaskCommandAttributes":{"activityId":"x"}}]}`,
		`{"task":1,"events":[{"eventType":"TimerStarted","activityTaskScheduledEventAttributes":{"activityId":"x"}}]}`,
		`{"task":1,"commands":[null]}`, `{"task":1,"commands":[{"commandType":9999}]}`, `{"task":1,"error":""}`,
		`{"task":1,"commands":[{"commandType":"ScheduleActivityTask"}]}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		commands, err := replay.DecodeAnswer(line, 1)
		var none *replay.CodeError
		switch {
		case errors.As(err, &none) == errors.Is(err, replay.ErrNotAsked) && err != nil:
			t.Fatalf("neither, or both: %v", err)
		case err != nil && len(commands) > 0:
			t.Fatalf("commands with an error: %v", err)
		case err == nil && !json.Valid(line):
			t.Fatalf("%q is no JSON", line)
		}
		for _, c := range commands {
			if c.GetCommandType() == 0 {
				t.Fatalf("a command without a type: %v", c)
			}
		}
		// Whatever was taken can be compared and described.
		history := withTasks(events.WorkflowStarted("Order", "orders"), decided{events.ActivityScheduled("a", "A")})
		report, err := replay.CheckHistory(t.Context(), order, "r", sequence(history), answers(commands), replay.CheckOptions{Compare: replay.CompareAll})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(report); err != nil || report.String() == "" {
			t.Fatal(err)
		}
	})
}
