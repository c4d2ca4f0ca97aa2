package replay_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/replay"
)

func encode(t failer, s *execution.State) []byte {
	t.Helper()
	b, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustBe(t failer, want, got *execution.State, where string, args ...any) {
	t.Helper()
	if !bytes.Equal(encode(t, want), encode(t, got)) {
		t.Fatalf("%s %v:\n%s", where, args, cmp.Diff(want, got, protocmp.Transform()))
	}
}

// At every event of every run the state is that of folding along, byte for
// byte, sizes included; and so it is at the time of every event, where the
// prefix is found by looking at all events.
func TestStateAtEveryEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range logs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			log := tt.open(t)
			workflows := appendAll(t, log, historytest.Seeded(21, tt.steps), historytest.Options{Workflows: 8})
			points, times, backwards := 0, 0, 0
			for _, w := range workflows {
				for run, history := range runsOf(t, log, w) {
					s := execution.New(w, run)
					prefixes := make([]*execution.State, 0, len(history))
					for i, e := range history {
						s.Apply(e)
						s.AddBytes(events.StoredSize(e))
						prefixes = append(prefixes, s.Clone())
						got, err := replay.State(ctx, log, w, run, replay.AtEvent(events.EventID(i+1)))
						if err != nil {
							t.Fatalf("%s run %s at event %d: %v", w, run, i+1, err)
						}
						mustBe(t, s, got, "at event", w, run, i+1)
						points++
						if i > 0 && e.EventTime.AsTime().Before(history[i-1].EventTime.AsTime()) {
							backwards++
						}
					}
					for _, e := range history {
						at := e.EventTime.AsTime()
						n := 0
						for n < len(history) && !history[n].EventTime.AsTime().After(at) {
							n++
						}
						got, err := replay.State(ctx, log, w, run, replay.AtTime(at))
						if n == 0 {
							if !errors.Is(err, events.ErrNotFound) {
								t.Fatalf("%s run %s at %s, before its start: %v", w, run, at, err)
							}
							continue
						}
						if err != nil {
							t.Fatal(err)
						}
						mustBe(t, prefixes[n-1], got, "at time", w, run, at)
						times++
					}
					got, err := replay.State(ctx, log, w, run, replay.AtEnd())
					if err != nil {
						t.Fatal(err)
					}
					mustBe(t, s, got, "at the end", w, run)
					if _, err := replay.State(ctx, log, w, run, replay.AtEvent(events.EventID(len(history)+1))); !errors.Is(err, events.ErrNotFound) {
						t.Errorf("%s run %s beyond the end: %v", w, run, err)
					}
				}
			}
			t.Logf("%d events, %d times; %d events earlier than the one before them", points, times, backwards)
			if backwards == 0 {
				t.Error("no time ran backwards")
			}
		})
	}
}

// runsOf are the events of each run, as the commits have them.
func runsOf(t failer, log events.Log, w events.Workflow) map[events.RunID][]*events.Event {
	t.Helper()
	out := map[events.RunID][]*events.Event{}
	for c, err := range log.Commits(context.Background(), w) {
		if errors.Is(err, events.ErrNotFound) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		segments, err := c.Segments()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			out[s.Run] = append(out[s.Run], s.Events...)
		}
	}
	return out
}

func TestStateAtTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	log := newLog(t)
	add(t, log, events.NewRun(), events.At(noon, events.WorkflowStarted("Order", "orders")))
	for _, minutes := range []int{2, 1, 5, 3} {
		add(t, log, events.AtEnd(), events.At(noon.Add(time.Duration(minutes)*time.Minute), events.Signaled("s")))
	}
	for _, tt := range []struct {
		name string
		why  string
		at   time.Time
		want int64 // events; 0: not found
	}{
		{"the zero time", "it is a time like any other, and before all", time.Time{}, 0},
		{"before the start", "the run was not there", noon.Add(-time.Nanosecond), 0},
		{"at the start", "an event at exactly that time is in", noon, 1},
		{"between", "the event at 1 comes after one at 2: not in", noon.Add(time.Minute), 1},
		{"at the later one", "2, and 1 behind it", noon.Add(2 * time.Minute), 3},
		{"at the last one's time", "5 comes before it and ends the prefix", noon.Add(3 * time.Minute), 3},
		{"just before the latest", "still not", noon.Add(5*time.Minute - 1), 3},
		{"at the latest", "all", noon.Add(5 * time.Minute), 5},
		{"long after", "all", noon.Add(time.Hour), 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := replay.State(t.Context(), log, order, "", replay.AtTime(tt.at))
			if tt.want == 0 {
				if !errors.Is(err, events.ErrNotFound) {
					t.Errorf("%v, %v; want not found", s, err)
				}
				return
			}
			if err != nil || s.EventCount != tt.want {
				t.Errorf("%v, %v; want %d events: %s", s, err, tt.want, tt.why)
			}
		})
	}
}

func TestStateRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	other := events.Workflow{Namespace: "default", ID: "other"}
	for _, tt := range []struct {
		name string
		w    events.Workflow
		run  events.RunID
		at   replay.Point
		want error
	}{
		{"event 0", order, "", replay.AtEvent(0), events.ErrInvalid},
		{"event -1", order, "", replay.AtEvent(-1), events.ErrInvalid},
		{"beyond the end", order, "", replay.AtEvent(2), events.ErrNotFound},
		{"no such run", order, "x", replay.AtEnd(), events.ErrNotFound},
		{"no such workflow", other, "", replay.AtEnd(), events.ErrNotFound},
		{"no such workflow, a run", other, "x", replay.AtEvent(1), events.ErrNotFound},
		{"no workflow id", events.Workflow{Namespace: "default"}, "", replay.AtEnd(), events.ErrInvalid},
	} {
		if s, err := replay.State(t.Context(), log, tt.w, tt.run, tt.at); !errors.Is(err, tt.want) || s != nil {
			t.Errorf("%s: %v, %v; want %v", tt.name, s, err, tt.want)
		}
	}
	if _, _, err := replay.Load(t.Context(), log, other); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
}

// Decide on the state, append with the cursor: it fits exactly, until somebody
// else was there.
func TestLoadThenAppend(t *testing.T) {
	t.Parallel()
	for _, tt := range logs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := tt.open(t)
			add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
			for i := range int64(12) { // further than an envelope names commits
				s, c, err := replay.Load(t.Context(), log, order)
				if err != nil {
					t.Fatal(err)
				}
				if s.EventCount != i+1 || s.LastEventID != c.LastEventID() || s.RunID != c.Run() || s.Status != c.Status() || s.HistorySizeBytes != c.Size() {
					t.Fatalf("%d events, %d bytes, with the cursor %s, %d bytes", s.EventCount, s.HistorySizeBytes, c, c.Size())
				}
				res := add(t, log, events.After(c), events.Signaled("s"))
				if res.FirstEventID != events.EventID(i+2) {
					t.Fatalf("appended as event %d after %d", res.FirstEventID, i+1)
				}
				if _, err := log.Append(t.Context(), events.Request{Workflow: order, Expect: events.After(c), Events: []*events.Event{events.Signaled("late")}}); !errors.Is(err, events.ErrConflict) {
					t.Fatalf("with a cursor that was used: %v", err)
				}
			}
		})
	}
}

// meanwhile is a log on which something happens after the first Tail.
type meanwhile struct {
	events.Log
	happens func()
}

func (m *meanwhile) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	c, err := m.Log.Tail(ctx, w)
	if m.happens != nil {
		m.happens()
		m.happens = nil
	}
	return c, err
}

// A run that begins, or events that come, between the tail and the read do not
// get into the answer.
func TestStateWhileTheWorkflowGoesOn(t *testing.T) {
	t.Parallel()
	for _, tt := range logs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := tt.open(t)
			first := add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
			next := func() {
				add(t, log, events.AtEnd(), events.Signaled("s"), events.WorkflowCompleted())
				add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
			}
			s, c, err := replay.Load(t.Context(), &meanwhile{log, next}, order)
			if err != nil {
				t.Fatal(err)
			}
			if s.RunID != first.RunID || s.EventCount != 1 || !s.IsOpen() || c.Run() != first.RunID || c.LastEventID() != 1 {
				t.Errorf("Load: run %s, %d events, cursor %s", s.RunID, s.EventCount, c)
			}
			// The decision was made on what is no longer so.
			if _, err := log.Append(t.Context(), events.Request{Workflow: order, Expect: events.After(c), Events: []*events.Event{events.Signaled("late")}}); !errors.Is(err, events.ErrConflict) {
				t.Errorf("append after what was loaded: %v", err)
			}
			newest, err := log.Tail(t.Context(), order)
			if err != nil {
				t.Fatal(err)
			}
			s, err = replay.State(t.Context(), &meanwhile{log, next}, order, "", replay.AtEnd())
			if err != nil || s.RunID != newest.Run() {
				t.Errorf("State: %v, %v; want run %s: the newest when it was asked", s, err, newest.Run())
			}
		})
	}
}
