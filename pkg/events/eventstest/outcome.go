package eventstest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// outcomeCases lose messages and acknowledgements, and settle what became of
// the append.
func outcomeCases() []testCase {
	expectations := []doubtfulAppend{
		{"first run", false, func(events.Result) events.Expectation { return events.NewRun() }},
		{"first run of all", false, func(events.Result) events.Expectation { return events.NewWorkflow() }},
		{"next run", true, func(events.Result) events.Expectation { return events.NewRun() }},
		{"after a cursor", true, func(open events.Result) events.Expectation { return events.After(open.Cursor) }},
		{"after an event", true, func(open events.Result) events.Expectation {
			return events.AfterEvent(open.RunID, open.LastEventID)
		}},
		{"at end", true, func(events.Result) events.Expectation { return events.AtEnd() }},
		{"at end of a run", true, func(open events.Result) events.Expectation { return events.AtEndOf(open.RunID) }},
	}
	var cases []testCase
	for _, e := range expectations {
		for fault, name := range map[Fault]string{LoseMessage: "the message is lost", LoseAck: "the acknowledgement is lost"} {
			for _, id := range []events.CommitID{"", "named"} {
				cases = append(cases, testCase{fmt.Sprintf("%s, commit id %q, %s once", e.name, id, name), func(c *scene) {
					once(c, e, id, fault)
				}})
				for _, between := range between {
					cases = append(cases, testCase{fmt.Sprintf("%s, commit id %q, %s, then %s", e.name, id, name, between), func(c *scene) {
						unknown(c, e, id, fault, between)
					}})
				}
			}
		}
	}
	for _, e := range expectations {
		cases = append(cases, testCase{e.name + ", repeated without what was tried", func(c *scene) { unknownWithout(c, e) }})
	}
	return append(cases, named(anAppendWithoutADeadlineEnds, faultsAmongManyWriters, attemptsBesideAnotherStart, aRepetitionOvertakesTheAppend)...)
}

// doubtfulAppend is an append whose message or acknowledgement is lost.
type doubtfulAppend struct {
	name   string
	behind bool // something is there already: an open run, or a closed one for a new run
	expect func(open events.Result) events.Expectation
}

// request prepares the workflow and makes the append. Before the attempt that
// is meant, as many others are refused as skip says: a new run is first tried
// on a workflow that does not exist.
func (d doubtfulAppend) request(c *scene, name string, id events.CommitID) (r events.Request, skip int32) {
	r = events.Request{Workflow: c.workflow(name), CommitID: id}
	var open events.Result
	if r.Expect = d.expect(open); !r.Expect.IsNewRun() && !r.Expect.IsNewWorkflow() {
		r.Expect, r.Events = d.expect(c.start(r.Workflow)), signals(2, "mine")
		return r, 0
	}
	r.Events = list(started("T"))
	if d.behind {
		c.start(r.Workflow, completed())
		skip = 1
	}
	return r, skip
}

// once: the fault hits the first attempt only, and Append sees to the rest.
func once(c *scene, d doubtfulAppend, id events.CommitID, fault Fault) {
	r, skip := d.request(c, "w", id)
	w := r.Workflow
	before := 0
	if d.behind {
		before = len(c.commits(w))
	}
	var n atomic.Int32
	log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
		if n.Add(1) == skip+1 {
			return fault
		}
		return Deliver
	}})
	res, err := log.Append(c.ctx(), r)
	if err != nil || n.Load() <= skip+1 {
		c.Fatalf("append gave %+v, %v in %d attempts", res, err, n.Load())
	}
	commits := c.commits(w)
	if len(commits) != before+1 || commits[before].ID != res.CommitID || commits[before].Position != res.Position {
		c.Errorf("result is %+v, the log holds %+v", res, commits)
	}
	c.same("cursor", commits[before].Cursor(c.log.Identity()), res.Cursor)
}

