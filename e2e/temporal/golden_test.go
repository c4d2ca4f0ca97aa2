package temporal

import (
	"bytes"
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
	uuids    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// goldenBegin is when every scenario begins in the golden files.
var goldenBegin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// mapping gives the ids and times of a scenario others, by the order in which they
// come: those of the next time that it is played are the same.
type mapping struct {
	namespace, host string
	ids             map[string]string
	times           map[time.Time]time.Time
}

func newMapping(t *testing.T, namespace string, runs []*recorded) *mapping {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	m := &mapping{namespace: namespace, host: host, ids: map[string]string{}, times: map[time.Time]time.Time{}}
	for _, r := range runs {
		m.text(r.listed.Execution.RunId)
	}
	var times []time.Time
	for _, r := range runs {
		for _, e := range r.events {
			times = append(times, e.EventTime.AsTime())
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	for i, at := range slices.CompactFunc(times, time.Time.Equal) {
		m.times[at] = goldenBegin.Add(time.Duration(i)*time.Second + time.Duration(i+1)*time.Microsecond)
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

// time is when an event was in the golden files. What is no event's is as much later
// than the first event as it was, to the second.
func (m *mapping) time(at, first time.Time) time.Time {
	if to, ok := m.times[at]; ok {
		return to
	}
	return m.times[first].Add(at.Sub(first).Round(time.Second))
}

// golden are the events with the other ids and times.
func (m *mapping) golden(events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
	first := events[0].EventTime.AsTime()
	out := make([]*historypb.HistoryEvent, len(events))
	for i, e := range events {
		e = proto.CloneOf(e)
		e.TaskId = 1000 + int64(i)
		m.message(e.ProtoReflect(), first)
		out[i] = e
	}
	return out
}

func (m *mapping) message(msg protoreflect.Message, first time.Time) {
	if at, ok := msg.Interface().(*timestamppb.Timestamp); ok {
		to := timestamppb.New(m.time(at.AsTime(), first))
		at.Seconds, at.Nanos = to.Seconds, to.Nanos
		return
	}
	msg.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Name() == "history_size_bytes":
			msg.Set(f, protoreflect.ValueOfInt64(1000)) // depends on the lengths of times and ids
		case f.Name() == "operation_token":
			msg.Set(f, protoreflect.ValueOfString("token")) // has the namespace's name in it
		case f.Name() == "operation_id":
			msg.Set(f, protoreflect.ValueOfString("token"))
		case f.Name() == "stack_trace":
			msg.Clear(f) // has lines of this module's code
		case f.Kind() == protoreflect.StringKind && f.IsMap():
		case f.Kind() == protoreflect.StringKind && f.IsList():
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(m.text(v.List().Get(i).String())))
			}
		case f.IsMap() && f.MapValue().Kind() == protoreflect.MessageKind:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				m.message(v.Message(), first)
				return true
			})
		case f.IsMap():
		case f.Kind() == protoreflect.StringKind:
			msg.Set(f, protoreflect.ValueOfString(m.text(v.String())))
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				m.message(v.List().Get(i).Message(), first)
			}
		case f.Kind() == protoreflect.MessageKind:
			m.message(v.Message(), first)
		}
		return true
	})
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
