package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func updateCases() []testCase {
	return named(
		walksEveryTransition, recordsWhatItIsGiven, updatesTheRunThatIsNamed, updatesAreRecognised, updatesAreRecognisedLater,
		updatesRefuseOtherContent, updatesNeedNoCursor, updatesMayBeRecordedByEvents,
	)
}

// reach brings a new run to a status.
func (c *scene) reach(s events.Status) (events.Workflow, events.RunID) {
	c.Helper()
	w := c.workflow()
	run := c.save(store.NewExecution{Workflow: w, StartedAt: day(0)}).RunID
	if s != running {
		c.update(store.StateUpdate{Workflow: w, To: s, At: day(1)})
	}
	return w, run
}

// walksEveryTransition tries each pair of statuses, and numbers that are none.
func walksEveryTransition(c *scene) {
	for _, from := range store.Statuses() {
		for _, to := range append(store.Statuses(), 0, -1, 9, 1<<20) {
			what := fmt.Sprintf("from %s to %s", from, to)
			w, run := c.reach(from)
			before := c.types(w, run)
			u := store.StateUpdate{Workflow: w, RunID: run, To: to, At: day(2)}
			res, err := c.store.UpdateState(c.ctx(), u)
			want, ok := store.TransitionEvent(from, to)
			switch {
			case !slices.Contains(store.Statuses(), to):
				c.names(what, err, "to")
			case !ok:
				e := refused[*store.TransitionError](c, what, err, store.ErrTransition)
				if *e != (store.TransitionError{Workflow: w, Run: run, From: from, To: to}) {
					c.Errorf("%s: %+v", what, e)
				}
				if errors.Is(err, events.ErrClosed) != !events.IsOpen(from) {
					c.Errorf("%s: closed or not: %v", what, err)
				}
				if text := fmt.Sprintf("cannot go from %s to %s: allowed from %s: ", from, to, from); !strings.Contains(err.Error(), text) {
					c.Errorf("%s: %v", what, err)
				}
			case err != nil:
				c.Errorf("%s: %v", what, err)
			}
			if !ok {
				c.same(what+": the history", before, c.types(w, run))
				continue
			}
			c.same(what+": the history", append(before, want.String()), c.types(w, run))
			x := c.load(w, run).Execution
			if x.Status != to || x.ClosedAt.IsZero() != events.IsOpen(to) || !x.UpdatedAt.Equal(day(2)) || res.Existed {
				c.Errorf("%s: %+v, %+v", what, x, res)
			}
			if to != continued && (res.RunID != run || int(res.LastEventID) != len(before)+1) {
				c.Errorf("%s: %+v", what, res)
			}
		}
	}
	// The tables say the same.
	for _, x := range c.query(store.Query{Limit: store.MaxLimit}) {
		c.same("run "+string(x.RunID), c.load(x.Workflow, x.RunID).Execution, x)
	}
}

func recordsWhatItIsGiven(c *scene) {
	first := func(values []any) string {
		if len(values) == 0 {
			return ""
		}
		return fmt.Sprint(values[0])
	}
	for _, u := range []store.StateUpdate{
		{To: completed, Result: []any{"r", 2}},
		{To: failed, Failure: events.Failure(fmt.Errorf("no money: %w", errors.New("card")))},
		{To: canceled, Details: []any{"d"}},
		{To: terminated, Details: []any{"d"}, Reason: "why", Identity: "who"},
		{To: terminated, Reason: "why"},
		{To: timedOut},
		{To: paused, Reason: "why", Identity: "who"},
	} {
		w, _ := c.reach(running)
		u.Workflow = w
		c.update(u)
		s := c.load(w, "").State
		if u.To == paused {
			if s.Pause == nil || s.Pause.Reason != "why" || s.Pause.Identity != "who" {
				c.Errorf("paused as %+v", s.Pause)
			}
			c.update(store.StateUpdate{Workflow: w, To: running, Reason: "on", Identity: "again"})
			if p := c.load(w, "").State.LastUnpause; p == nil || p.Reason != "on" || p.Identity != "again" {
				c.Errorf("unpaused as %+v", p)
			}
			continue
		}
		var result, details string
		if p := s.Close.Result.GetPayloads(); len(p) > 0 {
			_ = events.Value(p[0], &result)
		}
		if p := s.Close.Details.GetPayloads(); len(p) > 0 {
			_ = events.Value(p[0], &details)
		}
		if result != first(u.Result) || len(s.Close.Result.GetPayloads()) != len(u.Result) || details != first(u.Details) || s.Close.Reason != u.Reason || s.Close.Identity != u.Identity {
			c.Errorf("%s: closed as %+v", u.To, s.Close)
		}
		c.same(u.To.String()+": failure", u.Failure, s.Close.Failure)
	}
}

func updatesTheRunThatIsNamed(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, RunID: "a"})
	c.update(store.StateUpdate{Workflow: w, RunID: "a", To: failed})
	c.save(store.NewExecution{Workflow: w, RunID: "b"})
	for _, to := range []events.Status{running, completed, failed, paused} {
		_, err := c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, RunID: "a", To: to})
		if e := refused[*store.TransitionError](c, "the earlier run", err, store.ErrTransition); e.From != failed || e.Run != "a" || e.To != to {
			c.Errorf("the earlier run: %+v", e)
		}
	}
	if res := c.update(store.StateUpdate{Workflow: w, To: paused}); res.RunID != "b" {
		c.Errorf("without a name: %+v", res)
	}
	if res := c.update(store.StateUpdate{Workflow: w, RunID: "b", To: completed}); res.RunID != "b" {
		c.Errorf("by name: %+v", res)
	}
	if a, b := c.load(w, "a").Execution, c.load(w, "b").Execution; a.Status != failed || b.Status != completed {
		c.Errorf("%s, %s", a.Status, b.Status)
	}
}

