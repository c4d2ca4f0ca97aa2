package eventstest

import (
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

func resetCases() []testCase {
	return named(resetOfAnOpenRunClosesIt, resetOfAClosedRunLeavesIt, resetOfAReset, resetsReadInEveryWay, resetRefusesWhatIsWrong,
		resetIsRefusedBesideAnOpenRun, staleResetConflicts, sixteenRacersResetOneRun, resetIsRecognisedWhenRepeated,
		resetCountsTheWholeHistory, resetPastAVoid, theUsualReset)
}

func resetOutcomeCases() []testCase { return named(aResetOfUnknownOutcomeIsSettled) }

// reset tells a commit in which the next run begins as a reset of another. What
// it does to the open run comes first.
func (s *story) reset(base events.Base, closing []*events.Event, list ...*events.Event) events.Result {
	s.Helper()
	old := s.at.RunID
	run := events.RunID(fmt.Sprintf("run-%02d", len(s.ids)+1))
	var given []*events.Event
	for _, e := range closing {
		given = append(given, numbered(events.EventID(len(s.runs[old])+1), []*events.Event{e})[0])
		s.runs[old] = append(s.runs[old], given[len(given)-1])
	}
	s.runs[run] = slices.Clone(s.runs[base.Run][:base.Event])
	for _, e := range list {
		given = append(given, numbered(events.EventID(len(s.runs[run])+1), []*events.Event{e})[0])
		s.runs[run] = append(s.runs[run], given[len(given)-1])
	}
	s.ids = append(s.ids, run)
	s.at = s.append(events.Request{Workflow: s.w, Expect: events.After(s.at.Cursor), RunID: run, Base: &base, Events: given})
	return s.at
}

// agrees reads all runs in every way.
func (s *story) agrees() {
	s.Helper()
	for _, run := range s.ids {
		want := s.runs[run]
		n := len(want)
		for _, from := range []int{0, n/2 + 1, n + 1} {
			for _, limit := range []int{0, 3} {
				if limit != 0 && from > n {
					continue
				}
				for _, reverse := range []bool{false, true} {
					s.checkRead(run, want, events.ReadOptions{Run: run, From: events.EventID(from), Limit: limit, Reverse: reverse})
				}
			}
		}
	}
}

func resetOfAnOpenRunClosesIt(c *scene) {
	s := newStory(c, "w")
	one := s.tell(started("Order"), signaled("a"))
	s.tell(signaled("b"))
	res := s.reset(events.Base{Run: "run-01", Event: 2}, list(terminated()), marked(1), signaled("c"))
	if res.RunID != "run-02" || res.FirstEventID != 3 || res.LastEventID != 4 || res.Cursor.Status() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING ||
		res.Cursor.WorkflowType() != "T" || res.Cursor.PrevRunFirst() != one.Position.Sequence || res.Cursor.RunFirst() != res.Position.Sequence {
		c.Errorf("result is %+v, cursor %s", res, res.Cursor)
	}
	commits := c.commits(s.w)
	last := commits[len(commits)-1]
	want := events.ResetBase{Base: events.Base{Run: "run-01", Event: 2}, Sequence: one.Position.Sequence, Hash: one.Cursor.Hash()}
	if last.Base == nil || *last.Base != want || last.Closed == nil || last.Closed.After != enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED {
		c.Fatalf("the commit is %+v, want the base %+v", last, want)
	}
	got, err := collect(c.log.BaseEvents(c.ctx(), last))
	if err != nil {
		c.Fatal(err)
	}
	c.same("the base's events", s.runs["run-01"][:2], got)
	if got, err := collect(c.log.BaseEvents(c.ctx(), commits[0])); err != nil || len(got) != 0 {
		c.Errorf("a commit without a base has %d events before it, %v", len(got), err)
	}
	s.tell(signaled("d"))
	s.tell(completed())
	s.agrees()
}

func resetOfAClosedRunLeavesIt(c *scene) {
	for _, expect := range []string{"new run", "cursor", "event"} {
		s := newStory(c, expect)
		s.tell(started("T"), signaled("a"), signaled("b"))
		closed := s.tell(completed())
		whole := c.history(s.w, "run-01")
		r := events.Request{Workflow: s.w, RunID: "again", Base: &events.Base{Run: "run-01", Event: 3}, Events: list(marked(1), signaled("c"))}
		switch expect {
		case "cursor":
			r.Expect = events.After(closed.Cursor)
		case "event":
			r.Expect = events.AfterEvent("run-01", 4)
		}
		res := c.append(r)
		if res.FirstEventID != 4 || res.LastEventID != 5 || res.RunID != "again" {
			c.Errorf("%s: result is %+v", expect, res)
		}
		c.same("the base", whole, c.history(s.w, "run-01"))
		if got := c.history(s.w, "again"); len(got) != 5 || got[3].EventId != 4 {
			c.Errorf("%s: the new run has %d events", expect, len(got))
		}
		c.append(events.Request{Workflow: s.w, Expect: events.AtEnd(), Events: list(completed())})
		c.start(s.w)
	}
}

// resetOfAReset: within what the base has of its own, and within what it has of
// its own base; of what is itself of a base.
func resetOfAReset(c *scene) {
	s := newStory(c, "w")
	s.tell(started("T"), signaled("a"))
	s.tell(signals(3, "b")...)
	s.reset(events.Base{Run: "run-01", Event: 3}, list(terminated()), marked(1), marked(2))
	s.tell(signals(2, "c")...)
	owned := s.at.Cursor
	s.reset(events.Base{Run: "run-02", Event: 6}, list(terminated()), marked(3)) // its own event
	s.tell(signaled("d"))
	s.reset(events.Base{Run: "run-03", Event: 2}, list(terminated()), marked(4)) // of the base's base's base
	s.tell(completed())
	s.reset(events.Base{Run: "run-03", Event: 3}, nil, marked(5)) // where one base ends
	s.tell(signaled("e"), completed())
	s.reset(events.Base{Run: "run-05", Event: 5}, nil, marked(6))
	s.agrees()
	commits := c.commits(s.w)
	var named []events.ResetBase
	for _, commit := range commits {
		if commit.Base != nil {
			named = append(named, *commit.Base)
		}
	}
	if len(named) != 5 || named[1].Run != "run-02" || named[1].Hash != owned.Hash() || named[2].Run != "run-01" || named[3].Run != "run-01" || named[4].Run != "run-05" {
		c.Errorf("the bases are %+v", named)
	}
}

func resetsReadInEveryWay(c *scene) {
	s := newStory(c, "w")
	s.tell(started("T"))
	for i := range 12 { // more than an envelope names
		s.tell(signals(i%3+1, "s")...)
	}
	s.tell(continuedAs(""), started("T"), signaled("s"))
	for range 10 {
		s.tell(signaled("t"))
	}
	for i, base := range []events.Base{{Run: "run-01", Event: 20}, {Run: "run-02", Event: 11}, {Run: "run-03", Event: 21}, {Run: "run-01", Event: 1}, {Run: "run-05", Event: 15}} {
		s.reset(base, list(signaled("last"), terminated()), marked(i+1), signaled("u"))
		for range 9 * (i % 2) {
			s.tell(signals(2, "v")...)
		}
	}
	s.agrees()
}

func resetRefusesWhatIsWrong(c *scene) {
	w := c.workflow("w")
	c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"), signaled("s"), completed())})
	open := c.append(events.Request{Workflow: w, RunID: "two", Events: list(started("T"), signaled("s"))})
	closing := list(terminated(), marked(1))
	for _, tt := range []struct {
		why    string
		field  string
		base   events.Base
		run    events.RunID
		events []*events.Event
	}{
		{"no such run", "base.run", events.Base{Run: "three", Event: 1}, "", closing},
		{"no run", "base.run", events.Base{Event: 1}, "", closing},
		{"beyond the end", "base.event", events.Base{Run: "one", Event: 4}, "", closing},
		{"beyond the end of what is open", "base.event", events.Base{Run: "two", Event: 3}, "", closing},
		{"the event that closes the base", "base.event", events.Base{Run: "one", Event: 3}, "", closing},
		{"no event", "base.event", events.Base{Run: "one"}, "", closing},
		{"the base's own id", "runId", events.Base{Run: "one", Event: 1}, "one", closing},
		{"the id of the open run", "runId", events.Base{Run: "one", Event: 1}, "two", closing},
		{"a start", "events[1].eventType", events.Base{Run: "one", Event: 1}, "", list(terminated(), started("T"))},
		{"a third run", "events[2].eventType", events.Base{Run: "one", Event: 1}, "", list(terminated(), completed(), signaled("s"))},
		{"another id", "events[1].eventId", events.Base{Run: "one", Event: 1}, "", list(terminated(), numbered(3, list(signaled("s")))[0])},
	} {
		for _, expect := range []events.Expectation{events.After(open.Cursor), events.AtEnd()} {
			got := refused[*events.InvalidError](c, events.Request{Workflow: w, Expect: expect, RunID: tt.run, Base: &tt.base, Events: tt.events}, events.ErrInvalid)
			if got.Field != tt.field {
				c.Errorf("%s: error is %v, want one about %s", tt.why, got, tt.field)
			}
		}
	}
	// Of a workflow that is not there.
	for _, expect := range []events.Expectation{events.NewRun(), events.AfterEvent("one", 1)} {
		got := refused[*events.InvalidError](c, events.Request{Workflow: c.workflow("none"), Expect: expect, Base: &events.Base{Run: "one", Event: 1}, Events: list(marked(1))}, events.ErrInvalid)
		if got.Field != "base.run" {
			c.Errorf("error is %v", got)
		}
	}
	if n := len(c.commits(w)); n != 2 {
		c.Errorf("%d commits, want 2", n)
	}
}

func resetIsRefusedBesideAnOpenRun(c *scene) {
	w := c.workflow("w")
	open := c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"), signaled("s"))})
	r := events.Request{Workflow: w, Base: &events.Base{Run: "one", Event: 1}, Events: list(marked(1))}
	refused[*events.ConflictError](c, r, events.ErrConflict)
	for _, expect := range []events.Expectation{events.After(open.Cursor), events.AfterEvent("one", 2), events.AtEnd(), events.AtEndOf("one")} {
		r.Expect = expect
		if got := refused[*events.InvalidError](c, r, events.ErrInvalid); got.Field != "base" {
			c.Errorf("error is %v", got)
		}
	}
	// The other way round: there is no open run to be ended.
	done := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
	r.Events = list(terminated(), marked(1))
	for _, expect := range []events.Expectation{events.After(done.Cursor), events.AtEnd()} {
		r.Expect = expect
		refused[*events.ClosedError](c, r, events.ErrClosed)
	}
	r.Expect = events.NewRun()
	if got := refused[*events.InvalidError](c, r, events.ErrInvalid); got.Field != "events[0].eventType" {
		c.Errorf("error is %v", got)
	}
}

func staleResetConflicts(c *scene) {
	w := c.workflow("w")
	open := c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"), signaled("s"))})
	now := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	r := events.Request{Workflow: w, Base: &events.Base{Run: "one", Event: 2}, Events: list(terminated(), marked(1))}
	for _, expect := range []events.Expectation{events.After(open.Cursor), events.AfterEvent("one", 2)} {
		r.Expect = expect
		got := refused[*events.ConflictError](c, r, events.ErrConflict)
		c.same("the actual cursor", now.Cursor, got.Actual)
	}
	r.Expect = events.AtEnd() // follows to wherever it ends
	if res := c.append(r); res.FirstEventID != 3 {
		c.Errorf("result is %+v", res)
	}
	if n := len(c.history(w, "one")); n != 4 {
		c.Errorf("the base has %d events, want 4", n)
	}
}

func sixteenRacersResetOneRun(c *scene) {
	w := c.workflow("w")
	open := c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"), signaled("s"))})
	won := onlyOneWins(c, race(c, 16, func(i int) (events.Result, error) {
		return c.log.Append(c.ctx(), events.Request{
			Workflow: w, Expect: events.After(open.Cursor), RunID: events.RunID(fmt.Sprint("racer ", i)),
			Base: &events.Base{Run: "one", Event: 2}, Events: list(terminated(), marked(i+1)),
		})
	}))
	if n := len(c.commits(w)); n != 2 || len(c.history(w, won.RunID)) != 3 {
		c.Errorf("%d commits, want 2", n)
	}
}

func resetIsRecognisedWhenRepeated(c *scene) {
	for _, state := range []string{"open", "closed"} {
		w := c.workflow(state)
		start := c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"), signaled("s"))})
		r := events.Request{Workflow: w, CommitID: "reset", Base: &events.Base{Run: "one", Event: 2}, Events: list(marked(1))}
		expectations := []events.Expectation{events.NewRun()}
		if state == "closed" {
			start = c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
		} else {
			r.Events = list(terminated(), marked(1))
			expectations = []events.Expectation{events.AtEnd()}
		}
		expectations = append(expectations, events.After(start.Cursor))
		r.Expect = expectations[0]
		first := c.append(r)
		for i, more := range [][]*events.Event{nil, signals(1, "s"), list(completed()), list(started("T"))} {
			if more != nil {
				expect := events.AtEnd()
				if events.Opens(more[0]) {
					expect = events.NewRun()
				}
				c.append(events.Request{Workflow: w, Expect: expect, Events: more})
			}
			for _, expect := range expectations {
				r.Expect = expect
				again := c.append(r)
				want := first
				want.Existed = true
				c.same(fmt.Sprintf("%s, repeated after %d others, %s", state, i, expect), want, again)
			}
		}
		for _, base := range []*events.Base{{Run: "one", Event: 1}, nil} {
			other := r
			other.Base, other.Expect = base, events.After(start.Cursor)
			if base == nil && state == "closed" {
				other.Events = list(started("T"))
			} else if base == nil {
				other.Events = list(terminated(), started("T"))
			}
			refused[*events.CommitIDReusedError](c, other, events.ErrCommitIDReused)
		}
	}
}

func resetCountsTheWholeHistory(c *scene) {
	w := c.workflow("w")
	log := c.h.Open(c, Options{Limits: events.Limits{MaxEvents: 10, WarnEvents: 8}})
	one := c.append(events.Request{Workflow: w, RunID: "one", Events: append(list(started("T")), signals(6, "s")...)})
	res, err := log.Append(c.ctx(), events.Request{
		Workflow: w, Expect: events.After(one.Cursor), RunID: "two", Base: &events.Base{Run: "one", Event: 7}, Events: list(terminated(), marked(1)),
	})
	if err != nil {
		c.Fatal(err)
	}
	size := int64(0)
	for _, e := range c.history(w, "two") {
		size += events.StoredSize(e)
	}
	if res.Cursor.Size() != size || res.LastEventID != 8 || res.Warning == "" {
		c.Errorf("result is %+v of %d bytes, want 8 events of %d", res, res.Cursor.Size(), size)
	}
	_, err = log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: signals(3, "s")})
	as[*events.LimitError](c, err, events.ErrLimit, "append beyond the limit")
	_, err = log.Append(c.ctx(), events.Request{
		Workflow: w, Expect: events.After(res.Cursor), Base: &events.Base{Run: "two", Event: 8}, Events: list(terminated(), marked(1), marked(2), marked(3)),
	})
	as[*events.LimitError](c, err, events.ErrLimit, "reset beyond the limit")
}

