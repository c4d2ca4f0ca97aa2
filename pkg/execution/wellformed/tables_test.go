package wellformed

import (
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
)

// TestTablesAreWhole walks all event types that this version of Temporal's API
// has: a new one must find its place in the tables.
func TestTablesAreWhole(t *testing.T) {
	foreign := map[string]bool{"parent_initiated_event_id": true, "external_initiated_event_id": true}
	// They open and end nothing.
	idle := map[enumspb.EventType]bool{
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:                    true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:                  true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:                     true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:                  true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:                   true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:                 true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:           true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:                   true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:           true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:                     true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED:                   true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:            true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED: true,
		enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:                  true,
		enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY:       true,
		enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:             true,
		enumspb.EVENT_TYPE_MARKER_RECORDED:                               true,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:            true, // see UpdateWasRequested
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:            true,
	}
	// They name the task that decided what they are the answer to.
	answers := map[enumspb.EventType]bool{
		enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:             true,
		enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:         true,
		enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: true,
		enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED:          true,
		enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED:             true,
	}
	for i := range attributesOneof.Fields().Len() {
		f := attributesOneof.Fields().Get(i)
		typ := typeOfField(f)
		if typ == 0 {
			t.Errorf("%s belongs to no event type", f.Name())
		}
		if _, ok := roles[typ]; ok == idle[typ] {
			t.Errorf("%v must have a role or be idle, and not both", typ)
		}
		decided := f.Message().Fields().ByName(decidedRef) != nil
		if decided != (commands[typ] || answers[typ]) || commands[typ] && answers[typ] {
			t.Errorf("%v: names the deciding task: %v; is a command: %v; an answer: %v", typ, decided, commands[typ], answers[typ])
		}
		for j := range f.Message().Fields().Len() {
			name := f.Message().Fields().Get(j).Name()
			if !strings.HasSuffix(string(name), "event_id") {
				continue
			}
			if _, ok := referenceOf(typ, name); ok == foreign[string(name)] {
				t.Errorf("%v: %s must be a reference in the run or of another, and not both", typ, name)
			}
		}
	}
	if n := attributesOneof.Fields().Len(); n != len(enumspb.EventType_name)-1 {
		t.Errorf("%d kinds of attributes, %d event types", n, len(enumspb.EventType_name)-1)
	}
}
