package cli

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// damaged is a log with some messages that cannot be read.
type damaged struct {
	events.Log
	at     map[uint64]bool
	damage func(*events.Message)
}

func (d damaged) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for m, err := range d.Log.Follow(ctx, p, o) {
			if err == nil && d.at[m.Position.Sequence] {
				d.damage(&m)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// What cannot be read is passed over, and the exit code says so.
func TestWatchOfWhatCannotBeRead(t *testing.T) {
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"a", "b", "c", "d"} {
		if _, stderr, code := annalsOn(t, log, `{"eventType": "WorkflowExecutionStarted"}`, "append", w, "--events", "-"); code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
	}
	for _, damage := range []struct {
		name string
		do   func(*events.Message)
	}{
		{"no commit", func(m *events.Message) { m.Header = nil }},
		{"no body", func(m *events.Message) { m.Body = []byte("x") }},
	} {
		for _, tc := range []struct {
			name  string
			at    map[uint64]bool
			args  []string
			code  int
			lines int
			says  string
		}{
			{"whole", nil, []string{"--until-end"}, 0, 4, ""},
			{"until the end", map[uint64]bool{1: true, 3: true}, []string{"--until-end"}, 3, 2, "2 commits could not be read"},
			{"a limit", map[uint64]bool{1: true}, []string{"--limit", "2"}, 3, 2, "1 commit could not be read"},
			{"a limit before it", map[uint64]bool{4: true}, []string{"--limit", "2"}, 0, 2, ""},
			{"one workflow, to follow for ever", map[uint64]bool{2: true}, []string{"--workflow", "b"}, 3, 0, "corrupt"},
			{"another workflow", map[uint64]bool{2: true}, []string{"--workflow", "c", "--until-end"}, 0, 1, ""},
		} {
			d := damaged{Log: log, at: tc.at, damage: damage.do}
			stdout, stderr, code := annalsOn(t, d, "", append([]string{"watch", "--from-start", "-o", "jsonl"}, tc.args...)...)
			if n := strings.Count(stdout, "\n"); code != tc.code || n != tc.lines || !strings.Contains(stderr, tc.says) {
				t.Errorf("%s, %s: exit code %d and %d lines, want %d and %d, and %q in\n%s", damage.name, tc.name, code, n, tc.code, tc.lines, tc.says, stderr)
			}
		}
	}
}