// updatesAreRecognised: a repetition is the same update, whatever it would be now.
func updatesAreRecognised(c *scene) {
	for _, from := range []events.Status{running, paused} {
		for _, to := range store.Allowed(from) {
			for _, id := range []events.CommitID{"once", "01975f2e-0000-7000-8000-000000000001"} {
				w, run := c.reach(from)
				u := store.StateUpdate{Workflow: w, To: to, CommitID: id}
				first := c.update(u)
				for range 2 {
					again := c.update(u)
					if !again.Existed || again.Position != first.Position || again.RunID != first.RunID || again.CommitID != id || again.LastEventID != first.LastEventID {
						c.Errorf("from %s to %s: %+v, then %+v", from, to, first, again)
					}
				}
				u.RunID = run
				if again := c.update(u); !again.Existed || again.Position != first.Position {
					c.Errorf("from %s to %s by run: %+v", from, to, again)
				}
				if n := len(c.load(w, run).Events); n != c.length(from)+1 {
					c.Errorf("from %s to %s: %d events", from, to, n)
				}
			}
		}
	}
}

// length is how many events it takes to reach a status.
func (c *scene) length(s events.Status) int {
	if s == running {
		return 1
	}
	return 2
}

// updatesAreRecognisedLater: the run went on to where the update is legal again.
func updatesAreRecognisedLater(c *scene) {
	w, _ := c.reach(running)
	pause := store.StateUpdate{Workflow: w, To: paused, CommitID: "pause", Reason: "lunch"}
	first := c.update(pause)
	c.update(store.StateUpdate{Workflow: w, To: running, CommitID: "on"})
	for range 2 {
		if again := c.update(pause); !again.Existed || again.Position != first.Position {
			c.Errorf("again: %+v", again)
		}
	}
	if x := c.only(store.Query{}); x.Status != running || x.HistoryLength != 3 {
		c.Errorf("listed as %+v", x)
	}
	// Nor does a run after it change that.
	c.update(store.StateUpdate{Workflow: w, To: completed})
	c.save(store.NewExecution{Workflow: w, RunID: "later"})
	if again := c.update(pause); !again.Existed || again.Position != first.Position {
		c.Errorf("in the next run: %+v", again)
	}
}

func updatesRefuseOtherContent(c *scene) {
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, RunID: "a", CommitID: "start"})
	u := store.StateUpdate{Workflow: w, RunID: "a", To: terminated, Reason: "why", Identity: "who", Details: []any{1}, CommitID: "once", At: day(5)}
	first := c.update(u)
	c.save(store.NewExecution{Workflow: w, RunID: "b"})
	for name, change := range map[string]func(*store.StateUpdate){
		"run":      func(u *store.StateUpdate) { u.RunID = "b" },
		"status":   func(u *store.StateUpdate) { u.To, u.Reason, u.Identity = canceled, "", "" },
		"reason":   func(u *store.StateUpdate) { u.Reason = "because" },
		"identity": func(u *store.StateUpdate) { u.Identity = "" },
		"details":  func(u *store.StateUpdate) { u.Details = nil },
		"time":     func(u *store.StateUpdate) { u.At = day(6) },
		"continuation": func(u *store.StateUpdate) {
			u.To, u.Reason, u.Identity, u.Details = continued, "", "", nil
		},
	} {
		other := u
		change(&other)
		_, err := c.store.UpdateState(c.ctx(), other)
		if e := refused[*events.CommitIDReusedError](c, name, err, events.ErrCommitIDReused); e.Position != first.Position || e.CommitID != "once" {
			c.Errorf("%s: %+v", name, e)
		}
	}
	// The commit that started the run is no update.
	_, err := c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, RunID: "b", To: completed, CommitID: "start"})
	refused[*events.CommitIDReusedError](c, "the start's commit id", err, events.ErrCommitIDReused)
	if n := len(c.load(w, "b").Events); n != 1 {
		c.Errorf("the later run has %d events", n)
	}
}

// updatesNeedNoCursor: what happens beside the status is no conflict.
func updatesNeedNoCursor(c *scene) {
	w, _ := c.reach(running)
	other := c.h.Open(c.T, Options{})
	for i, to := range []events.Status{paused, running, completed} {
		if _, err := other.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}}); err != nil {
			c.Fatal(err)
		}
		if res := c.update(store.StateUpdate{Workflow: w, To: to}); int(res.LastEventID) != 2*i+3 {
			c.Errorf("to %s as event %d", to, res.LastEventID)
		}
	}
}

// updatesMayBeRecordedByEvents: a status that events of the engine's own brought
// about counts as one that an update did.
func updatesMayBeRecordedByEvents(c *scene) {
	w, run := c.reach(running)
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.WorkflowPaused("p"), events.WorkflowCanceled()}})
	_, err := c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: completed})
	if e := refused[*store.TransitionError](c, "a canceled run", err, store.ErrTransition); e.From != canceled || e.Run != run {
		c.Errorf("refused as %+v", e)
	}
}
