package eventjson_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events/eventjson"
)

// A message is read as the events within one are.
func TestDecodeMessageReadsAsDecode(t *testing.T) {
	const text = `{"events": [
		{"eventId": 1, "eventType": "WorkflowExecutionStarted", "workflow_execution_started_event_attributes": {"input": [{"order": 7}, "x", null]}},
		{"eventId": "2", "eventType": "EVENT_TYPE_TIMER_STARTED", "timerStartedEventAttributes": {"startToFireTimeout": "60s"}}
	]}`
	want, _, err := eventjson.Decode([]byte(text), eventjson.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := &historypb.History{Events: []*historypb.HistoryEvent{{EventId: 99}}} // to be cleared
	if dropped, err := eventjson.DecodeMessage([]byte(text), got, eventjson.Options{}); err != nil || len(dropped) > 0 {
		t.Fatal(err, dropped)
	}
	if d := cmp.Diff(&historypb.History{Events: want}, got, protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

func TestDecodeMessageRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		paths      []string
		is         error
	}{
		{"an unknown field at the top", `{"evnts": []}`, []string{"evnts"}, eventjson.ErrUnknownField},
		{"unknown fields within", `{"events": [{}, {"evntType": 1}], "x": 1}`, []string{"events[1].evntType", "x"}, eventjson.ErrUnknownField},
		{"an unknown enum name", `{"events": [{"eventType": "Paid"}]}`, []string{"events[0].eventType"}, eventjson.ErrUnknownEnum},
		{"a field twice", `{"events": [], "events": []}`, []string{"events"}, eventjson.ErrDuplicate},
		{"values of other types", `{"events": [{"eventId": "x", "eventTime": 7}]}`, []string{"events[0].eventId", "events[0].eventTime"}, eventjson.ErrInvalidValue},
		{"no object", `[]`, []string{""}, eventjson.ErrInvalidValue},
		{"nothing", ` `, nil, eventjson.ErrSyntax},
		{"two values", `{} {}`, nil, eventjson.ErrSyntax},
		{"no JSON", `{"events"`, nil, eventjson.ErrSyntax},
		{"no UTF-8", "{\"\xff\": 1}", nil, eventjson.ErrSyntax},
		{"too many bytes", `{"events": [` + strings.Repeat(" ", 200) + `]}`, nil, eventjson.ErrTooLarge},
		{"too many levels", strings.Repeat("[", 11) + strings.Repeat("]", 11), nil, eventjson.ErrTooDeep},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := eventjson.DecodeMessage([]byte(c.text), new(historypb.History), eventjson.Options{MaxBytes: 200, MaxDepth: 10})
			if !errors.Is(err, c.is) {
				t.Fatalf("got %v, want %v", err, c.is)
			}
			var fields *eventjson.FieldError
			if errors.As(err, &fields) != (c.paths != nil) || fields != nil && !slices.Equal(fields.Paths(), c.paths) {
				t.Errorf("got %v, want paths %q", err, c.paths)
			}
		})
	}
}

func TestDecodeMessageLeniently(t *testing.T) {
	got := new(historypb.History)
	dropped, err := eventjson.DecodeMessage([]byte(`{"events": [{"eventId": 3, "evntType": 1}], "x": 1}`), got, eventjson.Options{Lenient: true})
	if err != nil || !slices.Equal(dropped, []string{"events[0].evntType", "x"}) || got.Events[0].EventId != 3 {
		t.Errorf("got %v, dropped %q, %v", got, dropped, err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(`{"events": [{"eventId": 1, "eventType": "TimerStarted"}]}`))
	f.Add([]byte(`{"fields": {"a": 1, "b": {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "MQ=="}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, m := range []proto.Message{new(historypb.History), new(commonpb.Memo), new(commonpb.RetryPolicy)} {
			if _, err := eventjson.DecodeMessage(text, m, eventjson.Options{}); err != nil {
				continue
			}
			written, err := eventjson.EncodeMessage(m)
			if err != nil {
				t.Fatalf("%T was read and cannot be written: %v", m, err)
			}
			again := m.ProtoReflect().New().Interface()
			if _, err := eventjson.DecodeMessage(written, again, eventjson.Options{}); err != nil {
				t.Fatalf("%s was written and cannot be read: %v", written, err)
			}
			if d := cmp.Diff(m, again, protocmp.Transform()); d != "" {
				t.Fatal(d)
			}
		}
	})
}
