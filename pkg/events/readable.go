package events

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// MaxNesting is how many messages may lie one in the other in an event or a
// heartbeat, itself included: what is deeper is refused. Protobuf would write a
// chain of any length and reads none over 10,000. This is less, so that in JSON,
// with the lists in it and a history around it, an event has no more levels
// than common readers take, eventjson among them: 1,000.
const MaxNesting = 900

// CheckTimes refuses, as *InvalidError that names the field by its path in JSON,
// a time or duration anywhere within m that is out of the range of its type.
// JSON has no such values: what held one could be stored and never be read as
// JSON again. Logs check events and heartbeats themselves, by CheckEvent and
// Heartbeat.Validate; this is for other messages. It is safe for concurrent use.
func CheckTimes(m proto.Message) error {
	return (&inspection{}).message(m.ProtoReflect())
}

// CheckEvent refuses, as *InvalidError that names the field by its path in JSON,
// an event that could be stored and never be read again: CheckTimes says which,
// and it is one with messages nested over MaxNesting levels. The second argument
// is e in binary, of which it makes short work: see CheckNesting for what comes
// before encoding. It is safe for concurrent use.
func CheckEvent(e *Event, encoded []byte) error {
	if eventShape().sound(encoded, 1) {
		return nil
	}
	return unreadable(e, 1, "")
}

// CheckFailure refuses, as *InvalidError, a failure that no event takes: one that
// cannot be encoded, or could not be read again, see CheckEvent. The error names
// the field, or what is wrong within it by its path from there. No failure at all
// is none to refuse. It is safe for concurrent use.
func CheckFailure(field string, f *failurepb.Failure) error {
	return checkFailure(field, f, failureLevel)
}

// failureLevel is where failures lie in an event: in its attributes.
const failureLevel = 3

func checkFailure(field string, f *failurepb.Failure, level int) error {
	if overlong(f) {
		return unreadable(f, level, field)
	}
	encoded, err := proto.Marshal(f)
	if err != nil {
		return &InvalidError{Field: field, Reason: err.Error()}
	}
	if !failureShape().sound(encoded, level) {
		return unreadable(f, level, field)
	}
	return nil
}

// unreadable says where a message that lies at a level is not sound.
func unreadable(m proto.Message, level int, field string) error {
	i := inspection{maxLevels: MaxNesting - level + 1}
	if field != "" {
		i.path = []string{field}
	}
	if err := i.message(m.ProtoReflect()); err != nil {
		return err
	}
	return &InvalidError{Field: field, Reason: "has fields that are not known here and cannot be read again"}
}

// inspection looks for the first value that could not be read again, and for
// the way to it.
type inspection struct {
	maxLevels int                     // 0: any number
	path      []string                // to the message that is looked into
	types     []protoreflect.FullName // of the messages on the way, itself the last
}

func (i *inspection) message(m protoreflect.Message) (err error) {
	i.types = append(i.types, m.Descriptor().FullName())
	defer func() { i.types = i.types[:len(i.types)-1] }()
	if i.maxLevels > 0 && len(i.types) > i.maxLevels {
		return i.tooDeep()
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		d := f.Message()
		if f.IsMap() {
			d = f.MapValue().Message()
		}
		if d == nil || !isTime(d) && !needsALook(d) {
			return true
		}
		switch {
		case f.IsList():
			for n := 0; n < v.List().Len() && err == nil; n++ {
				err = i.value(f.JSONName()+"["+strconv.Itoa(n)+"]", v.List().Get(n).Message())
			}
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				err = i.value(f.JSONName()+"["+strconv.Quote(k.String())+"]", v.Message())
				return err == nil
			})
		default:
			err = i.value(f.JSONName(), v.Message())
		}
		return err == nil
	})
	return err
}

// value inspects what a field holds, which may be a time itself.
func (i *inspection) value(name string, m protoreflect.Message) (err error) {
	i.path = append(i.path, name)
	defer func() { i.path = i.path[:len(i.path)-1] }()
	switch t := m.Interface().(type) {
	case *timestamppb.Timestamp:
		err = t.CheckValid()
	case *durationpb.Duration:
		err = t.CheckValid()
	default:
		return i.message(m)
	}
	if err != nil {
		return &InvalidError{Field: strings.Join(i.path, "."), Reason: err.Error()}
	}
	return nil
}

// tooDeep names the outermost message that has another of its type within.
func (i *inspection) tooDeep() error {
	below := i.path
	for n, name := range i.types {
		if slices.Contains(i.types[n+1:], name) {
			below = i.path[:len(i.path)-len(i.types)+n+1]
			break
		}
	}
	return &InvalidError{Field: strings.Join(below, "."), Reason: fmt.Sprintf("is nested too deeply: at most %d levels of messages can be read again", MaxNesting)}
}

func isTime(d protoreflect.MessageDescriptor) bool {
	return d.FullName() == timestampName || d.FullName() == durationName
}

const (
	timestampName protoreflect.FullName = "google.protobuf.Timestamp"
	durationName  protoreflect.FullName = "google.protobuf.Duration"
)

// looks remembers needsALook by full name: most of an event's bytes are
// payloads, which need none.
var looks sync.Map

// needsALook reports whether messages of that type can hold a time, however
// deep, or one another without end.
func needsALook(d protoreflect.MessageDescriptor) bool {
	if known, ok := looks.Load(d.FullName()); ok {
		return known.(bool)
	}
	needs := reaches(d, isTime) || recursive(d)
	looks.Store(d.FullName(), needs)
	return needs
}

// recursive reports whether messages of that type can lie in each other without
// end, or hold such ones.
func recursive(d protoreflect.MessageDescriptor) bool {
	inItself := func(d protoreflect.MessageDescriptor) bool {
		return reaches(d, func(in protoreflect.MessageDescriptor) bool { return in.FullName() == d.FullName() })
	}
	return inItself(d) || reaches(d, inItself)
}

// reaches reports whether messages of that type can hold one that is wanted.
func reaches(d protoreflect.MessageDescriptor, wanted func(protoreflect.MessageDescriptor) bool) bool {
	seen := map[protoreflect.FullName]bool{}
	var within func(protoreflect.MessageDescriptor) bool
	within = func(d protoreflect.MessageDescriptor) bool {
		if seen[d.FullName()] {
			return false
		}
		seen[d.FullName()] = true
		for i := range d.Fields().Len() { // of a map, the entry's value is a field of the entry
			if f := d.Fields().Get(i).Message(); f != nil && (wanted(f) || within(f)) {
				return true
			}
		}
		return false
	}
	return within(d)
}
