package eventjson_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

func timer(id int64, timerID string) *events.Event {
	return &events.Event{
		EventId:   id,
		EventType: enumspb.EVENT_TYPE_TIMER_STARTED,
		Attributes: &historypb.HistoryEvent_TimerStartedEventAttributes{
			TimerStartedEventAttributes: &historypb.TimerStartedEventAttributes{TimerId: timerID},
		},
	}
}

const (
	timer1 = `{"eventId":"1","eventType":"EVENT_TYPE_TIMER_STARTED","timerStartedEventAttributes":{"timerId":"a"}}`
	timer2 = `{"eventId":"2","eventType":"EVENT_TYPE_TIMER_STARTED","timerStartedEventAttributes":{"timerId":"b"}}`
)

func TestDecodeForms(t *testing.T) {
	both := []*events.Event{timer(1, "a"), timer(2, "b")}
	tests := []struct {
		name, why, data string
		want            []*events.Event
	}{
		{"history", "what Temporal's tools write", `{"events":[` + timer1 + `,` + timer2 + `]}`, both},
		{"history, spread out", "people edit these", "\n{ \"events\" :\t[ " + timer1 + " ,\r\n" + timer2 + " ] }\n ", both},
		{"history without events", "an empty history is one", `{"events":[]}`, nil},
		{"history with null", "protobuf's JSON takes null for absent", `{"events":null}`, nil},
		{"array", "what tctl wrote", `[` + timer1 + `,` + timer2 + `]`, both},
		{"empty array", "an empty history is one", `[]`, nil},
		{"answer", "what the history API answers", `{"history":{"events":[` + timer1 + `,` + timer2 + `]}}`, both},
		{
			"last page", "the API's other members may stand there while they are empty",
			`{"nextPageToken":"","history":{"events":[` + timer1 + `]},"archived":true}`, both[:1],
		},
		{"lines", "what annals history -o jsonl writes", timer1 + "\n" + timer2 + "\n", both},
		{"lines without an end", "the last line may lack its newline", timer1 + "\r\n\r\n" + timer2, both},
		{"one event", "a single line is no special case", timer1, both[:1]},
		{"byte order mark", "editors on Windows leave one", "\ufeff" + timer1, both[:1]},
		{"id last", "members have no order", `{"timerStartedEventAttributes":{"timerId":"a"},"eventType":"TimerStarted","eventId":1}`, both[:1]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, lenient := range []bool{false, true} {
				got, dropped, err := eventjson.Decode([]byte(tt.data), eventjson.Options{Lenient: lenient})
				if err != nil {
					t.Fatalf("%s: lenient=%v: %v", tt.why, lenient, err)
				}
				if len(dropped) > 0 {
					t.Errorf("lenient=%v dropped %q", lenient, dropped)
				}
				if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
					t.Errorf("%s: lenient=%v (-want +got):\n%s", tt.why, lenient, diff)
				}
			}
		})
	}
}

