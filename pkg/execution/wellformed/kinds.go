package wellformed

import (
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// kind is something that one event opens and others start and end.
type kind struct {
	name    string
	opener  enumspb.EventType
	starter enumspb.EventType // Unspecified: its start is no event of its own
	ref     protoreflect.Name // by which later events name the opener

	id     func(attributes) string // as far as an event says it; nil: it has none
	unique bool                    // no two are pending under one id
}

var (
	workflowTask = &kind{
		name:    "workflow task",
		opener:  enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
		starter: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED,
		ref:     "scheduled_event_id",
		id:      func(attributes) string { return "" }, // all have the same, so that one is pending at most
		unique:  true,
	}
	activity = &kind{
		name:    "activity",
		opener:  enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		starter: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED,
		ref:     "scheduled_event_id",
		id:      func(a attributes) string { return a.text("activity_id") },
		unique:  true,
	}
	timer = &kind{
		name:   "timer",
		opener: enumspb.EVENT_TYPE_TIMER_STARTED,
		ref:    startedRef,
		id:     func(a attributes) string { return a.text("timer_id") },
		unique: true,
	}
	child = &kind{
		name:    "child",
		opener:  enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
		starter: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
		ref:     "initiated_event_id",
		id: func(a attributes) string {
			if id := a.text("workflow_id"); id != "" {
				return id
			}
			return target(a)
		},
		unique: true,
	}
	nexusOperation = &kind{
		name:    "Nexus operation",
		opener:  enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED,
		starter: enumspb.EVENT_TYPE_NEXUS_OPERATION_STARTED,
		ref:     "scheduled_event_id",
		id:      func(a attributes) string { return a.text("request_id") },
	}
	nexusCancel = &kind{
		name:   "Nexus cancel request",
		opener: enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED,
		ref:    "requested_event_id",
	}
	externalSignal = &kind{
		name:   "signal to another workflow",
		opener: enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
		ref:    "initiated_event_id",
		id:     target,
	}
	externalCancel = &kind{
		name:   "cancel request to another workflow",
		opener: enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
		ref:    "initiated_event_id",
		id:     target,
	}
	update = &kind{
		name:   "update",
		opener: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		ref:    "accepted_event_id",
		id: func(a attributes) string {
			for _, path := range [][]protoreflect.Name{{"meta", "update_id"}, {"accepted_request", "meta", "update_id"}, {"request", "meta", "update_id"}, {"rejected_request", "meta", "update_id"}, {"protocol_instance_id"}} {
				if id := a.text(path...); id != "" {
					return id
				}
			}
			return ""
		},
		unique: true,
	}
)

// target is the id of the workflow that an event is about.
func target(a attributes) string { return a.text("workflow_execution", "workflow_id") }

// act is what an event does to a thing of a kind.
type act int

const (
	opens act = iota
	starts
	ends          // started or not
	endsStarted   // only what was started
	endsUnstarted // only what was not
	endsIfAsked   // only what was asked to cancel itself
	asks          // that it cancel itself; it may be over by then
	changes       // something about it
)

type role struct {
	kind *kind
	act  act
}

// roles says what each event type does. What is not in it opens nothing and
// ends nothing: starts and ends of the run, signals, markers and the like.
var roles = map[enumspb.EventType]role{
	enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: {workflowTask, opens},
	enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:   {workflowTask, starts},
	enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: {workflowTask, endsStarted},
	enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:    {workflowTask, endsStarted},
	enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: {workflowTask, ends},

	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:                 {activity, opens},
	enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:                   {activity, starts},
	enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:                 {activity, endsStarted},
	enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:                    {activity, endsStarted},
	enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:                 {activity, ends},
	enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:                  {activity, endsIfAsked},
	enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:          {activity, asks},
	enumspb.EVENT_TYPE_ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY: {activity, changes},

	enumspb.EVENT_TYPE_TIMER_STARTED:  {timer, opens},
	enumspb.EVENT_TYPE_TIMER_FIRED:    {timer, ends},
	enumspb.EVENT_TYPE_TIMER_CANCELED: {timer, ends},

	enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: {child, opens},
	enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:    {child, endsUnstarted},
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:         {child, starts},
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:       {child, endsStarted},
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:          {child, endsStarted},
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:        {child, endsStarted},
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:       {child, endsStarted},
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:      {child, endsStarted},

	enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:                {nexusOperation, opens},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_STARTED:                  {nexusOperation, starts},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_COMPLETED:                {nexusOperation, ends},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_FAILED:                   {nexusOperation, ends},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED:                 {nexusOperation, ends},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT:                {nexusOperation, ends},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED:         {nexusCancel, opens},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED: {nexusCancel, ends},
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED:    {nexusCancel, ends},

	enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: {externalSignal, opens},
	enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:    {externalSignal, ends},
	enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:         {externalSignal, ends},

	enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: {externalCancel, opens},
	enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:    {externalCancel, ends},
	enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED:         {externalCancel, ends},

	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:  {update, opens},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: {update, ends},
}
