package eventstest

import (
	"context"
	"errors"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

func heartbeatAgeCases() []testCase { return named(heartbeatsAgeOut) }

// heartbeatsAgeOut: the newest is kept for the log's age, by the time at which it
// was stored and not by its own, and then forgotten. Histories do not age.
func heartbeatsAgeOut(c *scene) {
	const age = 150 * time.Millisecond
	ctx, cancel := context.WithTimeout(c.ctx(), patience)
	defer cancel()
	log := c.h.Features.Aging(c, age)
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	if _, err := log.Append(ctx, events.Request{Workflow: w, Events: list(started("T"))}); err != nil {
		c.Fatal(err)
	}
	record := func(h events.Heartbeat) {
		c.Helper()
		if newest, err := log.RecordHeartbeat(ctx, h); err != nil || !newest {
			c.Fatalf("heartbeat %d gave %t, %v", h.Attempt, newest, err)
		}
	}
	gone := func(a events.Activity) {
		c.Helper()
		for {
			_, err := log.LastHeartbeat(ctx, a)
			if errors.Is(err, events.ErrNotFound) {
				return
			}
			if err != nil {
				c.Fatal(err)
			}
		}
	}
	h := beat(c.activity("a"), 2, 0)
	h.Time = time.Now().Add(time.Hour)
	began := time.Now()
	record(h)
	gone(h.Activity)
	if kept := time.Since(began); kept < age {
		c.Errorf("it was forgotten after %s, the age is %s", kept, age)
	}
	// What was forgotten is not compared with: an older one is the newest again.
	older := beat(h.Activity, 1, 0)
	record(older)
	gone(h.Activity)
	// One that has aged out before its answer came may have been stored again.
	if b, err := log.HeartbeatBounds(ctx); err != nil || b.First != b.Last+1 || b.Last < 2 {
		c.Errorf("bounds are %+v, %v", b, err)
	}
	if got, err := collect(log.Read(ctx, w, events.ReadOptions{})); err != nil || len(got) != 1 {
		c.Errorf("the history has %d events, %v", len(got), err)
	}
}
