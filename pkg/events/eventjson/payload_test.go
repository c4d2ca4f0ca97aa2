package eventjson_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events/eventjson"
)

func payload(encoding, data string) *commonpb.Payload {
	p := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte(encoding)}}
	if data != "" {
		p.Data = []byte(data)
	}
	return p
}

func protoPayload(message, data string) *commonpb.Payload {
	p := payload("json/protobuf", data)
	p.Metadata["messageType"] = []byte(message)
	return p
}

// inputs are what may stand as the input of a signal, and the payloads that it
// means.
var inputs = []struct {
	name, why, json string
	want            []*commonpb.Payload
	// differs says why Temporal's own decoder of shorthand does not read the
	// same.
	differs string
}{
	{"object", "the usual case", `[{"order":7}]`, []*commonpb.Payload{payload("json/plain", `{"order":7}`)}, ""},
	{
		"several", "one value an argument", `["a",1,true,1.5,[2]]`,
		[]*commonpb.Payload{payload("json/plain", `"a"`), payload("json/plain", `1`), payload("json/plain", `true`), payload("json/plain", `1.5`), payload("json/plain", `[2]`)},
		"",
	},
	{"none", "no arguments", `[]`, nil, ""},
	{"null", "nil has an encoding of its own", `[null]`, []*commonpb.Payload{payload("binary/null", "")}, ""},
	{"full", "what a replayer reads", `{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Nw=="}]}`, []*commonpb.Payload{payload("json/plain", "7")}, ""},
	{"full null", "it has no data", `{"payloads":[{"metadata":{"encoding":"YmluYXJ5L251bGw="}}]}`, []*commonpb.Payload{payload("binary/null", "")}, ""},
	{"mixed", "shorthand leaves in full what it cannot show", `[1,{"metadata":{"encoding":"YmluYXJ5L2VuY3J5cHRlZA=="},"data":"AAH/"}]`, []*commonpb.Payload{payload("json/plain", "1"), payload("binary/encrypted", "\x00\x01\xff")}, ""},
	{"mixed, the other way", "so does the full form in shorthand's mode", `{"payloads":[{"a":1},{"metadata":{"encoding":"YmluYXJ5L3BsYWlu"},"data":"eA"}]}`, []*commonpb.Payload{payload("json/plain", `{"a":1}`), payload("binary/plain", "x")}, ""},
	{"protobuf", "the type moves into the metadata", `[{"_protoMessageType":"a.B","name":"x"}]`, []*commonpb.Payload{protoPayload("a.B", `{"name":"x"}`)}, ""},
	{"protobuf, type last", "members have no order", `[{ "name" : "x" , "_protoMessageType" : "a.B" }]`, []*commonpb.Payload{protoPayload("a.B", `{"name":"x"}`)}, ""},
	{"a value with data", "it has no metadata, so it is a value", `[{"data":"x"}]`, []*commonpb.Payload{payload("json/plain", `{"data":"x"}`)}, ""},
	{"a value with metadata", "utf-8 is no encoding of payloads", `[{"metadata":{"encoding":"utf-8"},"text":"x"}]`, []*commonpb.Payload{payload("json/plain", `{"metadata":{"encoding":"utf-8"},"text":"x"}`)}, ""},
	{"an empty object", "as a value", `[{}]`, []*commonpb.Payload{payload("json/plain", `{}`)}, ""},

	{
		"long number", "its digits are kept", `[12345678901234567890123]`,
		[]*commonpb.Payload{payload("json/plain", `12345678901234567890123`)},
		"it goes through float64",
	},
	{
		"empty array", "it is not null", `[[]]`,
		[]*commonpb.Payload{payload("json/plain", `[]`)},
		"it turns an empty array into null",
	},
	{
		"full, no data", "empty data is data", `{"payloads":[{"metadata":{"encoding":"YmluYXJ5L3BsYWlu"}}]}`,
		[]*commonpb.Payload{payload("binary/plain", "")},
		"it takes a payload without data for a value",
	},
	{
		"null with more metadata", "a codec's marks are kept", `{"payloads":[{"metadata":{"encoding":"YmluYXJ5L251bGw=","k":"eA=="}}]}`,
		[]*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("binary/null"), "k": []byte("x")}}},
		"it drops other metadata of null",
	},
	{
		"external payloads", "it is a field of a payload", `{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"externalPayloads":[{"sizeBytes":"3"}]}]}`,
		[]*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, ExternalPayloads: []*commonpb.Payload_ExternalPayloadDetails{{SizeBytes: 3}}}},
		"it takes a payload with this newer field for a value",
	},
	{
		"no encoding", "so Encode writes a payload without one", `{"payloads":[{"metadata":{},"data":"eA=="}]}`,
		[]*commonpb.Payload{{Data: []byte("x")}},
		"it takes a payload without encoding for a value",
	},
}

