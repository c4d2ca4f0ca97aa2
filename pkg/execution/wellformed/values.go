package wellformed

import (
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// attributes checks that e carries the attributes of its type. Of a type that
// this version does not know, nothing is asked.
func (c *checker) attributes(e *events.Event, a attributes) {
	if a.Message == nil {
		if _, known := enumspb.EventType_name[int32(e.GetEventType())]; known && e.GetEventType() != 0 {
			c.report(AttributesFitType, e, "has no attributes")
		}
		return
	}
	if t := a.typeOf(); t != e.GetEventType() {
		c.report(AttributesFitType, e, "has the attributes of a %s", t)
	}
}

// times checks when e happened.
func (c *checker) times(e *events.Event) {
	if e.GetEventTime() == nil {
		c.report(TimeIsSet, e, "has no time")
	}
}

// values checks what e says beside its references.
func (c *checker) values(e *events.Event, a attributes) {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		c.attempt(e, e.GetWorkflowExecutionStartedEventAttributes().GetAttempt())
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
		c.attempt(e, e.GetWorkflowTaskScheduledEventAttributes().GetAttempt())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		c.attempt(e, e.GetActivityTaskStartedEventAttributes().GetAttempt())
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
		c.admitted[update.id(a)] = true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		c.requested(e, a, e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest() != nil)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:
		c.requested(e, a, e.GetWorkflowExecutionUpdateRejectedEventAttributes().GetRejectedRequest() != nil)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		if e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId() == "" {
			c.report(ContinuedRunIsNamed, e, "does not say as which run")
		}
	}
}

func (c *checker) attempt(e *events.Event, n int32) {
	if n < 1 {
		c.report(AttemptsFromOne, e, "has the attempt %d", n)
	}
}

// requested checks that what the update asks for is known.
func (c *checker) requested(e *events.Event, a attributes, carried bool) {
	if id := update.id(a); !carried && !c.admitted[id] {
		c.report(UpdateWasRequested, e, "has no request, and no event admitted the update %q", id)
	}
}
