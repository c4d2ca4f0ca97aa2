package replayer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/replayer"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// patience is for answers that come; a test of one that does not come has its
// own.
const patience = 2 * time.Minute

// programThat is this binary as a program. What is in our environment would be
// in that of all tests.
func programThat(t *testing.T, how string, env ...string) replayer.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return replayer.Program{Path: "/usr/bin/env", Args: append(env, behave+"="+how, self), Timeout: patience}
}

// run holds this binary as a program against workflows of these ids.
func run(t *testing.T, how string, c replayer.Config, ids ...string) (map[string]replayer.Result, replayer.Summary, error) {
	t.Helper()
	return runAll(t, how, c, histories(ids...))
}

func runAll(t *testing.T, how string, c replayer.Config, all iter.Seq[replayer.History]) (map[string]replayer.Result, replayer.Summary, error) {
	t.Helper()
	p := programThat(t, how, c.Program.Args...)
	c.Program.Path, c.Program.Args = p.Path, p.Args
	if c.Program.Timeout == 0 {
		c.Program.Timeout = patience
	}
	results := map[string]replayer.Result{}
	c.Report = func(r replayer.Result) { results[r.History.Workflow.ID] = r }
	s, err := replayer.Run(t.Context(), all, c)
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
		{"hang in another group", "gave no answer within", 3 * time.Second},
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
	results, s, err := run(t, "twice", replayer.Config{Processes: 1}, "good-1", "bad", "good-2")
	if s.Failed != 1 || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if err := results["good-2"].Err; err == nil || !strings.Contains(err.Error(), "that may be an answer too many about default/bad run r") {
		t.Errorf("%v", err)
	}
	for how, says := range map[string]string{
		"talks at the end": "printed more than was asked for, behind its answers about default/good-1 run r: \"good bye\"", "fails at the end": "answered everything, and ended: exit status 3",
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

// What a program has started ends with it, however it ends, and keeps nobody
// waiting for what it says.
func TestWhatAProgramHasStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	path := namedPipe(t)
	gone := make(chan error, 1)
	go func() {
		f, err := os.Open(path) // until the program has it open, too
		if err == nil {
			_, err = io.Copy(io.Discard, f) // until nobody holds it any more
			err = errors.Join(err, f.Close())
		}
		gone <- err
	}()
	_, s, err := run(t, "leaves a child", replayer.Config{Processes: 1, Program: replayer.Program{Args: []string{pipe + "=" + path}}}, "good-1")
	if err != nil || s.Agree != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	select {
	case err := <-gone:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the child is there still")
	}
}

// A child that has the standard output of a program that died hides neither that
// it died nor how.
func TestAProgramThatDiesBeforeItsChild(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"dies before its child", "dies before a child of its own"} {
		path := namedPipe(t)
		results, s, err := run(t, how, replayer.Config{Processes: 1, Program: replayer.Program{Args: []string{pipe + "=" + path}}}, "bad")
		if err != nil || s.Failed != 1 || !strings.Contains(results["bad"].Err.Error(), "ended without an answer: exit status 7") {
			t.Errorf("%s: %+v, %v, %v", how, s, err, results["bad"].Err)
		}
		if how == "dies before its child" {
			continue
		}
		tell, err := os.OpenFile(path, os.O_WRONLY, 0) // once the child waits
		if err != nil {
			t.Fatal(err)
		}
		if err := tell.Close(); err != nil {
			t.Error(err)
		}
	}
}

func namedPipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program that answers what it has not read is told so.
func TestAProgramThatDoesNotRead(t *testing.T) {
	t.Parallel()
	long := func(yield func(*events.Event, error) bool) {
		e := events.WorkflowStarted("Order", "q", strings.Repeat("x", 1<<20)) // more than a pipe holds
		e.EventId = 1
		yield(e, nil)
	}
	results, s, err := runAll(t, "talks without reading", replayer.Config{Processes: 1, Program: replayer.Program{Timeout: 3 * time.Second}},
		slices.Values([]replayer.History{{Workflow: events.Workflow{Namespace: "default", ID: "long"}, Events: long}}))
	if err != nil || s.Failed != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, says := range []string{"asked about default/long for", "did not read the question within 3s", `{\"task\":1}`} {
		if text := results["long"].Err.Error(); !strings.Contains(text, says) {
			t.Errorf("no %q in %s", says, text)
		}
	}
}

// What is wrong with a history is no failure of the program.
func TestHistoriesThatAreWrongStopNothing(t *testing.T) {
	t.Parallel()
	all := slices.Collect(histories(slices.Repeat([]string{"good"}, 14)...))
	for i := range 12 {
		all[i].Events = func(yield func(*events.Event, error) bool) { yield(nil, events.ErrInvalid) }
		all[i].Workflow.ID = fmt.Sprint("wrong-", i)
	}
	all[13].File = "good.json"
	results, s, err := runAll(t, "well", replayer.Config{Processes: 1}, slices.Values(all))
	if err != nil || s.Failed != 12 || s.Agree != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	good := results["good"]
	if good.Report.File != "good.json" || !strings.HasPrefix(good.Report.String(), "default/good run r (good.json): agrees") {
		t.Errorf("%s", good.Report)
	}
	if good.History.Events != nil {
		t.Error("a result holds all events")
	}
}

// How one process ends is no matter of the histories that others are asked about.
func TestAnEndThatFailsLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	for range 10 {
		all := slices.Collect(histories("a", "b"))
		reported := make(chan struct{})
		all[1].Events = func(yield func(*events.Event, error) bool) {
			<-reported // and so the first process is about to end
			history(yield)
		}
		var once sync.Once
		c := replayer.Config{Processes: 2, Program: programThat(t, "fails at the end"), Report: func(replayer.Result) { once.Do(func() { close(reported) }) }}
		s, err := replayer.Run(t.Context(), slices.Values(all), c)
		if s.Agree != 2 || err == nil || strings.Count(err.Error(), "answered everything, and ended: exit status 3") < 1 {
			t.Fatalf("%+v, %v", s, err)
		}
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
	_, s, err = run(t, "die", replayer.Config{Processes: 1, MaxFailures: 4}, bad[:4]...)
	if err != nil || s.Failed != 4 {
		t.Errorf("where none was left out: %+v, %v", s, err)
	}
	_, s, err = run(t, "die", replayer.Config{Processes: 4}, bad...)
	if !errors.Is(err, replayer.ErrStopped) || s.Failed != 10 {
		t.Errorf("several processes: %+v, %v", s, err)
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
