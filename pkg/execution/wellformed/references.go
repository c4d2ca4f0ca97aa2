package wellformed

import (
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

const (
	decidedRef protoreflect.Name = "workflow_task_completed_event_id"
	startedRef protoreflect.Name = "started_event_id"
	askedRef   protoreflect.Name = "latest_cancel_requested_event_id"
)

// reference is a field by which an event names an earlier one of its run.
type reference struct {
	field    protoreflect.Name
	want     enumspb.EventType // Unspecified: any
	optional bool              // 0 is for other rules, or for none
}

// references lists, by event type, what an event refers to.
var references = referencesOf()

func referencesOf() map[enumspb.EventType][]reference {
	all := map[enumspb.EventType][]reference{}
	for i := range attributesOneof.Fields().Len() {
		f := attributesOneof.Fields().Get(i)
		t := typeOfField(f)
		for j := range f.Message().Fields().Len() {
			name := f.Message().Fields().Get(j).Name()
			if !strings.HasSuffix(string(name), "event_id") {
				continue
			}
			if r, ok := referenceOf(t, name); ok {
				all[t] = append(all[t], r)
			}
		}
	}
	return all
}

// referenceOf says what a field of an event type refers to; not ok are those
// that name an event of another run, and those that nobody knows.
func referenceOf(t enumspb.EventType, field protoreflect.Name) (reference, bool) {
	r := roles[t]
	switch {
	case field == decidedRef:
		return reference{field, enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, true}, true
	case field == askedRef:
		return reference{field, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, true}, true
	case field == "accepted_request_sequencing_event_id", field == "rejected_request_sequencing_event_id":
		return reference{field, 0, true}, true
	case r.kind == nexusCancel && field == nexusOperation.ref:
		// Servers up to 1.27 left it out of the answers.
		return reference{field, nexusOperation.opener, r.act != opens}, true
	case r.kind != nil && field == r.kind.ref:
		return reference{field, r.kind.opener, r.kind == update}, true // update: the first servers that had them left it out
	case r.kind != nil && field == startedRef:
		return reference{field, r.kind.starter, true}, true
	}
	return reference{}, false
}

// references checks what e refers to, and returns it by field. Not sound means
// that the references do not say what the event is about.
func (c *checker) references(e *events.Event, a attributes) (refs map[protoreflect.Name]int64, sound bool) {
	refs, sound = map[protoreflect.Name]int64{}, true
	for _, r := range references[e.GetEventType()] {
		id := a.number(r.field)
		if id == 0 && r.optional {
			continue
		}
		t, there := c.types[id]
		switch {
		case id == 0:
			c.report(ReferenceIsThere, e, "has no %s", r.field)
		case !there:
			c.report(ReferenceIsThere, e, "has the %s %d, and no event before it has that id", r.field, id)
		case r.want != 0 && t != r.want:
			c.report(ReferenceHasType, e, "has the %s %d, a %s, which should be a %s", r.field, id, t, r.want)
		default:
			refs[r.field] = id
			continue
		}
		sound = false
	}
	return refs, sound
}
