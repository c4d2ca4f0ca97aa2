package eventstest

import (
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

func limitCases() []testCase {
	return named(commitOfExactlyTheLimit, commitLimitCountsWhatIsAssigned, historyOfAsManyEventsAsAllowed, historyOfAsManyBytesAsAllowed)
}

// commitOfExactlyTheLimit: the default one, with the longest ids.
func commitOfExactlyTheLimit(c *scene) {
	limit := events.Limits{}.WithDefaults().CommitBytes
	w := c.workflow(strings.Repeat("é", 500))
	long := strings.Repeat("\x01", 255)
	given := ofSize(1, list(started(strings.Repeat("é", 500)), signaled("s")), limit)
	res := c.append(events.Request{Workflow: w, RunID: events.RunID(long), CommitID: events.CommitID(long), Events: given})
	if res.Cursor.Size() != int64(limit) {
		c.Errorf("the run has %d bytes, want %d", res.Cursor.Size(), limit)
	}
	c.same("history", given, c.history(w, ""))
	given = ofSize(4, signals(1, "s"), limit+1)
	for _, expect := range []events.Expectation{events.After(res.Cursor), events.AtEnd()} {
		got := refused[*events.LimitError](c, events.Request{Workflow: w, Expect: expect, Events: given}, events.ErrLimit)
		if got.Got != int64(limit+1) || got.Max != int64(limit) || got.Workflow != w || got.Remedy == "" || got.What == "" {
			c.Errorf("error is %+v", got)
		}
	}
	// The largest again, behind it: a page of a read holds more than one.
	given = ofSize(4, signals(1, "s"), limit)
	res = c.append(events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: given})
	if n := len(c.history(w, "")); n != int(res.LastEventID) {
		c.Errorf("history has %d events, want %d", n, res.LastEventID)
	}
}

// commitLimitCountsWhatIsAssigned: ids and times that the log adds are part of
// the commit.
func commitLimitCountsWhatIsAssigned(c *scene) {
	log := c.h.Open(c, Options{Limits: events.Limits{CommitBytes: 1000}})
	w := c.workflow("w")
	given := ofSize(1, list(started("T")), 1000)
	for _, e := range given {
		e.EventId, e.EventTime = 0, nil
	}
	given[1] = marked(1000 - bodySize(given[:1]) - 12)
	if n := bodySize(given); n > 1000 {
		c.Fatalf("the events as given take %d bytes", n)
	}
	_, err := log.Append(c.ctx(), events.Request{Workflow: w, Events: given})
	as[*events.LimitError](c, err, events.ErrLimit, "append")
}

func historyOfAsManyEventsAsAllowed(c *scene) {
	log := c.h.Open(c, Options{Limits: events.Limits{WarnEvents: 5, MaxEvents: 8}})
	w := c.workflow("w")
	res, err := log.Append(c.ctx(), events.Request{Workflow: w, Events: signalsAfterStart(2)}) // 3
	if err != nil || res.Warning != "" {
		c.Fatalf("append gave %+v, %v", res, err)
	}
	for n := 4; n <= 8; n++ {
		res, err = log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
		if err != nil || (res.Warning != "") != (n >= 5) {
			c.Fatalf("event %d gave %+v, %v", n, res, err)
		}
	}
	_, err = log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: signals(1, "s")})
	got := as[*events.LimitError](c, err, events.ErrLimit, "event 9")
	if got.Got != 9 || got.Max != 8 || !strings.Contains(got.Remedy, "continue") {
		c.Errorf("error is %+v", got)
	}
	// Closing is still allowed, and so is continuing as new.
	res, err = log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: list(signaled("s"), continuedAs(""), started("T"))})
	if err != nil || res.FirstEventID != 1 || res.Warning != "" {
		c.Fatalf("continuing as new gave %+v, %v", res, err)
	}
	_, err = log.Append(c.ctx(), events.Request{Workflow: c.workflow("v"), Events: signalsAfterStart(8)})
	as[*events.LimitError](c, err, events.ErrLimit, "a start of 9 events")
}

func historyOfAsManyBytesAsAllowed(c *scene) {
	log := c.h.Open(c, Options{Limits: events.Limits{WarnBytes: 500, MaxBytes: 1000}})
	w := c.workflow("w")
	res, err := log.Append(c.ctx(), events.Request{Workflow: w, Events: ofSize(1, list(started("T")), 499)})
	if err != nil || res.Warning != "" {
		c.Fatalf("append gave %+v, %v", res, err)
	}
	_, err = log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: ofSize(3, nil, 502)})
	got := as[*events.LimitError](c, err, events.ErrLimit, "1,001 bytes")
	if got.Got != 1001 || got.Max != 1000 {
		c.Errorf("error is %+v", got)
	}
	res, err = log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: ofSize(3, nil, 501)})
	if err != nil || res.Warning == "" || res.Cursor.Size() != 1000 {
		c.Fatalf("1,000 bytes gave %+v, %v", res, err)
	}
	res, err = log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: list(marked(5000), completed())})
	if err != nil || res.Warning != "" {
		c.Fatalf("closing gave %+v, %v", res, err)
	}
}
