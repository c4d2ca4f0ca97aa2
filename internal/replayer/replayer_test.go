package replayer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/replayer"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// patience is for answers that come; a test of one that does not come has its
// own.
const patience = 2 * time.Minute

// run holds this binary as a program against workflows of these ids.
func run(t *testing.T, how string, c replayer.Config, ids ...string) (map[string]replayer.Result, replayer.Summary, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// What is in the environment would be in that of all tests.
	c.Program.Path, c.Program.Args = "/usr/bin/env", []string{behave + "=" + how, self}
	if c.Program.Timeout == 0 {
		c.Program.Timeout = patience
	}
	results := map[string]replayer.Result{}
	c.Report = func(r replayer.Result) { results[r.History.Workflow.ID] = r }
	s, err := replayer.Run(t.Context(), histories(ids...), c)
	return results, s, err
}

func histories(ids ...string) iter.Seq[replayer.History] {
	return func(yield func(replayer.History) bool) {
		for _, id := range ids {
			if !yield(replayer.History{Workflow: events.Workflow{Namespace: "default", ID: id}, Run: "r", Events: history}) {
				return
			}
		}
	}
}

// history is an order, charged and completed.
func history(yield func(*events.Event, error) bool) {
	task := func(n events.EventID) []*events.Event {
		return []*events.Event{events.WorkflowTaskScheduled("q"), events.WorkflowTaskStarted(n, "w"), events.WorkflowTaskCompleted(n, n+1, "w")}
	}
	for i, e := range slices.Concat(
		[]*events.Event{events.WorkflowStarted("Order", "q")}, task(2), events.DecidedBy(4, events.ActivityScheduled("charge", "Charge")),
		[]*events.Event{events.ActivityStarted(5, 1, "w"), events.ActivityCompleted(5, 6)}, task(8), events.DecidedBy(10, events.WorkflowCompleted())) {
		e.EventId = int64(i + 1)
		if !yield(e, nil) {
			return
		}
	}
}

func TestManyHistoriesSideBySide(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprint("order-", i))
	}
	results, s, err := run(t, "well", replayer.Config{Processes: 3}, ids...)
	if err != nil || s.Agree != 40 || s.Differ+s.Failed != 0 || len(results) != 40 || s.Events != 440 {
		t.Errorf("%+v, %v", s, err)
	}
	_, s, err = run(t, "well", replayer.Config{})
	if err != nil || s != (replayer.Summary{}) {
		t.Errorf("of no histories: %+v, %v", s, err)
	}
}

// One history that the program does badly with says what is wrong, with the
// workflow's name and what is on standard error; the others are checked.
func TestAProgramThatFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		how, says string
		timeout   time.Duration
	}{
		{"die", "ended without an answer: exit status 7", 0},
		{"hang", "gave no answer within", 3 * time.Second},
		{"deaf", "gave no answer within", 3 * time.Second},
		{"nonsense", `printed what is no answer (standard output is for answers`, 0},
		{"flood", "printed a line of more than 100000 bytes", 0},
		{"wrong number", "answered task", 0},
		{"no number", "without the number of its task", 0},
		{"unknown field", `unknown field "comands"`, 0},
		{"unknown command field", "startTimerCommandAttributes.timmerId", 0},
		{"no type", "has no commandType", 0},
		{"no command", "is none that code decides on", 0},
		{"both", "one of them says it", 0},
	} {
		t.Run(tt.how, func(t *testing.T) {
			t.Parallel()
			ids := []string{"good-1", "bad", "good-2"}
			if tt.timeout != 0 {
				ids = []string{"bad"} // a good one might take as long, on a busy machine
			}
			results, s, err := run(t, tt.how, replayer.Config{Processes: 1, Program: replayer.Program{Timeout: tt.timeout, MaxAnswer: 100_000}}, ids...)
			if err != nil || s.Failed != 1 || s.Agree != len(ids)-1 {
				t.Fatalf("%+v, %v, %v", s, err, results)
			}
			var failed *replayer.ProgramError
			if err := results["bad"].Err; !errors.As(err, &failed) || !errors.Is(err, replay.ErrNotAsked) {
				t.Fatalf("%v", err)
			}
			text := failed.Error()
			for _, want := range []string{tt.says, "default/bad run r", "the program says: " + tt.how} {
				if tt.timeout != 0 && strings.HasPrefix(want, "the program") {
					continue // it may not have begun by then
				}
				if !strings.Contains(text, want) {
					t.Errorf("no %q in: %s", want, text)
				}
			}
		})
	}
}

// One answer too many is found out: with the next history, or at the end.
func TestAProgramThatAnswersTwice(t *testing.T) {
	t.Parallel()
	_, s, err := run(t, "twice", replayer.Config{Processes: 1}, "good-1", "bad", "good-2")
	if s.Failed != 1 || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	for how, says := range map[string]string{
		"talks at the end": "printed more than was asked for: \"good bye\"", "fails at the end": "answered everything, and ended: exit status 3",
	} {
		_, s, err := run(t, how, replayer.Config{Processes: 1}, "good-1")
		if s.Agree != 1 || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v", how, s, err)
		}
	}
	_, _, err = run(t, "stays", replayer.Config{Processes: 1, Program: replayer.Program{EndTimeout: 3 * time.Second}}, "good-1")
	if err == nil || !strings.Contains(err.Error(), "did not end within 3s") {
		t.Errorf("one that stays: %v", err)
	}
}

func TestCodeThatDiffers(t *testing.T) {
	t.Parallel()
	results, s, err := run(t, "other", replayer.Config{}, "good-1", "bad", "good-2")
	if err != nil || s.Differ != 1 || s.Agree != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if m := results["bad"].Report.Mismatch; m == nil || m.EventID != 5 || len(m.Fields) != 1 || m.Fields[0].Issued != "ChargeCard" {
		t.Errorf("%s", results["bad"].Report)
	}
	results, s, err = run(t, "error", replayer.Config{}, "bad")
	if err != nil || s.Differ != 1 || !strings.Contains(results["bad"].Report.String(), "no such workflow type") {
		t.Errorf("%+v, %v, %v", s, err, results)
	}
}

func TestItStops(t *testing.T) {
	t.Parallel()
	bad := slices.Repeat([]string{"bad"}, 30)
	_, s, err := run(t, "die", replayer.Config{Processes: 1, MaxFailures: 4}, bad...)
	if !errors.Is(err, replayer.ErrStopped) || s.Failed != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	results := 0
	_, err = replayer.Run(t.Context(), histories("a", "b"), replayer.Config{
		Program: replayer.Program{Path: "/nothing/there"}, Processes: 1, Report: func(r replayer.Result) {
			results++
			if r.Err == nil || !strings.Contains(r.Err.Error(), "does not start") {
				t.Errorf("%v", r.Err)
			}
		},
	})
	if err != nil || results != 2 {
		t.Errorf("%v, %d results", err, results)
	}
	// The end of the context ends what hangs.
	ctx, cancel := context.WithCancel(t.Context())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	asked := func(yield func(*events.Event, error) bool) {
		cancel() // the process is there by now
		history(yield)
	}
	_, err = replayer.Run(ctx, slices.Values([]replayer.History{{Workflow: events.Workflow{Namespace: "default", ID: "bad"}, Run: "r", Events: asked}}),
		replayer.Config{Program: replayer.Program{Path: "/usr/bin/env", Args: []string{behave + "=hang", self}, Timeout: patience}, Processes: 1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
