package logstore

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/store"
)

// TagFields are tags as fields of a memo. Each is UTF-8.
func TagFields(tags map[string]string) map[string]*commonpb.Payload {
	fields := make(map[string]*commonpb.Payload, len(tags))
	for k, v := range tags {
		p, err := events.Payload(v)
		if err != nil {
			panic("a text that is no JSON: " + err.Error())
		}
		fields[k] = p
	}
	return fields
}

// Tags are the fields of a memo that hold a text; nil if there are none.
func Tags(fields map[string]*commonpb.Payload) map[string]string {
	var tags map[string]string
	for k, p := range fields {
		v, ok := tag(p)
		if !ok {
			continue
		}
		if tags == nil {
			tags = make(map[string]string, len(fields))
		}
		tags[k] = v
	}
	return tags
}

func tag(p *commonpb.Payload) (v string, ok bool) {
	if string(p.GetMetadata()["encoding"]) != "json/plain" || !strings.HasPrefix(string(p.GetData()), `"`) {
		return "", false
	}
	return v, json.Unmarshal(p.GetData(), &v) == nil
}

// Describe is a state as an execution, exactly.
func Describe(s *execution.State) store.Execution {
	first := s.FirstRunID
	if first == "" {
		first = s.RunID
	}
	return store.Execution{
		Workflow: s.Workflow, RunID: s.RunID, Type: s.Type, TaskQueue: s.TaskQueue, Status: s.Status,
		StartedAt: s.StartTime, ClosedAt: s.CloseTime(), UpdatedAt: s.UpdatedAt,
		ExecutionTimeout: s.ExecutionTimeout, RunTimeout: s.RunTimeout, TaskTimeout: s.TaskTimeout,
		Tags: Tags(s.Memo), HistoryLength: s.EventCount, HistorySizeBytes: s.HistorySizeBytes,
		FirstRunID: first, ContinuedFromRunID: s.ContinuedFromRunID, ContinuedToRunID: s.ContinuedToRunID,
	}
}

// Row is a state as tables show it: see store.Execution.
func Row(s *execution.State) store.Execution {
	x := Describe(s)
	x.Type, x.TaskQueue = Shown(x.Type), Shown(x.TaskQueue)
	x.FirstRunID, x.ContinuedFromRunID, x.ContinuedToRunID = Shown(x.FirstRunID), Shown(x.ContinuedFromRunID), Shown(x.ContinuedToRunID)
	for _, t := range []*time.Time{&x.StartedAt, &x.ClosedAt, &x.UpdatedAt} {
		*t = Micros(*t)
	}
	for _, d := range []*time.Duration{&x.ExecutionTimeout, &x.RunTimeout, &x.TaskTimeout} {
		*d = d.Truncate(time.Microsecond)
	}
	// In order, since two keys may be the same once a NUL in them is replaced.
	fields := make(map[string]*commonpb.Payload, len(s.Memo))
	for _, k := range slices.Sorted(maps.Keys(s.Memo)) {
		fields[Shown(k)] = s.Memo[k]
	}
	x.Tags = Tags(fields)
	return x
}

// Shown is a text as tables have it.
func Shown[T ~string](s T) T { return T(strings.ReplaceAll(string(s), "\x00", "\uFFFD")) }

// Micros is a time as tables have it.
func Micros(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
