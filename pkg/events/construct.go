package events

import (
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	updatepb "go.temporal.io/api/update/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The constructors below make events with the attributes that an engine needs
// nearly always; whatever else Temporal's events can say is set on what they
// return:
//
//	e := events.ActivityScheduled("1", "Charge", order)
//	e.GetActivityTaskScheduledEventAttributes().StartToCloseTimeout = durationpb.New(time.Minute)
//
// Event id and time stay unset: the log assigns them.
//
// Values become payloads as [Payload] makes them. One that cannot become one (a
// channel, say) makes an event that no log takes: [ValueError] says why, and so
// does the error of Append. So constructors can stand where events are listed.

// WorkflowStarted opens a run of a workflow, on its first attempt.
func WorkflowStarted(workflowType, taskQueue string, input ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
			WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
				WorkflowType: &commonpb.WorkflowType{Name: workflowType},
				TaskQueue:    queue(taskQueue),
				Input:        v.payloads("input", input),
				Attempt:      1,
			},
		},
	})
}

// WorkflowCompleted closes a run with its result.
func WorkflowCompleted(result ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{
			WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{
				Result: v.payloads("result", result),
			},
		},
	})
}

// WorkflowFailed closes a run with [Failure] of err.
func WorkflowFailed(err error) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionFailedEventAttributes{
			WorkflowExecutionFailedEventAttributes: &historypb.WorkflowExecutionFailedEventAttributes{
				Failure: Failure(err),
			},
		},
	}
}

// WorkflowTimedOut closes a run whose time is over.
func WorkflowTimedOut() *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionTimedOutEventAttributes{
			WorkflowExecutionTimedOutEventAttributes: &historypb.WorkflowExecutionTimedOutEventAttributes{},
		},
	}
}

// WorkflowCanceled closes a run that gave in to a cancel request.
func WorkflowCanceled(details ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionCanceledEventAttributes{
			WorkflowExecutionCanceledEventAttributes: &historypb.WorkflowExecutionCanceledEventAttributes{
				Details: v.payloads("details", details),
			},
		},
	})
}

// WorkflowTerminated closes a run from outside.
func WorkflowTerminated(reason string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{
			WorkflowExecutionTerminatedEventAttributes: &historypb.WorkflowExecutionTerminatedEventAttributes{
				Reason: reason,
			},
		},
	}
}

// ContinuedAsNew closes a run for the next one, whose WorkflowStarted goes into
// the same commit.
func ContinuedAsNew(workflowType, taskQueue string, input ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionContinuedAsNewEventAttributes{
			WorkflowExecutionContinuedAsNewEventAttributes: &historypb.WorkflowExecutionContinuedAsNewEventAttributes{
				WorkflowType: &commonpb.WorkflowType{Name: workflowType},
				TaskQueue:    queue(taskQueue),
				Input:        v.payloads("input", input),
				Initiator:    enumspb.CONTINUE_AS_NEW_INITIATOR_WORKFLOW,
			},
		},
	})
}

// WorkflowPaused holds a run; it stays open.
func WorkflowPaused(reason string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionPausedEventAttributes{
			WorkflowExecutionPausedEventAttributes: &historypb.WorkflowExecutionPausedEventAttributes{Reason: reason},
		},
	}
}

// WorkflowUnpaused lets a paused run go on.
func WorkflowUnpaused(reason string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUnpausedEventAttributes{
			WorkflowExecutionUnpausedEventAttributes: &historypb.WorkflowExecutionUnpausedEventAttributes{Reason: reason},
		},
	}
}

// Signaled hands a run a signal.
func Signaled(name string, input ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionSignaledEventAttributes{
			WorkflowExecutionSignaledEventAttributes: &historypb.WorkflowExecutionSignaledEventAttributes{
				SignalName: name,
				Input:      v.payloads("input", input),
			},
		},
	})
}

