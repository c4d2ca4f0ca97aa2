package memlog_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func activity(id string) events.Activity {
	return events.Activity{Workflow: events.Workflow{Namespace: "n", ID: "w"}, RunID: "r", ID: id}
}

// TestHeartbeatsAge: by the log's clock, and not by the heartbeats' own times.
func TestHeartbeatsAge(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	log, err := memlog.New(memlog.Config{HeartbeatAge: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	record := func(id string, attempt int32) {
		t.Helper()
		// The time of an attempt says nothing of when it was stored.
		newest, err := log.RecordHeartbeat(t.Context(), events.Heartbeat{Activity: activity(id), Attempt: attempt, Time: now.AddDate(-1, 0, 0)})
		if err != nil || !newest {
			t.Fatalf("heartbeat of %s gave %t, %v", id, newest, err)
		}
	}
	check := func(want map[string]bool, first, last uint64) {
		t.Helper()
		for id, kept := range want {
			_, err := log.LastHeartbeat(t.Context(), activity(id))
			if kept && err != nil || !kept && !errors.Is(err, events.ErrNotFound) {
				t.Errorf("at %s the heartbeat of %s gave %v, want that it is kept: %t", now.Format(time.TimeOnly), id, err, kept)
			}
		}
		b, err := log.HeartbeatBounds(t.Context())
		if diff := cmp.Diff(events.Bounds{First: first, Last: last}, b); err != nil || diff != "" {
			t.Errorf("bounds (%v):\n%s", err, diff)
		}
	}
	check(nil, 1, 0)
	record("a", 1)
	now = now.Add(30 * time.Minute)
	record("b", 1)
	check(map[string]bool{"a": true, "b": true}, 1, 2)
	now = now.Add(30 * time.Minute)
	check(map[string]bool{"a": false, "b": true}, 2, 2)
	record("b", 2)
	now = now.Add(59 * time.Minute)
	check(map[string]bool{"a": false, "b": true}, 3, 3)
	now = now.Add(time.Minute)
	check(map[string]bool{"a": false, "b": false}, 4, 3)
	// What has aged out is forgotten: an older one is the newest again, and
	// sequences go on.
	record("b", 1)
	check(map[string]bool{"b": true}, 4, 4)
	for m, err := range log.FollowHeartbeats(t.Context(), 2) {
		if err != nil || m.Sequence != 4 || m.Attempt != 1 {
			t.Errorf("followed %+v, %v", m, err)
		}
		break
	}
	if _, err := memlog.New(memlog.Config{HeartbeatAge: -1}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("a negative age gave %v", err)
	}
}

// TestHeartbeatsTakeTheRoomOfTheKept: what was replaced leaves nothing behind
// that makes later ones slow or wrong.
func TestHeartbeatsTakeTheRoomOfTheKept(t *testing.T) {
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const activities, rounds = 50, 40
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for round := range rounds {
		for i := range activities {
			if i%3 == 0 && round%5 != 0 {
				continue // some are rarely replaced, so that what is gone lies between
			}
			h := events.Heartbeat{Activity: activity(fmt.Sprint(i)), Attempt: 1, Time: at.Add(time.Duration(round) * time.Second)}
			if newest, err := log.RecordHeartbeat(t.Context(), h); err != nil || !newest {
				t.Fatalf("gave %t, %v", newest, err)
			}
		}
	}
	seen, last := map[string]bool{}, uint64(0)
	for m, err := range log.FollowHeartbeats(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[m.Activity.ID] || m.Sequence <= last {
			t.Fatalf("activity %s at %d came after %d, seen before: %t", m.Activity.ID, m.Sequence, last, seen[m.Activity.ID])
		}
		seen[m.Activity.ID], last = true, m.Sequence
		if len(seen) == activities {
			break
		}
	}
	if b, err := log.HeartbeatBounds(t.Context()); err != nil || b.Last != last {
		t.Errorf("bounds are %+v, %v; %d was followed last", b, err, last)
	}
}
