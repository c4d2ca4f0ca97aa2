package execution

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// missingIn are the references in whole histories that point nowhere.
var missingIn = map[string]int64{
	"sdk-go--child-workflow-cancel-with-update.json": 1, // edited by hand: event 12 names the workflow task of event 17
}

// TestHistories holds the fold against counting by hand, on histories as real
// servers wrote them.
func TestHistories(t *testing.T) {
	for name, history := range histories(t) {
		t.Run(name, func(t *testing.T) {
			s := fold(history...)
			if got, want := s.Status, plainStatus(history); got != want {
				t.Errorf("status %v, the events say %v", got, want)
			}
			if got, want := pendingIDs(s), plainPending(history); !cmp.Equal(got, want) {
				t.Errorf("pending (-plain +fold):\n%s", cmp.Diff(want, got))
			}
			if s.EventCount != int64(len(history)) || int64(s.LastEventID) != history[len(history)-1].EventId {
				t.Errorf("%d events up to %d, there are %d", s.EventCount, s.LastEventID, len(history))
			}
			if n := s.Counts.MissingReferences; n != missingIn[name] && isWhole(name, history) {
				t.Errorf("%d references to what is not there", n)
			}
			var unknown int64
			for _, e := range history {
				if e.EventType == enumspb.EVENT_TYPE_UNSPECIFIED {
					unknown++
				}
			}
			if s.Counts.UnknownEvents != unknown {
				t.Errorf("%d unknown events, there are %d", s.Counts.UnknownEvents, unknown)
			}
		})
	}
}

// TestPrefixes folds every prefix of each history by itself, from an encoding
// of the prefix before it, and from a clone: all three must be the same state.
// Bytes are compared after every event; the states, field by field, after every event
// of the first 60 and every tenth of the others, since that takes ten times as long.
func TestPrefixes(t *testing.T) {
	for name, history := range histories(t) {
		t.Run(name, func(t *testing.T) {
			incremental := New(testWF, testRun)
			decoded := New(testWF, testRun)
			for n := range history {
				clone := incremental.Clone()
				before := encode(t, incremental)
				incremental.Apply(history[n])
				if !bytes.Equal(before, encode(t, clone)) {
					t.Fatalf("event %d changed a clone made before it", n+1)
				}
				whole := fold(history[:n+1]...)
				decoded = roundTrip(t, decoded)
				decoded.Apply(history[n])
				want := encode(t, whole)
				fields := n < 60 || n%10 == 0 || n == len(history)-1
				for how, s := range map[string]*State{"incremental": incremental, "decoded": decoded} {
					equal := bytes.Equal(want, encode(t, s))
					if equal && !fields {
						continue
					}
					if diff := cmp.Diff(whole, s, same); diff != "" || !equal {
						t.Fatalf("event %d: whole and %s differ, in bytes %v:\n%s", n+1, how, !equal, diff)
					}
				}
			}
		})
	}
}

