package ingest_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/internal/ingest"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// methods are all calls of the API, by SERVICE/CALL.
func methods() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	for _, file := range []protoreflect.FileDescriptor{annalsv1.File_annals_v1_log_proto, annalsv1.File_annals_v1_query_proto} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				all[string(service.Name())+"/"+string(m.Name())] = m
			}
		}
	}
	return all
}

// place is a field of a request, or of a message in it.
type place struct {
	fields []protoreflect.FieldDescriptor // from the request down
}

func (p place) String() string {
	var names []string
	for _, f := range p.fields {
		names = append(names, f.JSONName())
	}
	return strings.Join(names, ".")
}

// places are all fields of the API's own messages in a request.
func places(d protoreflect.MessageDescriptor, above []protoreflect.FieldDescriptor) (all []place) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		here := append(append([]protoreflect.FieldDescriptor(nil), above...), f)
		all = append(all, place{here})
		if isOwn(f) {
			all = append(all, places(f.Message(), here)...)
		}
	}
	return all
}

func isOwn(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().ParentFile().Package() == annalsv1.File_annals_v1_log_proto.Package()
}

// with is a call's right request with a value in a place.
func (p place) with(t *testing.T, call string, value any) string {
	t.Helper()
	var request map[string]any
	if err := json.Unmarshal([]byte(right[call]), &request); err != nil {
		t.Fatalf("%s has no right request: %v", call, err)
	}
	if o := p.fields[0].ContainingOneof(); o != nil {
		for i := range o.Fields().Len() {
			delete(request, o.Fields().Get(i).JSONName())
		}
	}
	in := request
	for _, f := range p.fields[:len(p.fields)-1] {
		inner, ok := in[f.JSONName()].(map[string]any)
		if !ok {
			inner = map[string]any{}
			in[f.JSONName()] = inner
		}
		in = inner
	}
	in[p.fields[len(p.fields)-1].JSONName()] = value
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// misfit is a value of JSON that no field of that type takes.
func misfit(f protoreflect.FieldDescriptor) any {
	switch f.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return 7
	case protoreflect.BoolKind:
		return "perhaps"
	case protoreflect.MessageKind:
		return true
	}
	return "many"
}

// Every field of every call refuses a value of another type, by its path; every
// message refuses a member that it has not, and every list an element that is
// none.
func TestEveryFieldHasAType(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{})})
	refused := func(t *testing.T, call, body, field string) {
		t.Helper()
		var v violations
		e := service.post(t, call, body).fault(t, &v)
		if e.Code != "invalid_argument" || v.fields() != field {
			t.Errorf("%s: got %s for %q, want invalid_argument for %q: %s", body, e.Code, v.fields(), field, e.Message)
		}
	}
	tried := 0
	for call, m := range methods() {
		t.Run(call, func(t *testing.T) {
			refused(t, call, bad{body: `"colour": "red"`}.request(t, call), "colour")
			for _, p := range places(m.Input(), nil) {
				f := p.fields[len(p.fields)-1]
				tried++
				refused(t, call, p.with(t, call, misfit(f)), p.String())
				switch {
				case f.IsList():
					refused(t, call, p.with(t, call, []any{misfit(f)}), p.String()+"[0]")
				case isOwn(f):
					refused(t, call, p.with(t, call, map[string]any{"colour": "red"}), p.String()+".colour")
				}
			}
		})
	}
	if tried < 35 {
		t.Errorf("only %d fields tried: are the messages still found?", tried)
	}
}

// Times that JSON cannot say are refused in binary too, by their path: what was
// stored with one could not be read as JSON.
func TestTimesOutOfRange(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{})})
	logs, queries := service.log(t), service.queries(t)
	never, endless := &timestamppb.Timestamp{Seconds: math.MaxInt64}, &durationpb.Duration{Seconds: math.MaxInt64}
	start := func(change func(*events.Event)) []*events.Event {
		e := events.WorkflowStarted("T", "q")
		change(e)
		return []*events.Event{e}
	}
	for field, evs := range map[string][]*events.Event{
		"events[0].eventTime": start(func(e *events.Event) { e.EventTime = never }),
		"events[0].workflowExecutionStartedEventAttributes.workflowExecutionExpirationTime": start(func(e *events.Event) {
			e.GetWorkflowExecutionStartedEventAttributes().WorkflowExecutionExpirationTime = never
		}),
		"events[0].workflowExecutionStartedEventAttributes.retryPolicy.maximumInterval": start(func(e *events.Event) {
			e.GetWorkflowExecutionStartedEventAttributes().RetryPolicy = &commonpb.RetryPolicy{MaximumInterval: endless}
		}),
		"events[1].timerStartedEventAttributes.startToFireTimeout": append(start(func(*events.Event) {}), func() *events.Event {
			e := events.TimerStarted("t", 0)
			e.GetTimerStartedEventAttributes().StartToFireTimeout = &durationpb.Duration{Seconds: 1, Nanos: -1}
			return e
		}()),
	} {
		_, err := logs.Append(t.Context(), &annalsv1.AppendRequest{
			Workflow: &annalsv1.Workflow{WorkflowId: "w"}, Expect: &annalsv1.AppendRequest_NewRun{NewRun: &annalsv1.NewRun{}}, Events: evs,
		})
		checkField(t, err, field)
	}
	_, err := queries.CountExecutions(t.Context(), &annalsv1.CountExecutionsRequest{WaitTimeout: endless})
	checkField(t, err, "waitTimeout")

	// What JSON can say just so is taken, and read.
	last := &timestamppb.Timestamp{Seconds: 253402300799, Nanos: 999999999}
	if _, err := logs.Append(t.Context(), &annalsv1.AppendRequest{
		Workflow: &annalsv1.Workflow{WorkflowId: "w"}, Expect: &annalsv1.AppendRequest_NewRun{NewRun: &annalsv1.NewRun{}},
		Events: start(func(e *events.Event) {
			e.GetWorkflowExecutionStartedEventAttributes().WorkflowExecutionExpirationTime = last
		}),
	}); err != nil {
		t.Fatal(err)
	}
	if got := service.post(t, "LogService/GetHistory", `{"workflow": {"workflowId": "w"}}`); !strings.Contains(string(got.body), "9999-12-31T23:59:59.999999999Z") {
		t.Errorf("got %s", got.body)
	}
}

