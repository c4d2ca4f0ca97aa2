package eventstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// Model runs random appends, stale ones, lost messages and acknowledgements,
// repetitions at any later time and reopened handles against a model in plain
// code, and compares the log with it after each: nothing is lost, nothing is
// stored twice, and every refusal is the one that is due. The log's harness
// must have the feature Faults. Longer runs: -rapid.checks, -rapid.steps.
func Model(t *testing.T, h Harness) {
	done := &tried{counts: Counts{}}
	defer func() {
		t.Logf("tried%v", done.counts)
		for _, name := range done.missing() {
			t.Errorf("this never happened: %s", name)
		}
	}()
	check := func(rt *rapid.T) {
		m := &modelled{T: rt, tb: t, h: h, tried: done, log: h.Open(t, Options{}), ns: fmt.Sprintf("model-%016x", rand.Uint64())}
		for i := range 2 {
			m.workflows = append(m.workflows, &modelWorkflow{w: events.Workflow{Namespace: m.ns, ID: fmt.Sprint(i)}})
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append":                  m.append,
			"append again":            m.repeat,
			"reset a run":             m.reset,
			"void what is foreign":    m.void,
			"settle what is in doubt": m.settle,
			"settle it by another process": func(rt *rapid.T) {
				m.log = h.Open(t, Options{})
				m.settle(rt)
			},
			"open the log anew": func(*rapid.T) {
				m.log = h.Open(t, Options{})
				done.count("open the log anew")
			},
			"": func(*rapid.T) {},
			"read every run both ways": func(*rapid.T) {
				m.checkAll()
				done.count("read every run both ways")
			},
		})
		m.checkAll()
	}
	// What is rare may not be drawn the first time.
	for range 5 {
		if rapid.Check(t, check); len(done.missing()) == 0 {
			break
		}
	}
}

// modelled is the model, and the log that must agree with it.
type modelled struct {
	*rapid.T
	*tried
	tb        testing.TB
	h         Harness
	log       events.Log
	ns        string
	workflows []*modelWorkflow
	n         int
}

// modelWorkflow is what one workflow must hold.
type modelWorkflow struct {
	w       events.Workflow
	commits []modelCommit
	doubts  []events.Request // with the expectation that settles them
}

// modelCommit is an append that was stored.
type modelCommit struct {
	request events.Request
	result  events.Result
	void    bool // it declares a foreign message void
}

// tail is the workflow's end, zero if it has none.
func (w *modelWorkflow) tail() events.Cursor {
	if len(w.commits) == 0 {
		return events.Cursor{}
	}
	return w.commits[len(w.commits)-1].result.Cursor
}

func (w *modelWorkflow) find(id events.CommitID) (modelCommit, bool) {
	i := slices.IndexFunc(w.commits, func(c modelCommit) bool { return c.result.CommitID == id })
	if i < 0 {
		return modelCommit{}, false
	}
	return w.commits[i], true
}

// append draws an append, right or stale, and what becomes of its attempts.
func (m *modelled) append(t *rapid.T) {
	w := rapid.SampledFrom(m.workflows).Draw(t, "workflow")
	m.n++
	r := events.Request{Workflow: w.w, Events: m.drawEvents(t), Expect: drawExpectation(t, w)}
	if rapid.Bool().Draw(t, "named") {
		r.CommitID = events.CommitID(fmt.Sprint("commit ", m.n))
	}
	m.try(t, w, r, due(w, r))
}

func (m *modelled) drawEvents(t *rapid.T) []*events.Event {
	name := fmt.Sprint("signal ", m.n)
	switch rapid.SampledFrom([]string{"signals", "signals", "signals", "close", "continue", "start", "start", "start and close", "two starts"}).Draw(t, "events") {
	case "close":
		return list(signaled(name), completed())
	case "continue":
		return list(continuedAs(""), started(name))
	case "start":
		return list(started(name))
	case "start and close":
		return list(started(name), completed())
	case "two starts":
		return list(started(name), completed(), started(name))
	default:
		return signals(rapid.IntRange(1, 3).Draw(t, "n"), name)
	}
}