func encode(t interface{ Fatal(...any) }, s *State) []byte {
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func roundTrip(t interface{ Fatal(...any) }, s *State) *State {
	var back State
	if err := back.UnmarshalBinary(encode(t, s)); err != nil {
		t.Fatal(err)
	}
	return &back
}

// isWhole says whether all that events refer to should be there. Some of the
// real histories were cut or damaged on purpose.
func isWhole(name string, history []*events.Event) bool {
	if strings.Contains(name, "--bad-") {
		return false
	}
	for i, e := range history {
		if e.EventId != int64(i)+1 || e.EventType == enumspb.EVENT_TYPE_UNSPECIFIED {
			return false
		}
	}
	return true
}

// plainStatus is the status without the fold.
func plainStatus(history []*events.Event) events.Status {
	switch history[len(history)-1].EventType {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		return enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
		return enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		return enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
	}
	for _, e := range slices.Backward(history) {
		switch e.EventType {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:
			return enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED:
			return enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
		}
	}
	return enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// plainPending are the ids of the events that opened what nothing closed, by
// kind, without the fold.
func plainPending(history []*events.Event) map[string][]int64 {
	opened := map[string]map[int64]bool{}
	accepted := map[string]int64{} // updates
	begin := func(kind string, id int64) {
		if opened[kind] == nil {
			opened[kind] = map[int64]bool{}
		}
		opened[kind][id] = true
	}
	end := func(kind string, id int64) { delete(opened[kind], id) }
	for _, e := range history {
		id := e.EventId
		switch e.EventType {
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
			begin("task", id)
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			end("task", e.GetWorkflowTaskCompletedEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:
			end("task", e.GetWorkflowTaskFailedEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
			end("task", e.GetWorkflowTaskTimedOutEventAttributes().ScheduledEventId)

		case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			begin("activity", id)
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
			end("activity", e.GetActivityTaskCompletedEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
			end("activity", e.GetActivityTaskFailedEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
			end("activity", e.GetActivityTaskTimedOutEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
			end("activity", e.GetActivityTaskCanceledEventAttributes().ScheduledEventId)

		case enumspb.EVENT_TYPE_TIMER_STARTED:
			begin("timer", id)
		case enumspb.EVENT_TYPE_TIMER_FIRED:
			end("timer", e.GetTimerFiredEventAttributes().StartedEventId)
		case enumspb.EVENT_TYPE_TIMER_CANCELED:
			end("timer", e.GetTimerCanceledEventAttributes().StartedEventId)

		case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
			begin("child", id)
		case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
			end("child", e.GetStartChildWorkflowExecutionFailedEventAttributes().InitiatedEventId)
		case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
			end("child", e.GetChildWorkflowExecutionCompletedEventAttributes().InitiatedEventId)
		case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
			end("child", e.GetChildWorkflowExecutionFailedEventAttributes().InitiatedEventId)
		case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
			end("child", e.GetChildWorkflowExecutionCanceledEventAttributes().InitiatedEventId)
		case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
			end("child", e.GetChildWorkflowExecutionTimedOutEventAttributes().InitiatedEventId)
		case enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
			end("child", e.GetChildWorkflowExecutionTerminatedEventAttributes().InitiatedEventId)

		case enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
			begin("nexus", id)
		case enumspb.EVENT_TYPE_NEXUS_OPERATION_COMPLETED:
			end("nexus", e.GetNexusOperationCompletedEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_NEXUS_OPERATION_FAILED:
			end("nexus", e.GetNexusOperationFailedEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED:
			end("nexus", e.GetNexusOperationCanceledEventAttributes().ScheduledEventId)
		case enumspb.EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT:
			end("nexus", e.GetNexusOperationTimedOutEventAttributes().ScheduledEventId)

		case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
			begin("signal", id)
		case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
			end("signal", e.GetSignalExternalWorkflowExecutionFailedEventAttributes().InitiatedEventId)
		case enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:
			end("signal", e.GetExternalWorkflowExecutionSignaledEventAttributes().InitiatedEventId)

		case enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
			begin("cancel", id)
		case enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
			end("cancel", e.GetRequestCancelExternalWorkflowExecutionFailedEventAttributes().InitiatedEventId)
		case enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
			end("cancel", e.GetExternalWorkflowExecutionCancelRequestedEventAttributes().InitiatedEventId)

		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
			begin("update", id)
			accepted[e.GetWorkflowExecutionUpdateAcceptedEventAttributes().ProtocolInstanceId] = id
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
			// Older servers leave AcceptedEventId out.
			end("update", accepted[e.GetWorkflowExecutionUpdateCompletedEventAttributes().Meta.UpdateId])
		}
	}
	pending := map[string][]int64{}
	for kind, ids := range opened {
		if len(ids) > 0 {
			pending[kind] = slices.Sorted(maps.Keys(ids))
		}
	}
	return pending
}

// pendingIDs is the same from the fold; of updates, those that were accepted.
func pendingIDs(s *State) map[string][]int64 {
	pending := map[string][]int64{}
	add := func(kind string, id events.EventID) { pending[kind] = append(pending[kind], int64(id)) }
	if p := s.WorkflowTasks.Pending; p != nil {
		add("task", p.ScheduledEventID)
	}
	for _, x := range s.Activities {
		add("activity", x.ScheduledEventID)
	}
	for _, x := range s.Timers {
		add("timer", x.StartedEventID)
	}
	for _, x := range s.Children {
		add("child", x.InitiatedEventID)
	}
	for _, x := range s.NexusOperations {
		add("nexus", x.ScheduledEventID)
	}
	for _, x := range s.ExternalSignals {
		add("signal", x.InitiatedEventID)
	}
	for _, x := range s.ExternalCancels {
		add("cancel", x.InitiatedEventID)
	}
	for _, x := range s.Updates {
		if x.AcceptedEventID != 0 {
			add("update", x.AcceptedEventID)
		}
	}
	return pending
}