// CancelRequested asks a run to cancel itself.
func CancelRequested(cause string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionCancelRequestedEventAttributes{
			WorkflowExecutionCancelRequestedEventAttributes: &historypb.WorkflowExecutionCancelRequestedEventAttributes{
				Cause: cause,
			},
		},
	}
}

// customKey is where the details of a Custom event's marker hold its value.
const customKey = "data"

// Custom records a fact of the engine's own under a name by which it is listed,
// counted and subscribed to: a marker, in Temporal's words. [CustomValue] reads
// v back.
func Custom(name string, v any) *Event {
	var vs values
	return vs.event(&Event{
		EventType: enumspb.EVENT_TYPE_MARKER_RECORDED,
		Attributes: &historypb.HistoryEvent_MarkerRecordedEventAttributes{
			MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{
				MarkerName: name,
				Details:    map[string]*commonpb.Payloads{customKey: vs.payloads("value", []any{v})},
			},
		},
	})
}

// CustomValue reads the value of a Custom event as [Value] does. It fails with
// ErrInvalid if e is none.
func CustomValue(e *Event, into any) error {
	payloads := e.GetMarkerRecordedEventAttributes().GetDetails()[customKey].GetPayloads()
	if len(payloads) != 1 {
		return &InvalidError{Field: "event", Reason: fmt.Sprintf("a %s without the value of a custom event", e.GetEventType())}
	}
	return Value(payloads[0], into)
}

// SearchAttributesUpserted sets search attributes; those set to nil are
// removed. A value says of which type its attribute is: booleans Bool, integers
// Int, floats Double, time.Time Datetime, strings Keyword, []string KeywordList.
func SearchAttributesUpserted(attributes map[string]any) *Event {
	var v values
	fields := v.fields("searchAttributes", attributes)
	for name, payload := range fields {
		if t, ok := searchAttributeType(attributes[name]); ok {
			payload.Metadata["type"] = []byte(t.String())
		}
	}
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
		Attributes: &historypb.HistoryEvent_UpsertWorkflowSearchAttributesEventAttributes{
			UpsertWorkflowSearchAttributesEventAttributes: &historypb.UpsertWorkflowSearchAttributesEventAttributes{
				SearchAttributes: &commonpb.SearchAttributes{IndexedFields: fields},
			},
		},
	})
}

func searchAttributeType(v any) (enumspb.IndexedValueType, bool) {
	switch v.(type) {
	case bool:
		return enumspb.INDEXED_VALUE_TYPE_BOOL, true
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return enumspb.INDEXED_VALUE_TYPE_INT, true
	case float32, float64:
		return enumspb.INDEXED_VALUE_TYPE_DOUBLE, true
	case time.Time:
		return enumspb.INDEXED_VALUE_TYPE_DATETIME, true
	case string:
		return enumspb.INDEXED_VALUE_TYPE_KEYWORD, true
	case []string:
		return enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST, true
	}
	return 0, false
}

// MemoUpserted sets fields of the memo; those set to nil are removed.
func MemoUpserted(memo map[string]any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
		Attributes: &historypb.HistoryEvent_WorkflowPropertiesModifiedEventAttributes{
			WorkflowPropertiesModifiedEventAttributes: &historypb.WorkflowPropertiesModifiedEventAttributes{
				UpsertedMemo: &commonpb.Memo{Fields: v.fields("memo", memo)},
			},
		},
	})
}

// WorkflowTaskScheduled asks a worker to go on with the run.
func WorkflowTaskScheduled(taskQueue string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
		Attributes: &historypb.HistoryEvent_WorkflowTaskScheduledEventAttributes{
			WorkflowTaskScheduledEventAttributes: &historypb.WorkflowTaskScheduledEventAttributes{
				TaskQueue: queue(taskQueue),
				Attempt:   1,
			},
		},
	}
}

