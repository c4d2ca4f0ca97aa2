package projectiontest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// partitions of the logs.
const partitions = 3

// copies of each history in a log.
const copies = 3

// ids are what workflows are called: their own, and some that SQL, patterns and
// sorting could trip over.
var ids = []string{"%s", "%s's; --", "%s %%_\\", "überraschung-%s-日本", "{%s,\"x\"}"}

// world writes a log: the subject's histories and the suite's, each several times
// over, mixed.
type world struct {
	log *memlog.Log
	r   *rand.Rand
}

// newWorld writes a log. What is random in it follows from the seed.
func newWorld(t *testing.T, seed uint64, histories []History) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: partitions})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{log: log, r: rand.New(rand.NewPCG(seed, 0))}
	var flows []*flow
	for n := range copies {
		for i, h := range append(histories[:len(histories):len(histories)], odd) {
			id := fmt.Sprintf(ids[(n+i)%len(ids)], fmt.Sprint("w", i, "-", n))
			flows = append(flows, &flow{workflow: events.Workflow{Namespace: []string{"default", "other"}[n%2], ID: id}, history: h, runs: 1 + n})
		}
	}
	for len(flows) > 0 {
		i := w.r.IntN(len(flows))
		more, err := w.step(t.Context(), flows[i])
		if err != nil {
			t.Fatalf("projectiontest: %s: %v", flows[i].workflow, err)
		}
		if !more {
			flows = append(flows[:i], flows[i+1:]...)
		}
	}
	return log
}

// flow is one workflow on its way through a history, some runs of it.
type flow struct {
	workflow events.Workflow
	history  History
	next     int  // commit of the history
	runs     int  // left
	reset    bool // there was one, of all that the run had
	end      events.Cursor
}

// step writes the next commit of a workflow; false: there is none.
func (w *world) step(ctx context.Context, f *flow) (bool, error) {
	if f.next == len(f.history) {
		return w.nextRun(ctx, f)
	}
	expect := events.After(f.end)
	if f.next == 0 && f.end.IsZero() {
		expect = events.NewRun()
	}
	var es []*events.Event
	for _, e := range f.history[f.next] {
		es = append(es, proto.CloneOf(e))
	}
	f.next++
	return true, w.append(ctx, f, events.Request{Workflow: f.workflow, Expect: expect, Events: es})
}

// nextRun ends a run that its history leaves open, the first and others now and then by a reset, and
// begins the next.
func (w *world) nextRun(ctx context.Context, f *flow) (bool, error) {
	f.runs--
	if events.IsOpen(f.end.Status()) && (!f.reset || w.r.IntN(2) == 0) {
		base := events.Base{Run: f.end.Run(), Event: f.end.LastEventID()}
		if f.reset {
			base.Event = 1 + events.EventID(w.r.IntN(int(f.end.LastEventID())))
		}
		f.reset = true
		if err := w.append(ctx, f, events.Reset(f.end, base, events.ResetOptions{Reason: "the suite"})); err != nil {
			return false, err
		}
	}
	if f.runs == 0 {
		return false, nil
	}
	if events.IsOpen(f.end.Status()) {
		r := events.Request{Workflow: f.workflow, Expect: events.After(f.end), Events: []*events.Event{events.WorkflowTerminated("the suite")}}
		if err := w.append(ctx, f, r); err != nil {
			return false, err
		}
	}
	if w.r.IntN(3) == 0 {
		if err := w.void(ctx, f); err != nil {
			return false, err
		}
	}
	f.next = 0
	return true, nil
}

// void has something foreign written on the workflow's subject, and declared void.
func (w *world) void(ctx context.Context, f *flow) error {
	id := w.log.Identity()
	w.log.Put(id.Map.Partition(f.workflow.Slot()), f.workflow.Subject(), nil, []byte("no commit"))
	r, err := w.log.Void(ctx, events.VoidRequest{Workflow: f.workflow, Reason: "the suite"})
	if err != nil {
		return err
	}
	f.end = r.Cursor
	return nil
}

func (w *world) append(ctx context.Context, f *flow, r events.Request) error {
	res, err := w.log.Append(ctx, r)
	if err != nil {
		return err
	}
	f.end = res.Cursor
	return nil
}

// odd is a history that no projection expects: names that it does not know, a NUL,
// an unknown type, everything in one commit.
var odd = History{
	{events.WorkflowStarted("projectiontest", "q"), events.Custom("projectiontest\x00", nil), events.Signaled("projectiontest", errors.New("x").Error())},
	{events.TimerStarted("t", 0), {EventType: 9999}, events.WorkflowPaused("why not"), events.WorkflowUnpaused("")},
	{events.ContinuedAsNew("projectiontest", "q"), events.WorkflowStarted("projectiontest", "q")},
}