func drawExpectation(t *rapid.T, w *modelWorkflow) events.Expectation {
	kinds := []string{"new run", "new workflow", "at end"}
	if len(w.commits) > 0 {
		kinds = append(kinds, "after the end", "after the end", "after some commit", "after the last event", "after another event", "at the newest run's end", "at some run's end")
	}
	some := func() events.Result { return rapid.SampledFrom(w.commits).Draw(t, "some commit").result }
	tail := w.tail()
	switch rapid.SampledFrom(kinds).Draw(t, "expectation") {
	case "new workflow":
		return events.NewWorkflow()
	case "at end":
		return events.AtEnd()
	case "after the end":
		return events.After(tail)
	case "after some commit":
		return events.After(some().Cursor)
	case "after the last event":
		return events.AfterEvent(tail.Run(), tail.LastEventID())
	case "after another event":
		return events.AfterEvent(some().RunID, events.EventID(rapid.IntRange(1, 9).Draw(t, "event")))
	case "at the newest run's end":
		return events.AtEndOf(tail.Run())
	case "at some run's end":
		return events.AtEndOf(some().RunID)
	default:
		return events.NewRun()
	}
}

// due is the refusal that an append must get, nil if it must be stored.
func due(w *modelWorkflow, r events.Request) error {
	opens := begins(r)
	tail := w.tail()
	// against is what the state of a workflow allows.
	against := func(c events.Cursor) error {
		switch {
		case opens && events.IsOpen(c.Status()), !opens && c.Run() == "":
			return events.ErrInvalid
		case !opens && !events.IsOpen(c.Status()):
			return events.ErrClosed
		}
		return nil
	}
	if c, ok := r.Expect.AfterCursor(); ok {
		if err := against(c); err != nil || c.Position() == tail.Position() {
			return err
		}
		return events.ErrConflict
	}
	if run, id, ok := r.Expect.AfterRunEvent(); ok {
		if tail.Run() == "" {
			return events.ErrNotFound
		}
		if run != tail.Run() || id != tail.LastEventID() {
			return events.ErrConflict
		}
		return against(tail)
	}
	if run, ok := r.Expect.IsAtEnd(); ok {
		switch {
		case opens:
			return events.ErrInvalid
		case tail.Run() == "":
			return events.ErrNotFound
		case run != "" && run != tail.Run(), !events.IsOpen(tail.Status()):
			return events.ErrClosed
		}
		return nil
	}
	switch {
	case !opens:
		return events.ErrInvalid
	case events.IsOpen(tail.Status()), r.Expect.IsNewWorkflow() && tail.Run() != "":
		return events.ErrConflict
	}
	return nil
}

// repeat sends an append that was stored once more, as it was.
func (m *modelled) repeat(t *rapid.T) {
	w := rapid.SampledFrom(m.workflows).Draw(t, "workflow")
	if len(w.commits) == 0 {
		return
	}
	c := rapid.SampledFrom(w.commits).Draw(t, "commit")
	if c.void {
		m.mustBeVoid(t, c)
		return
	}
	r := c.request
	if r.CommitID == "" {
		// Without its id it is another append.
		m.count("append again: is another one without its id")
		m.try(t, w, r, due(w, r))
		return
	}
	m.mustExist(t, c, r)
	m.count("append again: recognised")
}

// mustExist sends an append that is stored, and it must be recognised.
func (m *modelled) mustExist(t *rapid.T, c modelCommit, r events.Request) {
	res, err := m.log.Append(context.Background(), r)
	if err != nil || !res.Existed || res.Position != c.result.Position || text(res.Cursor) != text(c.result.Cursor) {
		t.Fatalf("append %q, stored at %s, was sent again and gave %+v, %v", c.result.CommitID, c.result.Position, res, err)
	}
}

// settle sends an append whose outcome was unknown as its error said, now or
// once more.
func (m *modelled) settle(t *rapid.T) {
	w := rapid.SampledFrom(m.workflows).Draw(t, "workflow")
	if len(w.doubts) == 0 {
		return
	}
	r := rapid.SampledFrom(w.doubts).Draw(t, "doubt")
	if c, ok := w.find(r.CommitID); ok {
		m.mustExist(t, c, r)
		m.count("settle: was stored")
		return
	}
	m.count("settle: was not stored")
	// It was not stored, so it is an append like any other, but for what it was
	// tried against: an expectation that named a history still means that one.
	attempt, _ := r.Expect.Attempted()
	want := due(w, r)
	if _, after := r.Expect.AfterCursor(); after {
		want = nil
		if attempt.After.Position() != w.tail().Position() {
			want = events.ErrConflict
		}
	}
	m.try(t, w, r, want)
}

