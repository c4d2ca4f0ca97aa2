package eventstest

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
)

func commitIDCases() []testCase {
	var cases []testCase
	for _, e := range []struct {
		name   string
		expect func(open, last events.Result) events.Expectation
		events []*events.Event
	}{
		{"new run", func(_, _ events.Result) events.Expectation { return events.NewRun() }, list(started("T"))},
		{"new workflow", func(_, _ events.Result) events.Expectation { return events.NewWorkflow() }, list(started("T"))},
		{"after a cursor", func(open, _ events.Result) events.Expectation { return events.After(open.Cursor) }, signals(2, "mine")},
		{"after an event", func(open, _ events.Result) events.Expectation {
			return events.AfterEvent(open.RunID, open.LastEventID)
		}, signals(2, "mine")},
		{"at end", func(_, _ events.Result) events.Expectation { return events.AtEnd() }, signals(2, "mine")},
		{"at end of a run", func(open, _ events.Result) events.Expectation { return events.AtEndOf(open.RunID) }, signals(2, "mine")},
	} {
		for _, id := range []struct {
			name string
			id   func() events.CommitID
		}{
			{"a word", func() events.CommitID { return "one id" }},
			{"a UUIDv7", func() events.CommitID { return events.CommitID(uuid.Must(uuid.NewV7()).String()) }},
		} {
			for _, between := range []struct {
				name string
				do   func(c *scene, w events.Workflow)
			}{
				{"at once", func(*scene, events.Workflow) {}},
				{"after other commits", func(c *scene, w events.Workflow) {
					for range 20 {
						c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")})
					}
				}},
				{"after the run closed", func(c *scene, w events.Workflow) {
					c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
				}},
				{"after two more runs", func(c *scene, w events.Workflow) {
					c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed(), started("T"), completed())})
					c.start(w)
				}},
			} {
				cases = append(cases, testCase{e.name + ", " + id.name + ", " + between.name, func(c *scene) {
					w := c.workflow("w")
					var open events.Result
					if !events.Opens(e.events[0]) {
						open = c.start(w)
					}
					r := events.Request{Workflow: w, CommitID: id.id(), Expect: e.expect(open, open), Events: e.events}
					first := c.append(r)
					if first.Existed {
						c.Error("the first append found itself")
					}
					between.do(c, w)
					n := len(c.commits(w))
					again := c.append(r)
					first.Existed = true
					c.same("the repeated append", first, again)
					if got := len(c.commits(w)); got != n {
						c.Errorf("%d commits after the repetition, want %d", got, n)
					}
					// With other content it is a bug of the caller's.
					r.Events = list(e.events[0], signaled("something else"))
					got := refused[*events.CommitIDReusedError](c, r, events.ErrCommitIDReused)
					if got.CommitID != r.CommitID || got.Position != first.Position {
						c.Errorf("error is %+v, want position %s", got, first.Position)
					}
					if got := len(c.commits(w)); got != n {
						c.Errorf("%d commits after the refusal, want %d", got, n)
					}
				}})
			}
		}
	}
	return append(cases, named(commitIdOnTwoWorkflowsIsTwoAppends, commitIdIsKnownToAnotherProcess, commitIdIsLookedForSoFarBack, commitIdOfATwoRunCommitIsFound, commitIdRepeatedByManyIsStoredOnce)...)
}

func commitIdOnTwoWorkflowsIsTwoAppends(c *scene) {
	for _, id := range []string{"a", "b"} {
		res := c.append(events.Request{Workflow: c.workflow(id), CommitID: "same", Events: list(started("T"))})
		if res.Existed {
			c.Errorf("workflow %s: the append was taken for another workflow's", id)
		}
		if n := len(c.commits(c.workflow(id))); n != 1 {
			c.Errorf("workflow %s has %d commits", id, n)
		}
	}
}

