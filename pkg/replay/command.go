package replay

import (
	"strings"

	commandpb "go.temporal.io/api/command/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

// Command is what a workflow's code asks for: Temporal's own command, as events
// are Temporal's own.
type Command = commandpb.Command

// commandTypes says for which command each event was written. Of the events
// that tell what became of an update, the command is the message that said so.
var commandTypes = map[enumspb.EventType]enumspb.CommandType{
	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:                              enumspb.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:                       enumspb.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK,
	enumspb.EVENT_TYPE_TIMER_STARTED:                                        enumspb.COMMAND_TYPE_START_TIMER,
	enumspb.EVENT_TYPE_TIMER_CANCELED:                                       enumspb.COMMAND_TYPE_CANCEL_TIMER,
	enumspb.EVENT_TYPE_MARKER_RECORDED:                                      enumspb.COMMAND_TYPE_RECORD_MARKER,
	enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:             enumspb.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
	enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:         enumspb.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
	enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: enumspb.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:                    enumspb.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
	enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:                         enumspb.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:                            enumspb.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED:                     enumspb.COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:                         enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:                            enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:                          enumspb.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:                  enumspb.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:                   enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:                   enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:                  enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE,
}

// CommandOf is the command that an event was written for, nil if it was written
// for none. What the log or a server adds (ids of events, of new runs) is left
// out. The command shares what it holds with the event.
//
// Two things are not as in the events. What became of an update is a
// ProtocolMessage with the id that Temporal's SDKs give it: the update's id and
// /accept, /complete or /reject. A run that its cron schedule or its retry
// policy has continue was completed or failed by its code.
func CommandOf(e *events.Event) *Command {
	kind, ok := commandTypes[e.GetEventType()]
	if !ok {
		return nil
	}
	from := attributesOf(e.ProtoReflect())
	switch kind {
	case enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE:
		return protocolMessage(messageID(e))
	case enumspb.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION:
		a := e.GetWorkflowExecutionContinuedAsNewEventAttributes()
		switch {
		case a.GetFailure() != nil && a.GetInitiator() != enumspb.CONTINUE_AS_NEW_INITIATOR_WORKFLOW:
			kind = enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION
		case a.GetInitiator() == enumspb.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE:
			kind = enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
		}
	}
	c := &Command{CommandType: kind, UserMetadata: e.GetUserMetadata()}
	to := newAttributes(c)
	if to == nil || from == nil {
		return c
	}
	copyFields(to, from)
	switch a := c.GetAttributes().(type) {
	case *commandpb.Command_CompleteWorkflowExecutionCommandAttributes:
		if next := e.GetWorkflowExecutionContinuedAsNewEventAttributes(); next != nil { // a schedule's: what the run gave is for the next
			a.CompleteWorkflowExecutionCommandAttributes.Result = next.GetLastCompletionResult()
		}
	case *commandpb.Command_SignalExternalWorkflowExecutionCommandAttributes:
		a.SignalExternalWorkflowExecutionCommandAttributes.Execution = e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes().GetWorkflowExecution()
	case *commandpb.Command_RequestCancelExternalWorkflowExecutionCommandAttributes:
		x := e.GetRequestCancelExternalWorkflowExecutionInitiatedEventAttributes().GetWorkflowExecution()
		a.RequestCancelExternalWorkflowExecutionCommandAttributes.WorkflowId = x.GetWorkflowId()
		a.RequestCancelExternalWorkflowExecutionCommandAttributes.RunId = x.GetRunId()
	}
	return c
}

// CommandsOf are the commands that events were written for, in their order: for
// an engine that decides in events, as one on this log may well do. Events that
// are for no command are left out.
func CommandsOf(evs ...*events.Event) []*Command {
	var all []*Command
	for _, e := range evs {
		if c := CommandOf(e); c != nil {
			all = append(all, c)
		}
	}
	return all
}

func protocolMessage(id string) *Command {
	return &Command{
		CommandType: enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE,
		Attributes: &commandpb.Command_ProtocolMessageCommandAttributes{
			ProtocolMessageCommandAttributes: &commandpb.ProtocolMessageCommandAttributes{MessageId: id},
		},
	}
}

// The ends of the ids of messages by which code answers an update.
const (
	acceptMessage   = "/accept"
	completeMessage = "/complete"
	rejectMessage   = "/reject"
)

// messageID is the id of the message by which code said what became of an update.
func messageID(e *events.Event) string {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes()
		return firstOf(a.GetProtocolInstanceId(), a.GetAcceptedRequest().GetMeta().GetUpdateId()) + acceptMessage
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		return e.GetWorkflowExecutionUpdateCompletedEventAttributes().GetMeta().GetUpdateId() + completeMessage
	default:
		a := e.GetWorkflowExecutionUpdateRejectedEventAttributes()
		return firstOf(a.GetProtocolInstanceId(), a.GetRejectedRequest().GetMeta().GetUpdateId()) + rejectMessage
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// attributesOf is what is set of the oneof that events and commands have; nil
// if nothing is.
func attributesOf(m protoreflect.Message) protoreflect.Message {
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	if field == nil || !m.Get(field).Message().IsValid() {
		return nil
	}
	return m.Get(field).Message()
}

// newAttributes gives a command the attributes of its type.
func newAttributes(c *Command) protoreflect.Message {
	m := c.ProtoReflect()
	field := m.Descriptor().Fields().ByName(protoreflect.Name(commandField(c.GetCommandType())))
	if field == nil {
		return nil
	}
	return m.Mutable(field).Message()
}

// commandField is the field of a command that has the attributes of a type.
func commandField(t enumspb.CommandType) string {
	return strings.ToLower(strings.TrimPrefix(enumName(t), "COMMAND_TYPE_")) + "_command_attributes"
}

// enumName is the long name: String gives the short one.
func enumName(t enumspb.CommandType) string {
	if v := t.Descriptor().Values().ByNumber(t.Number()); v != nil {
		return string(v.Name())
	}
	return ""
}

// copyFields sets what both messages have under the same name and of the same
// type.
func copyFields(to, from protoreflect.Message) {
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		t := to.Descriptor().Fields().ByName(f.Name())
		if t != nil && t.Kind() == f.Kind() && t.Cardinality() == f.Cardinality() && t.Message() == f.Message() && t.Enum() == f.Enum() && !t.IsMap() {
			to.Set(t, v)
		}
		if t != nil && t.IsMap() && f.IsMap() && t.MapValue().Message() == f.MapValue().Message() && t.MapValue().Kind() == f.MapValue().Kind() {
			into := to.Mutable(t).Map()
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				into.Set(k, v)
				return true
			})
		}
		return true
	})
}