// try sends an append under faults and holds its outcome against what is due.
func (m *modelled) try(t *rapid.T, w *modelWorkflow, r events.Request, want error) {
	faults := rapid.SampledFrom([][]Fault{
		nil, nil,
		{LoseMessage},
		{LoseAck},
		{Deliver, LoseMessage},
		{Deliver, LoseAck},
		{LoseMessage, LoseMessage, LoseMessage},
		{LoseMessage, LoseMessage, LoseMessage},
		{LoseAck, LoseMessage, LoseMessage},
		{LoseAck, LoseMessage, LoseMessage},
		{LoseAck, LoseMessage, LoseMessage},
		{Deliver, LoseAck, LoseMessage, LoseMessage},
	}).Draw(t, "faults")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var n atomic.Int32
	log := m.h.Open(m.tb, Options{Fault: func(events.CommitID) Fault {
		i := int(n.Add(1)) - 1
		if len(faults) > 2 && i >= len(faults)-1 {
			cancel() // no attempt after this one
		}
		if i < len(faults) {
			return m.fault(faults[i])
		}
		return Deliver
	}})
	res, err := log.Append(ctx, r)
	var doubt *events.OutcomeUnknownError
	switch {
	case err == nil:
		if want != nil {
			t.Fatalf("append %s gave %+v, want %v", r.Expect, res, want)
		}
		m.stored(t, w, r, res)
	case errors.As(err, &doubt):
		if len(faults) <= 2 {
			t.Fatalf("append %s under %v gave %v", r.Expect, faults, err)
		}
		r.CommitID, r.Expect = doubt.CommitID, doubt.Expectation
		w.doubts = append(w.doubts, r)
		commits := m.commits(t, w)
		if len(commits) == len(w.commits) {
			m.count("append: outcome unknown, and not stored")
			break
		}
		m.count("append: outcome unknown, and stored")
		last := commits[len(commits)-1]
		if want != nil || len(commits) != len(w.commits)+1 || last.ID != r.CommitID {
			t.Fatalf("append %s gave %v; the log holds %d commits, %d were there; due was %v", r.Expect, err, len(commits), len(w.commits), want)
		}
		w.commits = append(w.commits, modelCommit{request: r, result: events.Result{
			CommitID: last.ID, RunID: last.Run.Run, Position: last.Position, FirstEventID: last.Run.First, LastEventID: last.Run.Last,
			Cursor: last.Cursor(m.log.Identity()),
		}})
	case ctx.Err() != nil && errors.Is(err, events.ErrUnavailable):
		// The last fault ended it before anything was sent.
	case want == nil || !errors.Is(err, want):
		t.Fatalf("append %s to %v gave %v, want %v", r.Expect, w.tail(), err, want)
	}
	if doubt == nil {
		m.count("append: %s", ended(err))
	}
	m.check(t, w)
}

// stored takes an acknowledged append into the model.
func (m *modelled) stored(t *rapid.T, w *modelWorkflow, r events.Request, res events.Result) {
	tail := w.tail()
	if res.Position.Sequence <= tail.Position().Sequence || res.Cursor.Position() != res.Position || res.Cursor.Run() != res.RunID {
		t.Fatalf("append %s after %v gave %+v", r.Expect, tail, res)
	}
	if r.Base == nil && !events.Opens(r.Events[0]) && len(r.Events) > 0 && !slices.ContainsFunc(r.Events, events.Opens) {
		if res.RunID != tail.Run() || res.FirstEventID != tail.LastEventID()+1 || res.LastEventID != tail.LastEventID()+events.EventID(len(r.Events)) {
			t.Fatalf("append %s of %d events after %v gave %+v", r.Expect, len(r.Events), tail, res)
		}
	}
	w.commits = append(w.commits, modelCommit{request: r, result: res})
}

func (m *modelled) commits(t *rapid.T, w *modelWorkflow) []*events.Commit {
	got, err := collect(m.log.Commits(context.Background(), w.w))
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		t.Fatal(err)
	}
	return got
}

// check compares the workflow's commits in the log with the model's.
func (m *modelled) check(t *rapid.T, w *modelWorkflow) {
	got := m.commits(t, w)
	if len(got) != len(w.commits) {
		t.Fatalf("workflow %s has %d commits, want %d", w.w, len(got), len(w.commits))
	}
	for i, c := range w.commits {
		if got[i].ID != c.result.CommitID || got[i].Position != c.result.Position || got[i].Count() != len(c.request.Events) ||
			text(got[i].Cursor(m.log.Identity())) != text(c.result.Cursor) {
			t.Fatalf("commit %d of %s is %+v, want %+v", i, w.w, got[i], c.result)
		}
	}
}

func (m *modelled) checkAll() {
	for _, w := range m.workflows {
		m.check(m.T, w)
		CheckWorkflow(m, m.log, w.w)
	}
}
