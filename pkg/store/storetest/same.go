package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

// Same asks two stores the same at random, in the same order, and fails where
// they do not answer the same: results, positions, errors to the letter, rows
// and their order. What is under each must be new, with as many partitions as
// the other's.
func Same(t *testing.T, a, b Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		p := &pair{
			T: rt, ctx: t.Context(), ns: fmt.Sprintf("same-%016x", rand.Uint64()),
			open: func() [2]store.Store { return [2]store.Store{a.Open(t, Options{}), b.Open(t, Options{})} },
		}
		p.stores = p.open()
		rt.Repeat(map[string]func(*rapid.T){
			"save":      p.save,
			"append":    p.append,
			"update":    p.update,
			"continue":  p.continueAsNew,
			"heartbeat": p.heartbeat,
			"load":      p.load,
			"history":   p.history,
			"query":     p.query,
			"ended":     p.ended,
			"reopen":    func(*rapid.T) { p.stores = p.open() },
		})
		all := store.Query{Namespace: p.ns, After: p.wrote, Limit: store.MaxLimit}
		compare(p, "query of all", func(s store.Store) ([]store.Execution, error) { return s.Query(p.ctx, all) })
	})
}

// pair is two stores that are asked the same.
type pair struct {
	*rapid.T
	ctx    context.Context
	ns     string
	open   func() [2]store.Store
	stores [2]store.Store
	wrote  events.Vector
}

// compare asks both, and fails where they differ.
func compare[R any](p *pair, what string, ask func(store.Store) (R, error)) (R, error) {
	p.Helper()
	one, oneErr := ask(p.stores[0])
	two, twoErr := ask(p.stores[1])
	if said(oneErr) != said(twoErr) {
		p.Fatalf("%s:\n%s\n%s", what, said(oneErr), said(twoErr))
	}
	for _, target := range []error{
		events.ErrConflict, events.ErrClosed, events.ErrNotFound, events.ErrInvalid, events.ErrLimit, events.ErrCommitIDReused,
		events.ErrOutcomeUnknown, events.ErrUnavailable, events.ErrCorrupt, events.ErrWrongLog, store.ErrTransition, store.ErrBehind,
	} {
		if errors.Is(oneErr, target) != errors.Is(twoErr, target) {
			p.Fatalf("%s: only one of %v and %v is %v", what, oneErr, twoErr, target)
		}
	}
	cursors := cmp.Comparer(func(a, b events.Cursor) bool { return a.String() == b.String() && a.Size() == b.Size() })
	if diff := cmp.Diff(one, two, protocmp.Transform(), cursors); diff != "" {
		p.Fatalf("%s: the first (-) and the second (+):\n%s", what, diff)
	}
	return one, oneErr
}

// ended asks with a context that has ended.
func (p *pair) ended(*rapid.T) {
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	compare(p, "query with an ended context", func(s store.Store) ([]store.Execution, error) {
		return s.Query(ctx, store.Query{Namespace: p.ns})
	})
}