func resetPastAVoid(c *scene) {
	s := newStory(c, "w")
	s.tell(started("T"), signaled("a"))
	s.foreign(s.w)
	s.at.Cursor = s.void(s.w).Cursor
	s.tell(signaled("b"))
	s.foreign(s.w)
	s.at.Cursor = s.void(s.w).Cursor
	s.reset(events.Base{Run: "run-01", Event: 3}, list(terminated()), marked(1))
	s.foreign(s.w)
	s.at.Cursor = s.void(s.w).Cursor
	s.tell(signaled("c"))
	s.reset(events.Base{Run: "run-02", Event: 4}, list(terminated()), marked(2))
	s.agrees()
}

func theUsualReset(c *scene) {
	w := c.workflow("w")
	one := c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"), signals(3, "s")...)})
	reapplied := c.history(w, "")[2:3]
	r := events.Reset(one.Cursor, events.Base{Run: "one", Event: 2}, events.ResetOptions{RunID: "two", Reason: "why", Identity: "me", Reapply: reapplied})
	two := c.append(r)
	got := c.history(w, "two")
	if len(got) != 4 || got[2].GetMarkerRecordedEventAttributes().GetMarkerName() != events.MarkerReset || got[3].EventId != 4 || got[3].GetWorkflowExecutionSignaledEventAttributes().GetSignalName() != "s" {
		c.Errorf("the new run is %v", got)
	}
	if ended := c.history(w, "one"); len(ended) != 5 || ended[4].GetWorkflowExecutionTerminatedEventAttributes().GetReason() != "why" {
		c.Errorf("the base is %v", ended)
	}
	done := c.append(events.Request{Workflow: w, Expect: events.After(two.Cursor), Events: list(completed())})
	r = events.Reset(done.Cursor, events.Base{Run: "two", Event: 3}, events.ResetOptions{Reason: "why", Scheduled: 2, Started: 3})
	three := c.append(r)
	got = c.history(w, three.RunID)
	a := got[3].GetWorkflowTaskFailedEventAttributes()
	if len(got) != 4 || a.GetCause() != enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW || a.GetBaseRunId() != "two" || a.GetNewRunId() != string(three.RunID) || a.GetStartedEventId() != 3 || a.GetFailure().GetResetWorkflowFailureInfo() == nil {
		c.Errorf("the new run is %v", got)
	}
	if n := len(c.history(w, "two")); n != 5 {
		c.Errorf("the closed base has %d events, want 5", n)
	}
}