// WorkflowTaskStarted says which worker has taken the task.
func WorkflowTaskStarted(scheduled EventID, identity string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED,
		Attributes: &historypb.HistoryEvent_WorkflowTaskStartedEventAttributes{
			WorkflowTaskStartedEventAttributes: &historypb.WorkflowTaskStartedEventAttributes{
				ScheduledEventId: int64(scheduled),
				Identity:         identity,
			},
		},
	}
}

// WorkflowTaskCompleted says that the worker has decided; what it decided
// follows, best by [DecidedBy].
func WorkflowTaskCompleted(scheduled, started EventID, identity string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
		Attributes: &historypb.HistoryEvent_WorkflowTaskCompletedEventAttributes{
			WorkflowTaskCompletedEventAttributes: &historypb.WorkflowTaskCompletedEventAttributes{
				ScheduledEventId: int64(scheduled),
				StartedEventId:   int64(started),
				Identity:         identity,
			},
		},
	}
}

// WorkflowTaskFailed says that the worker could not decide: its code failed.
func WorkflowTaskFailed(scheduled, started EventID, err error) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED,
		Attributes: &historypb.HistoryEvent_WorkflowTaskFailedEventAttributes{
			WorkflowTaskFailedEventAttributes: &historypb.WorkflowTaskFailedEventAttributes{
				ScheduledEventId: int64(scheduled),
				StartedEventId:   int64(started),
				Cause:            enumspb.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
				Failure:          Failure(err),
			},
		},
	}
}

// WorkflowTaskTimedOut says that the worker has not decided in time.
func WorkflowTaskTimedOut(scheduled, started EventID) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
		Attributes: &historypb.HistoryEvent_WorkflowTaskTimedOutEventAttributes{
			WorkflowTaskTimedOutEventAttributes: &historypb.WorkflowTaskTimedOutEventAttributes{
				ScheduledEventId: int64(scheduled),
				StartedEventId:   int64(started),
				TimeoutType:      enumspb.TIMEOUT_TYPE_START_TO_CLOSE,
			},
		},
	}
}

// DecidedBy makes the events the outcome of a workflow task: it names the
// task's completion in all those that can name one, and returns them.
func DecidedBy(completed EventID, evs ...*Event) []*Event {
	for _, e := range evs {
		m := e.ProtoReflect()
		attributes := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
		if attributes == nil {
			continue
		}
		field := attributes.Message().Fields().ByName("workflow_task_completed_event_id")
		if field != nil {
			m.Mutable(attributes).Message().Set(field, protoreflect.ValueOfInt64(int64(completed)))
		}
	}
	return evs
}

// ActivityScheduled asks a worker to run an activity. The id is the engine's
// own, unique among the run's open activities.
func ActivityScheduled(activityID, activityType string, input ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		Attributes: &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
			ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{
				ActivityId:   activityID,
				ActivityType: &commonpb.ActivityType{Name: activityType},
				Input:        v.payloads("input", input),
			},
		},
	})
}

// ActivityStarted says which worker has taken the activity, on which attempt,
// from 1.
func ActivityStarted(scheduled EventID, attempt int32, identity string) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED,
		Attributes: &historypb.HistoryEvent_ActivityTaskStartedEventAttributes{
			ActivityTaskStartedEventAttributes: &historypb.ActivityTaskStartedEventAttributes{
				ScheduledEventId: int64(scheduled),
				Attempt:          attempt,
				Identity:         identity,
			},
		},
	}
}

// ActivityCompleted ends an activity with its result.
func ActivityCompleted(scheduled, started EventID, result ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCompletedEventAttributes{
			ActivityTaskCompletedEventAttributes: &historypb.ActivityTaskCompletedEventAttributes{
				ScheduledEventId: int64(scheduled),
				StartedEventId:   int64(started),
				Result:           v.payloads("result", result),
			},
		},
	})
}

// ActivityFailed ends an activity that is not tried again.
func ActivityFailed(scheduled, started EventID, err error) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED,
		Attributes: &historypb.HistoryEvent_ActivityTaskFailedEventAttributes{
			ActivityTaskFailedEventAttributes: &historypb.ActivityTaskFailedEventAttributes{
				ScheduledEventId: int64(scheduled),
				StartedEventId:   int64(started),
				Failure:          Failure(err),
			},
		},
	}
}

