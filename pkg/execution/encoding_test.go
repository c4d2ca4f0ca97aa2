package execution

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
)

// TestEncodingHoldsEveryField fails when a field is added and not coded.
func TestEncodingHoldsEveryField(t *testing.T) {
	s := full()
	for i := range reflect.TypeFor[State]().NumField() {
		if reflect.ValueOf(s).Elem().Field(i).IsZero() {
			t.Fatalf("%s is zero: the test would not see it", reflect.TypeFor[State]().Field(i).Name)
		}
	}
	if diff := cmp.Diff(s, roundTrip(t, s), same); diff != "" {
		t.Errorf("a round trip changed the state:\n%s", diff)
	}
	if diff := cmp.Diff(New(testWF, testRun), roundTrip(t, New(testWF, testRun)), same); diff != "" {
		t.Errorf("a round trip changed the state of a new run:\n%s", diff)
	}
}

// TestEncodingIsStable holds the bytes themselves: a stored state is loaded by
// later builds. If this fails on purpose, raise encodingVersion, then write the
// file anew with ANNALS_UPDATE_GOLDEN=1.
func TestEncodingIsStable(t *testing.T) {
	golden(t, "testdata/order.v2.bin", encode(t, fold(order()[:11]...)))
}

// golden compares got with a file, or writes the file if asked to.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if os.Getenv("ANNALS_UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	whole := encode(t, fold(order()[:11]...))
	wrongOrder := fold(order()[0], activityScheduled(2, 0), activityScheduled(3, 0))
	wrongOrder.Activities[0], wrongOrder.Activities[1] = wrongOrder.Activities[1], wrongOrder.Activities[0]
	notClosed := fold(order()[0])
	notClosed.Status = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	year10000 := fold(order()[0])
	year10000.StartTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, data := range map[string][]byte{
		"nothing":                       nil,
		"another version":               append([]byte{encodingVersion + 1}, whole[1:]...),
		"too much":                      append(bytes.Clone(whole), 0),
		"what is pending, out of order": encode(t, wrongOrder),
		"closed without a close":        encode(t, notClosed),
		"a time that no calendar holds": encode(t, year10000),
		"a length of 2^60 bytes":        {encodingVersion, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10},
	} {
		kept := State{RunID: "kept"}
		err := kept.UnmarshalBinary(data)
		if !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v, want %v", name, err, ErrEncoding)
		}
		if kept.RunID != "kept" {
			t.Errorf("%s: the state was changed: %+v", name, kept)
		}
	}
	for n := range whole {
		var s State
		if err := s.UnmarshalBinary(whole[:n]); !errors.Is(err, ErrEncoding) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func TestAppendBinaryAppends(t *testing.T) {
	s := fold(order()...)
	got, err := s.AppendBinary([]byte("before"))
	if want := append([]byte("before"), encode(t, s)...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestTextThatIsNotUTF8(t *testing.T) {
	s := fold(event(1, &historypb.WorkflowExecutionStartedEventAttributes{ContinuedFailure: failure("\xff")}))
	if got, err := s.AppendBinary([]byte("before")); err == nil || string(got) != "before" {
		t.Errorf("encoded to %q, %v: a message that protobuf cannot encode must be an error", got, err)
	}
	if _, err := s.MarshalJSON(); err == nil {
		t.Error("printed as JSON what JSON cannot hold")
	}
}

// TestNilInLists: the wire has no nil elements, memory may.
func TestNilInLists(t *testing.T) {
	s := fold(
		event(1, &historypb.WorkflowExecutionStartedEventAttributes{
			LastCompletionResult: &commonpb.Payloads{Payloads: []*commonpb.Payload{nil, payload("1")}},
			CompletionCallbacks:  []*commonpb.Callback{nil, {Links: []*commonpb.Link{nil}}},
		}),
		event(2, &historypb.WorkflowExecutionOptionsUpdatedEventAttributes{
			WorkflowUpdateOptions: []*historypb.WorkflowExecutionOptionsUpdatedEventAttributes_WorkflowUpdateOptionsUpdate{nil},
		}),
	)
	first := encode(t, s)
	if second := encode(t, roundTrip(t, s)); !bytes.Equal(first, second) {
		t.Errorf("other bytes after a round trip:\n%x\n%x", first, second)
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	for _, history := range histories(f) {
		f.Add(encode(f, fold(history...)))
		f.Add(encode(f, fold(history[:len(history)/2]...)))
	}
	f.Add(encode(f, full()))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s State
		if err := s.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Fatalf("an error that is not %v: %v", ErrEncoding, err)
			}
			return
		}
		again := roundTrip(t, &s)
		if diff := cmp.Diff(&s, again, same); diff != "" {
			t.Fatalf("a round trip changed the state:\n%s", diff)
		}
		if !bytes.Equal(encode(t, &s), encode(t, again)) {
			t.Fatal("the same state has two encodings")
		}
		for _, e := range order() {
			s.ApplyTo(e, &Changes{}) // whatever was decoded can be folded further
		}
	})
}

// FuzzApply folds whatever protobuf takes for a history.
func FuzzApply(f *testing.F) {
	for _, history := range histories(f) {
		b, err := proto.Marshal(&historypb.History{Events: history})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, c := range allCases() {
		b, err := proto.Marshal(&historypb.History{Events: append(slices.Clone(c.before), c.event)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var h historypb.History
		if proto.Unmarshal(data, &h) != nil {
			return
		}
		s := New(testWF, testRun)
		var ch Changes
		var status events.Status
		for _, e := range h.Events {
			_ = s.EventName(e)
			s.ApplyTo(e, &ch)
			status = events.StatusAfter(status, e)
		}
		checkInvariants(t, s)
		if s.Status != status {
			t.Fatalf("status %v, the log says %v", s.Status, status)
		}
		if s.EventCount != int64(len(h.Events)) {
			t.Fatalf("%d events counted of %d", s.EventCount, len(h.Events))
		}
		if !bytes.Equal(encode(t, s), encode(t, roundTrip(t, s))) {
			t.Fatal("other bytes after a round trip")
		}
	})
}
