package eventstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Concurrent is what [Linearizable] needs. Zero fields mean the default.
type Concurrent struct {
	// Clients are handles on the log, each with a connection of its own, on
	// which faults may happen.
	Clients []events.Log
	// Sound is a handle on which none happen once the clients have ended.
	Sound events.Log
	// Enough ends the clients; it is asked before each operation with the number
	// of those whose outcome will be checked.
	Enough func(operations int) bool
	// Patience bounds each operation of a client; 150 ms. After one without an
	// answer it is twice as long for that client, and shrinks to this again while
	// there are some: on a machine that is slow the check goes on, too.
	Patience time.Duration
	// Workflows are those that are written at a time; 3.
	Workflows int
	// Length is how many operations a workflow gets before another takes its
	// place: what is searched for an order grows with it; 100.
	Length int
	// WritesOnly leaves out the reads, and what a refusal says is there: a leader
	// that does not know yet that it is none may answer them with the past.
	WritesOnly bool
	// Dir gets the history of a workflow that has no such order, as a page to
	// look at; the folder of temporary files.
	Dir string
}

// Linearizable has clients append and read at the same time, and fails unless
// what each was told can be explained by one order of the operations, in which
// each takes effect between its call and its answer: by the library of
// porcupine, each workflow for itself. An append whose outcome is unknown is
// settled as its error says, by any client, or, one of four, left alone: then
// it may take effect at any time, and only where it was tried. It says how many
// operations of which outcome it checked.
func Linearizable(t testing.TB, o Concurrent) Counts {
	t.Helper()
	if o.Patience == 0 {
		o.Patience = 150 * time.Millisecond
	}
	if o.Workflows == 0 {
		o.Workflows = 3
	}
	if o.Length == 0 {
		o.Length = 100
	}
	c := &concurrent{Concurrent: o, t: t, ns: fmt.Sprintf("linear-%016x", rand.Uint64()), start: time.Now(), asked: make([]atomic.Int64, o.Workflows)}
	clients := make([]*linearClient, len(o.Clients))
	var wg sync.WaitGroup
	for i := range clients {
		clients[i] = &linearClient{concurrent: c, n: i, log: o.Clients[i], patience: o.Patience, seen: map[events.Workflow]events.Cursor{}, random: rand.New(rand.NewPCG(rand.Uint64(), uint64(i)))}
		wg.Go(clients[i].run)
	}
	wg.Wait()
	counts, workflows := Counts{}, map[events.Workflow][]record{}
	for _, client := range clients {
		for _, r := range client.records {
			name := fmt.Sprintf("%s: %s", r.op, r.outcome)
			if r.settled {
				name += ", unknown for a while"
			}
			counts[name]++
			workflows[r.workflow] = append(workflows[r.workflow], r)
		}
	}
	c.check(workflows)
	return counts
}

type concurrent struct {
	Concurrent
	t     testing.TB
	ns    string
	start time.Time
	asked []atomic.Int64 // operations for each place of a workflow
	all   atomic.Int64
}

// check reads what the log holds in the end and holds the records against it.
func (c *concurrent) check(workflows map[events.Workflow][]record) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	room := make(chan struct{}, 4)
	var wrong atomic.Int32
	for w, records := range workflows {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			var commits []*events.Commit
			for {
				var err error
				if commits, err = collect(c.Sound.Commits(ctx, w)); err == nil || errors.Is(err, events.ErrNotFound) {
					break
				}
				if !events.SafeToRetry(err) || ctx.Err() != nil {
					c.t.Errorf("commits of %s: %v", w, err)
					return
				}
			}
			history, err := linearize(records, commits, time.Since(c.start))
			if err != nil {
				c.t.Error(err)
				return
			}
			if wrong.Load() < 3 && !checkLinear(c.t, w, history, c.Dir) {
				wrong.Add(1) // some say as much as all of them
			}
			CheckWorkflow(c.t, c.Sound, w)
		})
	}
	wg.Wait()
}

// linearClient is one client, which does one thing after the other.
type linearClient struct {
	*concurrent
	n       int
	log     events.Log
	random  *rand.Rand
	seen    map[events.Workflow]events.Cursor
	records []record
	made    int
	// patience bounds the next operation.
	patience time.Duration
}

// answered sets the patience by whether the last operation was.
func (c *linearClient) answered(err error) {
	if errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrOutcomeUnknown) {
		c.patience = min(2*c.patience, mostPatience)
	} else {
		c.patience = max(c.patience*3/4, c.Patience)
	}
}

const mostPatience = 10 * time.Second