// ActivityTimedOut ends an activity whose time is over, and says which time.
// Started is 0 if no worker had taken it.
func ActivityTimedOut(scheduled, started EventID, timeout enumspb.TimeoutType) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
		Attributes: &historypb.HistoryEvent_ActivityTaskTimedOutEventAttributes{
			ActivityTaskTimedOutEventAttributes: &historypb.ActivityTaskTimedOutEventAttributes{
				ScheduledEventId: int64(scheduled),
				StartedEventId:   int64(started),
				Failure: &failurepb.Failure{
					Message: "activity " + timeout.String() + " timeout",
					FailureInfo: &failurepb.Failure_TimeoutFailureInfo{
						TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{TimeoutType: timeout},
					},
				},
			},
		},
	}
}

// ActivityCancelRequested asks an activity to cancel itself.
func ActivityCancelRequested(scheduled EventID) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCancelRequestedEventAttributes{
			ActivityTaskCancelRequestedEventAttributes: &historypb.ActivityTaskCancelRequestedEventAttributes{
				ScheduledEventId: int64(scheduled),
			},
		},
	}
}

// ActivityCanceled ends an activity that gave in to a cancel request.
func ActivityCanceled(scheduled, started EventID, details ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
		Attributes: &historypb.HistoryEvent_ActivityTaskCanceledEventAttributes{
			ActivityTaskCanceledEventAttributes: &historypb.ActivityTaskCanceledEventAttributes{
				ScheduledEventId: int64(scheduled),
				StartedEventId:   int64(started),
				Details:          v.payloads("details", details),
			},
		},
	})
}

// TimerStarted sets a timer. The id is the engine's own, unique among the run's
// open timers.
func TimerStarted(timerID string, fireAfter time.Duration) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_TIMER_STARTED,
		Attributes: &historypb.HistoryEvent_TimerStartedEventAttributes{
			TimerStartedEventAttributes: &historypb.TimerStartedEventAttributes{
				TimerId:            timerID,
				StartToFireTimeout: durationpb.New(fireAfter),
			},
		},
	}
}

// TimerFired says that a timer's time has come.
func TimerFired(timerID string, started EventID) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_TIMER_FIRED,
		Attributes: &historypb.HistoryEvent_TimerFiredEventAttributes{
			TimerFiredEventAttributes: &historypb.TimerFiredEventAttributes{
				TimerId:        timerID,
				StartedEventId: int64(started),
			},
		},
	}
}

// TimerCanceled says that a timer will not fire.
func TimerCanceled(timerID string, started EventID) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_TIMER_CANCELED,
		Attributes: &historypb.HistoryEvent_TimerCanceledEventAttributes{
			TimerCanceledEventAttributes: &historypb.TimerCanceledEventAttributes{
				TimerId:        timerID,
				StartedEventId: int64(started),
			},
		},
	}
}

// Child names a child workflow in the events of its parent.
type Child struct {
	Workflow Workflow
	Type     string
	// Run is known from ChildStarted on.
	Run RunID
	// Initiated is the id of ChildInitiated, for all events after it.
	Initiated EventID
	// Started is the id of ChildStarted, for all events after it.
	Started EventID
}

func (c Child) execution() *commonpb.WorkflowExecution {
	return &commonpb.WorkflowExecution{WorkflowId: c.Workflow.ID, RunId: string(c.Run)}
}

func (c Child) workflowType() *commonpb.WorkflowType { return &commonpb.WorkflowType{Name: c.Type} }

// ChildInitiated asks for a child workflow.
func ChildInitiated(c Child, input ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
		Attributes: &historypb.HistoryEvent_StartChildWorkflowExecutionInitiatedEventAttributes{
			StartChildWorkflowExecutionInitiatedEventAttributes: &historypb.StartChildWorkflowExecutionInitiatedEventAttributes{
				Namespace:    c.Workflow.Namespace,
				WorkflowId:   c.Workflow.ID,
				WorkflowType: c.workflowType(),
				Input:        v.payloads("input", input),
			},
		},
	})
}

