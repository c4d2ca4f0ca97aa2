package wellformed

import (
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

// attributes are what an event says beside id, time and type; invalid if it
// says nothing.
type attributes struct{ protoreflect.Message }

var attributesOneof = (*historypb.HistoryEvent)(nil).ProtoReflect().Descriptor().Oneofs().ByName("attributes")

// attributesOf returns the attributes that e has, whatever its type.
func attributesOf(e *events.Event) attributes {
	m := e.ProtoReflect()
	if f := m.WhichOneof(attributesOneof); f != nil {
		return attributes{m.Get(f).Message()}
	}
	return attributes{}
}

// typeOf is the event type whose attributes they are.
func (a attributes) typeOf() enumspb.EventType {
	for i := range attributesOneof.Fields().Len() {
		f := attributesOneof.Fields().Get(i)
		if f.Message() == a.Descriptor() {
			return typeOfField(f)
		}
	}
	return enumspb.EVENT_TYPE_UNSPECIFIED
}

// typeOfField is the event type that the attributes in a field of the event
// belong to.
func typeOfField(f protoreflect.FieldDescriptor) enumspb.EventType {
	name := strings.TrimSuffix(string(f.Name()), "_event_attributes")
	return enumspb.EventType(enumspb.EventType_value["EVENT_TYPE_"+strings.ToUpper(name)])
}

// number is the value of an integer field; 0 if there is no such field.
func (a attributes) number(name protoreflect.Name) int64 {
	if a.Message == nil {
		return 0
	}
	if f := a.Descriptor().Fields().ByName(name); f != nil {
		return a.Get(f).Int()
	}
	return 0
}

// text is the value of a text field at the end of the path; empty if there is
// no such field.
func (a attributes) text(path ...protoreflect.Name) string {
	m := a.Message
	for i, name := range path {
		if m == nil {
			return ""
		}
		f := m.Descriptor().Fields().ByName(name)
		switch {
		case f == nil:
			return ""
		case i == len(path)-1 && f.Kind() == protoreflect.StringKind:
			return m.Get(f).String()
		case f.Kind() != protoreflect.MessageKind || f.IsList() || f.IsMap():
			return ""
		}
		m = m.Get(f).Message()
	}
	return ""
}