// commitIdIsKnownToAnotherProcess: a handle that was opened later, and one that was
// open before, answer the repetition as the handle that stored it does.
func commitIdIsKnownToAnotherProcess(c *scene) {
	early := c.h.Open(c, Options{})
	for name, expect := range map[string]func(events.Result) events.Expectation{
		"new run":         func(events.Result) events.Expectation { return events.NewRun() },
		"new workflow":    func(events.Result) events.Expectation { return events.NewWorkflow() },
		"after a cursor":  func(open events.Result) events.Expectation { return events.After(open.Cursor) },
		"after an event":  func(open events.Result) events.Expectation { return events.AfterEvent(open.RunID, 1) },
		"at end":          func(events.Result) events.Expectation { return events.AtEnd() },
		"at end of a run": func(open events.Result) events.Expectation { return events.AtEndOf(open.RunID) },
	} {
		r := events.Request{Workflow: c.workflow(name), CommitID: "one", Events: signals(1, "s")}
		if r.Expect = expect(events.Result{}); r.Expect.IsNewRun() || r.Expect.IsNewWorkflow() {
			r.Events = list(started("T"))
		} else {
			r.Expect = expect(c.start(r.Workflow))
		}
		first := c.append(r)
		first.Existed = true
		for _, between := range between {
			c.others(r.Workflow, between)
			n := c.countCommits(r.Workflow)
			for which, log := range map[string]events.Log{"early": early, "late": c.h.Open(c, Options{})} {
				again, err := log.Append(c.ctx(), r)
				if err != nil {
					c.Fatalf("%s after %s, by the %s handle: %v", name, between, which, err)
				}
				c.same(name+" after "+between+", by the "+which+" handle", first, again)
				other := r
				other.Events = list(r.Events[0], signaled("something else"))
				_, err = log.Append(c.ctx(), other)
				as[*events.CommitIDReusedError](c, err, events.ErrCommitIDReused, name+" after "+between+", by the "+which+" handle")
			}
			if got := c.countCommits(r.Workflow); got != n {
				c.Errorf("%s after %s: %d commits after the repetitions, want %d", name, between, got, n)
			}
		}
	}
}

func commitIdIsLookedForSoFarBack(c *scene) {
	log := c.h.Open(c, Options{LookBack: 4})
	w := c.workflow("w")
	c.start(w)
	signal := func(id events.CommitID) events.Result {
		c.Helper()
		res, err := log.Append(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), CommitID: id, Events: signals(1, string(id))})
		if err != nil {
			c.Fatal(err)
		}
		return res
	}
	ids := make([]events.CommitID, 6)
	for i := range ids {
		ids[i] = events.CommitID(fmt.Sprint("id ", i))
		signal(ids[i])
	}
	for i, id := range ids[2:] {
		if !signal(id).Existed {
			c.Errorf("%q, of %d commits before the end, was not found", id, len(ids)-3-i)
		}
	}
	if signal(ids[1]).Existed {
		c.Error("the fifth commit from the end was found, though four are looked at")
	}
	// A UUIDv7 is looked for by its time, however many commits there are.
	v7 := events.CommitID(uuid.Must(uuid.NewV7()).String())
	want := signal(v7)
	for range 20 {
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")})
	}
	if got := signal(v7); !got.Existed || got.Position != want.Position {
		c.Errorf("the UUIDv7's commit is %+v, want %+v", got, want)
	}
	// A start is looked for along the starts.
	w = c.workflow("v")
	begin := func(id events.CommitID) events.Result {
		c.Helper()
		res, err := log.Append(c.ctx(), events.Request{Workflow: w, CommitID: id, Events: list(started("T"), completed())})
		if err != nil {
			c.Fatal(err)
		}
		return res
	}
	for _, id := range ids {
		begin(id)
	}
	for _, id := range ids[2:] {
		if !begin(id).Existed {
			c.Errorf("start %q was not found", id)
		}
	}
	if begin(ids[1]).Existed {
		c.Error("the fifth start from the end was found, though four are looked at")
	}
}

func commitIdOfATwoRunCommitIsFound(c *scene) {
	w := c.workflow("w")
	open := c.start(w)
	r := events.Request{Workflow: w, CommitID: "x", Expect: events.After(open.Cursor), Events: list(continuedAs(""), started("T"))}
	first := c.append(r)
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	again := c.append(r)
	first.Existed = true
	c.same("the repeated append", first, again)

	w = c.workflow("v")
	r = events.Request{Workflow: w, CommitID: "x", Events: list(started("A"), completed(), started("B"))}
	first = c.append(r)
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	again = c.append(r)
	first.Existed = true
	c.same("the repeated append", first, again)
}

func commitIdRepeatedByManyIsStoredOnce(c *scene) {
	for round := range 10 {
		w := c.workflow(fmt.Sprint("w", round))
		var open events.Result
		if round%2 == 0 {
			open = c.start(w)
		}
		results := race(c, 8, func(int) (events.Result, error) {
			r := events.Request{Workflow: w, CommitID: "one", Events: list(started("T"))}
			if round%2 == 0 {
				r.Expect, r.Events = events.After(open.Cursor), signals(1, "s")
			}
			return c.log.Append(c.ctx(), r)
		})
		stored := 0
		for i, r := range results {
			if r.err != nil {
				c.Fatalf("appender %d: %v", i, r.err)
			}
			if !r.res.Existed {
				stored++
			}
			r.res.Existed, results[0].res.Existed = false, false
			c.same("what the appenders were told", results[0].res, r.res)
		}
		if want := 1 + (round+1)%2; stored != 1 || len(c.commits(w)) != want {
			c.Errorf("%d of the appenders stored it, and there are %d commits, want 1 and %d", stored, len(c.commits(w)), want)
		}
	}
}
