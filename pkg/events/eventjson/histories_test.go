package eventjson_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// histories are the files of the folder that ANNALS_HISTORIES names, which real
// servers recorded, and always a few of our own, one of them with fields and an
// enum name that the API does not know.
func histories(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{
		"own: today's":     []byte(`{"events":[` + timer1 + `,` + timer2 + `]}`),
		"own: yesterday's": []byte(`{"events":[{"eventId":1,"eventType":"TimerStarted","timerStartedEventAttributes":{"timerId":"a"}}]}`),
		"own: tomorrow's": []byte(`{"events":[{"eventId":"1","eventType":"EVENT_TYPE_TEA_SERVED","teaServedEventAttributes":{"sugar":2}},
			{"eventId":"2","eventType":"EVENT_TYPE_MARKER_RECORDED","markerRecordedEventAttributes":{"markerName":"m","newer":{"x":[{}]},
			 "details":{"data":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Nw==","newer":true}]}}}}]}`),
	}
	folder := os.Getenv("ANNALS_HISTORIES")
	if folder == "" {
		return files
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("ANNALS_HISTORIES names %s, where no .json file is", folder)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = data
	}
	return files
}

func TestHistories(t *testing.T) {
	withDropped := 0
	files := histories(t)
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			var want historypb.History
			if err := (temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &want); err != nil {
				t.Fatalf("Temporal's decoder does not read it: %v", err)
			}
			got, dropped, err := eventjson.Decode(data, eventjson.Options{Lenient: true})
			if err != nil {
				t.Fatal(err)
			}
			if !equal(want.Events, got) {
				t.Errorf("lenient differs from Temporal's decoder (-theirs +ours):\n%s", cmp.Diff(want.Events, got, protocmp.Transform()))
			}

			// Strict fails for what was dropped, and for nothing else.
			_, _, err = eventjson.Decode(data, eventjson.Options{})
			var paths []string
			if fields := new(eventjson.FieldError); err != nil {
				if !asFieldError(err, &fields) {
					t.Fatalf("strict: %v", err)
				}
				paths = fields.Paths()
			}
			if diff := cmp.Diff(dropped, paths); diff != "" {
				t.Errorf("what lenient drops, strict refuses (-dropped +refused):\n%s", diff)
			}
			theirs := temporalproto.CustomJSONUnmarshalOptions{}.Unmarshal(data, new(historypb.History))
			if (theirs == nil) != (err == nil) {
				t.Errorf("strict: %v, Temporal's strict decoder: %v", err, theirs)
			}

			// Each path is right if their strict decoder takes the rest.
			rest := without(t, data, dropped)
			if err := (temporalproto.CustomJSONUnmarshalOptions{}).Unmarshal(rest, new(historypb.History)); err != nil {
				t.Errorf("without the dropped paths %q Temporal's strict decoder still says %v", dropped, err)
			}
			if len(dropped) > 0 {
				withDropped++
			}

			for i, e := range got {
				binary, err := proto.Marshal(e)
				if err == nil {
					err = events.CheckEvent(e, binary)
				}
				if err != nil {
					t.Errorf("no log takes event %d: %v", i, err)
				}
			}

			encoded, err := eventjson.Encode(got)
			if err != nil {
				t.Fatal(err)
			}
			again, dropped, err := eventjson.Decode(encoded, eventjson.Options{})
			if err != nil || len(dropped) > 0 {
				t.Fatalf("decode what was encoded: %v, dropped %q", err, dropped)
			}
			if !equal(got, again) {
				t.Errorf("there and back (-before +after):\n%s", cmp.Diff(got, again, protocmp.Transform()))
			}
		})
	}
	t.Logf("%d of %d files hold fields or names that the API does not have", withDropped, len(files))
	if withDropped == 0 || withDropped == len(files) {
		t.Errorf("files with dropped paths: %d of %d, expected some", withDropped, len(files))
	}
}

func asFieldError(err error, target **eventjson.FieldError) bool {
	fields, ok := err.(*eventjson.FieldError) //nolint:errorlint // Decode documents that it is not wrapped.
	*target = fields
	return ok
}

// without removes what the paths name from a history.
func without(t *testing.T, data []byte, paths []string) []byte {
	t.Helper()
	var doc any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		steps := steps(t, p)
		at := doc
		for i, step := range steps {
			last := i == len(steps)-1
			switch node := at.(type) {
			case map[string]any:
				child, ok := node[step]
				if !ok {
					t.Fatalf("path %s: no %q", p, step)
				}
				if last {
					delete(node, step)
				}
				at = child
			case []any:
				n, err := strconv.Atoi(step)
				if err != nil || n >= len(node) || last {
					t.Fatalf("path %s: no element %q", p, step)
				}
				at = node[n]
			default:
				t.Fatalf("path %s: nothing below %q", p, step)
			}
		}
	}
	rest, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

// steps splits a path into names and indexes.
func steps(t *testing.T, path string) (steps []string) {
	t.Helper()
	for path != "" {
		path = strings.TrimPrefix(path, ".")
		if !strings.HasPrefix(path, "[") {
			end := strings.IndexAny(path+".", ".[")
			steps, path = append(steps, path[:end]), path[end:]
			continue
		}
		step := path[1:]
		if quoted, err := strconv.QuotedPrefix(step); err == nil {
			name, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			steps, path = append(steps, name), step[len(quoted)+1:]
			continue
		}
		index, rest, ok := strings.Cut(step, "]")
		if !ok {
			t.Fatalf("path %s: no end of an index", path)
		}
		steps, path = append(steps, index), rest
	}
	return steps
}
