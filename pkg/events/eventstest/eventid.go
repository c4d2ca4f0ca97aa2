package eventstest

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

func eventIDCases() []testCase {
	cases := named(eventIdsAreAssignedDense, eventIdsThatAreRightAreTaken, eventTimesAreKeptOrAssigned)
	for _, bad := range []struct {
		name  string
		ids   []int64 // after event 2
		field string
	}{
		{"a gap", []int64{4}, "events[0].eventId"},
		{"a gap inside", []int64{3, 5}, "events[1].eventId"},
		{"the last one again", []int64{2}, "events[0].eventId"},
		{"the first again", []int64{1, 2}, "events[0].eventId"},
		{"twice the same", []int64{3, 3}, "events[1].eventId"},
		{"falling", []int64{4, 3}, "events[0].eventId"},
		{"wrong after absent", []int64{0, 3}, "events[1].eventId"},
		{"negative", []int64{-1}, "events[0].eventId"},
	} {
		cases = append(cases, testCase{"ids are refused: " + bad.name, func(c *scene) {
			w := c.workflow("w")
			res := c.start(w, signaled("a"))
			given := signals(len(bad.ids), "s")
			for i, id := range bad.ids {
				given[i].EventId = id
			}
			for _, expect := range []events.Expectation{events.After(res.Cursor), events.AfterEvent(res.RunID, 2), events.AtEnd(), events.AtEndOf(res.RunID)} {
				got := refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: expect, Events: given}, events.ErrInvalid)
				if got.Field != bad.field {
					c.Errorf("field is %q, want %q", got.Field, bad.field)
				}
			}
			if n := len(c.commits(w)); n != 1 {
				c.Errorf("%d commits, want 1", n)
			}
		}})
	}
	return cases
}

func eventIdsAreAssignedDense(c *scene) {
	w := c.workflow("w")
	c.start(w, signals(2, "s")...)
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(3, "s")})
	// In a commit of two runs the second begins at 1.
	res := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(signaled("s"), continuedAs("next"), started("T"), signaled("s"))})
	if res.RunID != "next" || res.FirstEventID != 1 || res.LastEventID != 2 {
		c.Errorf("result is %+v", res)
	}
	commit := c.commits(w)[2]
	if commit.Closed.First != 7 || commit.Closed.Last != 8 || commit.Count() != 4 {
		c.Errorf("the closed run's part is %+v", commit.Closed)
	}
}

func eventIdsThatAreRightAreTaken(c *scene) {
	w := c.workflow("w")
	given := numbered(1, list(started("T"), signaled("a")))
	c.append(events.Request{Workflow: w, RunID: "r", Events: given})
	more := numbered(3, signals(2, "b"))
	more[1].EventId = 0 // absent ones are the next
	c.append(events.Request{Workflow: w, Expect: events.AfterEvent("r", 2), Events: more})
	more[1].EventId = 4
	c.same("history", append(given, more...), c.history(w, "r"))
}

func eventTimesAreKeptOrAssigned(c *scene) {
	w := c.workflow("w")
	late, early := time.Date(2031, 5, 6, 7, 8, 9, 987654321, time.UTC), time.Date(1969, 12, 31, 23, 59, 58, 1, time.UTC)
	given := list(started("T"), signals(3, "s")...)
	given[0].EventTime = timestamppb.New(late)
	given[1].EventTime = timestamppb.New(early) // times may run backwards
	given[2].EventTime = &timestamppb.Timestamp{}
	kept := []*events.Event{proto.CloneOf(given[0]), proto.CloneOf(given[1]), proto.CloneOf(given[2])}
	from := time.Now().Add(-time.Minute)
	c.append(events.Request{Workflow: w, Events: given})
	got := c.history(w, "")
	for i, want := range kept {
		if !proto.Equal(want.EventTime, got[i].EventTime) {
			c.Errorf("event %d has time %v, was given %v", i+1, got[i].EventTime, want.EventTime)
		}
	}
	if at := got[3].EventTime.AsTime(); at.Before(from) || at.After(time.Now().Add(time.Minute)) {
		c.Error(fmt.Errorf("the time that was assigned is %s", at))
	}
}
