package eventstest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

func heartbeatCases() []testCase {
	cases := named(
		theNewestIsKeptInAnyOrder, repeatingAnswersTheSame, whatIsAsNewReplacesNothing, theTimeIsAssigned, aHeartbeatIsKeptWhole,
		manyWritersEndWithTheNewest, everyActivityHasItsOwn, heartbeatsOfNamespacesAreApart, heartbeatsAreNoHistory, noHeartbeatIsNotFound,
		aHeartbeatOfExactlyTheLimit, badHeartbeatsAreRefusedByField, followersSeeTheKeptAndWhatComes, followingGoesOnAfterASequence,
		followingBeyondTheEndIsRefused, aForeignMessageStopsItsActivityOnly,
	)
	for _, a := range awkward {
		cases = append(cases, testCase{"of awkward ids: " + a.name, func(c *scene) { heartbeatOfIDs(c, c.ns+a.id, a.id, a.id, a.id) }})
	}
	return append(cases, testCase{"of the longest ids", func(c *scene) {
		heartbeatOfIDs(c, strings.Repeat("\x01", 255), strings.Repeat("é", 500), strings.Repeat("\x01", 255), strings.Repeat("\x02", 1000))
	}})
}

// beatTime is when the first heartbeat of a case was taken.
var beatTime = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func (c *scene) activity(id string) events.Activity {
	return events.Activity{Workflow: events.Workflow{Namespace: c.ns, ID: "w"}, RunID: "r", ID: id}
}

// beat is a heartbeat of an attempt, so many milliseconds after beatTime.
func beat(a events.Activity, attempt int32, ms int) events.Heartbeat {
	return events.Heartbeat{
		Activity: a, Attempt: attempt, Time: beatTime.Add(time.Duration(ms) * time.Millisecond), Identity: "worker",
		Details: &commonpb.Payloads{Payloads: []*commonpb.Payload{{
			Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: fmt.Appendf(nil, `{"attempt":%d,"ms":%d}`, attempt, ms),
		}}},
	}
}

// record must succeed and answer whether it was the newest.
func (c *scene) record(h events.Heartbeat, newest bool) {
	c.Helper()
	got, err := c.log.RecordHeartbeat(c.ctx(), h)
	if err != nil {
		c.Fatalf("heartbeat %d at %s of %.80s: %v", h.Attempt, h.Time, h.Activity, err)
	}
	if got != newest {
		c.Fatalf("heartbeat %d at %s of %.80s is the newest: %t, want %t", h.Attempt, h.Time, h.Activity, got, newest)
	}
}

func (c *scene) lastHeartbeat(a events.Activity) events.Heartbeat {
	c.Helper()
	h, err := c.log.LastHeartbeat(c.ctx(), a)
	if err != nil {
		c.Fatalf("last heartbeat of %.80s: %v", a, err)
	}
	return h
}

func (c *scene) kept(want events.Heartbeat) {
	c.Helper()
	c.same("the heartbeat that is kept", want, c.lastHeartbeat(want.Activity))
}

func theNewestIsKeptInAnyOrder(c *scene) {
	for round := range c.h.times(16) {
		a := c.activity(fmt.Sprint("a", round))
		order := []events.Heartbeat{beat(a, 1, 0), beat(a, 1, 7), beat(a, 1, 3000), beat(a, 2, -5), beat(a, 2, 1), beat(a, 3, -4000)}
		newest := order[len(order)-1]
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		var best *events.Heartbeat
		for _, h := range order {
			wins := best == nil || h.Newer(best)
			c.record(h, wins)
			if wins {
				best = &h
			}
			c.kept(*best)
		}
		c.kept(newest)
	}
}

func repeatingAnswersTheSame(c *scene) {
	a := c.activity("a")
	first, second := beat(a, 1, 0), beat(a, 1, 1)
	for range 3 {
		c.record(first, true)
	}
	for range 3 {
		c.record(second, true)
		c.record(first, false)
	}
	c.kept(second)
}

