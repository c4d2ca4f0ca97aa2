package replay_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/replay"
)

// Between random points of real histories: the fields are those of the states,
// the things are those that a fold over the events between notes, and there and
// back again are each other's reverse.
func TestDiffBetweenPointsOfRealHistories(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	r := rand.New(rand.NewPCG(7, 7))
	workflows, err := historytest.Real(t.Context(), log, "../..", r)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workflows {
		for run, history := range runsOf(t, log, w) {
			for range 3 {
				a, b := 1+r.IntN(len(history)), 1+r.IntN(len(history))
				if a > b {
					a, b = b, a
				}
				there, err := replay.Diff(t.Context(), log, place(w, run, a), place(w, run, b))
				if err != nil && strings.Contains(err.Error(), "encode temporal.api") {
					continue // what JSON cannot hold
				}
				if err != nil {
					t.Fatal(err)
				}
				back, err := replay.Diff(t.Context(), log, place(w, run, b), place(w, run, a))
				if err != nil {
					t.Fatal(err)
				}
				if !there.OneRun || there.Events != b-a || back.Events != a-b {
					t.Fatalf("%s from %d to %d: %d events, back %d", w, a, b, there.Events, back.Events)
				}
				reversed := make([]execution.FieldChange, 0, len(there.Fields))
				for _, f := range there.Fields {
					reversed = append(reversed, execution.FieldChange{Path: f.Path, Before: f.After, After: f.Before})
				}
				if len(reversed) != len(back.Fields) || len(reversed) > 0 && !cmp.Equal(reversed, back.Fields) {
					t.Fatalf("%s from %d to %d, and back:\n%s", w, a, b, cmp.Diff(reversed, back.Fields))
				}
				for i, thing := range there.Things {
					thing.Before, thing.After = thing.After, thing.Before
					if back.Things[i] != thing {
						t.Fatalf("%s from %d to %d: %v, and back %v", w, a, b, there.Things[i], back.Things[i])
					}
				}
				opened := 0
				for _, thing := range there.Things {
					if thing.Before == "" {
						opened++
					} else if int(thing.EventID) > a {
						t.Errorf("%s from %d to %d: %+v was there before", w, a, b, thing)
					}
				}
				if want := openings(there.To) - openings(there.From); int64(opened) != want {
					t.Errorf("%s from %d to %d: %d things opened, the counts say %d", w, a, b, opened, want)
				}
				if _, err := json.Marshal(there); err != nil || there.String() == "" {
					t.Error(err)
				}
			}
		}
	}
}

func place(w events.Workflow, run events.RunID, id int) replay.Place {
	return replay.Place{Workflow: w, Run: run, At: replay.AtEvent(events.EventID(id))}
}

// openings are the things that a run has had, as its counts say: updates that
// were accepted without having been admitted are counted by those alone.
func openings(s *execution.State) int64 {
	c := s.Counts
	return c.Activities + c.Timers + c.Children + c.NexusOperations + c.ExternalSignals + c.ExternalCancels + c.Signals + max(c.UpdatesAdmitted, c.UpdatesAccepted)
}

func TestDiffOfTwoRuns(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	first := add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"), events.Signaled("paid"), events.WorkflowCompleted())
	second := add(t, log, events.NewRun(), events.WorkflowStarted("Order", "express"), events.Signaled("paid"))
	d, err := replay.Diff(t.Context(), log, replay.Place{Workflow: order, Run: first.RunID}, replay.Place{Workflow: order, Run: second.RunID})
	if err != nil {
		t.Fatal(err)
	}
	if d.OneRun || d.Events != 0 || d.Things != nil {
		t.Errorf("it has what only one run has: %+v", d)
	}
	text := d.String()
	for _, want := range []string{"run " + string(first.RunID), "taskQueue", "orders", "express", "Completed"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	d, err = replay.Diff(t.Context(), log, replay.Place{Workflow: order}, replay.Place{Workflow: order})
	if err != nil || len(d.Fields) != 0 || !strings.Contains(d.String(), "no difference") {
		t.Errorf("a state differs from itself: %v %v", d, err)
	}
	for _, to := range []replay.Place{
		{Workflow: order, Run: "another"},
		{Workflow: order, At: replay.AtEvent(9)},
		{Workflow: order, At: replay.AtTime(time.Unix(0, 0))},
		{Workflow: events.Workflow{Namespace: "default", ID: "none"}},
	} {
		if _, err := replay.Diff(t.Context(), log, replay.Place{Workflow: order}, to); !errors.Is(err, events.ErrNotFound) {
			t.Errorf("compared with %+v: %v", to, err)
		}
	}
}

// Of long values that part late what is shown is where they do.
func TestDiffShowsWhereLongValuesPart(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][2]string{
		"at the end":    {strings.Repeat("a", 300) + "1", strings.Repeat("a", 300) + "2"},
		"in the middle": {strings.Repeat("ä", 300) + "1" + strings.Repeat("b", 300), strings.Repeat("ä", 300) + "2" + strings.Repeat("b", 300)},
		"one ends":      {strings.Repeat("a", 300), strings.Repeat("a", 300) + "2"},
		"at 60":         {strings.Repeat("a", 60) + "1", strings.Repeat("a", 60) + "2" + strings.Repeat("b", 300)},
		"at once":       {"1" + strings.Repeat("b", 300), "2"},
	} {
		log := newLog(t)
		first := add(t, log, events.NewRun(), events.WorkflowStarted("Order", values[0]), events.WorkflowCompleted())
		second := add(t, log, events.NewRun(), events.WorkflowStarted("Order", values[1]), events.WorkflowCompleted())
		d, err := replay.Diff(t.Context(), log, replay.Place{Workflow: order, Run: first.RunID}, replay.Place{Workflow: order, Run: second.RunID})
		if err != nil {
			t.Fatal(err)
		}
		text := d.String()
		i := strings.Index(text, "\ntaskQueue")
		if i < 0 {
			t.Fatalf("%s: no task queue in\n%s", name, text)
		}
		line, _, _ := strings.Cut(text[i+1:], "\n")
		sides := strings.Fields(line)
		if len(sides) != 3 || sides[1] == sides[2] || len([]rune(sides[1])) > 100 || len([]rune(sides[2])) > 100 {
			t.Errorf("%s: %q", name, line)
		}
	}
}

// Where all that differs is left to the JSON the text says so.
func TestDiffOfWhatTheTextLeavesOut(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"), events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(2, "w"))
	d, err := replay.Diff(t.Context(), log, place(order, "", 2), place(order, "", 3))
	if err != nil || len(d.Fields) == 0 || !strings.HasSuffix(d.String(), "\nonly counts, times and sizes differ: -o json has them\n") {
		t.Errorf("%v\n%s", err, d)
	}
}
