package eventstest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/annals-io/annals/pkg/events"
)

// policyOutcomeCases lose what starts send, and settle what became of it.
func policyOutcomeCases(short bool) []testCase {
	var cases []testCase
	between := between
	if short {
		between = []string{"nothing", "the next run"}
	}
	for _, y := range ways {
		for fault, name := range map[Fault]string{LoseMessage: "the message is lost", LoseAck: "the acknowledgement is lost"} {
			cases = append(cases, testCase{fmt.Sprintf("%s, %s once", y.name, name), func(c *scene) { startOnce(c, y, fault) }})
			for _, between := range between {
				for _, token := range []bool{true, false} {
					if !token && between != "nothing" && between != "the next run" {
						continue // by its commit id alone it is a start like any other, once it was looked for
					}
					how := "repeated by its commit id"
					if token {
						how = "repeated with what was tried"
					}
					cases = append(cases, testCase{fmt.Sprintf("%s, %s, then %s, %s", y.name, name, between, how), func(c *scene) {
						unknownStart(c, y, fault, between, token)
					}})
				}
			}
		}
	}
	return append(cases, named(startsOfOneIdAmongFaults, aRepetitionOvertakesTheStart)...)
}

// startOnce: the fault hits the first attempt of the commit that is meant, and
// the start sees to the rest.
func startOnce(c *scene, y way, fault Fault) {
	for i, id := range []events.CommitID{"", "named"} {
		var n atomic.Int32
		log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
			if n.Add(1) == y.skip+1 {
				return fault
			}
			return Deliver
		}})
		r := y.prepare(c, fmt.Sprint("w", i), id)
		res, err := y.start(c.ctx(), log, r)
		if err != nil || res.Outcome != y.want || n.Load() <= y.skip+1 {
			c.Fatalf("gave %+v, %v in %d attempts; want that it %s", res, err, n.Load(), y.want)
		}
		checkStart(c, r.Workflow, res, 1)
		if got, want := c.countCommits(r.Workflow), len(y.behind)+1; got != want {
			c.Errorf("%d commits, want %d", got, want)
		}
	}
}

// unknownStart: the fault hits until the deadline, others go on, and the start is
// repeated by another handle, with the attempted expectation or by its commit id
// alone.
func unknownStart(c *scene, y way, fault Fault, between string, token bool) {
	ids := []events.CommitID{"named", ""}
	if !token || c.h.Short {
		ids = ids[:1] // the first call is the same either way
	}
	for i, id := range ids {
		r := y.prepare(c, fmt.Sprint("w", i), id)
		w := r.Workflow
		doubt := inDoubt(c, fault, y.skip, func(ctx context.Context, log events.Log) error {
			_, err := y.start(ctx, log, r)
			return err
		})
		if doubt.Workflow != w || doubt.CommitID == "" || id != "" && doubt.CommitID != id {
			c.Fatalf("error is %+v", doubt)
		}
		before := c.commitsWith(w, doubt.CommitID)
		if (len(before) == 1) != (fault == LoseAck) {
			c.Fatalf("stored %d times, though the fault was %d", len(before), fault)
		}
		c.others(w, between)
		r.CommitID = doubt.CommitID
		if token {
			if err := r.Expect.UnmarshalText([]byte(text(doubt.Expectation))); err != nil {
				c.Fatal(err)
			}
			// A repetition that does not get through leaves it as unknown as it was.
			ended, cancel := context.WithCancel(c.ctx())
			cancel()
			_, err := y.start(ended, c.log, r)
			still := as[*events.OutcomeUnknownError](c, err, events.ErrOutcomeUnknown, "repeated with an ended context")
			if still.CommitID != r.CommitID || text(still.Expectation) != text(r.Expect) {
				c.Errorf("repeated with an ended context: %+v, want commit id and expectation as they were", still)
			}
		}
		res, err := y.start(c.ctx(), c.log, r)
		if fault == LoseMessage && between != "nothing" && y.refused(err) {
			if n := len(c.commitsWith(w, r.CommitID)); n != 0 {
				c.Fatalf("settled: %v, and it is stored %d times", err, n)
			}
			continue
		}
		if err != nil {
			c.Fatalf("settled: %v", err)
		}
		if fault == LoseAck && (!res.Existed || res.Outcome != y.want || res.Position != before[0].Position) {
			c.Fatalf("settled: %+v, want what is stored at %s", res, before[0].Position)
		}
		if fault == LoseMessage && res.Existed {
			c.Fatalf("settled: %+v, though nothing was stored", res)
		}
		checkStart(c, w, res, 1)
		// Once it is settled it stays so, whatever it is repeated with.
		another := c.h.Open(c, Options{})
		for range 2 {
			again, err := y.start(c.ctx(), another, r)
			if err != nil {
				c.Fatal(err)
			}
			if res.Outcome != events.RunUsed {
				res.Existed = true
			}
			c.same("settled once more", res, again)
			r.Expect = events.Expectation{}
		}
	}
}

