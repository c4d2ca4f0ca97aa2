package execution

import (
	"encoding/json"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/events"
)

// ChangeVersionAttribute is the search attribute in which the SDKs list the changes of
// code that a run has passed.
const ChangeVersionAttribute = "TemporalChangeVersion"

// The names of the markers by which Temporal's SDKs record versions of changes.
const (
	VersionMarker = "Version"    // of Go and Java
	PatchMarker   = "core_patch" // of those on the Rust core
)

// IsVersionMarker reports whether markers of this name record a version of a change.
func IsVersionMarker(name string) bool { return name == VersionMarker || name == PatchMarker }

// ChangeVersions are the versions of code changes that the run has passed
// ("change-1"), as its search attribute TemporalChangeVersion lists them. The
// markers that say the same are payloads of the user's, which nobody reads. Nil
// if there is none, or none that can be read.
func (s *State) ChangeVersions() []string {
	p := s.SearchAttributes[ChangeVersionAttribute]
	if p == nil {
		return nil
	}
	var list []string
	if json.Unmarshal(p.Data, &list) == nil {
		return list
	}
	var one string
	if json.Unmarshal(p.Data, &one) == nil {
		return []string{one}
	}
	return nil
}

func (s *State) searchAttributesUpserted(e *events.Event, _ *Changes) {
	a := e.GetUpsertWorkflowSearchAttributesEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.SearchAttributes = merge(s.SearchAttributes, a.GetSearchAttributes().GetIndexedFields())
}

func (s *State) propertiesModified(e *events.Event, _ *Changes) {
	a := e.GetWorkflowPropertiesModifiedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Memo = merge(s.Memo, a.GetUpsertedMemo().GetFields())
}

func (s *State) propertiesModifiedExternally(e *events.Event, _ *Changes) {
	a := e.GetWorkflowPropertiesModifiedExternallyEventAttributes()
	s.TaskQueue = firstOf(a.GetNewTaskQueue(), s.TaskQueue)
	if d := a.GetNewWorkflowTaskTimeout(); d != nil {
		s.TaskTimeout = durationOf(d)
	}
	if d := a.GetNewWorkflowRunTimeout(); d != nil {
		s.RunTimeout = durationOf(d)
	}
	if d := a.GetNewWorkflowExecutionTimeout(); d != nil {
		s.ExecutionTimeout = durationOf(d)
	}
	s.Memo = merge(s.Memo, a.GetUpsertedMemo().GetFields())
}

func (s *State) markerRecorded(e *events.Event, _ *Changes) {
	a := e.GetMarkerRecordedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.Markers++
	if IsVersionMarker(a.GetMarkerName()) {
		s.Counts.VersionMarkers++
	}
	s.failed(e, a.GetFailure())
}

// merge puts upserts over fields and returns the result, nil if it is empty.
// fields is the State's own map, or nil; upserts belongs to an event.
func merge(fields, upserts map[string]*commonpb.Payload) map[string]*commonpb.Payload {
	for k, p := range upserts {
		if deletes(p) {
			delete(fields, k)
			continue
		}
		if fields == nil {
			fields = make(map[string]*commonpb.Payload, len(upserts))
		}
		fields[k] = p
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// deletes reports whether upserting p means deleting its key: p is absent
// (which the wire cannot tell from empty), null, or an empty list.
func deletes(p *commonpb.Payload) bool {
	if p == nil || len(p.Metadata) == 0 && len(p.Data) == 0 {
		return true
	}
	switch string(p.Metadata["encoding"]) {
	case "binary/null":
		return true
	case "json/plain":
		return string(p.Data) == "null" || string(p.Data) == "[]"
	}
	return false
}