func said(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// write is compare for a write, whose commit id is compared if it was given.
func (p *pair) write(what string, id events.CommitID, do func(store.Store) (events.Result, error)) {
	p.Helper()
	res, err := compare(p, what, func(s store.Store) (events.Result, error) {
		res, err := do(s)
		if id == "" {
			res.CommitID = ""
		}
		return res, err
	})
	if err == nil {
		p.wrote = p.wrote.With(res.Position)
	}
}

func (p *pair) workflow(t *rapid.T) events.Workflow {
	return events.Workflow{Namespace: p.ns, ID: rapid.SampledFrom([]string{"a", "b", "ä'\\"}).Draw(t, "workflow")}
}

// run is one that may be there, may not be, or is the newest.
func (p *pair) run(t *rapid.T) events.RunID {
	return rapid.SampledFrom([]events.RunID{"", "", "r0", "r1", "r2", "r3", "R1"}).Draw(t, "run")
}

func newRun(t *rapid.T) events.RunID {
	return rapid.SampledFrom([]events.RunID{"r0", "r1", "r2", "r3", "R1", "r10"}).Draw(t, "new run")
}

func commitID(t *rapid.T) events.CommitID {
	return rapid.SampledFrom([]events.CommitID{"", "", "", "c1", "c2", "c3", "c4", "c5", "01975f2e-0000-7000-8000-000000000001"}).Draw(t, "commit id")
}

// moment is one of a few, some of which differ below a microsecond only.
func moment(t *rapid.T) time.Time {
	return day(rapid.IntRange(0, 3).Draw(t, "hour")).Add(time.Duration(rapid.SampledFrom([]int{0, 1, 999, 1000}).Draw(t, "nanoseconds")))
}

func typeOf(t *rapid.T) string {
	return rapid.SampledFrom([]string{"Order", "order", `it's "\`, "a\x00", "a\ufffd", "%", "日本"}).Draw(t, "type")
}

func tags(t *rapid.T) map[string]string {
	return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "ü'"}), rapid.SampledFrom([]string{"", "1", "\x00", `"\`}), 0, 3).Draw(t, "tags")
}

// further are events that may follow one another, and now and then may not.
func (p *pair) further(t *rapid.T) []*events.Event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *events.Event {
		at := moment(t)
		switch rapid.SampledFrom([]string{"signal", "signal", "activity", "timer", "memo", "custom", "pause", "unpause", "complete", "start", "nil"}).Draw(t, "event") {
		case "signal":
			return events.At(at, events.Signaled("s"))
		case "activity":
			return events.At(at, events.ActivityScheduled("1", "Charge"))
		case "timer":
			return events.At(at, events.TimerStarted("t", time.Second))
		case "memo":
			return events.At(at, events.MemoUpserted(map[string]any{"a": rapid.SampledFrom([]any{"upserted", 1, nil}).Draw(t, "memo")}))
		case "custom":
			return events.At(at, events.Custom("c", 1))
		case "pause":
			return events.At(at, events.WorkflowPaused(""))
		case "unpause":
			return events.At(at, events.WorkflowUnpaused(""))
		case "complete":
			return events.At(at, events.WorkflowCompleted())
		case "start":
			e := events.At(at, events.WorkflowStarted("Next", ""))
			e.GetWorkflowExecutionStartedEventAttributes().OriginalExecutionRunId = string(newRun(t))
			return e
		default:
			return nil
		}
	}), 0, 3).Draw(t, "events")
}

func timeout(t *rapid.T) time.Duration {
	return time.Duration(rapid.SampledFrom([]int64{0, 1, 1500, int64(time.Hour), -1}).Draw(t, "timeout"))
}

func (p *pair) save(t *rapid.T) {
	n := store.NewExecution{
		Workflow: p.workflow(t), RunID: newRun(t), Type: typeOf(t), TaskQueue: "q", StartedAt: moment(t), RunTimeout: timeout(t),
		Tags: tags(t), CommitID: commitID(t), Events: p.further(t),
	}
	p.write("save", n.CommitID, func(s store.Store) (events.Result, error) { return s.SaveExecution(p.ctx, n) })
}

func (p *pair) append(t *rapid.T) {
	w, run, id, list := p.workflow(t), p.run(t), commitID(t), p.further(t)
	last := events.EventID(rapid.IntRange(1, 6).Draw(t, "last"))
	how := rapid.IntRange(0, 4).Draw(t, "expectation")
	p.write("append", id, func(s store.Store) (events.Result, error) {
		expect := events.NewRun()
		switch how {
		case 1:
			expect = events.AtEnd()
		case 2:
			expect = events.AtEndOf(run)
		case 3:
			expect = events.AfterEvent(run, last)
		case 4:
			l, err := s.LoadExecution(p.ctx, w, "")
			if err != nil {
				return events.Result{}, err
			}
			expect = events.After(l.Cursor)
		}
		return s.AppendEvents(p.ctx, events.Request{Workflow: w, Expect: expect, CommitID: id, Events: list})
	})
}