func aResetOfUnknownOutcomeIsSettled(c *scene) {
	for fault, stored := range map[Fault]bool{LoseMessage: false, LoseAck: true} {
		for _, kind := range []string{"after", "at end", "new run"} {
			w := c.workflow(fmt.Sprintf("%s, stored %t", kind, stored))
			one := c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"), signaled("s"))})
			r := events.Request{Workflow: w, Base: &events.Base{Run: "one", Event: 2}, Events: list(terminated(), marked(1))}
			switch kind {
			case "after":
				r.Expect = events.After(one.Cursor)
			case "at end":
				r.Expect = events.AtEnd()
			default:
				c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
				r.Events = list(marked(1))
			}
			doubt := doubtfully(c, r, fault, 0)
			r.Expect, r.CommitID = doubt.Expectation, doubt.CommitID
			// Sent back with a base that is none, it would be in doubt for ever.
			other := r
			other.Base = &events.Base{Run: "one", Event: 20}
			if got := refused[*events.InvalidError](c, other, events.ErrInvalid); got.Field != "base.event" {
				c.Errorf("%s: error is %+v", w, got)
			}
			res := c.append(r)
			if res.Existed != stored || res.FirstEventID != 3 || len(c.history(w, res.RunID)) != 3 || len(c.commitsWith(w, r.CommitID)) != 1 {
				c.Errorf("%s: settled as %+v", w, res)
			}
		}
	}
}
