package execution

import (
	"reflect"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Apply folds e into s. Events come in the order of the history; any other
// order is taken without complaint and gives some state.
func (s *State) Apply(e *events.Event) { s.ApplyTo(e, nil) }

// ApplyTo is Apply, and records in ch which entities e opened, changed or
// closed. A nil ch records nothing. Mixing recorded with unrecorded events
// would change what an earlier Changes holds.
func (s *State) ApplyTo(e *events.Event, ch *Changes) {
	if e == nil {
		return
	}
	s.EventCount++
	s.LastEventID = events.EventID(e.EventId)
	if t := timeOf(e.EventTime); !t.IsZero() {
		s.UpdatedAt = t
	}
	e = sound(e)
	t := e.EventType
	if t >= 0 && int(t) < len(folds) && folds[t] != nil {
		folds[t](s, e, ch)
		return
	}
	if _, known := untouched[t]; !known {
		s.Counts.UnknownEvents++
	}
}

// sound is e, without its attributes if they are a nil pointer in an interface:
// the API's getters look behind it without asking.
func sound(e *events.Event) *events.Event {
	if a := e.GetAttributes(); a != nil && reflect.ValueOf(a).IsNil() {
		return &events.Event{EventId: e.EventId, EventTime: e.EventTime, EventType: e.EventType}
	}
	return e
}

// folds holds what each event type does to the state, beyond what all do.
var folds = [...]func(*State, *events.Event, *Changes){
	enumspb.EVENT_TYPE_UNSPECIFIED: (*State).unspecified,

	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:          (*State).workflowStarted,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:        (*State).workflowCompleted,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:           (*State).workflowFailed,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:        (*State).workflowTimedOut,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:         (*State).workflowCanceled,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:       (*State).workflowTerminated,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: (*State).workflowContinuedAsNew,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: (*State).workflowCancelRequested,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:         (*State).workflowSignaled,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:           (*State).workflowPaused,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED:         (*State).workflowUnpaused,

	enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: (*State).workflowTaskScheduled,
	enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:   (*State).workflowTaskStarted,
	enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: (*State).workflowTaskCompleted,
	enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: (*State).workflowTaskTimedOut,
	enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:    (*State).workflowTaskFailed,

	enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:                 (*State).activityScheduled,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:                   (*State).activityStarted,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:                 (*State).activityCompleted,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:                    (*State).activityFailed,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:                 (*State).activityTimedOut,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:          (*State).activityCancelRequested,
	enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:                  (*State).activityCanceled,
	enumspb.EVENT_TYPE_ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY: (*State).activityModified,

	enumspb.EVENT_TYPE_TIMER_STARTED:  (*State).timerStarted,
	enumspb.EVENT_TYPE_TIMER_FIRED:    (*State).timerFired,
	enumspb.EVENT_TYPE_TIMER_CANCELED: (*State).timerCanceled,

	enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: (*State).childInitiated,
	enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:    (*State).childStartFailed,
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:         (*State).childStarted,
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:       (*State).childCompleted,
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:          (*State).childFailed,
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:        (*State).childCanceled,
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:       (*State).childTimedOut,
	enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:      (*State).childTerminated,

	enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:         (*State).externalSignalInitiated,
	enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:            (*State).externalSignalFailed,
	enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:                 (*State).externalSignaled,
	enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: (*State).externalCancelInitiated,
	enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:    (*State).externalCancelFailed,
	enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED:         (*State).externalCancelRequested,

	enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:                (*State).nexusScheduled,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_STARTED:                  (*State).nexusStarted,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_COMPLETED:                (*State).nexusCompleted,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_FAILED:                   (*State).nexusFailed,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED:                 (*State).nexusCanceled,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT:                (*State).nexusTimedOut,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED:         (*State).nexusCancelRequested,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED: (*State).nexusCancelCompleted,
	enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED:    (*State).nexusCancelFailed,

	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:  (*State).updateAdmitted,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:  (*State).updateAccepted,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:  (*State).updateRejected,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: (*State).updateCompleted,

	enumspb.EVENT_TYPE_MARKER_RECORDED:                         (*State).markerRecorded,
	enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:       (*State).searchAttributesUpserted,
	enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:            (*State).propertiesModified,
	enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY: (*State).propertiesModifiedExternally,
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:      (*State).optionsUpdated,
}

// untouched lists the event types that change nothing but what every event
// changes, each with its reason.
var untouched = map[enumspb.EventType]string{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED: "moves the clock of a run under test; " +
		"no field of the state is read off that clock, and the events after it carry the times it led to",
}

// unspecified is an event whose type a lenient reader could not name.
func (s *State) unspecified(*events.Event, *Changes) { s.Counts.UnknownEvents++ }

// refer counts a reference that cannot be right: to e itself, to one after it
// or to a negative id. Ids are dense, so all others are there. Zero is no
// reference.
func (s *State) refer(id int64, e *events.Event) {
	if id < 0 || id != 0 && id >= e.EventId {
		s.Counts.MissingReferences++
	}
}

// missing counts a reference to something that is not pending.
func (s *State) missing() { s.Counts.MissingReferences++ }

// failed remembers the newest failure.
func (s *State) failed(e *events.Event, f *failurepb.Failure) {
	if f != nil {
		s.LastFailure, s.LastFailureEventID = f, events.EventID(e.EventId)
	}
}
