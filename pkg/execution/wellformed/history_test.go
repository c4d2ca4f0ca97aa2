package wellformed_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	historypb "go.temporal.io/api/history/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// history is one that a test writes.
type history struct {
	events    []*events.Event
	completed events.EventID // the newest completed workflow task
}

// begin opens a run.
func begin() *history {
	h := &history{}
	h.add(events.WorkflowStarted("Order", "orders"))
	return h
}

func (h *history) next() events.EventID { return events.EventID(len(h.events) + 1) }

// add numbers and dates an event, a second after the one before.
func (h *history) add(e *events.Event) events.EventID {
	id := h.next()
	e.EventId = int64(id)
	h.events = append(h.events, events.At(epoch.Add(time.Duration(id)*time.Second), e))
	return id
}

// decide adds what the newest workflow task decided.
func (h *history) decide(e *events.Event) events.EventID {
	events.DecidedBy(h.completed, e)
	return h.add(e)
}

// say adds the event with these attributes.
func (h *history) say(attributes proto.Message) events.EventID {
	return h.decide(event(attributes))
}

// task adds a workflow task from its scheduling to its completion.
func (h *history) task() events.EventID {
	scheduled := h.add(events.WorkflowTaskScheduled("orders"))
	started := h.add(events.WorkflowTaskStarted(scheduled, "worker"))
	h.completed = h.add(events.WorkflowTaskCompleted(scheduled, started, "worker"))
	return h.completed
}

// event wraps attributes into the event that carries them.
func event(attributes proto.Message) *events.Event {
	m := (&events.Event{}).ProtoReflect()
	fields := m.Descriptor().Oneofs().ByName("attributes").Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message().FullName() == attributes.ProtoReflect().Descriptor().FullName() {
			m.Set(f, protoreflect.ValueOfMessage(attributes.ProtoReflect()))
			e := m.Interface().(*events.Event)
			e.EventType = wellformed.TypeOfField(f)
			return e
		}
	}
	panic("no event has " + string(attributes.ProtoReflect().Descriptor().FullName()))
}

// check returns what is wrong, a line each.
func check(h []*events.Event) []wellformed.Violation { return wellformed.Check(slices.Values(h)) }

func mustBeWell(t *testing.T, h []*events.Event) {
	t.Helper()
	for _, v := range check(h) {
		t.Error(v)
	}
}

func clone(h []*events.Event) []*events.Event {
	return proto.CloneOf(&historypb.History{Events: h}).Events
}

// TestPrefixes: what is wrong with the beginning of a history is what is wrong
// with all of it up to there.
func TestPrefixes(t *testing.T) {
	for name, h := range histories(t) {
		all := check(h)
		for n := range len(h) + 1 {
			var want []wellformed.Violation
			for _, v := range all {
				if int(v.EventID) <= n {
					want = append(want, v)
				}
			}
			if diff := cmp.Diff(want, check(h[:n])); diff != "" {
				t.Fatalf("%s up to %d (-whole +prefix):\n%s", name, n, diff)
			}
		}
	}
}