func (p *pair) update(t *rapid.T) {
	u := store.StateUpdate{
		Workflow: p.workflow(t), RunID: p.run(t), CommitID: commitID(t), At: moment(t),
		To:     rapid.SampledFrom([]events.Status{running, running, paused, paused, completed, failed, canceled, terminated, timedOut, 0, 9}).Draw(t, "to"),
		Reason: rapid.SampledFrom([]string{"", "", "", "r"}).Draw(t, "reason"),
	}
	p.write("update", u.CommitID, func(s store.Store) (events.Result, error) { return s.UpdateState(p.ctx, u) })
}

func (p *pair) continueAsNew(t *rapid.T) {
	u := store.StateUpdate{
		Workflow: p.workflow(t), RunID: p.run(t), CommitID: commitID(t), At: moment(t), To: continued,
		Next: &store.NewExecution{RunID: newRun(t)},
	}
	if rapid.Bool().Draw(t, "much") {
		u.Next.Type, u.Next.Tags, u.Next.Events = typeOf(t), tags(t), p.further(t)
	}
	p.write("continue", u.CommitID, func(s store.Store) (events.Result, error) { return s.UpdateState(p.ctx, u) })
}

func (p *pair) heartbeat(t *rapid.T) {
	h := events.Heartbeat{
		Activity: events.Activity{Workflow: p.workflow(t), RunID: p.run(t), ID: rapid.SampledFrom([]string{"x", "y", ""}).Draw(t, "activity")},
		Attempt:  rapid.Int32Range(0, 3).Draw(t, "attempt"), Time: moment(t),
	}
	_, _ = compare(p, "heartbeat", func(s store.Store) (bool, error) { return s.SaveActivityHeartbeat(p.ctx, h) })
	_, _ = compare(p, "last heartbeat", func(s store.Store) (events.Heartbeat, error) { return s.LastActivityHeartbeat(p.ctx, h.Activity) })
}

func (p *pair) load(t *rapid.T) {
	w, run := p.workflow(t), p.run(t)
	_, _ = compare(p, "load", func(s store.Store) (store.Loaded, error) {
		l, err := s.LoadExecution(p.ctx, w, run)
		l.State = nil // it is the events' fold, and those are compared
		return l, err
	})
}

func (p *pair) history(t *rapid.T) {
	w, o := p.workflow(t), events.ReadOptions{
		Run: p.run(t), From: events.EventID(rapid.IntRange(-1, 6).Draw(t, "from")), Limit: rapid.IntRange(-1, 4).Draw(t, "limit"), Reverse: rapid.Bool().Draw(t, "reverse"),
	}
	_, _ = compare(p, "history", func(s store.Store) (list []*events.Event, err error) {
		for e, err := range s.History(p.ctx, w, o) {
			if err != nil {
				return list, err
			}
			list = append(list, e)
		}
		return list, nil
	})
}

func (p *pair) query(t *rapid.T) {
	q := store.Query{
		Namespace: p.ns, After: p.wrote, Limit: rapid.IntRange(-1, 5).Draw(t, "limit"), Offset: rapid.IntRange(-1, 5).Draw(t, "offset"),
		Status: rapid.SampledFrom(append(store.Statuses(), 0, 0, 0, 0, 9)).Draw(t, "status"),
	}
	if rapid.Bool().Draw(t, "by type") {
		q.Type = typeOf(t)
	}
	if rapid.Bool().Draw(t, "after") {
		q.StartedAfter = moment(t)
	}
	if rapid.Bool().Draw(t, "before") {
		q.StartedBefore = moment(t)
	}
	_, _ = compare(p, "query", func(s store.Store) ([]store.Execution, error) { return s.Query(p.ctx, q) })
}