// unknown: the fault hits until the deadline. Then something else may happen,
// and the append is repeated as the error says, by another handle.
func unknown(c *scene, d doubtfulAppend, id events.CommitID, fault Fault, between string) {
	r, skip := d.request(c, "w", id)
	w := r.Workflow
	doubt := doubtfully(c, r, fault, skip)
	stored := len(c.commitsWith(w, doubt.CommitID)) == 1
	if stored != (fault == LoseAck) {
		c.Fatalf("stored: %t, though the fault was %d", stored, fault)
	}
	if got := doubt.CommitID; id != "" && got != id || got == "" || doubt.Workflow != w {
		c.Errorf("error is %+v", doubt)
	}

	c.others(w, between)
	before := c.countCommits(w)

	r.CommitID = doubt.CommitID
	if err := r.Expect.UnmarshalText([]byte(text(doubt.Expectation))); err != nil {
		c.Fatal(err)
	}
	// A repetition that does not get through leaves it as unknown as it was.
	ended, cancel := context.WithCancel(c.ctx())
	cancel()
	_, err := c.log.Append(ended, r)
	still := as[*events.OutcomeUnknownError](c, err, events.ErrOutcomeUnknown, "repeated with an ended context")
	if still.CommitID != r.CommitID || text(still.Expectation) != text(r.Expect) {
		c.Errorf("repeated with an ended context: %+v, want commit id and expectation as they were", still)
	}
	attempt, ok := r.Expect.Attempted()
	if !ok {
		c.Fatal("the expectation carries no attempt")
	}

	for repeat := range 2 {
		res, err := c.log.Append(c.ctx(), r)
		mine := c.commitsWith(w, r.CommitID)
		switch {
		case stored || repeat == 1 && len(mine) == 1:
			if err != nil || !res.Existed || len(mine) != 1 || mine[0].Position != res.Position {
				c.Fatalf("repeated: %+v, %v; the log holds it %d times", res, err, len(mine))
			}
		case err == nil:
			if len(mine) != 1 || res.Existed || mine[0].Position != res.Position {
				c.Fatalf("repeated: %+v; the log holds it %d times", res, len(mine))
			}
			if n := c.countCommits(w); n != before+1 {
				c.Errorf("%d commits, want one more than %d", n, before)
			}
		default:
			if len(mine) != 0 || c.countCommits(w) != before {
				c.Errorf("repeated: %v, and the log holds it %d times", err, len(mine))
			}
			if !errors.Is(err, events.ErrConflict) && !errors.Is(err, events.ErrClosed) {
				c.Errorf("repeated: %v, want a conflict or a closed run", err)
			}
		}
		// Whichever attempt was stored, it is the same to the byte.
		for _, commit := range c.commitsWith(w, r.CommitID) {
			parts, err := commit.Segments()
			if err != nil {
				c.Fatal(err)
			}
			if got := parts[0].Events[0].EventTime.AsTime(); !got.Equal(attempt.Time) || attempt.Run != "" && commit.Run.Run != attempt.Run {
				c.Errorf("stored were run %s and time %s, the first attempt had %s and %s", commit.Run.Run, got, attempt.Run, attempt.Time)
			}
		}
		// Where the workflow stands as it did, it must go through.
		_, atEnd := r.Expect.IsAtEnd()
		if must := between == "nothing" || atEnd && between == "a signal" || r.Expect.IsNewRun() && between == "the run's end"; must && err != nil {
			c.Errorf("repeated after %s: %v", between, err)
		}
	}
}