// whatIsAsNewReplacesNothing: the same attempt and time, other content.
func whatIsAsNewReplacesNothing(c *scene) {
	a := c.activity("a")
	first := beat(a, 1, 0)
	c.record(first, true)
	other := first
	other.Identity = "another"
	c.record(other, false)
	other = first
	other.Details = nil
	c.record(other, false)
	// Fractions of a microsecond are cut off, so this is the first one again.
	first.Time = first.Time.Add(999)
	c.record(first, true)
	first.Time = first.Time.Truncate(time.Microsecond)
	c.kept(first)
}

func theTimeIsAssigned(c *scene) {
	h := beat(c.activity("a"), 1, 0)
	h.Time = time.Time{}
	before := time.Now().Add(-time.Minute)
	c.record(h, true)
	got := c.lastHeartbeat(h.Activity).Time
	if got.Before(before) || got.After(time.Now().Add(time.Minute)) || !got.Equal(got.Truncate(time.Microsecond)) {
		c.Errorf("the time is %s", got)
	}
}

func aHeartbeatIsKeptWhole(c *scene) {
	full := beat(c.activity("a"), 1<<31-1, 0)
	full.Identity = strings.Repeat("é", 500)
	full.Details.Payloads = append(full.Details.Payloads, &commonpb.Payload{Data: []byte{0, 255}}, &commonpb.Payload{})
	full.LastFailure = &failurepb.Failure{
		Message: "no\x00answer", Source: "GoSDK", StackTrace: "main.go:1", Cause: &failurepb.Failure{Message: "cut"},
		FailureInfo: &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: "T", NonRetryable: true}},
	}
	bare := events.Heartbeat{Activity: c.activity("b"), Attempt: 1, Time: beatTime}
	empty := events.Heartbeat{Activity: c.activity("c"), Attempt: 1, Time: beatTime, Details: &commonpb.Payloads{}, LastFailure: &failurepb.Failure{}}
	far := events.Heartbeat{Activity: c.activity("d"), Attempt: 1, Time: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)}
	deep := events.Heartbeat{Activity: c.activity("f"), Attempt: 1, Time: beatTime, LastFailure: nested(events.MaxNesting - 2)}
	early := events.Heartbeat{Activity: c.activity("g"), Attempt: 1, Time: time.Time{}.Add(time.Microsecond)}
	for _, h := range []events.Heartbeat{full, bare, empty, far, deep, early} {
		c.record(h, true)
		c.kept(h)
		c.record(h, true)
	}
	// Whatever zone a time is given in, it is kept in UTC.
	elsewhere := beat(c.activity("e"), 1, 0)
	elsewhere.Time = elsewhere.Time.In(time.FixedZone("east", 3600))
	c.record(elsewhere, true)
	elsewhere.Time = elsewhere.Time.UTC()
	c.kept(elsewhere)
}

// manyWritersEndWithTheNewest: 32 writers leave a barrier together.
func manyWritersEndWithTheNewest(c *scene) {
	const writers, each = 32, 3
	for round := range c.h.times(8) {
		a := c.activity(fmt.Sprint("a", round))
		barrier := make(chan struct{})
		errs := make([]error, writers)
		won := make([]bool, writers)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				<-barrier
				for n := range each {
					if won[i], errs[i] = c.log.RecordHeartbeat(c.ctx(), beat(a, int32(1+i%4), i*each+n)); errs[i] != nil {
						return
					}
				}
			})
		}
		close(barrier)
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				c.Fatalf("writer %d: %v", i, err)
			}
		}
		// The last of the highest attempt; its writer was told so.
		c.kept(beat(a, 4, (writers-1)*each+each-1))
		if !won[writers-1] {
			c.Error("the newest heartbeat was answered with false")
		}
	}
}

func everyActivityHasItsOwn(c *scene) {
	var all []events.Activity
	for _, w := range []string{"w", "w1"} {
		for _, run := range []string{"r", "r1", "1r", "r 1", ""} {
			for _, id := range []string{"1", "11", "r1", "1 1", "A", "a"} {
				if run == "" {
					run = w // the id of another kind
				}
				all = append(all, events.Activity{Workflow: events.Workflow{Namespace: c.ns, ID: w}, RunID: events.RunID(run), ID: id})
			}
		}
	}
	for i, a := range all {
		c.record(beat(a, 1, i), true)
	}
	for i, a := range all {
		c.kept(beat(a, 1, i))
	}
}

