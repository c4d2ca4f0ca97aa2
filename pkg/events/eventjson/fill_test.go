package eventjson_test

import (
	"testing"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// everyEvent is one event for each kind of attributes that the API has, every
// field of which is set, messages in messages included.
func everyEvent(t *testing.T) []*events.Event {
	t.Helper()
	attributes := (*historypb.HistoryEvent)(nil).ProtoReflect().Descriptor().Oneofs().ByName("attributes")
	var evs []*events.Event
	for i := range attributes.Fields().Len() {
		e := new(historypb.HistoryEvent)
		fill(e.ProtoReflect(), 4, func(choice protoreflect.OneofDescriptor) protoreflect.FieldDescriptor {
			if choice == attributes {
				return attributes.Fields().Get(i)
			}
			return choice.Fields().Get(i % choice.Fields().Len())
		})
		e.EventId = int64(i + 1)
		evs = append(evs, e)
	}
	if len(evs) < 50 {
		t.Fatalf("the API has %d kinds of attributes, expected 50 and more", len(evs))
	}
	return evs
}

// fill sets every field of m, down to a depth; of a choice, the one that choose
// names.
func fill(m protoreflect.Message, depth int, choose func(protoreflect.OneofDescriptor) protoreflect.FieldDescriptor) {
	switch known := m.Interface().(type) {
	case *timestamppb.Timestamp:
		proto.Merge(known, &timestamppb.Timestamp{Seconds: 1_700_000_000, Nanos: 123_456_789})
		return
	case *durationpb.Duration:
		proto.Merge(known, &durationpb.Duration{Seconds: 90, Nanos: 5_000_000})
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		field := m.Descriptor().Fields().Get(i)
		if choice := field.ContainingOneof(); choice != nil && choose(choice) != field {
			continue
		}
		isMessage := func(field protoreflect.FieldDescriptor) bool { return field.Message() != nil }
		switch {
		case field.IsMap():
			value := m.NewField(field).Map().NewValue()
			if isMessage(field.MapValue()) {
				if depth == 0 {
					continue
				}
				fill(value.Message(), depth-1, choose)
			} else {
				value = scalar(field.MapValue())
			}
			m.Mutable(field).Map().Set(protoreflect.ValueOfString(`a "key".`).MapKey(), value)
		case isMessage(field) && depth == 0:
		case field.IsList() && isMessage(field):
			for range 2 {
				fill(m.Mutable(field).List().AppendMutable().Message(), depth-1, choose)
			}
		case field.IsList():
			m.Mutable(field).List().Append(scalar(field))
		case isMessage(field):
			fill(m.Mutable(field).Message(), depth-1, choose)
		default:
			m.Set(field, scalar(field))
		}
	}
}

func scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(-3)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1<<62 + 1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(1<<63 + 1)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(1.5)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(2.5)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("binary/\xffx"))
	}
	return protoreflect.ValueOfString("a <string> of " + string(field.Name()) + "\n")
}
