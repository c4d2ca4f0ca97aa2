package replay

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Compare says what of a command must be as it was recorded, beside what says
// which command it is. The zero value asks for that alone: its type, and
//
//   - of an activity its id and type, of a timer its id, of a cancellation of
//     either what it cancels,
//   - of a child its workflow id and type, of a signal or a cancel request to
//     another workflow its workflow and run id and the signal's name,
//   - of a marker its name, of a continuation the workflow type,
//   - of an upsert of search attributes or of the memo the keys,
//   - of a Nexus operation endpoint, service and operation,
//   - of a message about an update its id.
type Compare uint8

// What else is compared. They can be added up.
const (
	// CompareTaskQueues: the task queues of activities, children and continuations.
	CompareTaskQueues Compare = 1 << iota
	// CompareInputs: inputs, results, details and values, and of failures the
	// message and the type. Where a codec encrypts payloads they never are the
	// same.
	CompareInputs
	// CompareTimes: timeouts, and how long timers take. A timeout that code leaves
	// out is taken as it was: a server fills it in.
	CompareTimes

	// CompareAll is all of them.
	CompareAll = CompareTaskQueues | CompareInputs | CompareTimes
)

// facet is something that commands of a type are compared by.
type facet struct {
	path string  // from the attributes
	of   Compare // 0: always
	kept bool    // what code leaves out is taken as it was: a server fills it in
}

func always(paths ...string) (all []facet) {
	for _, p := range paths {
		all = append(all, facet{path: p})
	}
	return all
}

func (c Compare) of(paths ...string) (all []facet) {
	for _, p := range paths {
		all = append(all, facet{path: p, of: c, kept: c == CompareTaskQueues || c == CompareTimes})
	}
	return all
}

// facets are those of each type of command.
var facets = map[enumspb.CommandType][]facet{
	enumspb.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: slices.Concat(always("activity_id", "activity_type.name"), CompareTaskQueues.of("task_queue.name"), CompareInputs.of("input"),
		CompareTimes.of("schedule_to_close_timeout", "schedule_to_start_timeout", "start_to_close_timeout", "heartbeat_timeout")),
	enumspb.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: always("scheduled_event_id"),
	enumspb.COMMAND_TYPE_START_TIMER:                  append(always("timer_id"), facet{path: "start_to_fire_timeout", of: CompareTimes}),
	enumspb.COMMAND_TYPE_CANCEL_TIMER:                 always("timer_id"),
	enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:  CompareInputs.of("result"),
	enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:      CompareInputs.of("failure.message", "failure.application_failure_info.type"),
	enumspb.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION:    CompareInputs.of("details"),
	enumspb.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: append(always("workflow_id", "run_id"),
		facet{path: "namespace", kept: true}),
	enumspb.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: slices.Concat(always("execution.workflow_id", "execution.run_id", "signal_name"),
		[]facet{{path: "namespace", kept: true}}, CompareInputs.of("input")),
	enumspb.COMMAND_TYPE_RECORD_MARKER: append(always("marker_name"), CompareInputs.of("details")...),
	enumspb.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: slices.Concat([]facet{{path: "workflow_type.name", kept: true}}, CompareTaskQueues.of("task_queue.name"),
		CompareInputs.of("input"), CompareTimes.of("workflow_run_timeout", "workflow_task_timeout", "backoff_start_interval")),
	enumspb.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: slices.Concat(always("workflow_id", "workflow_type.name"), []facet{{path: "namespace", kept: true}},
		CompareTaskQueues.of("task_queue.name"), CompareInputs.of("input"),
		CompareTimes.of("workflow_execution_timeout", "workflow_run_timeout", "workflow_task_timeout")),
	enumspb.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: append(always("search_attributes.indexed_fields#"), CompareInputs.of("search_attributes.indexed_fields")...),
	enumspb.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES:        append(always("upserted_memo.fields#"), CompareInputs.of("upserted_memo.fields")...),
	enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE:                  always("message_id"),
	enumspb.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION: slices.Concat(always("endpoint", "service", "operation"), CompareInputs.of("input"),
		CompareTimes.of("schedule_to_close_timeout", "schedule_to_start_timeout", "start_to_close_timeout")),
	enumspb.COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION: always("scheduled_event_id"),
}

