package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/demo/workflows"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// inBubble gives a test a log, and the customers of a small demo, on a clock that
// moves when everybody waits.
func inBubble(t *testing.T, test func(t *testing.T, log *memlog.Log, c customers)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log, err := memlog.New(memlog.Config{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, log, newCustomers(MinWorkflows, 1, "shop"))
	})
}

// worker is Work in this process.
type worker struct {
	in    *io.PipeWriter
	lines *bufio.Reader
	ended chan error
}

func startWork(ctx context.Context, log events.Log, index, of int) worker {
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	w := worker{in: stdin, lines: bufio.NewReader(stdout), ended: make(chan error, 1)}
	go func() {
		err := Work(ctx, WorkOptions{Log: log, Index: index, Of: of, In: in, Out: out})
		_ = out.Close()
		_ = in.Close()
		w.ended <- err
	}()
	return w
}

func (w worker) ready(t *testing.T) []ResumedRun {
	t.Helper()
	line, err := w.lines.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil || m.Ready == nil {
		t.Fatalf("%v: %s", err, line)
	}
	return m.Ready.Resumed
}

// Two workers, one of which ends with its input in the middle and is followed by
// another, run all workflows; what the observer has seen is what there is.
func TestWork(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log, c customers) {
		ctx, cancel := context.WithCancel(t.Context())
		told := int64(0)
		o := newObserver(log, c.starts, func(commit *events.Commit) { told += int64(commit.Count()) })
		observed := make(chan error, 1)
		go func() { observed <- o.run(ctx) }()

		first, other := startWork(t.Context(), log, 0, 2), startWork(t.Context(), log, 1, 2)
		if found := append(first.ready(t), other.ready(t)...); len(found) != 0 {
			t.Errorf("resumed %v in an empty log", found)
		}
		// Somebody else's workflow is none of the demo's business.
		if _, err := log.Append(ctx, events.Request{Workflow: events.Workflow{Namespace: "shop", ID: "shipment-1"}, Events: []*events.Event{events.WorkflowStarted("Shipment", "shipments")}}); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.starts {
			if err := s.begin(t.Context(), log); err != nil {
				t.Fatal(err)
			}
			if err := s.begin(t.Context(), log); err != nil { // a start may be repeated
				t.Fatal(err)
			}
		}
		if err := o.await(t.Context(), func(v *view) bool { return v.done >= 3 }); err != nil {
			t.Fatal(err)
		}
		if err := first.in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-first.ended; err != nil {
			t.Errorf("a worker whose input has ended: %v", err)
		}
		if err := o.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		var held []ResumedRun
		if err := o.await(t.Context(), func(v *view) bool { held = v.heldBy(0, 2); return true }); err != nil {
			t.Fatal(err)
		}
		next := startWork(t.Context(), log, 0, 2)
		found := next.ready(t)
		if len(held) < 5 || !slices.Equal(held, found) {
			t.Errorf("it held %v\nand goes on with %v", held, found)
		}
		for w, wish := range c.wishes {
			if err := wish.express(t.Context(), log, w); err != nil {
				t.Errorf("%s: %v", w, err)
			}
		}
		if err := o.await(t.Context(), func(v *view) bool { return v.done == len(c.starts) }); err != nil {
			t.Fatal(err)
		}
		for _, w := range []worker{other, next} {
			_ = w.in.Close()
			if err := <-w.ended; err != nil {
				t.Error(err)
			}
		}
		h, err := readHistories(t.Context(), log, o.seen.workflows())
		if err != nil || len(h.Faults) != 0 || h.Runs < MinWorkflows || h.Replayed != h.Runs || h.WellFormed() != h.Runs {
			t.Errorf("%+v, %v", h, err)
		}
		wantNoMarkers(t, log, o.seen.workflows())
		cancel()
		if err := <-observed; !errors.Is(err, context.Canceled) {
			t.Errorf("the observer: %v", err)
		}
		if o.seen.events != told || told == 0 {
			t.Errorf("%d events, and %d were told", o.seen.events, told)
		}
	})
}

// wantNoMarkers fails the test if a history has one: Temporal's WorkflowReplayer
// takes those only that its SDK has written.
func wantNoMarkers(t *testing.T, log events.Reader, all []events.Workflow) {
	t.Helper()
	status := map[string]int{}
	for _, w := range all {
		runs, err := runsOf(t.Context(), log, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			for _, e := range r.history {
				if m := e.GetMarkerRecordedEventAttributes(); m != nil {
					t.Errorf("run %s of %s has a marker %s at event %d", r.id, w.ID, m.GetMarkerName(), e.GetEventId())
				}
				for name, value := range e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields() {
					if name == workflows.AttributeOrderStatus {
						status[string(value.GetData())]++
					}
				}
			}
		}
	}
	if status[`"Paid"`] == 0 || status[`"Paid"`] != status[`"Shipped"`]+status[`"Refunded"`] {
		t.Errorf("the orders said %v", status)
	}
}

