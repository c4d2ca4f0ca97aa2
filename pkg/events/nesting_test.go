package events_test

import (
	"errors"
	"testing"

	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

const failureName protoreflect.FullName = "temporal.api.failure.v1.Failure"

// waysToFailures are all fields of an event that hold a failure, each with the
// fields that lead there.
func waysToFailures() (ways [][]protoreflect.FieldDescriptor) {
	seen := map[protoreflect.FullName]bool{}
	var walk func(protoreflect.MessageDescriptor, []protoreflect.FieldDescriptor)
	walk = func(d protoreflect.MessageDescriptor, way []protoreflect.FieldDescriptor) {
		if d.FullName() == failureName {
			ways = append(ways, append([]protoreflect.FieldDescriptor(nil), way...))
			return
		}
		if seen[d.FullName()] {
			return
		}
		seen[d.FullName()] = true
		defer delete(seen, d.FullName())
		for i := range d.Fields().Len() {
			if f := d.Fields().Get(i); f.Message() != nil {
				walk(f.Message(), append(way, f))
			}
		}
	}
	walk(new(events.Event).ProtoReflect().Descriptor(), nil)
	return ways
}

// A failure that is its own cause is refused by name wherever an event can hold
// one: to encode it would end the program.
func TestNestingWithoutEnd(t *testing.T) {
	t.Parallel()
	endless := &failurepb.Failure{Message: "no end"}
	endless.Cause = endless
	ways := waysToFailures()
	if len(ways) < 15 {
		t.Fatalf("an event has %d failures: are all of them found?", len(ways))
	}
	for _, way := range ways {
		e := new(events.Event)
		m, field := e.ProtoReflect(), ""
		for i, f := range way {
			if f.IsList() || f.IsMap() {
				t.Fatalf("%s is not one message", f.FullName())
			}
			field += f.JSONName()
			if i == len(way)-1 {
				m.Set(f, protoreflect.ValueOfMessage(endless.ProtoReflect()))
				break
			}
			m, field = m.Mutable(f).Message(), field+"."
		}
		refusedBy(t, events.CheckNesting(e), field)
	}
	refusedBy(t, events.CheckFailure("f", endless), "f")
	if err := (&events.Heartbeat{
		Activity: events.Activity{Workflow: events.Workflow{Namespace: "n", ID: "w"}, RunID: "r", ID: "a"}, Attempt: 1, LastFailure: endless,
	}).Validate(); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("a heartbeat: %v", err)
	}
	for _, e := range []*events.Event{events.WorkflowFailed(errors.New("no")), events.Signaled("s"), {}} {
		if err := events.CheckNesting(e); err != nil {
			t.Error(err)
		}
	}
}