func TestDecodeSpellings(t *testing.T) {
	want := []*events.Event{{
		EventId:   7,
		EventTime: &timestamppb.Timestamp{Seconds: 1607626445, Nanos: 627515990},
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		TaskId:    4195113,
		Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{
				ActivityId:          "7",
				ActivityType:        &commonpb.ActivityType{Name: "charge"},
				StartToCloseTimeout: durationpb.New(90_500_000_000),
				RetryPolicy:         &commonpb.RetryPolicy{BackoffCoefficient: 2},
			},
		},
	}}
	tests := []struct{ name, why, data string }{
		{
			"today's", "long enum names, 64-bit integers as strings",
			`{"eventId":"7","eventTime":"2020-12-10T18:54:05.627515990Z","eventType":"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED","taskId":"4195113",
			 "activityTaskScheduledEventAttributes":{"activityId":"7","activityType":{"name":"charge"},"startToCloseTimeout":"90.500s","retryPolicy":{"backoffCoefficient":2}}}`,
		},
		{
			"yesterday's", "short enum names, 64-bit integers as numbers",
			`{"eventId":7,"eventTime":"2020-12-10T18:54:05.627515990Z","eventType":"ActivityTaskScheduled","taskId":4195113,
			 "activityTaskScheduledEventAttributes":{"activityId":"7","activityType":{"name":"charge"},"startToCloseTimeout":"90.5s","retryPolicy":{"backoffCoefficient":2.0}}}`,
		},
		{
			"snake_case", "the names of the .proto files",
			`{"event_id":"7","event_time":"2020-12-10T19:54:05.627515990+01:00","event_type":10,"task_id":"4195113",
			 "activity_task_scheduled_event_attributes":{"activity_id":"7","activity_type":{"name":"charge"},"start_to_close_timeout":"90.5s","retry_policy":{"backoff_coefficient":"2"}}}`,
		},
		{
			"escapes and nulls", "JSON has more than one way to write a string, and null is absent",
			`{"\u0065ventId":"7","eventTime":"2020-12-10T18:54:05.62751599Z","eventType":"\u0041ctivityTaskScheduled","taskId":4.195113e6,"links":null,"version":null,
			 "activityTaskScheduledEventAttributes":{"activityId":"\u0037","activityType":{"name":"charge"},"header":null,"startToCloseTimeout":"90.5s","retryPolicy":{"backoffCoefficient":2}},
			 "timerStartedEventAttributes":null}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, dropped, err := eventjson.Decode([]byte(tt.data), eventjson.Options{})
			if err != nil || len(dropped) > 0 {
				t.Fatalf("%s: %v, dropped %q", tt.why, err, dropped)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
		})
	}
}

func TestDecodeKeepsUnknownEnumNumber(t *testing.T) {
	for _, lenient := range []bool{false, true} {
		got, dropped, err := eventjson.Decode([]byte(`[{"eventId":1,"eventType":9999}]`), eventjson.Options{Lenient: lenient})
		if err != nil || len(dropped) > 0 {
			t.Fatalf("lenient=%v: %v, dropped %q", lenient, err, dropped)
		}
		if got[0].EventType != 9999 {
			t.Errorf("lenient=%v: event type %d, want 9999", lenient, got[0].EventType)
		}
	}
}

// event is an event with more members.
func event(more string) string {
	return `{"events":[{"eventId":1,"eventType":"MarkerRecorded",` + more + `}]}`
}

func TestDecodeProblems(t *testing.T) {
	const (
		unknown   = "unknown field"
		enum      = "unknown enum name"
		duplicate = "duplicate"
		invalid   = "invalid value"
	)
	tests := []struct {
		name, why, data string
		want            []string // path and reason
		lenient         bool     // Lenient forgives it, and drops these paths
	}{
		{
			"misspelt field", "it must never be acknowledged and dropped",
			`{"events":[` + timer1 + `,` + timer2 + `,` + timer1 + `,{"eventId":4,"eventType":"ActivityTaskScheduled","activityTaskScheduledEventAttributes":{"activityId":"4","inptu":[1]}}]}`,
			[]string{"events[3].activityTaskScheduledEventAttributes.inptu: " + unknown},
			true,
		},
		{
			"all of them", "a user corrects a file once, not ten times",
			`{"extra":1,"events":[{"eventId":1,"a":{"b":1},"eventType":"NoSuchType"},{"eventId":2,"timerStartedEventAttributes":{"c":[],"timerId":"x"}}],"events_":[]}`,
			[]string{
				"extra: " + unknown, "events[0].a: " + unknown, "events[0].eventType: " + enum,
				"events[1].timerStartedEventAttributes.c: " + unknown, "events_: " + unknown,
			},
			true,
		},
		{
			"array", "paths are from the history down whatever the form",
			`[` + timer1 + `,{"eventId":2,"x":1}]`,
			[]string{"events[1].x: " + unknown},
			true,
		},
		{
			"lines", "paths are from the history down whatever the form",
			timer1 + "\n" + `{"eventId":2,"x":1}`,
			[]string{"events[1].x: " + unknown},
			true,
		},
		{
			"answer", "an unknown member beside the history is one too",
			`{"history":{"events":[{"eventId":2,"x":1}],"y":1},"z":1}`,
			[]string{"events[0].x: " + unknown, "y: " + unknown, "z: " + unknown},
			true,
		},
		{
			"odd names", "a path can always be told from another",
			event(`"a.b":1,"":1,"ü":1,"a\nb":1`),
			[]string{`events[0]["a.b"]: ` + unknown, `events[0][""]: ` + unknown, `events[0]["ü"]: ` + unknown, `events[0]["a\nb"]: ` + unknown},
			true,
		},
		{
			"long name", "a message stays readable",
			event(`"` + strings.Repeat("n", 5000) + `":1`),
			[]string{`events[0]["` + strings.Repeat("n", 100) + `…"]: ` + unknown},
			true,
		},
		{
			"in a map", "the keys of a map are no fields, what lies below is",
			event(`"markerRecordedEventAttributes":{"markerName":"m","details":{"data":{"payloads":[],"more":1}}}`),
			[]string{`events[0].markerRecordedEventAttributes.details["data"].more: ` + unknown},
			true,
		},
		{
			"in a payload", "an encoding says that it is one, so what does not belong is misspelt",
			event(`"markerRecordedEventAttributes":{"details":{"d":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"dta":"eA=="}]}}}`),
			[]string{`events[0].markerRecordedEventAttributes.details["d"].payloads[0].dta: ` + unknown},
			true,
		},
		{
			"in a list", "elements are counted from 0",
			event(`"links":[{"workflowEvent":{"namespace":"n"}},{"workflowEvent":{"nmespace":"n"}}]`),
			[]string{`events[0].links[1].workflowEvent.nmespace: ` + unknown},
			true,
		},
		{
			"extension", "there are none",
			event(`"[temporal.api.ext]":1`),
			[]string{`events[0]["[temporal.api.ext]"]: ` + unknown},
			true,
		},
		{
			"enum below", "an unknown name would silently become Unspecified",
			event(`"workflowExecutionStartedEventAttributes":{"taskQueue":{"kind":"Sticki"},"initiator":"Retry"}`),
			[]string{`events[0].workflowExecutionStartedEventAttributes.taskQueue.kind: ` + enum},
			true,
		},
		{
			"enum in a list", "the element is dropped, the others stay",
			event(`"workflowTaskStartedEventAttributes":{"suggestContinueAsNewReasons":["SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_UPDATES","Whim"]}`),
			[]string{`events[0].workflowTaskStartedEventAttributes.suggestContinueAsNewReasons[1]: ` + enum},
			true,
		},
		{
			"field twice", "the last one would win in silence",
			event(`"taskId":1,"taskId":2`),
			[]string{"events[0].taskId: " + duplicate},
			false,
		},
		{
			"field twice, spelt apart", "it is one field by two names",
			event(`"taskId":1,"task_id":null`),
			[]string{"events[0].task_id: " + duplicate},
			false,
		},
		{
			"two attributes", "an event is of one kind",
			event(`"timerStartedEventAttributes":{},"timerFiredEventAttributes":{}`),
			[]string{"events[0].timerFiredEventAttributes: " + duplicate},
			false,
		},
		{
			"key twice", "the last one would win in silence",
			event(`"markerRecordedEventAttributes":{"details":{"a":[],"b":[],"\u0061":[]}}`),
			[]string{`events[0].markerRecordedEventAttributes.details["a"]: ` + duplicate},
			false,
		},
		{
			"name twice in a value", "readers of the payload would differ",
			event(`"workflowExecutionSignaledEventAttributes":{"input":[1,{"a":[{"b":1,"b":2}]}]}`),
			[]string{`events[0].workflowExecutionSignaledEventAttributes.input[1]["a"][0]["b"]: ` + duplicate},
			false,
		},
		{
			"events twice", "half of them would be lost",
			`{"events":[],"events":[` + timer1 + `]}`,
			[]string{"events: " + duplicate},
			false,
		},
		{
			"not a number", "the message says what is wanted and what is there",
			event(`"taskId":"12x"`),
			[]string{`events[0].taskId: ` + invalid + `: want a value of type int64, have "12x"`},
			false,
		},
		{
			"several values", "each is named",
			event(`"taskId":1.5,"version":"99999999999999999999","eventTime":"yesterday","workerMayIgnore":"yes"`),
			[]string{
				"events[0].taskId: " + invalid + ": want a value of type int64, have 1.5",
				"events[0].version: " + invalid + `: want a value of type int64, have "99999999999999999999"`,
				"events[0].eventTime: " + invalid + `: want a Timestamp, have "yesterday"`,
				"events[0].workerMayIgnore: " + invalid + `: want a value of type bool, have "yes"`,
			},
			false,
		},
		{
			"wrong shape", "an object where a number is wanted",
			event(`"taskId":{"a":1},"links":{},"markerRecordedEventAttributes":[],"userMetadata":3`),
			[]string{
				"events[0].links: " + invalid + ": want an array, have an object",
				"events[0].markerRecordedEventAttributes: " + invalid + ": want an object, have an array",
				"events[0].userMetadata: " + invalid + ": want an object, have a number",
			},
			false,
		},
		{
			"map of the wrong shape", "a map is an object",
			event(`"markerRecordedEventAttributes":{"details":[1]}`),
			[]string{"events[0].markerRecordedEventAttributes.details: " + invalid + ": want an object, have an array"},
			false,
		},
		{
			"payloads of the wrong shape", "several values are an array, even if it is only one",
			event(`"workflowExecutionSignaledEventAttributes":{"input":7}`),
			[]string{"events[0].workflowExecutionSignaledEventAttributes.input: " + invalid + ": want an array of values, or an object with payloads, have a number"},
			false,
		},
		{
			"null in a list", "there is no absent element",
			event(`"links":[null]`),
			[]string{"events[0].links[0]: " + invalid + ": want an object, have null"},
			false,
		},
		{
			"encoding in clear", "it is valid base64 of something else, and nobody could read the payload",
			event(`"markerRecordedEventAttributes":{"details":{"d":[{"metadata":{"encoding":"json/plain"},"data":"eA=="}]}}`),
			[]string{`events[0].markerRecordedEventAttributes.details["d"][0].metadata["encoding"]: ` + invalid + `: metadata is written in base64, have "json/plain"`},
			false,
		},
		{
			"data not in base64", "bytes are",
			event(`"markerRecordedEventAttributes":{"details":{"d":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"?"}]}}`),
			[]string{`events[0].markerRecordedEventAttributes.details["d"][0].data: ` + invalid + `: want base64, have "?"`},
			false,
		},
		{
			"no event", "an empty object says nothing of an event",
			`[{},{"eventId":0,"eventType":null}]`,
			[]string{"events[0]: " + invalid + ": an event has an eventType or an eventId", "events[1]: " + invalid + ": an event has an eventType or an eventId"},
			false,
		},
		{
			"something else", "it does not become an event by losing its fields",
			`[{"name":"x"}]`,
			[]string{"events[0].name: " + unknown},
			false,
		},
		{
			"event of another shape", "an element is an object",
			`[1,null,"x"]`,
			[]string{
				"events[0]: " + invalid + ": want an object, have a number",
				"events[1]: " + invalid + ": want an object, have null",
				"events[2]: " + invalid + ": want an object, have a string",
			},
			false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			evs, dropped, err := eventjson.Decode([]byte(tt.data), eventjson.Options{})
			var fields *eventjson.FieldError
			if !errors.As(err, &fields) {
				t.Fatalf("%s: got error %v, want a *FieldError", tt.why, err)
			}
			if evs != nil || dropped != nil {
				t.Errorf("got %d events and %d dropped paths beside an error", len(evs), len(dropped))
			}
			var got, paths []string
			for i, p := range fields.Problems {
				paths = append(paths, p.Path)
				if i < len(tt.want) && !strings.Contains(tt.want[i], invalid) {
					p.Detail = ""
				}
				got = append(got, p.String())
				if !errors.Is(err, p.Reason) {
					t.Errorf("the error is not a %q", p.Reason)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.why, diff)
			}
			if diff := cmp.Diff(paths, fields.Paths()); diff != "" {
				t.Errorf("Paths (-problems +paths):\n%s", diff)
			}

			_, dropped, err = eventjson.Decode([]byte(tt.data), eventjson.Options{Lenient: true})
			if tt.lenient {
				if err != nil {
					t.Fatalf("lenient: %v", err)
				}
				if diff := cmp.Diff(paths, dropped); diff != "" {
					t.Errorf("dropped (-want +got):\n%s", diff)
				}
			} else if !errors.As(err, &fields) {
				t.Errorf("lenient: got error %v, want a *FieldError", err)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	nested := func(n int) string {
		return `{"eventId":1,"workflowExecutionSignaledEventAttributes":{"input":[` + strings.Repeat("[", n) + strings.Repeat("]", n) + `]}}`
	}
	tests := []struct {
		name, why, data string
		opts            eventjson.Options
		want            error
		says            string
	}{
		{"nothing", "an empty file is a mistake, not an empty history", "", eventjson.Options{}, eventjson.ErrNotHistory, "nothing"},
		{"blank", "the same with white space", " \n ", eventjson.Options{}, eventjson.ErrNotHistory, "nothing"},
		{"a number", "it is JSON", "17", eventjson.Options{}, eventjson.ErrNotHistory, "a number"},
		{"another object", "even leniently: it would become an empty event", `{"evnts":[]}`, eventjson.Options{Lenient: true}, eventjson.ErrNotHistory, "an object"},
		{"events of another shape", "a count, perhaps", `{"events":3}`, eventjson.Options{Lenient: true}, eventjson.ErrNotHistory, "want an array"},
		{"history of another shape", "a name, perhaps", `{"history":"x"}`, eventjson.Options{Lenient: true}, eventjson.ErrNotHistory, "want an object"},
		{"two histories", "whose events would they be", `{"events":[]}{"events":[]}`, eventjson.Options{}, eventjson.ErrNotHistory, "more than one"},
		{"one page", "part of a history is not a history", `{"history":{"events":[` + timer1 + `]},"nextPageToken":"eA=="}`, eventjson.Options{Lenient: true}, eventjson.ErrPartial, "nextPageToken"},
		{"not JSON", "the place is named", "{\"events\":[\n  {oops}]}", eventjson.Options{}, eventjson.ErrSyntax, "line 2, column 4"},
		{"cut off", "a damaged file", `{"events":[` + timer1, eventjson.Options{}, eventjson.ErrSyntax, "line 1, column"},
		{"cut off in a line", "a damaged file of lines", timer1 + "\n" + timer2[:20], eventjson.Options{}, eventjson.ErrSyntax, "line 2, column 21"},
		{"trailing text", "a damaged file", `{"events":[]} x`, eventjson.Options{}, eventjson.ErrSyntax, "line 1, column 15"},
		{"not UTF-8", "a damaged file", "{\"events\":[\n\"\xff\"]}", eventjson.Options{}, eventjson.ErrSyntax, "line 2, column 2: not UTF-8"},
		{"too large", "a limit of the caller", timer1, eventjson.Options{MaxBytes: 50}, eventjson.ErrTooLarge, "at most 50"},
		{"too deep", "the default limit", nested(1000), eventjson.Options{}, eventjson.ErrTooDeep, "at most 1000"},
		{"too deep for the caller", "a limit of the caller", nested(10), eventjson.Options{MaxDepth: 5}, eventjson.ErrTooDeep, "13 levels, at most 5"},
		{"bottomless", "memory and stack stay bounded", strings.Repeat("[", 1<<20), eventjson.Options{}, eventjson.ErrSyntax, "depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			evs, dropped, err := eventjson.Decode([]byte(tt.data), tt.opts)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: got error %v, want %v with %q", tt.why, err, tt.want, tt.says)
			}
			if evs != nil || dropped != nil {
				t.Errorf("got %d events and %d dropped paths beside an error", len(evs), len(dropped))
			}
		})
	}

	if _, _, err := eventjson.Decode([]byte(nested(900)), eventjson.Options{}); err != nil {
		t.Errorf("an input within the limits is refused: %v", err)
	}
}

func TestFieldErrorIsBounded(t *testing.T) {
	data := `{"events":[` + strings.TrimSuffix(strings.Repeat(`{},`, 200_000), ",") + `]}`
	for _, lenient := range []bool{false, true} {
		_, _, err := eventjson.Decode([]byte(data), eventjson.Options{Lenient: lenient})
		var fields *eventjson.FieldError
		if !errors.As(err, &fields) {
			t.Fatalf("got %v, want a *FieldError", err)
		}
		if len(fields.Problems) != 10_000 || !fields.More {
			t.Errorf("lenient=%v: %d problems, more=%v, want 10000 and more", lenient, len(fields.Problems), fields.More)
		}
		if msg := err.Error(); len(msg) > 2000 || !strings.Contains(msg, "and 9990 more at least") {
			t.Errorf("lenient=%v: the message has %d bytes: %.300s", lenient, len(msg), msg)
		}
	}
}
