package events_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
)

func inf() float64 { return math.Inf(1) }

func pointer[T any](v T) *T { return &v }

func TestPayload(t *testing.T) {
	encrypted := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}, Data: []byte{0}}
	protobuf := func(encoding, data string) *commonpb.Payload {
		return &commonpb.Payload{
			Metadata: map[string][]byte{"encoding": []byte(encoding), "messageType": []byte("temporal.api.common.v1.WorkflowExecution")},
			Data:     []byte(data),
		}
	}
	plain := func(encoding, data string) *commonpb.Payload {
		p := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(encoding)}}
		if data != "" {
			p.Data = []byte(data)
		}
		return p
	}
	type order struct {
		ID   int       `json:"id"`
		When time.Time `json:"when,omitzero"`
	}
	tests := []struct {
		name, why string
		v         any
		want      *commonpb.Payload
		into      any // a pointer that Value decodes into
		back      any // what it then points to
	}{
		{"nil", "it has an encoding of its own", nil, plain("binary/null", ""), pointer("was"), pointer("")},
		{"nil pointer", "it is nil", (*order)(nil), plain("binary/null", ""), &order{ID: 1}, &order{}},
		{"nil message", "it is nil", (*commonpb.WorkflowExecution)(nil), plain("binary/null", ""), &commonpb.WorkflowExecution{RunId: "was"}, &commonpb.WorkflowExecution{}},
		{"nil map", "JSON has a word for it", map[string]int(nil), plain("json/plain", "null"), &map[string]int{"was": 1}, new(map[string]int)},
		{"bytes", "they are not text", []byte("x\x00"), plain("binary/plain", "x\x00"), new([]byte), pointer([]byte("x\x00"))},
		{"bytes into any", "they stay bytes", []byte("x"), plain("binary/plain", "x"), new(any), pointer(any([]byte("x")))},
		{"string", "JSON", "<x>", plain("json/plain", `"\u003cx\u003e"`), new(string), pointer("<x>")},
		{"number", "JSON", 7, plain("json/plain", "7"), new(any), pointer(any(float64(7)))},
		{"struct", "JSON", order{ID: 7}, plain("json/plain", `{"id":7}`), new(order), &order{ID: 7}},
		{"pointer", "as what it points to", &order{ID: 7}, plain("json/plain", `{"id":7}`), new(order), &order{ID: 7}},
		{
			"message", "protobuf's JSON, and which message it is", &commonpb.WorkflowExecution{WorkflowId: "w", RunId: "r"},
			protobuf("json/protobuf", `{"workflowId":"w","runId":"r"}`), new(commonpb.WorkflowExecution), &commonpb.WorkflowExecution{WorkflowId: "w", RunId: "r"},
		},
		{
			"message in binary", "another converter's choice, taken as it is", protobuf("binary/protobuf", "\n\x01w"),
			protobuf("binary/protobuf", "\n\x01w"), new(commonpb.WorkflowExecution), &commonpb.WorkflowExecution{WorkflowId: "w"},
		},
		{"payload", "so that a codec can come first", encrypted, encrypted, nil, nil},
		{"nil payload", "it is nil", (*commonpb.Payload)(nil), plain("binary/null", ""), new(int), new(int)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := events.Payload(tt.v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
			if tt.into == nil {
				return
			}
			if err := events.Value(got, tt.into); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.back, tt.into, protocmp.Transform()); diff != "" {
				t.Errorf("%s: value (-want +got):\n%s", tt.why, diff)
			}
		})
	}
}

func TestPayloadRefuses(t *testing.T) {
	for name, v := range map[string]any{
		"a channel": make(chan int), "a function": func() {}, "infinity": inf(),
		"text that is not UTF-8 in a message": &commonpb.WorkflowExecution{RunId: "\xff"},
	} {
		if p, err := events.Payload(v); p != nil || !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: got %v, %v, want ErrInvalid", name, p, err)
		}
	}
}

func TestPayloads(t *testing.T) {
	if p, err := events.Payloads(); p != nil || err != nil {
		t.Errorf("of nothing: %v, %v", p, err)
	}
	p, err := events.Payloads(1, "x")
	if err != nil || len(p.Payloads) != 2 || string(p.Payloads[1].Data) != `"x"` {
		t.Errorf("of two: %v, %v", p, err)
	}
	p, err = events.Payloads(1, make(chan int))
	var invalid *events.InvalidError
	if p != nil || !errors.As(err, &invalid) || invalid.Field != "value[1]" {
		t.Errorf("of a channel: %v, %v, want an *InvalidError for value[1]", p, err)
	}
}

func TestValueRefuses(t *testing.T) {
	plain := func(encoding, data string) *commonpb.Payload {
		return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(encoding)}, Data: []byte(data)}
	}
	tests := []struct {
		name, why string
		p         *commonpb.Payload
		into      any
	}{
		{"no payload", "nothing says what it holds", nil, new(any)},
		{"no encoding", "nothing says what it holds", &commonpb.Payload{Data: []byte("1")}, new(any)},
		{"another encoding", "a codec has to come first", plain("binary/encrypted", "x"), new(any)},
		{"broken JSON", "it is damaged", plain("json/plain", "{"), new(any)},
		{"another type", "it does not fit", plain("json/plain", `"x"`), new(int)},
		{"bytes into a string", "they are not text", plain("binary/plain", "x"), new(string)},
		{"a message into a string", "it does not fit", plain("json/protobuf", "{}"), new(string)},
		{"a damaged message", "it is damaged", plain("binary/protobuf", "\xff"), new(commonpb.WorkflowExecution)},
		{"a value", "only what a pointer points to can be set", plain("json/plain", "1"), 1},
		{"nil", "only what a pointer points to can be set", plain("json/plain", "1"), nil},
		{"a nil pointer", "only what a pointer points to can be set", plain("json/plain", "1"), (*int)(nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := events.Value(tt.p, tt.into); !errors.Is(err, events.ErrInvalid) {
				t.Errorf("%s: got %v, want ErrInvalid", tt.why, err)
			}
		})
	}
}