func checkField(t *testing.T, err error, field string) {
	t.Helper()
	if connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("%s: got %v", field, err)
		return
	}
	d, ok := detail(t, err).(*annalsv1.InvalidArgument)
	if !ok || len(d.Violations) != 1 || d.Violations[0].Field != field || d.Violations[0].Description == "" {
		t.Errorf("got %v, want the field %s", err, field)
	}
}

// Enums are taken in both spellings wherever they stand, and payloads in full and
// in short: what is stored is the same.
func TestSpellings(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{})})
	var stored [][]*events.Event
	for name, evs := range map[string]string{
		"short": `[{"eventType": "WorkflowExecutionStarted", "eventTime": "2026-01-02T03:04:05Z", "workflowExecutionStartedEventAttributes": {
				"taskQueue": {"name": "q", "kind": "Normal"}, "initiator": "CronSchedule", "input": ["a", {"b": [1, null]}], "header": {"fields": {"k": 7}}}},
			{"eventType": "WorkflowTaskFailed", "eventTime": "2026-01-02T03:04:05Z", "workflowTaskFailedEventAttributes": {"cause": "ResetWorkflow"}}]`,
		"full": `[{"event_type": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED", "event_time": "2026-01-02T03:04:05Z", "workflow_execution_started_event_attributes": {
				"task_queue": {"name": "q", "kind": "TASK_QUEUE_KIND_NORMAL"}, "initiator": "CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE",
				"input": {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "ImEi"}, {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJiIjpbMSxudWxsXX0="}]},
				"header": {"fields": {"k": {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "Nw=="}}}}},
			{"event_type": "EVENT_TYPE_WORKFLOW_TASK_FAILED", "event_time": "2026-01-02T03:04:05Z", "workflow_task_failed_event_attributes": {"cause": "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW"}}]`,
		"numbers": `[{"eventType": 1, "eventTime": "2026-01-02T03:04:05Z", "workflowExecutionStartedEventAttributes": {
				"taskQueue": {"name": "q", "kind": 1}, "initiator": 3, "input": ["a", {"b": [1, null]}], "header": {"fields": {"k": 7}}}},
			{"eventType": 9, "eventTime": "2026-01-02T03:04:05Z", "workflowTaskFailedEventAttributes": {"cause": ` + strconv.Itoa(int(enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW)) + `}}]`,
	} {
		service.post(t, "LogService/Append", `{"workflow": {"workflowId": "`+name+`"}, "newRun": {}, "events": `+evs+`}`).ok(t)
		history, err := service.log(t).GetHistory(t.Context(), &annalsv1.GetHistoryRequest{Workflow: &annalsv1.Workflow{WorkflowId: name}})
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, history.Events)
		if cause := history.Events[1].GetWorkflowTaskFailedEventAttributes().GetCause().String(); cause != "ResetWorkflow" {
			t.Errorf("%s: the cause is %s", name, cause)
		}
	}
	for _, other := range stored[1:] {
		if d := cmp.Diff(stored[0], other, protocmp.Transform()); d != "" {
			t.Errorf("two spellings, two histories:\n%s", d)
		}
	}
	for field, e := range map[string]string{
		"events[0].workflowExecutionStartedEventAttributes.taskQueue.kind": `{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"taskQueue": {"kind": "Usual"}}}`,
		"events[0].workflowExecutionStartedEventAttributes.initiator":      `{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"initiator": "CONTINUE_AS_NEW_INITIATOR_MOON"}}`,
	} {
		var v violations
		if e := service.post(t, "LogService/Append", `{"workflow": {"workflowId": "w"}, "newRun": {}, "events": [`+e+`]}`).fault(t, &v); v.fields() != field {
			t.Errorf("got %s for %q, want %s", e.Message, v.fields(), field)
		}
	}
}