// unknownWithout repeats an append of unknown outcome by its commit id alone, with
// the expectation that the caller had.
func unknownWithout(c *scene, d doubtfulAppend) {
	for _, fault := range []Fault{LoseMessage, LoseAck} {
		for i, between := range between {
			name := fmt.Sprint("w", fault, i)
			r, skip := d.request(c, name, "named")
			doubtfully(c, r, fault, skip)
			c.others(r.Workflow, between)
			before, stored := c.countCommits(r.Workflow), c.commitsWith(r.Workflow, r.CommitID)
			if (len(stored) == 1) != (fault == LoseAck) {
				c.Fatalf("stored %d times, though the fault was %d", len(stored), fault)
			}
			for range 2 {
				res, err := c.log.Append(c.ctx(), r)
				mine := c.commitsWith(r.Workflow, r.CommitID)
				switch {
				case fault == LoseAck:
					if err != nil || !res.Existed || res.Position != stored[0].Position || len(mine) != 1 || c.countCommits(r.Workflow) != before {
						c.Fatalf("after %s: %+v, %v, and it is stored %d times; want what is at %s", between, res, err, len(mine), stored[0].Position)
					}
				case err == nil:
					if len(mine) != 1 || mine[0].Position != res.Position || c.countCommits(r.Workflow) != before+1 {
						c.Fatalf("after %s: %+v, and it is stored %d times", between, res, len(mine))
					}
				default:
					if len(mine) != 0 || c.countCommits(r.Workflow) != before || between == "nothing" {
						c.Fatalf("after %s: %v, and it is stored %d times", between, err, len(mine))
					}
					if !errors.Is(err, events.ErrConflict) && !errors.Is(err, events.ErrClosed) {
						c.Errorf("after %s: %v, want a conflict or a closed run", between, err)
					}
				}
			}
		}
	}
}

// between is what others may do between an append and its repetition, written by
// somebody who knows how the workflow is.
var between = []string{"nothing", "a signal", "the run's end", "the next run"}

func (c *scene) others(w events.Workflow, do string) {
	c.Helper()
	tail, err := c.log.Tail(c.ctx(), w)
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		c.Fatal(err)
	}
	other := func(list ...*events.Event) {
		c.Helper()
		expect := events.NewRun()
		if !tail.IsZero() {
			expect = events.After(tail)
		}
		tail = c.append(events.Request{Workflow: w, Expect: expect, Events: list}).Cursor
	}
	isOpen := events.IsOpen(tail.Status())
	switch do {
	case "a signal":
		if !isOpen {
			other(started("other"))
		}
		other(signaled("other"))
	case "the run's end":
		if !isOpen {
			other(started("other"))
		}
		other(completed())
	case "the next run":
		if isOpen {
			other(completed())
		}
		other(started("other"), completed())
		other(started("other"))
	}
}

// doubtfully appends under a fault until the deadline.
func doubtfully(c *scene, r events.Request, fault Fault, skip int32) *events.OutcomeUnknownError {
	c.Helper()
	return inDoubt(c, fault, skip, func(ctx context.Context, log events.Log) error {
		_, err := log.Append(ctx, r)
		return err
	})
}

// inDoubt does what appends, under a fault until the deadline. Before the commit
// that is meant, as many others are let through as skip says.
func inDoubt(c *scene, fault Fault, skip int32, do func(context.Context, events.Log) error) *events.OutcomeUnknownError {
	c.Helper()
	var hits atomic.Int32
	ctx, cancel := context.WithTimeout(c.ctx(), time.Minute)
	defer cancel()
	log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
		switch n := hits.Add(1); {
		case n <= skip:
			return Deliver
		case n == skip+1:
			return fault
		case n == skip+3:
			cancel()
		}
		return LoseMessage // once it is stored, only silence keeps it unknown
	}})
	err := do(ctx, log)
	var doubt *events.OutcomeUnknownError
	if !errors.Is(err, events.ErrOutcomeUnknown) || !errors.As(err, &doubt) || !events.SafeToRetry(err) {
		c.Fatalf("append gave %v; want that its outcome is unknown", err)
	}
	return doubt
}

// commitsWith are the workflow's commits with an id, countCommits the number of
// all; none if there is no such workflow.
func (c *scene) commitsWith(w events.Workflow, id events.CommitID) []*events.Commit {
	c.Helper()
	var out []*events.Commit
	for commit, err := range c.log.Commits(c.ctx(), w) {
		switch {
		case errors.Is(err, events.ErrNotFound):
		case err != nil:
			c.Fatal(err)
		case id == "" || commit.ID == id:
			out = append(out, commit)
		}
	}
	return out
}

func (c *scene) countCommits(w events.Workflow) int {
	c.Helper()
	return len(c.commitsWith(w, ""))
}

