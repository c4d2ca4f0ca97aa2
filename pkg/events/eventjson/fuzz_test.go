package eventjson_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// FuzzDecode: no input makes it panic; strict and lenient agree but for what
// lenient drops; what was decoded is the same after there and back.
func FuzzDecode(f *testing.F) {
	for _, data := range histories(f) {
		if len(data) < 10_000 {
			f.Add(data)
		}
	}
	for _, tt := range inputs {
		f.Add(signal(tt.json))
	}
	f.Add([]byte(`[` + timer1 + `]`))
	f.Add([]byte(timer1 + "\n" + timer2))
	f.Add([]byte(`{"history":{"events":[` + timer1 + `]},"nextPageToken":""}`))
	f.Add([]byte(event(`"a.b":{"c":[]},"links":[null,{}],"taskId":"x","taskId":{}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		lenient, dropped, lenientErr := eventjson.Decode(data, eventjson.Options{Lenient: true})
		strict, none, strictErr := eventjson.Decode(data, eventjson.Options{})
		if len(none) > 0 {
			t.Fatalf("strict dropped %q", none)
		}
		var fields *eventjson.FieldError
		switch {
		case lenientErr != nil && strictErr == nil:
			t.Fatalf("lenient refuses what strict takes: %v", lenientErr)
		case lenientErr == nil && (len(dropped) > 0) != (strictErr != nil):
			t.Fatalf("lenient dropped %q, strict says %v", dropped, strictErr)
		case lenientErr == nil && strictErr != nil:
			if !errors.As(strictErr, &fields) {
				t.Fatalf("lenient dropped %q, strict says %v", dropped, strictErr)
			}
			if diff := cmp.Diff(dropped, fields.Paths()); diff != "" && !fields.More {
				t.Fatalf("what lenient drops, strict refuses (-dropped +refused):\n%s", diff)
			}
		case strictErr == nil && !equal(lenient, strict):
			t.Fatalf("lenient and strict differ (-lenient +strict):\n%s", cmp.Diff(lenient, strict, protocmp.Transform()))
		}
		if lenientErr != nil {
			return
		}

		encoded, err := eventjson.Encode(lenient)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		again, _, err := eventjson.Decode(encoded, eventjson.Options{MaxDepth: 2000})
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v\n%s", err, encoded)
		}
		if !equal(lenient, again) {
			t.Fatalf("there and back (-before +after):\n%s", cmp.Diff(lenient, again, protocmp.Transform()))
		}
	})
}

func equal(a, b []*events.Event) bool {
	return proto.Equal(&historypb.History{Events: a}, &historypb.History{Events: b})
}
