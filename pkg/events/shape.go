package events

import (
	"sync"

	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// shape says where in the binary form of a message of one type something could
// be that cannot be read again. A scan by it costs a few nanoseconds a field
// and needs no reflection: every event that is appended goes through it.
type shape struct {
	is protoreflect.FullName
	// within are the shapes of the fields that need a look, by their numbers.
	within []*shape
}

var (
	eventShape   = sync.OnceValue(func() *shape { return shapeOf(new(Event)) })
	failureShape = sync.OnceValue(func() *shape { return shapeOf(new(failurepb.Failure)) })
)

func shapeOf(m proto.Message) *shape {
	made := map[protoreflect.FullName]*shape{}
	var of func(d protoreflect.MessageDescriptor) *shape
	of = func(d protoreflect.MessageDescriptor) *shape {
		if s := made[d.FullName()]; s != nil {
			return s
		}
		s := &shape{is: d.FullName()}
		made[s.is] = s
		if isTime(d) {
			return s
		}
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			if in := f.Message(); in != nil && (isTime(in) || needsALook(in)) {
				for len(s.within) <= int(f.Number()) {
					s.within = append(s.within, nil)
				}
				s.within[f.Number()] = of(in)
			}
		}
		return s
	}
	return of(m.ProtoReflect().Descriptor())
}

// sound reports whether a message in binary, which lies at a level, can be read
// again: all its times are in range, and nothing is nested too deeply.
func (s *shape) sound(b []byte, level int) bool {
	switch {
	case s.is == timestampName:
		seconds, nanos, ok := secondsAndNanos(b)
		t := timestamppb.Timestamp{Seconds: seconds, Nanos: nanos}
		return ok && t.IsValid()
	case s.is == durationName:
		seconds, nanos, ok := secondsAndNanos(b)
		d := durationpb.Duration{Seconds: seconds, Nanos: nanos}
		return ok && d.IsValid()
	case level > MaxNesting:
		return false
	}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return false
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if int(number) < len(s.within) && s.within[number] != nil && !s.within[number].sound(value, level+1) {
			return false
		}
	}
	return true
}

// secondsAndNanos reads the two fields that a Timestamp has, and a Duration.
func secondsAndNanos(b []byte) (seconds int64, nanos int32, ok bool) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, 0, false
		}
		b = b[n:]
		if kind != protowire.VarintType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return 0, 0, false
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return 0, 0, false
		}
		b = b[n:]
		switch number {
		case 1:
			seconds = int64(v)
		case 2:
			nanos = int32(v) //nolint:gosec // as protobuf reads it
		}
	}
	return seconds, nanos, true
}
