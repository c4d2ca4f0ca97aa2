package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// annalsOn runs a command on a log of the test's.
func annalsOn(t *testing.T, log events.Log, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	a := newApp(Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	a.open = func(context.Context) (events.Log, error) { return log, nil }
	code = a.main(t.Context(), annals, args)
	return out.String(), errs.String(), code
}

// An append that is stored, and whose answer is lost, prints what settles it;
// sent back, it is recognised, and nothing is stored twice.
func TestAppendOfUnknownOutcome(t *testing.T) {
	for _, tc := range []struct {
		name    string
		applied bool // whether the lost attempt was stored
	}{
		{"stored, acknowledgement lost", true},
		{"lost on its way", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var lost atomic.Bool
			log, err := memlog.New(memlog.Config{Streams: 1, Hook: func(memlog.Op) (bool, error) {
				if lost.Load() {
					return tc.applied, errors.New("connection lost")
				}
				return true, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			start := `{"eventType": "WorkflowExecutionStarted"}`
			signal := `{"eventType": "WorkflowExecutionSignaled", "workflowExecutionSignaledEventAttributes": {"signalName": "paid"}}`
			if _, stderr, code := annalsOn(t, log, start, "append", "w", "--events", "-"); code != 0 {
				t.Fatalf("exit code %d\n%s", code, stderr)
			}
			lost.Store(true)
			stdout, stderr, code := annalsOn(t, log, signal, "append", "w", "--events", "-", "--timeout", "50ms", "-o", "json")
			if code != 3 {
				t.Fatalf("exit code %d, want 3: it is not known\n%s%s", code, stdout, stderr)
			}
			var answer struct {
				Error struct{ Code, CommitID, Expectation string }
			}
			if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Error.Code != "outcomeUnknown" || answer.Error.CommitID == "" || answer.Error.Expectation == "" {
				t.Fatalf("answer %+v", answer)
			}
			table, _, _ := annalsOn(t, log, signal, "append", "w", "--events", "-", "--timeout", "50ms", "--commit-id", answer.Error.CommitID, "--expectation", answer.Error.Expectation)
			if !strings.Contains(table, "expectation  ") {
				t.Errorf("asked again while it is still unknown, the table is\n%s", table)
			}

			lost.Store(false)
			stdout, stderr, code = annalsOn(t, log, signal, "append", "w", "--events", "-", "-o", "json", "--commit-id", answer.Error.CommitID, "--expectation", answer.Error.Expectation)
			if code != 0 {
				t.Fatalf("sent back: exit code %d\n%s%s", code, stdout, stderr)
			}
			var got appended
			if err := json.Unmarshal([]byte(stdout), &got); err != nil {
				t.Fatal(err)
			}
			want := appended{RunID: got.RunID, FirstEventID: 2, LastEventID: 2, Position: "0:2", Vector: got.Vector, Existed: tc.applied, CommitID: events.CommitID(answer.Error.CommitID), Status: "Running"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sent back (-want +got):\n%s", diff)
			}
			stdout, _, _ = annalsOn(t, log, "", "history", "w", "-o", "jsonl")
			if n := strings.Count(stdout, "\n"); n != 2 {
				t.Errorf("the history has %d events, want 2\n%s", n, stdout)
			}
		})
	}
}

func TestRunBesideAnExpectation(t *testing.T) {
	const (
		start    = `{"eventType": "WorkflowExecutionStarted"}`
		signal   = `{"eventType": "WorkflowExecutionSignaled", "workflowExecutionSignaledEventAttributes": {"signalName": "paid"}}`
		complete = `{"eventType": "WorkflowExecutionCompleted"}`
	)
	expectation, err := events.AtEnd().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		stdin string
		args  []string
		code  int
		run   string // where the workflow is afterwards
	}{
		{"another run than --after", signal, []string{"--after", "R:1", "--run", "S"}, 2, "R"},
		{"the run of --after", signal, []string{"--after", "R:1", "--run", "R"}, 0, "R"},
		{"with a start it names the new run", complete + "\n" + start, []string{"--after", "R:1", "--run", "S"}, 0, "S"},
		{"with a token", signal, []string{"--expectation", string(expectation), "--commit-id", "c", "--run", "R"}, 2, "R"},
		{"a start with a token", complete + "\n" + start, []string{"--expectation", string(expectation), "--commit-id", "c", "--run", "S"}, 0, "S"},
	} {
		log, err := memlog.New(memlog.Config{Streams: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := annalsOn(t, log, start, "append", "w", "--events", "-", "--run", "R"); code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		_, stderr, code := annalsOn(t, log, tc.stdin, append([]string{"append", "w", "--events", "-"}, tc.args...)...)
		if code != tc.code || code == 2 && !strings.Contains(stderr, "--run") {
			t.Errorf("%s: exit code %d, want %d\n%s", tc.name, code, tc.code, stderr)
		}
		end, err := log.Tail(t.Context(), events.Workflow{Namespace: "default", ID: "w"})
		if err != nil || end.Run() != events.RunID(tc.run) {
			t.Errorf("%s: the workflow ends at %v, %v; want run %s", tc.name, end, err, tc.run)
		}
	}
}

func TestRunAndEvent(t *testing.T) {
	for _, tc := range []struct {
		in  string
		run events.RunID
		id  events.EventID
		ok  bool
	}{
		{"R:1", "R", 1, true},
		{"a:b:c:12", "a:b:c", 12, true},
		{":1", "", 0, false},
		{"R:", "", 0, false},
		{"R:0", "", 0, false},
		{"R:-1", "", 0, false},
		{"R", "", 0, false},
	} {
		run, id, err := runAndEvent(tc.in)
		if run != tc.run || id != tc.id || (err == nil) != tc.ok {
			t.Errorf("%q: %q, %d, %v", tc.in, run, id, err)
		}
	}
}
