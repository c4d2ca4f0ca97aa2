package ingest

import (
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// refuseBadTimes fails, as *events.InvalidError, on a time or duration within m
// that is out of the range of its type. JSON has no such values: an event that
// held one could be stored in binary and never be read as JSON again.
func refuseBadTimes(m protoreflect.Message) error {
	if !holdsTimes(m.Descriptor()) {
		return nil
	}
	if bad := walkTimes(m, ""); bad != nil {
		return invalidf(bad.field, "%v", bad.err)
	}
	return nil
}

type badTime struct {
	field string
	err   error
}

func walkTimes(m protoreflect.Message, at string) (bad *badTime) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		d := f.Message()
		if f.IsMap() {
			d = f.MapValue().Message()
		}
		if d == nil || !isTime(d) && !holdsTimes(d) {
			return true
		}
		path := strings.TrimPrefix(at+"."+f.JSONName(), ".")
		switch {
		case f.IsList():
			for i := 0; i < v.List().Len() && bad == nil; i++ {
				bad = checkTimes(v.List().Get(i).Message(), path+"["+strconv.Itoa(i)+"]")
			}
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				bad = checkTimes(v.Message(), path+"["+strconv.Quote(k.String())+"]")
				return bad == nil
			})
		default:
			bad = checkTimes(v.Message(), path)
		}
		return bad == nil
	})
	return bad
}

// checkTimes checks a value, which may be a time itself.
func checkTimes(m protoreflect.Message, at string) *badTime {
	var err error
	switch t := m.Interface().(type) {
	case *timestamppb.Timestamp:
		err = t.CheckValid()
	case *durationpb.Duration:
		err = t.CheckValid()
	default:
		return walkTimes(m, at)
	}
	if err != nil {
		return &badTime{at, err}
	}
	return nil
}

func isTime(d protoreflect.MessageDescriptor) bool {
	return d.FullName() == "google.protobuf.Timestamp" || d.FullName() == "google.protobuf.Duration"
}

// timeHolders remembers holdsTimes by full name: most of an event's bytes are
// payloads, which need no look.
var timeHolders sync.Map

// holdsTimes reports whether messages of that type can hold a time, however deep.
func holdsTimes(d protoreflect.MessageDescriptor) bool {
	if known, ok := timeHolders.Load(d.FullName()); ok {
		return known.(bool)
	}
	holds := reachesTime(d, map[protoreflect.FullName]bool{})
	timeHolders.Store(d.FullName(), holds)
	return holds
}

func reachesTime(d protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[d.FullName()] {
		return false
	}
	seen[d.FullName()] = true
	for i := range d.Fields().Len() {
		if f := d.Fields().Get(i).Message(); f != nil && (isTime(f) || reachesTime(f, seen)) {
			return true // of a map, the entry's value is a field of the entry
		}
	}
	return false
}
