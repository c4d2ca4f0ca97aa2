package temporal

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events/eventjson"
)

var update = flag.Bool("update", false, "write the golden histories anew")

const goldenFolder = "testdata/histories"

// goldenName is the file of a scenario's run, from 1.
func goldenName(scenario string, n int) string {
	return fmt.Sprintf("%s-%d.json", strings.Trim(notPlain.ReplaceAllString(scenario, "-"), "-"), n)
}

var (
	notPlain = regexp.MustCompile(`[^a-z0-9]+`)
	// replayTime is when a local activity ran, in its marker.
	replayTime = regexp.MustCompile(`"ReplayTime":"[^"]*"`)
	uuids      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// goldenBegin is when every scenario begins in the golden files.
var goldenBegin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// mapping gives the ids and times of a scenario others: ids by the order in which
// they come, and times by an event's place, so that those of the next time that it is
// played are the same. Each run begins a minute after the one before, and its events
// are a second apart.
type mapping struct {
	namespace, host string
	ids             map[string]string
	places          map[*historypb.HistoryEvent]time.Time
	times           map[time.Time]time.Time // of the events of the run that is written
}

func newMapping(t *testing.T, namespace string, runs []*recorded) *mapping {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	m := &mapping{namespace: namespace, host: host, ids: map[string]string{}, places: map[*historypb.HistoryEvent]time.Time{}}
	for _, r := range runs {
		m.text(r.listed.Execution.RunId)
	}
	for i, r := range runs {
		for j, e := range r.events {
			at := e.EventTime.AsTime()
			to := goldenBegin.Add(time.Duration(i)*time.Minute + time.Duration(j)*(time.Second+time.Microsecond))
			if first := runs[0].events; i > 0 && j < len(first) && first[j].EventTime.AsTime().Equal(at) {
				to = m.places[first[j]] // a reset copied it
			}
			m.places[e] = to
		}
	}
	return m
}

// text is s with other ids.
func (m *mapping) text(s string) string {
	s = uuids.ReplaceAllStringFunc(s, func(id string) string {
		if _, ok := m.ids[id]; !ok {
			m.ids[id] = fmt.Sprintf("00000000-0000-4000-8000-%012d", len(m.ids)+1)
		}
		return m.ids[id]
	})
	s = strings.ReplaceAll(s, m.namespace, "judge")
	return strings.ReplaceAll(s, m.host, "host")
}

// time is when an event of the run was in the golden files. What is none's is as much
// later than the first event as it was, to the second.
func (m *mapping) time(at, first time.Time) time.Time {
	if to, ok := m.times[at]; ok {
		return to
	}
	return m.times[first].Add(at.Sub(first).Round(time.Second))
}

// golden are the events with the other ids and times.
func (m *mapping) golden(events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
	first := events[0].EventTime.AsTime()
	m.times = map[time.Time]time.Time{}
	for _, e := range slices.Backward(events) {
		m.times[e.EventTime.AsTime()] = m.places[e]
	}
	out := make([]*historypb.HistoryEvent, len(events))
	for i, was := range events {
		e := proto.CloneOf(was)
		m.message(e.ProtoReflect(), first)
		e.TaskId = 1000 + int64(i)
		e.EventTime = timestamppb.New(m.places[was])
		if a := e.GetWorkflowTaskStartedEventAttributes(); a != nil {
			a.RequestId = "request" // a UUID, or a text where the task began with the last one's end
		}
		if a := e.GetWorkflowExecutionStartedEventAttributes(); a != nil {
			// Of a new run it is what is left of a second, if something is.
			a.FirstWorkflowTaskBackoff = durationpb.New(a.FirstWorkflowTaskBackoff.AsDuration().Truncate(time.Second))
		}
		out[i] = e
	}
	return out
}

// message gives a message's texts and times others, field by field in the order of
// their numbers.
func (m *mapping) message(msg protoreflect.Message, first time.Time) {
	if at, ok := msg.Interface().(*timestamppb.Timestamp); ok {
		to := timestamppb.New(m.time(at.AsTime(), first))
		at.Seconds, at.Nanos = to.Seconds, to.Nanos
		return
	}
	var fields []protoreflect.FieldDescriptor
	msg.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	for _, f := range fields {
		v := msg.Get(f)
		switch {
		case f.Name() == "history_size_bytes":
			msg.Set(f, protoreflect.ValueOfInt64(1000)) // depends on the lengths of times and ids
		case f.Name() == "operation_token", f.Name() == "operation_id":
			msg.Set(f, protoreflect.ValueOfString("token")) // has the namespace's name in it
		case f.Name() == "prev_auto_reset_points": // have times of other runs
			msg.Clear(f)
		case f.Name() == "stack_trace":
			msg.Clear(f) // has lines of this module's code
		case f.IsMap():
			m.fields(f, v.Map(), first)
		case f.Name() == "lang_used_flags":
			sortNumbers(v.List())
		case f.Kind() == protoreflect.BytesKind && !f.IsList(): // of a payload
			msg.Set(f, protoreflect.ValueOfBytes(replayTime.ReplaceAll(v.Bytes(), []byte(`"ReplayTime":"2026-01-31T12:00:00Z"`))))
		case f.Kind() == protoreflect.StringKind && f.IsList():
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(m.text(v.List().Get(i).String())))
			}
		case f.Kind() == protoreflect.StringKind:
			msg.Set(f, protoreflect.ValueOfString(m.text(v.String())))
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				m.message(v.List().Get(i).Message(), first)
			}
		case f.Kind() == protoreflect.MessageKind:
			m.message(v.Message(), first)
		}
	}
}

