package eventjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

func TestEncode(t *testing.T) {
	e := timer(1, "a")
	e.Links = []*commonpb.Link{{}}
	got, err := eventjson.Encode([]*events.Event{e})
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "events": [
    {
      "eventId": "1",
      "eventType": "EVENT_TYPE_TIMER_STARTED",
      "links": [
        {}
      ],
      "timerStartedEventAttributes": {
        "timerId": "a"
      }
    }
  ]
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	line, err := eventjson.EncodeEvent(timer(2, "b"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(timer2, string(line)); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

// Event by event gives what all at once gives, of every event that there can be
// and of real histories; of none, too.
func TestEncodeTo(t *testing.T) {
	all := map[string][]*events.Event{"every event": everyEvent(t), "one": {timer(1, "a")}, "none": nil, "a text that looks like the end": {timer(1, "\n  ]\n}")}}
	for name, evs := range all {
		want, err := eventjson.Encode(evs)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := eventjson.EncodeTo(&got, yielding(evs, nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-at once +event by event):\n%s", name, diff)
		}
	}
	broken := errors.New("cut")
	var got bytes.Buffer
	if err := eventjson.EncodeTo(&got, yielding(nil, broken)); !errors.Is(err, broken) || got.Len() > 0 {
		t.Errorf("an error before the first event: %v, and %q", err, got.String())
	}
	if err := eventjson.EncodeTo(&got, yielding([]*events.Event{timer(1, "a")}, broken)); !errors.Is(err, broken) || json.Valid(got.Bytes()) {
		t.Errorf("an error behind an event: %v, and %q", err, got.String())
	}
	if err := eventjson.EncodeTo(&got, yielding([]*events.Event{timer(1, "a"), timer(2, "\xff")}, nil)); err == nil || !strings.Contains(err.Error(), "event 1") {
		t.Errorf("an event without a JSON: %v", err)
	}
}

func yielding(evs []*events.Event, err error) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		for _, e := range evs {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// TestEncodeDecode takes every field of the API there and back, in each form.
func TestEncodeDecode(t *testing.T) {
	want := everyEvent(t)
	history, err := eventjson.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for _, e := range want {
		line, err := eventjson.EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(line, "\n\r") {
			t.Fatalf("a line with a line end in it: %q", line)
		}
		lines.Write(append(line, '\n'))
	}
	// Old tools wrote short enum names.
	last := want[0].EventType
	short := bytes.ReplaceAll(history, []byte(`"`+enumspb.EventType_name[int32(last)]+`"`), []byte(`"`+last.String()+`"`))
	if bytes.Equal(short, history) {
		t.Fatalf("no event has the type %s", last)
	}
	for name, data := range map[string][]byte{"history": history, "lines": lines.Bytes(), "short": short} {
		got, dropped, err := eventjson.Decode(data, eventjson.Options{})
		if err != nil || len(dropped) > 0 {
			t.Fatalf("%s: %v, dropped %q", name, err, dropped)
		}
		if !equal(want, got) {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(want, got, protocmp.Transform()))
		}
	}

	var theirs historypb.History
	if err := (temporalproto.CustomJSONUnmarshalOptions{}).Unmarshal(history, &theirs); err != nil {
		t.Fatalf("Temporal's decoder: %v", err)
	}
	if !equal(want, theirs.Events) {
		t.Errorf("Temporal's decoder (-want +got):\n%s", cmp.Diff(want, theirs.Events, protocmp.Transform()))
	}
}

func TestEncodeOddPayloads(t *testing.T) {
	tests := []struct {
		name, why string
		payload   *commonpb.Payload
	}{
		{"empty", "it must not come back as the value {}", &commonpb.Payload{}},
		{"data alone", "it must not come back as the value {\"data\": …}", &commonpb.Payload{Data: []byte("x")}},
		{"metadata without encoding", "a codec may write so", &commonpb.Payload{Metadata: map[string][]byte{"k": []byte("v")}, Data: []byte("x")}},
		{"binary encoding", "bytes are bytes", &commonpb.Payload{Metadata: map[string][]byte{"encoding": {0, 0xff}}}},
		{"external only", "no metadata either", &commonpb.Payload{ExternalPayloads: []*commonpb.Payload_ExternalPayloadDetails{{SizeBytes: 1}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := []*events.Event{{EventId: 1, Attributes: &historypb.HistoryEvent_MarkerRecordedEventAttributes{
				MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{
					Details: map[string]*commonpb.Payloads{"d": {Payloads: []*commonpb.Payload{tt.payload, tt.payload}}},
					Header:  &commonpb.Header{Fields: map[string]*commonpb.Payload{"h": tt.payload}},
				},
			}}}
			data, err := eventjson.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := eventjson.Decode(data, eventjson.Options{})
			if err != nil {
				t.Fatalf("%s: %v\n%s", tt.why, err, data)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s (-want +got):\n%s\n%s", tt.why, diff, data)
			}
			var theirs historypb.History
			if err := (temporalproto.CustomJSONUnmarshalOptions{}).Unmarshal(data, &theirs); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, theirs.Events, protocmp.Transform()); diff != "" {
				t.Errorf("Temporal's decoder (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncodeNothing(t *testing.T) {
	data, err := eventjson.Encode(nil)
	if err != nil || !json.Valid(data) {
		t.Fatalf("got %s, %v", data, err)
	}
	if evs, _, err := eventjson.Decode(data, eventjson.Options{}); err != nil || len(evs) != 0 {
		t.Errorf("decoded %d events, %v", len(evs), err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, e := range map[string]*events.Event{
		"text that is not UTF-8": timer(1, "\xff"),
		"a time after 9999":      events.At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), timer(1, "a")),
		"a value that is none":   events.Custom("Paid", make(chan int)),
	} {
		if _, err := eventjson.Encode([]*events.Event{e}); err == nil {
			t.Errorf("%s: a history was written", name)
		}
		if _, err := eventjson.EncodeEvent(e); err == nil {
			t.Errorf("%s: a line was written", name)
		}
	}
}
