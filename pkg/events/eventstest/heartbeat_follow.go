package eventstest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// followHeartbeats follows all heartbeats for as long as the caller goes on.
func (c *scene) followHeartbeats(after uint64) iter.Seq2[events.StoredHeartbeat, error] {
	return func(yield func(events.StoredHeartbeat, error) bool) {
		ctx, cancel := context.WithTimeout(c.ctx(), time.Minute)
		defer cancel()
		for m, err := range c.log.FollowHeartbeats(ctx, after) {
			if !yield(m, err) {
				return
			}
		}
	}
}

func (c *scene) heartbeatEnd() uint64 {
	c.Helper()
	b, err := c.log.HeartbeatBounds(c.ctx())
	if err != nil {
		c.Fatal(err)
	}
	return b.Last
}

// followed is the heartbeats of this case's namespace after a sequence, up to
// the n-th; what comes is called when so many were seen. Those that others have
// replaced are left out: a replica that is behind still has them.
func (c *scene) followed(after uint64, n int, comes func(seen int), replaced ...events.Heartbeat) []events.StoredHeartbeat {
	c.Helper()
	var got []events.StoredHeartbeat
	for m, err := range c.followHeartbeats(after) {
		if err != nil {
			c.Fatalf("after %d heartbeats: %v", len(got), err)
		}
		if m.Sequence <= after {
			c.Fatalf("sequence %d came after %d", m.Sequence, after)
		}
		after = m.Sequence
		isIt := func(h events.Heartbeat) bool {
			return h.Activity == m.Activity && h.Attempt == m.Attempt && h.Time.Equal(m.Time)
		}
		if m.Activity.Workflow.Namespace != c.ns || slices.ContainsFunc(replaced, isIt) {
			continue
		}
		got = append(got, m)
		if comes != nil {
			comes(len(got))
		}
		if len(got) == n {
			break
		}
	}
	return got
}

func followersSeeTheKeptAndWhatComes(c *scene) {
	start := c.heartbeatEnd()
	a, b := c.activity("a"), c.activity("b")
	c.record(beat(a, 1, 0), true)
	c.record(beat(b, 1, 0), true)
	c.record(beat(a, 1, 1), true)   // replaces the first
	c.record(beat(b, 1, -1), false) // changes nothing
	got := c.followed(start, 4, func(seen int) {
		switch seen {
		case 2:
			c.record(beat(a, 2, 0), true)
		case 3:
			c.record(beat(c.activity("c"), 1, 0), true)
		}
	}, beat(a, 1, 0))
	want := []events.Heartbeat{beat(b, 1, 0), beat(a, 1, 1), beat(a, 2, 0), beat(c.activity("c"), 1, 0)}
	for i := range want {
		c.same(fmt.Sprint("heartbeat ", i), want[i], got[i].Heartbeat)
	}
	if end := c.heartbeatEnd(); end < got[3].Sequence {
		c.Errorf("the end is %d, and %d was followed", end, got[3].Sequence)
	}
	// A context that ends, ends it with its cause.
	ctx, cancel := context.WithCancelCause(c.ctx())
	stop := errors.New("enough")
	cancel(stop)
	_, err := collect(c.log.FollowHeartbeats(ctx, start))
	if !errors.Is(err, stop) {
		c.Errorf("with an ended context it gave %v", err)
	}
}

func followingGoesOnAfterASequence(c *scene) {
	start := c.heartbeatEnd()
	const n = 20
	for i := range n {
		c.record(beat(c.activity(fmt.Sprint("a", i)), 1, i), true)
	}
	all := c.followed(start, n, nil)
	for i := range all {
		rest := c.followed(start, n-i, nil)
		c.same(fmt.Sprint("after ", start), all[i:], rest)
		start = all[i].Sequence
	}
}

func followingBeyondTheEndIsRefused(c *scene) {
	_, err := collect(c.followHeartbeats(1 << 40))
	as[*events.WrongLogError](c, err, events.ErrWrongLog, "follow")
}

// aForeignMessageStopsItsActivityOnly: an activity's subject holds what is no
// heartbeat.
func aForeignMessageStopsItsActivityOnly(c *scene) {
	alter := map[string]func(h events.Header, body []byte) (events.Header, []byte){
		"nothing":                    func(events.Header, []byte) (events.Header, []byte) { return nil, nil },
		"no headers":                 func(_ events.Header, body []byte) (events.Header, []byte) { return nil, body },
		"a commit's kind":            replaced("Annals", "1 events"),
		"a later format":             replaced("Annals", "2 heartbeat"),
		"a header that is not known": replaced("A-Type", "T"),
		"no expectation":             without("Nats-Expected-Last-Subject-Sequence"),
		"another run":                replaced("A-Run", "another"),
		"another activity":           replaced("A-Activity", "another"),
		"an attempt that is none":    replaced("A-Attempt", "first"),
		"another attempt":            replaced("A-Attempt", "2"),
		"a body that is none":        func(h events.Header, _ []byte) (events.Header, []byte) { return h, []byte("\xffgarbage") },
		"an empty body":              func(h events.Header, _ []byte) (events.Header, []byte) { return h, nil },
		"the server's headers": func(events.Header, []byte) (events.Header, []byte) {
			return events.Header{"Nats-Sequence": {"1"}, "Nats-Subject": {"annals-heartbeat.0.a.b.c"}, "Status": {"204"}, "Description": {"EOB"}}, nil
		},
	}
	start := c.heartbeatEnd()
	want := map[uint64]string{}
	for name, change := range alter {
		a := c.activity(name)
		h := beat(a, 1, 0)
		header, body, err := events.EncodeHeartbeat(&h, 0)
		if err != nil {
			c.Fatal(err)
		}
		header, body = change(header, body)
		seq := c.h.PutHeartbeat(c, a.HeartbeatSubject(), header, body)
		want[seq] = a.HeartbeatSubject()
		check := func(what string, err error) {
			c.Helper()
			got := as[*events.CorruptHeartbeatError](c, err, events.ErrCorrupt, name+": "+what)
			if got.Sequence != seq || got.Workflow != a.Workflow || got.Subject != a.HeartbeatSubject() || got.Reason == "" {
				c.Errorf("%s: %s gave %+v", name, what, got)
			}
		}
		_, err = c.log.RecordHeartbeat(c.ctx(), beat(a, 2, 0))
		check("record", err)
		_, err = c.log.LastHeartbeat(c.ctx(), a)
		check("last", err)
	}
	c.record(beat(c.activity("well"), 1, 0), true)
	for m, err := range c.followHeartbeats(start) {
		if err == nil {
			if m.Activity == c.activity("well") {
				break
			}
			continue
		}
		got := as[*events.CorruptHeartbeatError](c, err, events.ErrCorrupt, "follow")
		if got.Subject != want[m.Sequence] || got.Sequence != m.Sequence {
			c.Errorf("follow gave %+v at %d, want one of %s", got, m.Sequence, want[m.Sequence])
		}
		delete(want, m.Sequence)
	}
	if len(want) != 0 {
		c.Errorf("the follower was not told of %v", want)
	}
}