func signal(input string) []byte {
	return []byte(`{"events":[{"eventId":"1","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED","workflowExecutionSignaledEventAttributes":{"input":` + input + `}}]}`)
}

func TestPayloadShorthand(t *testing.T) {
	for _, tt := range inputs {
		t.Run(tt.name, func(t *testing.T) {
			evs, _, err := eventjson.Decode(signal(tt.json), eventjson.Options{})
			if err != nil {
				t.Fatalf("%s: %v", tt.why, err)
			}
			got := evs[0].GetWorkflowExecutionSignaledEventAttributes().GetInput().GetPayloads()
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
		})
	}
}

// TestPayloadShorthandIsTemporals holds the two decoders side by side: where
// ours differs it has a reason.
func TestPayloadShorthandIsTemporals(t *testing.T) {
	for _, tt := range inputs {
		t.Run(tt.name, func(t *testing.T) {
			var h historypb.History
			options := temporalproto.CustomJSONUnmarshalOptions{
				Metadata: map[string]any{commonpb.EnablePayloadShorthandMetadataKey: true},
			}
			if err := options.Unmarshal(signal(tt.json), &h); err != nil {
				t.Fatal(err)
			}
			theirs := h.Events[0].GetWorkflowExecutionSignaledEventAttributes().GetInput().GetPayloads()
			diff := cmp.Diff(tt.want, theirs, protocmp.Transform())
			if tt.differs == "" && diff != "" {
				t.Errorf("Temporal's decoder reads it otherwise, without a reason (-ours +theirs):\n%s", diff)
			}
			if tt.differs != "" && diff == "" {
				t.Errorf("Temporal's decoder reads it as we do, though it was said that %s", tt.differs)
			}
		})
	}
}

func TestPayloadShorthandInMaps(t *testing.T) {
	evs, _, err := eventjson.Decode([]byte(event(`"workflowExecutionStartedEventAttributes":{
		"memo":{"fields":{"a":1,"b":null,"c":{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Mg=="}}},
		"searchAttributes":{"indexedFields":{"Region":"EU"}},
		"lastCompletionResult":["done"],
		"continuedFailure":{"applicationFailureInfo":{"details":[{"x":[ 1, 2 ]}]}}}`)), eventjson.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := evs[0].GetWorkflowExecutionStartedEventAttributes()
	want := map[string]*commonpb.Payload{
		"a": payload("json/plain", "1"), "b": payload("binary/null", ""), "c": payload("json/plain", "2"),
		"Region": payload("json/plain", `"EU"`), "result": payload("json/plain", `"done"`), "details": payload("json/plain", `{"x":[1,2]}`),
	}
	got := a.GetMemo().GetFields()
	got["Region"] = a.GetSearchAttributes().GetIndexedFields()["Region"]
	got["result"] = a.GetLastCompletionResult().GetPayloads()[0]
	got["details"] = a.GetContinuedFailure().GetApplicationFailureInfo().GetDetails().GetPayloads()[0]
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("payloads (-want +got):\n%s", diff)
	}
}

// TestTemporalShorthandIsRead reads what Temporal's own tools print in
// shorthand.
func TestTemporalShorthandIsRead(t *testing.T) {
	evs, _, err := eventjson.Decode(signal(`["x",{"a":{"b":[1,null]}},null,{"_protoMessageType":"a.B","n":1}]`), eventjson.Options{})
	if err != nil {
		t.Fatal(err)
	}
	history := &historypb.History{Events: evs}
	printed, err := temporalproto.CustomJSONMarshalOptions{
		Metadata: map[string]any{commonpb.EnablePayloadShorthandMetadataKey: true},
	}.Marshal(history)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(printed) {
		t.Fatalf("Temporal printed %s", printed)
	}
	again, _, err := eventjson.Decode(printed, eventjson.Options{})
	if err != nil {
		t.Fatalf("decode %s: %v", printed, err)
	}
	if !proto.Equal(history, &historypb.History{Events: again}) {
		t.Errorf("read otherwise than printed (-want +got):\n%s", cmp.Diff(evs, again, protocmp.Transform()))
	}
}
