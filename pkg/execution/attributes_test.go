package execution

import (
	"slices"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

func attributeCases() []foldCase {
	binaryNull := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/null")}}
	sealed := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")}, Data: []byte("null")}
	return []foldCase{
		{
			name:   "merged by key; nil, null and empty delete",
			before: order()[:1],
			event: event(2, &historypb.UpsertWorkflowSearchAttributesEventAttributes{SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{
				"CustomerId": payload("null"), "Amount": payload("[]"), "New": payload(`3`), "Never": binaryNull, "Absent": nil, "Empty": {},
			}}}),
			want: func(s *State) { s.SearchAttributes = map[string]*commonpb.Payload{"New": payload(`3`)} },
		},
		{
			name:   "the last key gone, the map is nil again",
			before: order()[:1],
			event: event(2, &historypb.UpsertWorkflowSearchAttributesEventAttributes{SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{
				"CustomerId": binaryNull, "Amount": nil,
			}}}),
			want: func(s *State) { s.SearchAttributes = nil },
		},
		{
			name:   "what a codec sealed deletes nothing, whatever its bytes look like",
			before: order()[:1],
			event:  event(2, &historypb.WorkflowPropertiesModifiedEventAttributes{UpsertedMemo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{"note": sealed, "more": payload("{}")}}}),
			want:   func(s *State) { s.Memo = map[string]*commonpb.Payload{"note": sealed, "more": payload("{}")} },
		},
		{
			name:   "what it names changes",
			before: order()[:1],
			event: event(2, &historypb.WorkflowPropertiesModifiedExternallyEventAttributes{
				NewTaskQueue: "elsewhere", NewWorkflowTaskTimeout: seconds64(1), NewWorkflowRunTimeout: seconds64(2), NewWorkflowExecutionTimeout: seconds64(3),
				UpsertedMemo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{"note": payload("null")}},
			}),
			want: func(s *State) {
				s.TaskQueue = "elsewhere"
				s.TaskTimeout, s.RunTimeout, s.ExecutionTimeout = time.Second, 2*time.Second, 3*time.Second
				s.Memo = nil
			},
		},
		{
			name:   "what it does not name stays",
			before: order()[:1],
			event:  event(2, &historypb.WorkflowPropertiesModifiedExternallyEventAttributes{NewWorkflowTaskTimeout: &durationpb.Duration{}}),
			want:   func(s *State) { s.TaskTimeout = 0 },
		},
		{
			name:   "counted",
			before: order()[:1],
			event:  event(2, &historypb.MarkerRecordedEventAttributes{MarkerName: "OrderPaid"}),
			want:   func(s *State) { s.Counts.Markers = 1 },
		},
		{
			name:   "of a code version",
			before: order()[:1],
			event:  event(2, &historypb.MarkerRecordedEventAttributes{MarkerName: "core_patch"}),
			want:   func(s *State) { s.Counts.Markers, s.Counts.VersionMarkers = 1, 1 },
		},
		{
			name:   "of a local activity that failed",
			before: order()[:1],
			event:  event(2, &historypb.MarkerRecordedEventAttributes{MarkerName: "LocalActivity", Failure: failure("here")}),
			want: func(s *State) {
				s.Counts.Markers = 1
				s.LastFailure, s.LastFailureEventID = failure("here"), 2
			},
		},
	}
}

func TestChangeVersions(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       []string
	}{
		{"a list", `["a-1","b-2"]`, []string{"a-1", "b-2"}},
		{"one", `"a-1"`, []string{"a-1"}},
		{"sealed by a codec", "\x00\x01", nil},
		{"of another type", `7`, nil},
	} {
		s := &State{SearchAttributes: map[string]*commonpb.Payload{"TemporalChangeVersion": payload(c.data)}}
		if got := s.ChangeVersions(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := New(testWF, testRun).ChangeVersions(); got != nil {
		t.Errorf("none: %q", got)
	}
}

// TestMergeLeavesEventsAlone: the state's maps are its own.
func TestMergeLeavesEventsAlone(t *testing.T) {
	first := started()
	s := fold(event(1, first))
	s.Apply(event(2, &historypb.UpsertWorkflowSearchAttributesEventAttributes{SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{"Amount": nil}}}))
	s.Apply(event(3, &historypb.WorkflowPropertiesModifiedEventAttributes{UpsertedMemo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{"more": payload("1")}}}))
	if len(first.SearchAttributes.IndexedFields) != 2 || len(first.Memo.Fields) != 1 {
		t.Errorf("the start event was changed: %v, %v", first.SearchAttributes, first.Memo)
	}
}
