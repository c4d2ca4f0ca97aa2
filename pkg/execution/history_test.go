package execution

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/temporalproto"
	updatepb "go.temporal.io/api/update/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// same compares states: messages by what they say, lists without regard to
// whether an empty one is nil.
var same = cmp.Options{protocmp.Transform(), cmpopts.EquateEmpty()}

var (
	epoch  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testWF = events.Workflow{Namespace: "default", ID: "order-7"}
)

const testRun = events.RunID("run-1")

// at is the time of the event with that id in histories that tests write.
func at(id int64) time.Time { return epoch.Add(time.Duration(id) * time.Second) }

// event wraps attributes into the event that carries them.
func event(id int64, attributes proto.Message) *events.Event {
	e := &events.Event{EventId: id, EventTime: timestamppb.New(at(id))}
	m := e.ProtoReflect()
	fields := m.Descriptor().Oneofs().ByName("attributes").Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message().FullName() != attributes.ProtoReflect().Descriptor().FullName() {
			continue
		}
		m.Set(f, protoreflect.ValueOfMessage(attributes.ProtoReflect()))
		name := strings.TrimSuffix(string(f.Name()), "_event_attributes")
		e.EventType = enumspb.EventType(enumspb.EventType_value["EVENT_TYPE_"+strings.ToUpper(name)])
		return e
	}
	panic("no event has " + string(attributes.ProtoReflect().Descriptor().FullName()))
}

// bare is an event of a type and nothing else.
func bare(id int64, t enumspb.EventType) *events.Event {
	return &events.Event{EventId: id, EventTime: timestamppb.New(at(id)), EventType: t}
}

func fold(history ...*events.Event) *State {
	s := New(testWF, testRun)
	for _, e := range history {
		s.Apply(e)
	}
	return s
}

func payload(json string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(json)}
}

func payloads(json ...string) *commonpb.Payloads {
	p := &commonpb.Payloads{}
	for _, j := range json {
		p.Payloads = append(p.Payloads, payload(j))
	}
	return p
}

func failure(messages ...string) *failurepb.Failure {
	var f *failurepb.Failure
	for _, m := range slices.Backward(messages) {
		f = &failurepb.Failure{Message: m, Cause: f}
	}
	return f
}

func seconds64(n int64) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }

func started() *historypb.WorkflowExecutionStartedEventAttributes {
	return &historypb.WorkflowExecutionStartedEventAttributes{
		WorkflowType:             &commonpb.WorkflowType{Name: "Order"},
		TaskQueue:                &taskqueuepb.TaskQueue{Name: "orders"},
		Identity:                 "client-1",
		WorkflowTaskTimeout:      seconds64(10),
		OriginalExecutionRunId:   string(testRun),
		FirstExecutionRunId:      string(testRun),
		Attempt:                  1,
		Memo:                     &commonpb.Memo{Fields: map[string]*commonpb.Payload{"note": payload(`"gift"`)}},
		SearchAttributes:         &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{"CustomerId": payload(`"c-1"`), "Amount": payload(`12`)}},
		FirstWorkflowTaskBackoff: seconds64(0),
	}
}

func activityScheduled(id, completed int64) *events.Event {
	return event(id, &historypb.ActivityTaskScheduledEventAttributes{
		ActivityId:                   "a",
		ActivityType:                 &commonpb.ActivityType{Name: "Charge"},
		TaskQueue:                    &taskqueuepb.TaskQueue{Name: "payments"},
		ScheduleToCloseTimeout:       seconds64(60),
		ScheduleToStartTimeout:       seconds64(20),
		StartToCloseTimeout:          seconds64(30),
		HeartbeatTimeout:             seconds64(5),
		RetryPolicy:                  &commonpb.RetryPolicy{InitialInterval: seconds64(1), BackoffCoefficient: 2, MaximumInterval: seconds64(100), MaximumAttempts: 5},
		WorkflowTaskCompletedEventId: completed,
	})
}