func heartbeatsOfNamespacesAreApart(c *scene) {
	one, two := c.activity("a"), c.activity("a")
	two.Workflow.Namespace += "2"
	c.record(beat(one, 2, 0), true)
	c.record(beat(two, 1, 0), true)
	c.kept(beat(one, 2, 0))
	c.kept(beat(two, 1, 0))
}

func heartbeatsAreNoHistory(c *scene) {
	w := c.workflow("w")
	at := c.start(w)
	a := events.Activity{Workflow: w, RunID: at.RunID, ID: "a"}
	c.record(beat(a, 1, 0), true)
	c.record(beat(a, 1, 1), true)
	tail, err := c.log.Tail(c.ctx(), w)
	if err != nil {
		c.Fatal(err)
	}
	c.same("the workflow's end", at.Cursor, tail)
	if n := len(c.history(w, "")); n != 1 {
		c.Errorf("the history has %d events, want 1", n)
	}
	res := c.append(events.Request{Workflow: w, Expect: events.After(at.Cursor), Events: signals(1, "s")})
	if res.LastEventID != 2 {
		c.Errorf("the next event is %d, want 2", res.LastEventID)
	}
	c.kept(beat(a, 1, 1))
}

func noHeartbeatIsNotFound(c *scene) {
	c.record(beat(c.activity("a"), 1, 0), true)
	for _, a := range []events.Activity{c.activity("b"), {Workflow: c.activity("a").Workflow, RunID: "another", ID: "a"}} {
		_, err := c.log.LastHeartbeat(c.ctx(), a)
		notFound(c, err, events.NotFoundError{Workflow: a.Workflow, Run: a.RunID, Activity: a.ID})
	}
}

func heartbeatOfIDs(c *scene, namespace, workflow, run, id string) {
	c.Helper()
	h := beat(events.Activity{Workflow: events.Workflow{Namespace: namespace, ID: workflow}, RunID: events.RunID(run), ID: id}, 1, 0)
	// The longest ids are in no namespace of this case: others may have been here.
	h.Time = time.Now().UTC().Truncate(time.Microsecond)
	h.Identity = id
	start := c.heartbeatEnd()
	c.record(h, true)
	c.kept(h)
	for m, err := range c.followHeartbeats(start) {
		if err != nil {
			c.Fatal(err)
		}
		if m.Activity == h.Activity {
			c.same("the heartbeat that is followed", h, m.Heartbeat)
			return
		}
	}
}

func aHeartbeatOfExactlyTheLimit(c *scene) {
	const limit = 1000
	log := c.h.Open(c, Options{Limits: events.Limits{CommitBytes: limit}})
	h := beat(c.activity("a"), 1, 0)
	size := func() int {
		_, body, err := events.EncodeHeartbeat(&h, 0)
		if err != nil {
			c.Fatal(err)
		}
		return len(body)
	}
	for h.Details.Payloads[0].Data = nil; size() < limit; {
		h.Details.Payloads[0].Data = append(h.Details.Payloads[0].Data, 'x')
	}
	if newest, err := log.RecordHeartbeat(c.ctx(), h); err != nil || !newest {
		c.Errorf("%d bytes gave %t, %v", size(), newest, err)
	}
	h.Details.Payloads[0].Data = append(h.Details.Payloads[0].Data, 'x')
	h.Time = h.Time.Add(time.Second)
	_, err := log.RecordHeartbeat(c.ctx(), h)
	got := as[*events.LimitError](c, err, events.ErrLimit, "record")
	if got.Got != limit+1 || got.Max != limit || got.Workflow != h.Activity.Workflow || got.Remedy == "" || !strings.Contains(got.What, `"a"`) {
		c.Errorf("error is %+v", got)
	}
	// The default limit is a commit's, with the longest ids around it.
	large := beat(events.Activity{
		Workflow: events.Workflow{Namespace: strings.Repeat("\x01", 255), ID: strings.Repeat("é", 500)}, RunID: events.RunID(strings.Repeat("\x02", 255)), ID: strings.Repeat("é", 500),
	}, 1, 0)
	large.Time = time.Now()
	large.Details.Payloads[0].Data = make([]byte, events.Limits{}.WithDefaults().CommitBytes-4<<10)
	c.record(large, true)
}