func sortNumbers(list protoreflect.List) {
	numbers := make([]uint64, list.Len())
	for i := range numbers {
		numbers[i] = list.Get(i).Uint()
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		list.Set(i, protoreflect.ValueOfUint32(uint32(n)))
	}
}

// fields is message of a map's values, in the order of the keys.
func (m *mapping) fields(f protoreflect.FieldDescriptor, values protoreflect.Map, first time.Time) {
	var keys []protoreflect.MapKey
	values.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		switch {
		case f.MapValue().Kind() == protoreflect.MessageKind:
			m.message(values.Get(k).Message(), first)
		case f.MapValue().Kind() == protoreflect.StringKind && (strings.Contains(k.String(), "token") || strings.Contains(k.String(), "operation-id")):
			values.Set(k, protoreflect.ValueOfString("token")) // of a callback; as operation_token
		case f.MapValue().Kind() == protoreflect.StringKind:
			values.Set(k, protoreflect.ValueOfString(m.text(values.Get(k).String())))
		}
	}
}

// checkGolden fails unless each run has its golden file, which ends as the run does,
// and no file is left over; with -update it writes them.
func checkGolden(t *testing.T, namespace string, all map[string][]*recorded) {
	t.Helper()
	if *update {
		if err := os.RemoveAll(goldenFolder); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(goldenFolder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	wanted := map[string]bool{}
	for name, runs := range all {
		m := newMapping(t, namespace, runs)
		for i, r := range runs {
			file := filepath.Join(goldenFolder, goldenName(name, i+1))
			wanted[file] = true
			events := m.golden(r.events)
			text, err := eventjson.Encode(events)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, append(bytes.TrimSpace(text), '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			kept, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%v: go test . -update writes it", err)
				continue
			}
			was, _, err := eventjson.Decode(kept, eventjson.Options{})
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			// Between the first and the last event the order of some depends on how fast
			// the machine is.
			last, wasLast := events[len(events)-1], was[len(was)-1]
			if r.detail.WorkflowExecutionInfo.CloseTime != nil && last.EventType != wasLast.EventType || !proto.Equal(was[0].EventTime, events[0].EventTime) {
				t.Errorf("%s ends with %s and the run with %s: go test . -update writes it anew", file, wasLast.EventType, last.EventType)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(goldenFolder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !wanted[f] {
			t.Errorf("%s is no scenario's: go test . -update removes it", f)
		}
	}
}
