package wellformed

import (
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

// commands are the event types that a worker decides on: they name the
// completion of the workflow task that decided them. The other types with that
// field are what came of a command later.
var commands = map[enumspb.EventType]bool{
	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:                              true,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:                       true,
	enumspb.EVENT_TYPE_TIMER_STARTED:                                        true,
	enumspb.EVENT_TYPE_TIMER_CANCELED:                                       true,
	enumspb.EVENT_TYPE_MARKER_RECORDED:                                      true,
	enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:             true,
	enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:         true,
	enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: true,
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:                    true,
	enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:                         true,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:                            true,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED:                     true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:                         true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:                            true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:                          true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:                  true,
}

// atOnce are the event types that a server writes as it goes through the
// commands of a task, between them: what became of an update, and of a
// cancel request for something that nobody had begun.
var atOnce = map[enumspb.EventType]bool{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:  true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:  true,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: true,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:              true,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED:            true,
}

// block is what directly follows a completed workflow task.
type block struct {
	completed int64 // 0: there was none
	ended     int64 // the first event that is none of the task's commands; 0: there was none
}

// command checks that what a workflow task decided names it, and stands
// directly after it.
func (c *checker) command(e *events.Event, refs map[protoreflect.Name]int64) {
	t, b := e.GetEventType(), &c.block
	switch decided := refs[decidedRef]; {
	case t == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
		*b = block{completed: e.GetEventId()}
	case commands[t] && decided != 0 && decided != b.completed:
		c.report(CommandsFollowTask, e, "was decided by event %d, and is after event %d, which completed another workflow task", decided, b.completed)
	case commands[t] && decided != 0 && b.ended != 0:
		c.report(CommandsFollowTask, e, "was decided by event %d, and event %d stands between them", decided, b.ended)
	case commands[t] && decided == 0 && c.tasks && attributesOf(e).number(decidedRef) == 0:
		rule := CommandNamesTask
		if events.Closes(e) {
			rule = ClosedByCommand
		}
		c.report(rule, e, "names no workflow task that decided it")
	case !commands[t] && !atOnce[t] && b.ended == 0:
		b.ended = e.GetEventId()
	}
}

// between checks what stands between the start of a workflow task and its
// outcome.
func (c *checker) between(e *events.Event) {
	switch t := e.GetEventType(); {
	case roles[t].kind == workflowTask:
		c.tasks = true
		c.started = 0
		if roles[t].act == starts {
			c.started = e.GetEventId()
		}
	case c.started == 0:
	case t == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, t == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
	default:
		c.report(StartedTaskHasOutcome, e, "stands between event %d, which started a workflow task, and its outcome", c.started)
		c.started = 0
	}
}