func badHeartbeatsAreRefusedByField(c *scene) {
	invalid := "\xff"
	for _, bad := range []struct {
		name, field string
		change      func(*events.Heartbeat)
		ofActivity  bool // LastHeartbeat refuses it, too
	}{
		{"no namespace", "namespace", func(h *events.Heartbeat) { h.Activity.Workflow.Namespace = "" }, true},
		{"a long namespace", "namespace", func(h *events.Heartbeat) { h.Activity.Workflow.Namespace = strings.Repeat("n", 256) }, true},
		{"no workflow", "workflowId", func(h *events.Heartbeat) { h.Activity.Workflow.ID = "" }, true},
		{"a workflow with a NUL", "workflowId", func(h *events.Heartbeat) { h.Activity.Workflow.ID = "a\x00" }, true},
		{"no run", "runId", func(h *events.Heartbeat) { h.Activity.RunID = "" }, true},
		{"a long run", "runId", func(h *events.Heartbeat) { h.Activity.RunID = events.RunID(strings.Repeat("r", 256)) }, true},
		{"a run that is no UTF-8", "runId", func(h *events.Heartbeat) { h.Activity.RunID = events.RunID(invalid) }, true},
		{"no activity", "activityId", func(h *events.Heartbeat) { h.Activity.ID = "" }, true},
		{"a long activity", "activityId", func(h *events.Heartbeat) { h.Activity.ID = strings.Repeat("a", 1001) }, true},
		{"an activity with a NUL", "activityId", func(h *events.Heartbeat) { h.Activity.ID = "\x00" }, true},
		{"no attempt", "attempt", func(h *events.Heartbeat) { h.Attempt = 0 }, false},
		{"a negative attempt", "attempt", func(h *events.Heartbeat) { h.Attempt = -1 }, false},
		{"a time before year 1", "time", func(h *events.Heartbeat) { h.Time = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{"a time of nothing but nanoseconds", "time", func(h *events.Heartbeat) { h.Time = time.Time{}.Add(999) }, false},
		{"a time after year 9999", "time", func(h *events.Heartbeat) { h.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{"a nil payload", "details.payloads[1]", func(h *events.Heartbeat) { h.Details.Payloads = append(h.Details.Payloads, nil) }, false},
		{"metadata that is no UTF-8", "details", func(h *events.Heartbeat) { h.Details.Payloads[0].Metadata[invalid] = nil }, false},
		{"a failure that is no UTF-8", "lastFailure", func(h *events.Heartbeat) { h.LastFailure = &failurepb.Failure{Message: invalid} }, false},
		{"causes deeper than can be read", "lastFailure", func(h *events.Heartbeat) { h.LastFailure = nested(9_999) }, false},
		{"causes a level too deep", "lastFailure", func(h *events.Heartbeat) { h.LastFailure = nested(events.MaxNesting - 1) }, false},
		{"a duration out of range", "lastFailure.cause.applicationFailureInfo.nextRetryDelay", func(h *events.Heartbeat) { h.LastFailure = &failurepb.Failure{Cause: endless()} }, false},
		{"a long identity", "identity", func(h *events.Heartbeat) { h.Identity = strings.Repeat("i", 1001) }, false},
		{"an identity that is no UTF-8", "identity", func(h *events.Heartbeat) { h.Identity = invalid }, false},
	} {
		c.Run(bad.name, func(t *testing.T) {
			h := beat(c.activity("a"), 1, 0)
			bad.change(&h)
			check := func(what string, err error) {
				t.Helper()
				var got *events.InvalidError
				if !errors.Is(err, events.ErrInvalid) || !errors.As(err, &got) || got.Field != bad.field || got.Reason == "" {
					t.Errorf("%s gave %v, want an invalid %s", what, err, bad.field)
				}
			}
			newest, err := c.log.RecordHeartbeat(c.ctx(), h)
			check("record", err)
			if newest {
				t.Error("it is the newest")
			}
			if bad.ofActivity {
				_, err := c.log.LastHeartbeat(c.ctx(), h.Activity)
				check("last", err)
			}
		})
	}
}