// startsOfOneIdAmongFaults: many callers repeat the same start while messages and
// acknowledgements are lost and others close runs. It is stored once, and all that
// are told of it are told the same.
func startsOfOneIdAmongFaults(c *scene) {
	for i, y := range ways {
		for round := range 2 {
			var n atomic.Int64
			faulty := c.h.Open(c, Options{Fault: func(events.CommitID) Fault { return Fault((n.Add(1) + int64(round)) % 3) }})
			r := y.prepare(c, fmt.Sprint("w", i, "-", round), "one")
			results := make([]events.StartResult, 6)
			out := race(c, 8, func(i int) (events.Result, error) {
				if i >= len(results) { // others end runs meanwhile
					_, err := c.log.Append(c.ctx(), events.Request{Workflow: r.Workflow, Expect: events.AtEnd(), Events: list(completed())})
					if errors.Is(err, events.ErrClosed) || errors.Is(err, events.ErrNotFound) {
						err = nil
					}
					return events.Result{}, err
				}
				var err error
				if results[i], err = y.start(c.ctx(), faulty, r); y.refused(err) {
					err = nil
				}
				return events.Result{}, err
			})
			for i, o := range out {
				if o.err != nil {
					c.Fatalf("%s: caller %d: %v", y.name, i, o.err)
				}
			}
			first := true
			var want events.StartResult
			for _, res := range results {
				if res.Outcome == events.RunUsed || res.Outcome == 0 {
					continue // it found the run of something else, or was refused after its end
				}
				res.Existed = true
				if first {
					want, first = res, false
				}
				c.same(y.name+": what the callers were told", want, res)
			}
			if first && y.conflict == terminate && y.reuse == anyReuse {
				c.Fatalf("%s: nobody started anything", y.name)
			}
			if !first {
				checkStart(c, r.Workflow, want, 1)
			}
		}
	}
}

// aRepetitionOvertakesTheStart: between what a start has read and what it sends,
// somebody else repeats it, and the workflow changes besides. It finds what the
// repetition has stored, in whatever form.
func aRepetitionOvertakesTheStart(c *scene) {
	for i, y := range ways {
		for j, around := range between {
			r := y.prepare(c, fmt.Sprint("w", i, j), "mine")
			var overtaken events.StartResult
			var called bool
			log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
				if !called {
					called = true
					c.others(r.Workflow, around)
					var err error
					if overtaken, err = y.start(c.ctx(), c.log, r); err != nil && !y.refused(err) {
						c.Errorf("%s, after %s: %v", y.name, around, err)
					}
					if overtaken.CommitID != "" {
						c.others(r.Workflow, "the run's end")
					}
				}
				return Deliver
			}})
			res, err := y.start(c.ctx(), log, r)
			if overtaken.Outcome == 0 && y.refused(err) {
				continue // the repetition was refused, and so was this
			}
			if err != nil {
				c.Fatalf("%s, after %s: %v", y.name, around, err)
			}
			if overtaken.Outcome != events.RunUsed {
				overtaken.Existed = true
			}
			c.same(fmt.Sprintf("%s, after %s: what the repetition has stored", y.name, around), overtaken, res)
			checkStart(c, r.Workflow, res, 1)
		}
	}
}
