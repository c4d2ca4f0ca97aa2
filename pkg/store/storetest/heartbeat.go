package storetest

import (
	"strings"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func heartbeatCases() []testCase {
	return named(keepsAHeartbeat, keepsTheNewestHeartbeat, keepsHeartbeatsApart, heartbeatsNeedAnOpenRun, heartbeatsNameEverything, missesAHeartbeat)
}

// beat is a heartbeat of a run, at an hour.
func beat(w events.Workflow, run events.RunID, activity string, attempt int32, hour int) events.Heartbeat {
	return events.Heartbeat{
		Activity: events.Activity{Workflow: w, RunID: run, ID: activity}, Attempt: attempt, Time: day(hour), Identity: "worker",
	}
}

func (c *scene) beat(h events.Heartbeat) bool {
	c.Helper()
	newest, err := c.store.SaveActivityHeartbeat(c.ctx(), h)
	if err != nil {
		c.Fatalf("heartbeat of %s: %v", h.Activity, err)
	}
	return newest
}

// kept checks which heartbeat is there.
func (c *scene) kept(want events.Heartbeat) {
	c.Helper()
	got, err := c.store.LastActivityHeartbeat(c.ctx(), want.Activity)
	if err != nil || !got.Equal(&want) {
		c.Errorf("kept is %+v (%v), want %+v", got, err, want)
	}
}

func keepsAHeartbeat(c *scene) {
	w := c.workflow()
	run := c.save(store.NewExecution{Workflow: w, Events: []*events.Event{events.ActivityScheduled("a", "Charge")}}).RunID
	h := beat(w, run, "a", 2, 1)
	h.LastFailure = events.Failure(errAttempt)
	details, err := events.Payloads(map[string]int{"page": 7}, nil)
	if err != nil {
		c.Fatal(err)
	}
	h.Details = details
	for range 2 {
		if !c.beat(h) {
			c.Error("the only one is not the newest")
		}
	}
	c.kept(h)
	c.store = c.h.Open(c.T, Options{})
	c.kept(h)
	if n := len(c.load(w, run).Events); n != 2 {
		c.Errorf("a heartbeat is no event, and there are %d", n)
	}

	// Without a time it gets one.
	before := time.Now().Add(-time.Millisecond)
	h.Time, h.Attempt = time.Time{}, 3
	if !c.beat(h) {
		c.Error("a later attempt is not the newest")
	}
	if got, err := c.store.LastActivityHeartbeat(c.ctx(), h.Activity); err != nil || got.Time.Before(before) || got.Time.After(time.Now()) {
		c.Errorf("taken at %s: %v", got.Time, err)
	}
}

func keepsTheNewestHeartbeat(c *scene) {
	w, run := c.reach(running)
	c.beat(beat(w, run, "a", 2, 5))
	for _, older := range []events.Heartbeat{beat(w, run, "a", 1, 9), beat(w, run, "a", 2, 4)} {
		if c.beat(older) {
			c.Errorf("attempt %d at %s replaced a newer one", older.Attempt, older.Time)
		}
	}
	other := beat(w, run, "a", 2, 5)
	other.Identity = "another"
	if c.beat(other) {
		c.Error("one that is as new replaced it")
	}
	c.kept(beat(w, run, "a", 2, 5))
	for _, newer := range []events.Heartbeat{beat(w, run, "a", 2, 6), beat(w, run, "a", 3, 1)} {
		if !c.beat(newer) {
			c.Errorf("attempt %d at %s replaced nothing", newer.Attempt, newer.Time)
		}
		c.kept(newer)
	}
}

func keepsHeartbeatsApart(c *scene) {
	v, vRun := c.reach(running)
	w, wRun := c.reach(running)
	all := []events.Heartbeat{beat(v, vRun, "a", 1, 1), beat(v, vRun, "b", 1, 2), beat(w, wRun, "a", 1, 3), beat(w, wRun, "a/b", 1, 4), beat(w, wRun, `"'\ .*>% ü`, 1, 5)}
	for _, h := range all {
		c.beat(h)
	}
	for _, h := range all {
		c.kept(h)
	}
}

func heartbeatsNeedAnOpenRun(c *scene) {
	w := c.workflow()
	_, err := c.store.SaveActivityHeartbeat(c.ctx(), beat(w, "a", "x", 1, 1))
	if e := refused[*events.NotFoundError](c, "no workflow", err, events.ErrNotFound); e.Workflow != w || e.Run != "" {
		c.Errorf("no workflow: %+v", e)
	}
	c.save(store.NewExecution{Workflow: w, RunID: "a"})
	_, err = c.store.SaveActivityHeartbeat(c.ctx(), beat(w, "b", "x", 1, 1))
	if e := refused[*events.NotFoundError](c, "no run", err, events.ErrNotFound); e.Run != "b" {
		c.Errorf("no run: %+v", e)
	}
	c.beat(beat(w, "a", "x", 1, 1))
	c.update(store.StateUpdate{Workflow: w, To: paused})
	c.beat(beat(w, "a", "x", 1, 2)) // paused is open
	c.update(store.StateUpdate{Workflow: w, To: completed})
	for range 2 { // closed, and then closed and not the newest
		_, err = c.store.SaveActivityHeartbeat(c.ctx(), beat(w, "a", "x", 1, 3))
		if e := refused[*events.ClosedError](c, "closed", err, events.ErrClosed); e.Workflow != w {
			c.Errorf("closed: %+v", e)
		}
		if _, err := c.store.LoadExecution(c.ctx(), w, "c"); err != nil {
			c.save(store.NewExecution{Workflow: w, RunID: "c"})
		}
	}
	c.kept(beat(w, "a", "x", 1, 2))
	c.beat(beat(w, "c", "x", 1, 4))
}

func heartbeatsNameEverything(c *scene) {
	w, run := c.reach(running)
	for _, tt := range []struct {
		field  string
		change func(*events.Heartbeat)
	}{
		{"namespace", func(h *events.Heartbeat) { h.Activity.Workflow.Namespace = "" }},
		{"workflowId", func(h *events.Heartbeat) { h.Activity.Workflow.ID = "" }},
		{"runId", func(h *events.Heartbeat) { h.Activity.RunID = "" }},
		{"runId", func(h *events.Heartbeat) { h.Activity.RunID = "a\x00" }},
		{"activityId", func(h *events.Heartbeat) { h.Activity.ID = "" }},
		{"activityId", func(h *events.Heartbeat) { h.Activity.ID = "\xff" }},
		{"activityId", func(h *events.Heartbeat) { h.Activity.ID = strings.Repeat("x", events.MaxActivityIDBytes+1) }},
		{"attempt", func(h *events.Heartbeat) { h.Attempt = 0 }},
		{"attempt", func(h *events.Heartbeat) { h.Attempt = -1 }},
		{"time", func(h *events.Heartbeat) { h.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"identity", func(h *events.Heartbeat) { h.Identity = "\xff" }},
		{"identity", func(h *events.Heartbeat) { h.Identity = strings.Repeat("x", events.MaxIdentityBytes+1) }},
	} {
		h := beat(w, run, "a", 1, 1)
		tt.change(&h)
		newest, err := c.store.SaveActivityHeartbeat(c.ctx(), h)
		if c.names("save "+tt.field, err, tt.field); newest {
			c.Errorf("%s: it is the newest", tt.field)
		}
		if h.Activity.Validate() != nil {
			_, err = c.store.LastActivityHeartbeat(c.ctx(), h.Activity)
			c.names("read "+tt.field, err, tt.field)
		}
	}
}

func missesAHeartbeat(c *scene) {
	w, run := c.reach(running)
	_, err := c.store.LastActivityHeartbeat(c.ctx(), events.Activity{Workflow: w, RunID: run, ID: "a"})
	refused[*events.NotFoundError](c, "no heartbeat", err, events.ErrNotFound)
}