// faultsAmongManyWriters: appends of unknown outcome, settled while others
// write, are stored once, or not at all and said so.
func faultsAmongManyWriters(c *scene) {
	w := c.workflow("w")
	c.start(w)
	var n atomic.Int64
	faulty := c.h.Open(c, Options{Fault: func(events.CommitID) Fault { return Fault(n.Add(1) % 3) }})
	out := race(c, 16, func(i int) (events.Result, error) {
		var last events.Result
		for j := range 5 {
			r := events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, fmt.Sprintf("%d/%d", i, j))}
			var err error
			if last, err = faulty.Append(c.ctx(), r); err != nil {
				return last, err
			}
		}
		return last, nil
	})
	for i, o := range out {
		if o.err != nil {
			c.Fatalf("writer %d: %v", i, o.err)
		}
	}
	seen := map[string]bool{}
	for _, e := range c.history(w, "")[1:] {
		name := e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName()
		if seen[name] {
			c.Errorf("signal %s was stored twice", name)
		}
		seen[name] = true
	}
	if len(seen) != 16*5 {
		c.Errorf("%d signals, want %d", len(seen), 16*5)
	}
}

// attemptsBesideAnotherStart: the attempt of a first start is lost, somebody
// else starts the workflow, and the repetition is told so.
func attemptsBesideAnotherStart(c *scene) {
	for _, fault := range []Fault{LoseMessage, LoseAck} {
		w := c.workflow(fmt.Sprint("w", fault))
		doubt := doubtfully(c, events.Request{Workflow: w, Events: list(started("mine"))}, fault, 0)
		r := events.Request{Workflow: w, Expect: doubt.Expectation, CommitID: doubt.CommitID, Events: list(started("mine"))}
		if fault == LoseAck {
			c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
			if res := c.append(r); !res.Existed || res.LastEventID != 1 {
				c.Errorf("result is %+v", res)
			}
			attempt, _ := doubt.Expectation.Attempted()
			if got := c.commits(w)[0]; got.Run.Run != attempt.Run {
				c.Errorf("run is %s, the attempt started %s", got.Run.Run, attempt.Run)
			}
			continue
		}
		other := c.start(w)
		got := refused[*events.ConflictError](c, r, events.ErrConflict)
		c.same("the conflict's cursor", other.Cursor, got.Actual)
	}
}

// aRepetitionOvertakesTheAppend: while an append is under way, another commit
// comes, and then a repetition of the append by somebody else, which is stored.
// The append must find it.
func aRepetitionOvertakesTheAppend(c *scene) {
	for name, r := range map[string]events.Request{
		"at end":           {Expect: events.AtEnd(), Events: signals(1, "mine")},
		"at end of a run":  {Expect: events.AtEndOf("r"), Events: signals(1, "mine")},
		"the next run":     {Events: list(started("mine"))},
		"after all is new": {Events: list(started("mine"))},
	} {
		w := c.workflow(name)
		r.Workflow, r.CommitID = w, "mine"
		other := []events.Request{{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "other")}}
		switch name {
		case "the next run":
			c.start(w, completed())
			other = []events.Request{{Workflow: w, Events: list(started("other"), completed())}}
		case "after all is new":
			other = []events.Request{{Workflow: w, Events: list(started("other"))}, {Workflow: w, Expect: events.AtEnd(), Events: list(completed())}}
		default:
			c.append(events.Request{Workflow: w, RunID: "r", Events: list(started("T"))})
		}
		var overtaken events.Result
		log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
			if overtaken.CommitID == "" {
				for _, o := range other {
					c.append(o)
				}
				overtaken = c.append(r)
			}
			return Deliver
		}})
		res, err := log.Append(c.ctx(), r)
		if err != nil || !res.Existed || res.Position != overtaken.Position {
			c.Errorf("%s: gave %+v, %v, want what was stored at %s", name, res, err, overtaken.Position)
		}
		if n := len(c.commitsWith(w, "mine")); n != 1 {
			c.Errorf("%s: stored %d times", name, n)
		}
	}
}
