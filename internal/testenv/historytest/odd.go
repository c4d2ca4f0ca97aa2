package historytest

import (
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// odd is what no good engine writes and the log takes.
func (f *flow) odd() {
	if f.tame {
		f.workflowTask()
		return
	}
	nowhere := f.next + f.Int64N(20) - 10
	switch f.IntN(8) {
	case 0: // of a version to come
		f.add(&events.Event{EventType: enumspb.EventType(1000 + f.IntN(3))})
	case 1:
		f.add(&events.Event{EventType: enumspb.EVENT_TYPE_UNSPECIFIED})
	case 2:
		f.add(events.ActivityCompleted(events.EventID(nowhere), events.EventID(nowhere+1), 1))
		f.forget(&f.activities, nowhere)
	case 3:
		f.add(events.TimerFired("", events.EventID(nowhere)))
		f.forget(&f.timers, nowhere)
	case 4: // attributes of another type
		e := events.Signaled("s")
		e.EventType = enumspb.EVENT_TYPE_TIMER_STARTED
		f.add(e)
	case 5: // of a type that has some, without
		f.add(&events.Event{EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED})
	default:
		f.any()
	}
}

// forget lets go of what a stray reference may have ended.
func (f *flow) forget(list *[]pending, id int64) {
	for i, p := range *list {
		if p.opened == id {
			remove(list, i)
			return
		}
	}
}

// any is an event of any type that leaves the run open, with attributes of any
// content.
func (f *flow) any() {
	e := &events.Event{}
	fields := e.ProtoReflect().Descriptor().Oneofs().ByName("attributes").Fields()
	for {
		d := fields.Get(f.IntN(fields.Len()))
		name := "EVENT_TYPE_" + strings.ToUpper(strings.TrimSuffix(string(d.Name()), "_event_attributes"))
		t, known := enumspb.EventType_value[name]
		if e.EventType = enumspb.EventType(t); !known || events.Opens(e) || events.Closes(e) || strings.Contains(name, "_UPDATE_") {
			continue // updates have rules of their own: see Facts
		}
		switch e.EventType {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:
			f.paused = true
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED:
			f.paused = false
		}
		f.wild(e.ProtoReflect().Mutable(d).Message())
		f.add(e)
		return
	}
}

// The range of a Timestamp and of a Duration, in seconds, both inclusive: no log
// takes what is beyond.
const (
	firstSecond, lastSecond = -62135596800, 253402300799
	longestSeconds          = 315576000000
)

// wild fills a message with anything that a log takes.
func (f *flow) wild(m protoreflect.Message) { f.fill(m, 3) }

func (f *flow) fill(m protoreflect.Message, depth int) {
	switch t := m.Interface().(type) {
	case *timestamppb.Timestamp:
		t.Seconds, t.Nanos = firstSecond+f.Int64N(lastSecond-firstSecond+1), int32(f.IntN(1e9))
		return
	case *durationpb.Duration:
		sign := int64(1 - 2*f.IntN(2))
		t.Seconds, t.Nanos = sign*f.Int64N(longestSeconds+1), int32(sign)*int32(f.IntN(1e9))
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		if d.Message() != nil && depth == 0 || f.IntN(3) == 0 {
			continue
		}
		switch {
		case d.IsMap():
			for range f.IntN(3) {
				k := protoreflect.ValueOfString(f.text("key")).MapKey()
				if d.MapValue().Message() != nil {
					f.fill(m.Mutable(d).Map().Mutable(k).Message(), depth-1)
				} else {
					m.Mutable(d).Map().Set(k, f.scalar(d.MapValue()))
				}
			}
		case d.IsList():
			for range f.IntN(3) {
				if d.Message() != nil {
					f.fill(m.Mutable(d).List().AppendMutable().Message(), depth-1)
				} else {
					m.Mutable(d).List().Append(f.scalar(d))
				}
			}
		case d.Message() != nil:
			f.fill(m.Mutable(d).Message(), depth-1)
		default:
			m.Set(d, f.scalar(d))
		}
	}
}

func (f *flow) scalar(d protoreflect.FieldDescriptor) protoreflect.Value {
	switch d.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(f.text([]string{"", "a", "Version"}[f.IntN(3)]))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte([]string{"", "null", "[]", "json/plain", "binary/null", "\xff\x00"}[f.IntN(6)]))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(f.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(f.IntN(14) - 1))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(f.Uint32()))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(f.Uint32())
	case protoreflect.Int64Kind:
		if strings.HasSuffix(string(d.Name()), "event_id") {
			return protoreflect.ValueOfInt64(f.next - f.Int64N(14) + 1)
		}
		return protoreflect.ValueOfInt64(int64(f.Uint64() >> f.IntN(64)))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(f.NormFloat64()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(-f.NormFloat64() * float64(f.IntN(2)))
	}
	panic("no value for " + d.FullName())
}
