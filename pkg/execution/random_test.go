package execution

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// drawEvent draws an event of any type, with attributes of any content, of
// another type, or none. Its references are near id, so that many hit. The type
// is rapid's to shrink; the content comes from one drawn seed, which is a
// hundred times faster than drawing each field.
func drawEvent(t *rapid.T, id int64) *events.Event {
	e := &events.Event{EventId: id}
	e.EventType = enumspb.EventType(rapid.Int32Range(0, int32(len(folds))+1).Draw(t, "type"))
	r := content{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "content"), 0)), id}
	if r.IntN(10) > 0 {
		e.EventTime = timestamppb.New(at(r.Int64N(200) - 100))
	}
	fields := e.ProtoReflect().Descriptor().Oneofs().ByName("attributes").Fields()
	for i := range fields.Len() {
		name := "EVENT_TYPE_" + strings.ToUpper(strings.TrimSuffix(string(fields.Get(i).Name()), "_event_attributes"))
		if enumspb.EventType_value[name] != int32(e.EventType) {
			continue
		}
		f := fields.Get(i)
		if r.IntN(10) == 0 {
			f = fields.Get(r.IntN(fields.Len()))
		}
		r.message(e.ProtoReflect().Mutable(f).Message(), 4)
		break
	}
	return e
}

// content fills messages of an event.
type content struct {
	*rand.Rand
	id int64 // of the event
}

func (r content) message(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() != nil && depth == 0 || r.IntN(3) == 0 {
			continue
		}
		switch {
		case f.IsMap():
			for range r.IntN(3) {
				k := protoreflect.ValueOfString(r.text()).MapKey()
				if f.MapValue().Message() != nil {
					r.message(m.Mutable(f).Map().Mutable(k).Message(), depth-1)
				} else {
					m.Mutable(f).Map().Set(k, r.scalar(f.MapValue()))
				}
			}
		case f.IsList():
			for range r.IntN(3) {
				if f.Message() != nil {
					r.message(m.Mutable(f).List().AppendMutable().Message(), depth-1)
				} else {
					m.Mutable(f).List().Append(r.scalar(f))
				}
			}
		case f.Message() != nil:
			r.message(m.Mutable(f).Message(), depth-1)
		default:
			m.Set(f, r.scalar(f))
		}
	}
}

func (r content) text() string {
	return []string{"", "a", "b", "encoding", "Version", "é\x00"}[r.IntN(6)]
}

func (r content) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(r.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte([]string{"", "null", "[]", "json/plain", "binary/null", "\xff"}[r.IntN(6)]))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.IntN(14) - 1))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(r.Uint32()))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(r.Uint32())
	case protoreflect.Int64Kind:
		if strings.HasSuffix(string(f.Name()), "event_id") {
			return protoreflect.ValueOfInt64(r.id - r.Int64N(14) + 1)
		}
		return protoreflect.ValueOfInt64(int64(r.Uint64() >> r.IntN(64)))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(r.Float32())
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(r.NormFloat64())
	}
	panic("no value for " + f.FullName())
}

// drawHistory draws events with dense ids, as the log enforces them.
func drawHistory(t *rapid.T) []*events.Event {
	history := make([]*events.Event, rapid.IntRange(1, 40).Draw(t, "events"))
	for i := range history {
		history[i] = drawEvent(t, int64(i)+1)
	}
	return history
}

type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// checkInvariants holds what is true of every state, whatever the events were.
func checkInvariants(t failer, s *State) {
	t.Helper()
	if (s.Close != nil) != isClosed(s.Status) {
		t.Fatalf("status %v and close %v", s.Status, s.Close)
	}
	if (s.Pause != nil) != (s.Status == enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED) {
		t.Fatalf("status %v and pause %v", s.Status, s.Pause)
	}
	checkSorted(t, s.Activities)
	checkSorted(t, s.Timers)
	checkSorted(t, s.Children)
	checkSorted(t, s.NexusOperations)
	checkSorted(t, s.Updates)
	checkSorted(t, s.ExternalSignals)
	checkSorted(t, s.ExternalCancels)
}

func checkSorted[T any, P entity[T]](t failer, list []P) {
	t.Helper()
	for i := 1; i < len(list); i++ {
		if list[i-1].key() >= list[i].key() {
			t.Fatalf("%T of event %d after that of event %d", list[i], list[i].key(), list[i-1].key())
		}
	}
}

func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := drawHistory(t)
		s := New(testWF, testRun)
		decoded := New(testWF, testRun)
		var status events.Status
		for i, e := range history {
			frozen := proto.Clone(e)
			_ = s.EventName(e)
			s.Apply(e)
			status = events.StatusAfter(status, e)
			if s.Status != status {
				t.Fatalf("status %v after event %d, the log says %v", s.Status, i+1, status)
			}
			checkInvariants(t, s)
			decoded.Apply(proto.Clone(e).(*events.Event))
			if rapid.Bool().Draw(t, "encode") {
				decoded = roundTrip(t, decoded)
			}
			if !proto.Equal(frozen, e) {
				t.Fatalf("event %d was changed:\n%s", i+1, cmp.Diff(frozen, e, same))
			}
		}
		if diff := cmp.Diff(s, decoded, same); diff != "" {
			t.Fatalf("whole and decoded differ:\n%s", diff)
		}
		if !slices.Equal(encode(t, s), encode(t, decoded)) {
			t.Fatal("the same events gave other bytes after round trips")
		}
		a, errA := s.MarshalJSON()
		b, errB := decoded.MarshalJSON()
		if (errA == nil) != (errB == nil) || errA == nil && (string(a) != string(b) || !json.Valid(a)) {
			t.Fatalf("JSON:\n%s, %v\n%s, %v", a, errA, b, errB)
		}
	})
}

// TestOutOfOrder folds what no log gives: any ids in any order, twice, none.
func TestOutOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(testWF, testRun)
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			e := drawEvent(t, rapid.Int64Range(-3, 8).Draw(t, "id"))
			s.ApplyTo(e, &Changes{})
			checkInvariants(t, s)
		}
		if diff := cmp.Diff(s, roundTrip(t, s), same); diff != "" {
			t.Fatalf("a round trip changed the state:\n%s", diff)
		}
	})
}

// fill sets everything in v that can be set to something that is not zero and
// not the same as elsewhere.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(at(*n).Add(time.Duration(*n))))
		return
	case proto.Message:
		m := reflect.New(v.Type().Elem())
		fillMessage(m.Interface().(proto.Message).ProtoReflect(), n)
		v.Set(m)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("x", int(*n%7)) + string(rune('a'+*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(*n * 1000)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, k := range []string{"k2", "k1"} {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(e, n)
			v.SetMapIndex(reflect.ValueOf(k), e)
		}
	default:
		panic("cannot fill " + v.Type().String())
	}
}

// fillMessage sets the message's strings and numbers.
func fillMessage(m protoreflect.Message, n *int64) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		*n++
		switch {
		case f.IsMap():
		case f.Kind() == protoreflect.StringKind && !f.IsList():
			m.Set(f, protoreflect.ValueOfString(strings.Repeat("m", int(*n%200))))
		case f.Kind() == protoreflect.BytesKind && !f.IsList():
			m.Set(f, protoreflect.ValueOfBytes([]byte{byte(*n), 'b'}))
		case f.Kind() == protoreflect.Int32Kind && !f.IsList():
			m.Set(f, protoreflect.ValueOfInt32(int32(*n)))
		}
	}
}

// full is a state in which no field is zero.
func full() *State {
	s := &State{}
	n := int64(0)
	fill(reflect.ValueOf(s).Elem(), &n)
	s.Status = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	return s
}
