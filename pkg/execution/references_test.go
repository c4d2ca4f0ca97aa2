package execution

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestEveryReference holds that each field by which an event refers to another
// of its history is looked at: one that points nowhere is counted.
func TestEveryReference(t *testing.T) {
	// These refer to the history of another run.
	foreign := map[protoreflect.Name]bool{"parent_initiated_event_id": true, "external_initiated_event_id": true}
	// By these an event finds what it is about.
	found := func(f protoreflect.FieldDescriptor) bool {
		switch f.Name() {
		case "scheduled_event_id", "initiated_event_id", "accepted_event_id":
			return true
		case "started_event_id":
			return strings.HasPrefix(string(f.Parent().Name()), "Timer")
		}
		return false
	}
	attributes := bare(1, 0).ProtoReflect().Descriptor().Oneofs().ByName("attributes").Fields()
	references := 0
	for i := range attributes.Len() {
		fields := attributes.Get(i).Message().Fields()
		for j := range fields.Len() {
			f := fields.Get(j)
			if !strings.HasSuffix(string(f.Name()), "event_id") || foreign[f.Name()] {
				continue
			}
			references++
			for _, id := range []int64{99, 2, -1} { // later, itself, never
				m := bare(2, 0).ProtoReflect().NewField(attributes.Get(i)).Message()
				m.Set(f, protoreflect.ValueOfInt64(id))
				without := fold(order()[0], event(2, m.New().Interface())).Counts.MissingReferences
				with := fold(order()[0], event(2, m.Interface())).Counts.MissingReferences
				if found(f) && without > 0 {
					without-- // at zero it is missing too
				}
				if with != without+1 {
					t.Errorf("%s of %d: %d missing references, want %d", f.FullName(), id, with, without+1)
				}
			}
		}
	}
	if references < 60 {
		t.Errorf("only %d references found: are the fields still named so?", references)
	}
}

// TestReferencesThatAreThere: what an engine without workflow tasks leaves out
// is no missing reference, and neither is what is there.
func TestReferencesThatAreThere(t *testing.T) {
	for _, name := range []string{"order", "reset"} {
		if n := fold(histories(t)[name]...).Counts.MissingReferences; n != 0 {
			t.Errorf("%s: %d missing references", name, n)
		}
	}
	attributes := bare(1, 0).ProtoReflect().Descriptor().Oneofs().ByName("attributes").Fields()
	for i := range attributes.Len() {
		f := attributes.Get(i).Message().Fields().ByName("workflow_task_completed_event_id")
		if f == nil {
			continue
		}
		count := func(id int64) int64 {
			m := bare(2, 0).ProtoReflect().NewField(attributes.Get(i)).Message()
			m.Set(f, protoreflect.ValueOfInt64(id))
			return fold(order()[0], event(2, proto.Clone(m.Interface()))).Counts.MissingReferences
		}
		if none, there := count(0), count(1); none != there {
			t.Errorf("%s: %d missing with a reference to an event that is there, %d with none", f.FullName(), there, none)
		}
	}
}
