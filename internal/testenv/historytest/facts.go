package historytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Run is what the tables must say about a run, counted from its events.
type Run struct {
	Namespace, WorkflowID, RunID string
	Type, TaskQueue              string // NULs replaced by U+FFFD
	Status                       string
	Start, Close                 *time.Time // to the microsecond; Close nil while it is open
	Events                       int64      // of its history: where it is a reset, those that it begins with included
	Signals, Unknown             int64
	Bytes                        int64
	Activities, Timers, Children int64 // rows: whatever was opened
	Nexus, Updates, External     int64 // rows
	PendingActivities            int64
	PendingTimers                int64
	PendingChildren              int64
	PendingNexus                 int64
	PendingUpdates               int64
	PendingExternal              int64
	First, Last                  int64 // sequences
	Newest                       bool  // of its workflow
	Runs                         int64 // of its workflow
	// Stored, Types and Names are of the events that were written in the run: how many, by type (in lower case), and
	// those with a name of their own, not that of an event that they refer to, by it (NULs replaced).
	Stored       int64
	Types, Names map[string]int64
}

// Facts counts the runs of workflows, in the order of the workflows and of
// their beginnings.
func Facts(ctx context.Context, log events.Reader, workflows []events.Workflow) ([]Run, error) {
	var all []Run
	for _, w := range workflows {
		var runs []*counting
		for c, err := range log.Commits(ctx, w) {
			if errors.Is(err, events.ErrNotFound) {
				break
			}
			if err != nil {
				return nil, err
			}
			segments, err := c.Segments()
			if err != nil {
				return nil, err
			}
			for _, s := range segments {
				if len(runs) == 0 || runs[len(runs)-1].RunID != string(s.Run) {
					run := newCounting(w, s.Run, c.Position)
					if s.First != 1 {
						if err := run.begin(c, runs); err != nil {
							return nil, err
						}
					}
					runs = append(runs, run)
				}
				run := runs[len(runs)-1]
				run.Last = int64(c.Position.Sequence)
				for _, e := range s.Events {
					run.count(e)
					run.note(e)
				}
			}
		}
		for i, r := range runs {
			r.Newest, r.Runs = i == len(runs)-1, int64(len(runs))
			r.PendingActivities, r.PendingTimers, r.PendingChildren = int64(len(r.activities)), int64(len(r.timers)), int64(len(r.children))
			r.PendingNexus, r.PendingUpdates = int64(len(r.nexus)), int64(len(r.updates))
			r.PendingExternal = int64(len(r.signals) + len(r.cancels))
			all = append(all, r.Run)
		}
	}
	return all, nil
}

// counting is a run and what its events have opened and not ended.
type counting struct {
	Run
	activities, children, nexus, signals, cancels map[int64]bool
	timers                                        map[int64]string
	updates                                       map[string]bool
	history                                       []*events.Event
}

// begin counts what a reset begins with.
func (r *counting) begin(c *events.Commit, before []*counting) error {
	for i := len(before) - 1; i >= 0 && c.Base != nil; i-- {
		if b := before[i]; b.RunID == string(c.Base.Run) {
			for _, e := range b.history[:c.Base.Event] {
				r.count(e)
			}
			return nil
		}
	}
	return fmt.Errorf("run %s of the commit at %s begins in the middle, and its base is not there", r.RunID, c.Position)
}

// note counts an event where it was written.
func (r *counting) note(e *events.Event) {
	r.Stored++
	r.Types[typeOf(e)]++
	if name := nameOf(e); name != "" {
		r.Names[clean(name)]++
	}
}

// typeOf is Temporal's short name of an event's type in lower case, made of the long one.
func typeOf(e *events.Event) string {
	long, known := enumspb.EventType_name[int32(e.EventType)]
	if !known {
		return fmt.Sprint(int32(e.EventType))
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(long, "EVENT_TYPE_"), "_", ""))
}

// nameOf is the name of an event that no other one's is taken for.
func nameOf(e *events.Event) string {
	switch e.EventType {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		return e.GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		return e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName()
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		return e.GetMarkerRecordedEventAttributes().GetMarkerName()
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		return e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
	case enumspb.EVENT_TYPE_TIMER_STARTED:
		return e.GetTimerStartedEventAttributes().GetTimerId()
	}
	return ""
}

func newCounting(w events.Workflow, run events.RunID, at events.Position) *counting {
	return &counting{
		Run:        Run{Namespace: w.Namespace, WorkflowID: w.ID, RunID: string(run), First: int64(at.Sequence), Types: map[string]int64{}, Names: map[string]int64{}},
		activities: map[int64]bool{}, children: map[int64]bool{}, nexus: map[int64]bool{}, signals: map[int64]bool{}, cancels: map[int64]bool{}, timers: map[int64]string{}, updates: map[string]bool{},
	}
}

func instant(e *events.Event) *time.Time {
	t := e.EventTime.AsTime().Truncate(time.Microsecond)
	return &t
}