// A worker that finds what it cannot go on with tells the demo, and passes over
// what is not for its task queue.
func TestWorkTellsWhatIsSetAside(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log, _ customers) {
		w := events.Workflow{Namespace: "shop", ID: "someone-elses"}
		for w, queue := range map[events.Workflow]string{w: workflows.TaskQueue, {Namespace: "shop", ID: "elsewhere"}: "another", {Namespace: "shop", ID: "nowhere"}: ""} {
			if _, err := log.Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Unheard", queue)}}); err != nil {
				t.Fatal(err)
			}
		}
		work := startWork(t.Context(), log, 0, 1)
		if found := work.ready(t); len(found) != 1 || found[0].Type != "Unheard" || found[0].EventID != 1 {
			t.Errorf("resumed %v", found)
		}
		line, err := work.lines.ReadString('\n')
		if err != nil || !strings.Contains(line, `"aside"`) || !strings.Contains(line, "someone-elses") || !strings.Contains(line, "Unheard") {
			t.Errorf("it says %s, %v", line, err)
		}
		_ = work.in.Close()
		if err := <-work.ended; err != nil {
			t.Error(err)
		}
	})
}

// The demo's verdict is worth what its checks find.
func TestFaults(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log, c customers) {
		order := c.starts[slices.IndexFunc(c.starts, func(s start) bool { _, wished := c.wishes[s.workflow]; return !wished })]
		if err := order.begin(t.Context(), log); err != nil {
			t.Fatal(err)
		}
		o := newObserver(log, []start{order}, func(*events.Commit) {})
		ctx, cancel := context.WithCancel(t.Context())
		observed := make(chan error, 1)
		go func() { observed <- o.run(ctx) }()
		work := startWork(t.Context(), log, 0, 1)
		work.ready(t)
		if err := o.await(t.Context(), func(v *view) bool { return v.done == 1 }); err != nil {
			t.Fatal(err)
		}
		_ = work.in.Close()
		<-work.ended
		cancel()
		<-observed
		runs, err := runsOf(t.Context(), log, order.workflow)
		if err != nil || len(runs) != 1 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		scheduled := func(all []*events.Event) int {
			return slices.IndexFunc(all, func(e *events.Event) bool { return e.GetActivityTaskScheduledEventAttributes() != nil })
		}
		for _, tc := range []struct {
			name   string
			change func(all []*events.Event) []*events.Event
			want   []string
		}{
			{"as it is", func(all []*events.Event) []*events.Event { return all }, nil},
			{"an activity that is scheduled again", func(all []*events.Event) []*events.Event {
				at := scheduled(all)
				return slices.Insert(all, at+1, all[at])
			}, []string{FaultTwice, FaultForm, FaultCode}},
			{"the same under another id", func(all []*events.Event) []*events.Event {
				again := proto.CloneOf(all[scheduled(all)])
				again.GetActivityTaskScheduledEventAttributes().ActivityId = "again"
				return slices.Insert(all, scheduled(all)+1, again)
			}, []string{FaultTwice, FaultForm, FaultCode}},
			{"an event that is missing", func(all []*events.Event) []*events.Event { return slices.Delete(all, 2, 3) }, []string{FaultForm}},
			{"another activity than the code's", func(all []*events.Event) []*events.Event {
				all[scheduled(all)].GetActivityTaskScheduledEventAttributes().ActivityType.Name = "ReserveNothing"
				return all
			}, []string{FaultCode}},
		} {
			all := make([]*events.Event, len(runs[0].history))
			for i, e := range runs[0].history {
				all[i] = proto.CloneOf(e)
			}
			var h Histories
			h.check(workflows.Registry(), order.workflow, run{id: runs[0].id, history: tc.change(all)})
			for _, kind := range []string{FaultTwice, FaultForm, FaultCode} {
				if found := h.Count(kind) > 0; found != slices.Contains(tc.want, kind) {
					t.Errorf("%s: %q is found: %t\n%v", tc.name, kind, found, h.Faults)
				}
			}
			if whole := (Summary{Histories: h}); whole.OK() {
				t.Errorf("%s: an empty summary is OK", tc.name)
			}
		}
	})
}