func (c *linearClient) run() {
	for !c.Enough(int(c.all.Load())) && !c.t.Failed() {
		place := c.random.IntN(c.Workflows)
		w := events.Workflow{Namespace: c.ns, ID: fmt.Sprintf("%d/%d", place, int(c.asked[place].Add(1))/c.Length)}
		r := record{workflow: w, client: c.n}
		ok := false
		if !c.WritesOnly && c.random.IntN(10) < 4 {
			ok = c.read(&r)
		} else {
			ok = c.append(&r)
		}
		if ok {
			c.all.Add(1)
			c.records = append(c.records, r)
		}
	}
}

func (c *linearClient) now() time.Duration { return time.Since(c.start) }

// read asks for the tail, or for all commits. A read without an answer is no
// part of the history.
func (c *linearClient) read(r *record) bool {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	r.op, r.outcome = opTail, wasRead
	var err error
	if c.random.IntN(8) == 0 {
		r.op = opRead
	}
	r.call = c.now()
	if r.op == opTail {
		r.tail, err = c.log.Tail(ctx, r.workflow)
	} else {
		var commits []*events.Commit
		commits, err = collect(c.log.Commits(ctx, r.workflow))
		for _, commit := range commits {
			r.all = append(r.all, commit.ID)
		}
		if len(commits) > 0 {
			c.seen[r.workflow] = commits[len(commits)-1].Cursor(c.log.Identity())
		}
	}
	r.end = c.now()
	c.answered(err)
	switch {
	case err == nil && r.op == opTail:
		c.seen[r.workflow] = r.tail
	case err == nil:
	case errors.Is(err, events.ErrNotFound):
		r.outcome = wasMissing
	case errors.Is(err, events.ErrUnavailable):
		return false
	default:
		c.t.Errorf("%s of %s: %v", r.op, r.workflow, err)
		return false
	}
	return true
}

// append draws an append, and takes down how it ends.
func (c *linearClient) append(r *record) bool {
	q := c.draw(r)
	log := c.log
	r.call = c.now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), c.patience)
		res, err := log.Append(ctx, q)
		cancel()
		r.end = c.now()
		c.answered(err)
		var doubt *events.OutcomeUnknownError
		var conflict *events.ConflictError
		var closed *events.ClosedError
		switch {
		case err == nil:
			r.outcome, r.commit.id, r.tail = wasStored, res.CommitID, res.Cursor
			c.seen[r.workflow] = res.Cursor
		case errors.As(err, &doubt):
			q.CommitID, q.Expect = doubt.CommitID, doubt.Expectation
			if !r.settled && c.random.IntN(4) == 0 {
				attempt, _ := q.Expect.Attempted()
				r.outcome, r.commit.id, r.tail = wasUnknown, q.CommitID, attempt.After
				return true
			}
			r.settled = true
			log = c.Clients[c.random.IntN(len(c.Clients))]
			if c.t.Failed() {
				return false
			}
			continue
		case errors.As(err, &conflict):
			r.outcome, r.tail = wasConflict, conflict.Actual
			c.seen[r.workflow] = conflict.Actual
		case errors.As(err, &closed):
			r.outcome, r.tail = wasClosed, closed.Actual
			c.seen[r.workflow] = closed.Actual
		case errors.Is(err, events.ErrNotFound):
			r.outcome = wasMissing
		case errors.Is(err, events.ErrUnavailable):
			return false // nothing was stored: the end will tell if something was
		default:
			c.t.Errorf("%s to %s: %v", r.op, r.workflow, err)
			return false
		}
		// What is refused says how the workflow was read, which is a read.
		return !c.WritesOnly || r.outcome == wasStored
	}
}

// draw makes an append that the workflow may or may not take.
func (c *linearClient) draw(r *record) events.Request {
	c.made++
	name := fmt.Sprintf("%d.%d", c.n, c.made)
	q := events.Request{Workflow: r.workflow, Events: list(signaled(name))}
	if c.random.IntN(2) == 0 {
		q.CommitID = events.CommitID(name)
	}
	cursor := c.seen[r.workflow]
	closes := c.random.IntN(20) == 0
	switch n := c.random.IntN(10); {
	case n < 6 && !cursor.IsZero():
		r.op, r.after, r.commit.open = opAfter, cursor, true
		q.Expect = events.After(cursor)
		if c.random.IntN(4) == 0 {
			q.Expect = events.AfterEvent(cursor.Run(), cursor.LastEventID()) // the same, by a read
		}
		switch {
		case !events.IsOpen(cursor.Status()):
			q.Events = list(started(name))
		case closes && c.random.IntN(2) == 0:
			q.Events = list(continuedAs(""), started(name))
		case closes:
			q.Events, r.commit.open = list(signaled(name), completed()), false
		}
	case n < 8 && !cursor.IsZero():
		r.op, r.commit.open = opAtEnd, !closes
		q.Expect = events.AtEnd()
		if closes {
			q.Events = list(signaled(name), completed())
		}
	default:
		r.op, r.commit.open = opNewRun, !closes
		q.Events = list(started(name))
		if closes {
			q.Events = list(started(name), completed())
		}
	}
	return q
}