func (r *counting) close(status string, e *events.Event) { r.Status, r.Close = status, instant(e) }

// count takes an event as the comments of the tables say, and nothing more.
func (r *counting) count(e *events.Event) {
	r.history = append(r.history, e)
	r.Events++
	r.Bytes += events.StoredSize(e)
	if _, known := enumspb.EventType_name[int32(e.EventType)]; !known || e.EventType == 0 {
		r.Unknown++
	}
	switch e.EventType {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		a := e.GetWorkflowExecutionStartedEventAttributes()
		r.Status, r.Start = "Running", instant(e)
		r.Type, r.TaskQueue = clean(a.GetWorkflowType().GetName()), clean(a.GetTaskQueue().GetName())
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:
		r.Status = "Paused"
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED:
		r.Status = "Running"
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		r.close("Completed", e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		r.close("Failed", e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		r.close("TimedOut", e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		r.close("Canceled", e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
		r.close("Terminated", e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		r.close("ContinuedAsNew", e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		r.Signals++
	case enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY:
		if q := e.GetWorkflowPropertiesModifiedExternallyEventAttributes().GetNewTaskQueue(); q != "" {
			r.TaskQueue = clean(q)
		}

	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		r.Activities++
		r.activities[e.EventId] = true
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		delete(r.activities, e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		delete(r.activities, e.GetActivityTaskFailedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		delete(r.activities, e.GetActivityTaskTimedOutEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		delete(r.activities, e.GetActivityTaskCanceledEventAttributes().GetScheduledEventId())

	case enumspb.EVENT_TYPE_TIMER_STARTED:
		r.Timers++
		r.timers[e.EventId] = e.GetTimerStartedEventAttributes().GetTimerId()
	case enumspb.EVENT_TYPE_TIMER_FIRED:
		a := e.GetTimerFiredEventAttributes()
		r.endTimer(a.GetStartedEventId(), a.GetTimerId())
	case enumspb.EVENT_TYPE_TIMER_CANCELED:
		a := e.GetTimerCanceledEventAttributes()
		r.endTimer(a.GetStartedEventId(), a.GetTimerId())

	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
		r.Children++
		r.children[e.EventId] = true
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
		delete(r.children, e.GetStartChildWorkflowExecutionFailedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
		delete(r.children, e.GetChildWorkflowExecutionCompletedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
		delete(r.children, e.GetChildWorkflowExecutionFailedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
		delete(r.children, e.GetChildWorkflowExecutionCanceledEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
		delete(r.children, e.GetChildWorkflowExecutionTimedOutEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
		delete(r.children, e.GetChildWorkflowExecutionTerminatedEventAttributes().GetInitiatedEventId())

	case enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
		r.Nexus++
		r.nexus[e.EventId] = true
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_COMPLETED:
		delete(r.nexus, e.GetNexusOperationCompletedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_FAILED:
		delete(r.nexus, e.GetNexusOperationFailedEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED:
		delete(r.nexus, e.GetNexusOperationCanceledEventAttributes().GetScheduledEventId())
	case enumspb.EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT:
		delete(r.nexus, e.GetNexusOperationTimedOutEventAttributes().GetScheduledEventId())

	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
		r.Updates++
		r.updates[e.GetWorkflowExecutionUpdateAdmittedEventAttributes().GetRequest().GetMeta().GetUpdateId()] = true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:
		id := e.GetWorkflowExecutionUpdateRejectedEventAttributes().GetProtocolInstanceId()
		if !r.updates[id] {
			r.Updates++
		}
		delete(r.updates, id)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
		id := e.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetProtocolInstanceId()
		if !r.updates[id] {
			r.Updates++
		}
		r.updates[id] = true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		delete(r.updates, e.GetWorkflowExecutionUpdateCompletedEventAttributes().GetMeta().GetUpdateId())

	case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
		r.External++
		r.signals[e.EventId] = true
	case enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
		r.External++
		r.cancels[e.EventId] = true
	case enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:
		delete(r.signals, e.GetExternalWorkflowExecutionSignaledEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
		delete(r.signals, e.GetSignalExternalWorkflowExecutionFailedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
		delete(r.cancels, e.GetExternalWorkflowExecutionCancelRequestedEventAttributes().GetInitiatedEventId())
	case enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
		delete(r.cancels, e.GetRequestCancelExternalWorkflowExecutionFailedEventAttributes().GetInitiatedEventId())
	}
}

// endTimer goes by the event that started the timer; where it is not named, by
// the timer's own id, the newest first.
func (r *counting) endTimer(started int64, id string) {
	if started == 0 && id != "" {
		for s, name := range r.timers {
			if name == id {
				started = max(started, s)
			}
		}
	}
	delete(r.timers, started)
}

// clean is s as Postgres holds it.
func clean(s string) string {
	out := make([]rune, 0, len(s))
	for _, c := range s {
		if c == 0 {
			c = '\uFFFD'
		}
		out = append(out, c)
	}
	return string(out)
}