// ChildStarted says that the child runs.
func ChildStarted(c Child) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
		Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionStartedEventAttributes{
			ChildWorkflowExecutionStartedEventAttributes: &historypb.ChildWorkflowExecutionStartedEventAttributes{
				Namespace:         c.Workflow.Namespace,
				InitiatedEventId:  int64(c.Initiated),
				WorkflowExecution: c.execution(),
				WorkflowType:      c.workflowType(),
			},
		},
	}
}

// ChildCompleted ends a child with its result.
func ChildCompleted(c Child, result ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
		Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionCompletedEventAttributes{
			ChildWorkflowExecutionCompletedEventAttributes: &historypb.ChildWorkflowExecutionCompletedEventAttributes{
				Namespace:         c.Workflow.Namespace,
				WorkflowExecution: c.execution(),
				WorkflowType:      c.workflowType(),
				InitiatedEventId:  int64(c.Initiated),
				StartedEventId:    int64(c.Started),
				Result:            v.payloads("result", result),
			},
		},
	})
}

// ChildFailed ends a child that failed.
func ChildFailed(c Child, err error) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
		Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionFailedEventAttributes{
			ChildWorkflowExecutionFailedEventAttributes: &historypb.ChildWorkflowExecutionFailedEventAttributes{
				Namespace:         c.Workflow.Namespace,
				WorkflowExecution: c.execution(),
				WorkflowType:      c.workflowType(),
				InitiatedEventId:  int64(c.Initiated),
				StartedEventId:    int64(c.Started),
				Failure:           Failure(err),
			},
		},
	}
}

// UpdateAccepted says that the run takes an update, and with what arguments.
func UpdateAccepted(updateID, name string, args ...any) *Event {
	var v values
	return v.event(&Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateAcceptedEventAttributes{
			WorkflowExecutionUpdateAcceptedEventAttributes: &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{
				ProtocolInstanceId: updateID,
				AcceptedRequest: &updatepb.Request{
					Meta:  &updatepb.Meta{UpdateId: updateID},
					Input: &updatepb.Input{Name: name, Args: v.payloads("args", args)},
				},
			},
		},
	})
}

// UpdateCompleted ends an update with its result. Accepted is the id of its
// UpdateAccepted.
func UpdateCompleted(updateID string, accepted EventID, result ...any) *Event {
	var v values
	payloads := v.payloads("result", result)
	return v.event(updateOutcome(updateID, accepted, &updatepb.Outcome{Value: &updatepb.Outcome_Success{Success: payloads}}))
}

// UpdateFailed ends an update that failed after it was accepted.
func UpdateFailed(updateID string, accepted EventID, err error) *Event {
	return updateOutcome(updateID, accepted, &updatepb.Outcome{Value: &updatepb.Outcome_Failure{Failure: Failure(err)}})
}

func updateOutcome(updateID string, accepted EventID, outcome *updatepb.Outcome) *Event {
	return &Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateCompletedEventAttributes{
			WorkflowExecutionUpdateCompletedEventAttributes: &historypb.WorkflowExecutionUpdateCompletedEventAttributes{
				Meta:            &updatepb.Meta{UpdateId: updateID},
				AcceptedEventId: int64(accepted),
				Outcome:         outcome,
			},
		},
	}
}

// At sets the time of an event, which the log assigns otherwise, and returns it.
func At(t time.Time, e *Event) *Event {
	e.EventTime = timestamppb.New(t)
	return e
}

func queue(name string) *taskqueuepb.TaskQueue {
	if name == "" {
		return nil
	}
	return &taskqueuepb.TaskQueue{Name: name, Kind: enumspb.TASK_QUEUE_KIND_NORMAL}
}
