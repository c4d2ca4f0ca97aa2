package events_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// checkEvent is CheckEvent on what e is in binary.
func checkEvent(t *testing.T, e *events.Event) error {
	t.Helper()
	encoded, err := proto.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return events.CheckEvent(e, encoded)
}

// refusedBy checks that an error names the field, and no other.
func refusedBy(t *testing.T, err error, field string) {
	t.Helper()
	var got *events.InvalidError
	if !errors.Is(err, events.ErrInvalid) || !errors.As(err, &got) || got.Field != field || got.Reason == "" {
		t.Errorf("gave %v, want an invalid %s", err, field)
	}
}

// TestEveryTimeOfAnEventIsLookedAt: whichever field holds a time or a duration
// out of range is named; in range it is taken.
func TestEveryTimeOfAnEventIsLookedAt(t *testing.T) {
	e, tried := new(events.Event), 0
	var within func(m protoreflect.Message, path string, types []protoreflect.FullName)
	// try has a value hold something, if it is a time, or tries what is within.
	try := func(m protoreflect.Message, path string, types []protoreflect.FullName) {
		switch v := m.Interface().(type) {
		case *timestamppb.Timestamp:
			v.Nanos = -1
			refusedBy(t, checkEvent(t, e), path)
			refusedBy(t, events.CheckTimes(e), path)
			v.Seconds, v.Nanos = 253402300800, 0
			refusedBy(t, checkEvent(t, e), path)
			v.Seconds, v.Nanos = -62135596800, 999_999_999
		case *durationpb.Duration:
			v.Seconds, v.Nanos = -1, 1
			refusedBy(t, checkEvent(t, e), path)
			refusedBy(t, events.CheckTimes(e), path)
			v.Seconds, v.Nanos = 315_576_000_001, 0
			refusedBy(t, checkEvent(t, e), path)
			v.Seconds, v.Nanos = -315_576_000_000, -999_999_999
		default:
			within(m, path+".", types)
			return
		}
		tried++
		if err := errors.Join(checkEvent(t, e), events.CheckTimes(e)); err != nil {
			t.Errorf("in range: %v", err)
		}
	}
	within = func(m protoreflect.Message, path string, types []protoreflect.FullName) {
		name := m.Descriptor().FullName()
		if i := slices.Index(types, name); i >= 0 && slices.Contains(types[i+1:], name) {
			return // it has been in itself, and that is enough
		}
		types = append(slices.Clone(types), name)
		for i := range m.Descriptor().Fields().Len() {
			f := m.Descriptor().Fields().Get(i)
			at := path + f.JSONName()
			switch {
			case f.Message() == nil || f.IsMap() && f.MapValue().Message() == nil:
				continue
			case f.IsMap():
				try(m.Mutable(f).Map().Mutable(protoreflect.ValueOfString("k").MapKey()).Message(), at+`["k"]`, types)
			case f.IsList():
				m.Mutable(f).List().AppendMutable()
				try(m.Mutable(f).List().AppendMutable().Message(), at+"[1]", types)
			default:
				try(m.Mutable(f).Message(), at, types)
			}
			m.Clear(f)
		}
	}
	within(e.ProtoReflect(), "", nil)
	if tried < 60 {
		t.Errorf("only %d times were tried: are they still found?", tried)
	}
}

// TestNestingIsNamedWhereItBegins: of a failure at whatever level.
func TestNestingIsNamedWhereItBegins(t *testing.T) {
	nested := func(causes int) *failurepb.Failure {
		f := new(failurepb.Failure)
		for range causes {
			f = &failurepb.Failure{Cause: f}
		}
		return f
	}
	e := events.WorkflowFailed(errors.New("no"))
	a := e.GetWorkflowExecutionFailedEventAttributes()
	for _, tt := range []struct {
		causes int
		ok     bool
	}{{0, true}, {events.MaxNesting - 3, true}, {events.MaxNesting - 2, false}, {50_000, false}} {
		a.Failure = nested(tt.causes)
		for field, err := range map[string]error{
			"workflowExecutionFailedEventAttributes.failure": checkEvent(t, e),
			"f": events.CheckFailure("f", a.Failure),
		} {
			if tt.ok && err != nil {
				t.Errorf("%d causes: %v", tt.causes, err)
			}
			if !tt.ok {
				refusedBy(t, err, field)
			}
		}
		if encoded, err := proto.Marshal(e); err != nil || tt.ok && proto.Unmarshal(encoded, new(events.Event)) != nil {
			t.Errorf("%d causes are taken and cannot be read", tt.causes)
		}
	}
	if err := events.CheckFailure("f", nil); err != nil {
		t.Errorf("no failure: %v", err)
	}
	refusedBy(t, events.CheckFailure("f", &failurepb.Failure{Message: "\xff"}), "f")
	a.Failure = &failurepb.Failure{Cause: &failurepb.Failure{Cause: &failurepb.Failure{FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{NextRetryDelay: &durationpb.Duration{Nanos: 1e9}},
	}}}}
	refusedBy(t, events.CheckFailure("f", a.Failure), "f.cause.cause.applicationFailureInfo.nextRetryDelay")
}

// TestUnknownFieldsThatCannotBeRead: groups in each other without end, which no
// version of the API has and whoever reads the event would fail on.
func TestUnknownFieldsThatCannotBeRead(t *testing.T) {
	e := events.Signaled("s")
	var unknown []byte
	for range 20_000 {
		unknown = protowire.AppendTag(unknown, 1000, protowire.StartGroupType)
	}
	for range 20_000 {
		unknown = protowire.AppendTag(unknown, 1000, protowire.EndGroupType)
	}
	e.ProtoReflect().SetUnknown(unknown)
	refusedBy(t, checkEvent(t, e), "")
	e.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 7))
	if err := checkEvent(t, e); err != nil {
		t.Errorf("a field of a later version: %v", err)
	}
}

// BenchmarkCheckEvent is what the check adds to an append of three usual events.
func BenchmarkCheckEvent(b *testing.B) {
	commit := []*events.Event{
		events.WorkflowTaskCompleted(2, 3, "worker-1"),
		events.ActivityScheduled("5", "ChargeCard", &commonpb.Payload{Data: make([]byte, 200)}),
		events.TimerStarted("6", time.Hour),
	}
	encoded := make([][]byte, len(commit))
	for i, e := range commit {
		e.EventId, e.EventTime = int64(i+4), timestamppb.Now()
		var err error
		if encoded[i], err = proto.Marshal(e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, e := range commit {
			if err := events.CheckEvent(e, encoded[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}
