package eventjson

import (
	"fmt"
	"testing"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// reachable calls visit for every message that a history can hold.
func reachable(visit func(protoreflect.MessageDescriptor)) {
	seen := make(map[protoreflect.FullName]bool)
	var walk func(protoreflect.MessageDescriptor)
	walk = func(desc protoreflect.MessageDescriptor) {
		if seen[desc.FullName()] {
			return
		}
		seen[desc.FullName()] = true
		visit(desc)
		for i := range desc.Fields().Len() {
			if message := desc.Fields().Get(i).Message(); message != nil {
				walk(message)
			}
		}
	}
	walk((*historypb.History)(nil).ProtoReflect().Descriptor())
}

// TestNamesOfEnums compares the short names that are made here with those that
// the API's own types print.
func TestNamesOfEnums(t *testing.T) {
	checked := 0
	reachable(func(desc protoreflect.MessageDescriptor) {
		for i := range desc.Fields().Len() {
			field := desc.Fields().Get(i)
			if field.Enum() == nil {
				continue
			}
			enum, err := protoregistry.GlobalTypes.FindEnumByName(field.Enum().FullName())
			if err != nil {
				t.Fatal(err)
			}
			names := namesOf(field.Enum())
			for j := range field.Enum().Values().Len() {
				value := field.Enum().Values().Get(j)
				for _, name := range []string{string(value.Name()), enum.New(value.Number()).(fmt.Stringer).String()} {
					checked++
					if string(field.Enum().Parent().FullName()) == "temporal.api.workflow.v1.VersioningOverride" && name != string(value.Name()) {
						// The API prints a short name that its decoder does not read.
						if decodes(field, []byte(`"`+name+`"`)) {
							t.Errorf("the decoder reads %q by now: drop this exception", name)
						}
						continue
					}
					if !names[name] {
						t.Errorf("%s is known only by asking the decoder: %q", field.Enum().FullName(), name)
					}
					if !knowsEnumName(field, name) {
						t.Errorf("%s is not known: %q", field.Enum().FullName(), name)
					}
				}
			}
			for _, name := range []string{"", "NoSuchName", "EVENT_TYPE_", `"`} {
				if knowsEnumName(field, name) {
					t.Errorf("%s knows %q", field.Enum().FullName(), name)
				}
			}
		}
	})
	if checked < 300 {
		t.Errorf("%d names were checked, expected 300 and more", checked)
	}
}

// TestKnowsOddSpellings: what Temporal's decoder reads is no unknown name.
func TestKnowsOddSpellings(t *testing.T) {
	field := eventDesc.Fields().ByName("event_type")
	for _, name := range []string{"TIMER_FIRED", "timerFired", "Timer_Fired"} {
		if !knowsEnumName(field, name) {
			t.Errorf("%q is not known, though the decoder reads it", name)
		}
	}
}

// TestWellKnownTypes: the walk leaves Google's own messages to the decoder. That
// is right for those which hold no fields by name; another one, say Any, in a
// later version of the API needs a case of its own.
func TestWellKnownTypes(t *testing.T) {
	found := 0
	reachable(func(desc protoreflect.MessageDescriptor) {
		if desc.FullName().Parent() != "google.protobuf" {
			return
		}
		found++
		switch desc.Name() {
		case "Timestamp", "Duration", "Empty":
		default:
			t.Errorf("a history can hold a %s", desc.FullName())
		}
	})
	if found == 0 {
		t.Error("no message of google.protobuf was found, though events have a time")
	}
}