// FieldMismatch is a field by which a command differs from what was recorded.
type FieldMismatch struct {
	Field    string `json:"field"`    // a path from the command's attributes, in the names of its JSON
	Recorded string `json:"recorded"` // empty: nothing
	Issued   string `json:"issued"`
}

// differences are the fields by which two commands of one type differ.
func (c Compare) differences(recorded, issued *Command) []FieldMismatch {
	was, is := attributesOf(recorded.ProtoReflect()), attributesOf(issued.ProtoReflect())
	var all []FieldMismatch
	for _, f := range facets[recorded.GetCommandType()] {
		if f.of&^c != 0 {
			continue
		}
		name, a := textAt(was, f.path)
		other, b := textAt(is, f.path)
		if a != b && (b != "" || !f.kept) {
			all = append(all, FieldMismatch{Field: firstOf(name, other), Recorded: a, Issued: b})
		}
	}
	return all
}

// identity is what tells a command from others of its type, for people.
func identity(c *Command) string {
	var parts []string
	a := attributesOf(c.ProtoReflect())
	for _, f := range facets[c.GetCommandType()] {
		if f.of != 0 {
			continue
		}
		if _, text := textAt(a, f.path); text != "" {
			parts = append(parts, printable(text))
		}
	}
	return strings.Join(parts, " ")
}

// describe is a command on one line.
func describe(c *Command) string {
	text := c.GetCommandType().String()
	if a := c.GetRecordMarkerCommandAttributes(); a != nil {
		if change, v, ok := commandVersion(a); ok {
			return fmt.Sprintf("%s %s of %s, %d", text, a.GetMarkerName(), printable(change), v)
		}
	}
	if id := identity(c); id != "" {
		text += " " + id
	}
	return text
}

// textAt is what lies at a path, as text, and the path in JSON's names. A path
// that ends in # is of a map's keys.
func textAt(m protoreflect.Message, path string) (name, text string) {
	keys := strings.HasSuffix(path, "#")
	steps := strings.Split(strings.TrimSuffix(path, "#"), ".")
	for i, step := range steps {
		if m == nil || !m.IsValid() {
			return name, ""
		}
		f := m.Descriptor().Fields().ByName(protoreflect.Name(step))
		last := i == len(steps)-1
		if f == nil || !last && (f.Message() == nil || f.IsList() || f.IsMap()) || last && keys && !f.IsMap() {
			return name, "" // the attributes of another type
		}
		if name != "" {
			name += "."
		}
		name += f.JSONName()
		switch {
		case !last:
			m = m.Get(f).Message()
		case !m.Has(f):
			return name, ""
		case keys:
			return name, strings.Join(keysOf(m.Get(f).Map()), ", ")
		default:
			return name, valueText(f, m.Get(f))
		}
	}
	return name, ""
}

func keysOf(m protoreflect.Map) []string {
	var keys []string
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k.String())
		return true
	})
	slices.Sort(keys)
	return keys
}

func valueText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if f.IsMap() {
		var parts []string
		for _, k := range keysOf(v.Map()) {
			held := v.Map().Get(protoreflect.ValueOfString(k).MapKey())
			parts = append(parts, k+": "+valueText(f.MapValue(), held))
		}
		return strings.Join(parts, ", ")
	}
	if f.Message() == nil {
		return v.String()
	}
	switch m := v.Message().Interface().(type) {
	case *durationpb.Duration:
		if m.AsDuration() == 0 {
			return "" // as one that is left out
		}
		return m.AsDuration().String()
	case *commonpb.Payload:
		return payloadText(m)
	case *commonpb.Payloads:
		if len(m.GetPayloads()) == 0 {
			return "" // as none
		}
		var parts []string
		for _, p := range m.GetPayloads() {
			parts = append(parts, payloadText(p))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return fmt.Sprint(m)
	}
}

// payloadText is a payload so that two that hold the same JSON have the same
// text, whatever white space and order of members they were written with.
func payloadText(p *commonpb.Payload) string {
	encoding := string(p.GetMetadata()["encoding"])
	if strings.HasPrefix(encoding, "json/") {
		d := json.NewDecoder(bytes.NewReader(p.GetData()))
		d.UseNumber()
		var v any
		if d.Decode(&v) == nil {
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			if e.Encode(v) == nil {
				return strings.TrimSuffix(b.String(), "\n")
			}
		}
	}
	return encoding + " " + base64.StdEncoding.EncodeToString(p.GetData())
}