// order is a history with one of everything that a usual workflow does, in the
// order in which Temporal writes it.
func order() []*events.Event {
	return []*events.Event{
		event(1, started()),
		event(2, &historypb.WorkflowTaskScheduledEventAttributes{TaskQueue: &taskqueuepb.TaskQueue{Name: "orders"}, StartToCloseTimeout: seconds64(10), Attempt: 1}),
		event(3, &historypb.WorkflowTaskStartedEventAttributes{ScheduledEventId: 2, Identity: "worker-1"}),
		event(4, &historypb.WorkflowTaskCompletedEventAttributes{ScheduledEventId: 2, StartedEventId: 3, Identity: "worker-1", WorkerVersion: &commonpb.WorkerVersionStamp{BuildId: "b1"}}),
		activityScheduled(5, 4),
		event(6, &historypb.TimerStartedEventAttributes{TimerId: "deadline", StartToFireTimeout: seconds64(90), WorkflowTaskCompletedEventId: 4}),
		event(7, &historypb.StartChildWorkflowExecutionInitiatedEventAttributes{Namespace: "default", WorkflowId: "ship-7", WorkflowType: &commonpb.WorkflowType{Name: "Ship"}, TaskQueue: &taskqueuepb.TaskQueue{Name: "ships"}, ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_TERMINATE, WorkflowTaskCompletedEventId: 4}),
		event(8, &historypb.UpsertWorkflowSearchAttributesEventAttributes{WorkflowTaskCompletedEventId: 4, SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{"Amount": payload("null"), "TemporalChangeVersion": payload(`["fee-1"]`)}}}),
		event(9, &historypb.WorkflowExecutionSignaledEventAttributes{SignalName: "paid"}),
		event(10, &historypb.ChildWorkflowExecutionStartedEventAttributes{InitiatedEventId: 7, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "ship-7", RunId: "ship-run"}, WorkflowType: &commonpb.WorkflowType{Name: "Ship"}}),
		event(11, &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: 5, Identity: "worker-2", Attempt: 2, LastFailure: failure("activity task failed", "card declined")}),
		event(12, &historypb.ActivityTaskCompletedEventAttributes{ScheduledEventId: 5, StartedEventId: 11, Identity: "worker-2", Result: payloads(`"ok"`)}),
		event(13, &historypb.ChildWorkflowExecutionCompletedEventAttributes{InitiatedEventId: 7, StartedEventId: 10, Result: payloads(`1`)}),
		event(14, &historypb.TimerFiredEventAttributes{TimerId: "deadline", StartedEventId: 6}),
		event(15, &historypb.WorkflowExecutionCompletedEventAttributes{Result: payloads(`"done"`), WorkflowTaskCompletedEventId: 4}),
	}
}

// reset is what Temporal writes for a run that was reset to its first workflow
// task: the base's prefix, the failed task, and what came later applied again.
func reset() []*events.Event {
	h := slices.Clone(order()[:3])
	return append(h,
		event(4, &historypb.WorkflowTaskFailedEventAttributes{
			ScheduledEventId: 2, StartedEventId: 3, Cause: enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
			Failure: failure("try again"), BaseRunId: "run-0", NewRunId: string(testRun), Identity: "history-service",
		}),
		event(5, &historypb.WorkflowExecutionSignaledEventAttributes{SignalName: "paid"}),
		event(6, &historypb.WorkflowExecutionUpdateAdmittedEventAttributes{Request: &updatepb.Request{
			Meta: &updatepb.Meta{UpdateId: "u-1"}, Input: &updatepb.Input{Name: "add"},
		}, Origin: enumspb.UPDATE_ADMITTED_EVENT_ORIGIN_REAPPLY}),
		event(7, &historypb.WorkflowTaskScheduledEventAttributes{Attempt: 1}),
		event(8, &historypb.WorkflowTaskStartedEventAttributes{ScheduledEventId: 7}),
		event(9, &historypb.WorkflowTaskCompletedEventAttributes{ScheduledEventId: 7, StartedEventId: 8}),
		event(10, &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{ProtocolInstanceId: "u-1", AcceptedRequestSequencingEventId: 6}),
		event(11, &historypb.WorkflowExecutionUpdateCompletedEventAttributes{AcceptedEventId: 10, Meta: &updatepb.Meta{UpdateId: "u-1"}}),
	)
}

// judged is where the histories are that a real server wrote for e2e/temporal.
const judged = "../../e2e/temporal/testdata/histories"

// histories are those that tests write, those of e2e/temporal and, where
// ANNALS_HISTORIES names a folder of Temporal's JSON, all in there.
func histories(t testing.TB) map[string][]*events.Event {
	t.Helper()
	all := map[string][]*events.Event{"order": order(), "reset": reset()}
	for _, dir := range []string{judged, os.Getenv("ANNALS_HISTORIES")} {
		if dir == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no histories in %s: %v", dir, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var h historypb.History
			if err := (temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &h); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all[filepath.Base(file)] = h.Events
		}
	}
	return all
}
