package ingest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/internal/ingest"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// violations is the detail InvalidArgument.
type violations struct {
	Violations []struct{ Field, Description string }
}

func (v violations) fields() string {
	var fields []string
	for _, f := range v.Violations {
		fields = append(fields, f.Field)
	}
	return strings.Join(fields, " ")
}

// bad is one thing wrong with a request that is right otherwise.
type bad struct {
	name  string
	field string // what the error names
	body  string // members that take the place of those of a right request
	of    string // the field of the API that is tried, where field is another
}

const (
	started = `[{"eventType": "WorkflowExecutionStarted"}]`
	timer   = `{"eventType": "TimerStarted"}`
)

var badInput = map[string][]bad{
	"LogService/Append": {
		{"no workflow", "workflow", `"workflow": null`, ""},
		{"a workflow that is no object", "workflow", `"workflow": "order-7"`, ""},
		{"an empty workflow id", "workflow.workflowId", `"workflow": {}`, ""},
		{"a workflow id with a NUL", "workflow.workflowId", `"workflow": {"workflowId": "a\u0000"}`, ""},
		{"a workflow id over the limit", "workflow.workflowId", `"workflow": {"workflowId": "` + strings.Repeat("x", 1001) + `"}`, ""},
		{"a workflow id that is a number", "workflow.workflowId", `"workflow": {"workflowId": 7}`, ""},
		{"a namespace over the limit", "workflow.namespace", `"workflow": {"namespace": "` + strings.Repeat("x", 256) + `", "workflowId": "w"}`, ""},
		{"a namespace with a NUL", "workflow.namespace", `"workflow": {"namespace": "\u0000", "workflowId": "w"}`, ""},
		{"a misspelt field of a workflow", "workflow.workflowID", `"workflow": {"workflowID": "w"}`, ""},
		{"two workflows", "workflow", `"workflow": {"workflowId": "w"}, "workflow": {"workflowId": "v"}`, ""},
		{"no expectation", "expect", `"newRun": null`, ""},
		{"two expectations", "atEnd", `"newRun": {}, "atEnd": {}`, ""},
		{"a run id with a NUL", "newRun.runId", `"newRun": {"runId": "\u0000"}`, ""},
		{"a run id over the limit", "newRun.runId", `"newRun": {"runId": "` + strings.Repeat("x", 256) + `"}`, ""},
		{"a misspelt expectation", "newrun", `"newRun": null, "newrun": {}`, "newRun"},
		{"after no run", "after.runId", `"newRun": null, "after": {"eventId": 1}`, ""},
		{"after a run id over the limit", "after.runId", `"newRun": null, "after": {"runId": "` + strings.Repeat("x", 256) + `", "eventId": 1}`, ""},
		{"after no event", "after.eventId", `"newRun": null, "after": {"runId": "r"}`, ""},
		{"after an event before the first", "after.eventId", `"newRun": null, "after": {"runId": "r", "eventId": -1}`, ""},
		{"after half an event", "after.eventId", `"newRun": null, "after": {"runId": "r", "eventId": 1.5}`, ""},
		{"after what is no object", "after", `"newRun": null, "after": "r:1"`, ""},
		{"at the end of a run id over the limit", "atEnd.runId", `"newRun": null, "atEnd": {"runId": "` + strings.Repeat("x", 256) + `"}, "events": [` + timer + `]`, ""},
		{"a start at the end", "events[0].eventType", `"newRun": null, "atEnd": {}`, "atEnd"},
		{"an expectation that is no token", "expectation", `"newRun": null, "commitId": "c", "expectation": "after order-7"`, ""},
		{"an empty expectation", "expectation", `"newRun": null, "commitId": "c", "expectation": ""`, ""},
		{"a commit id over the limit", "commitId", `"commitId": "` + strings.Repeat("x", 256) + `"`, ""},
		{"a commit id with a NUL", "commitId", `"commitId": "\u0000"`, ""},
		{"no events", "events", `"events": []`, ""},
		{"events that are no array", "events", `"events": {}`, ""},
		{"a new run without a start", "events[0].eventType", `"events": [` + timer + `]`, "events"},
		{"an unknown event type", "events[0].eventType", `"events": [{"eventType": "OrderPaid"}]`, "events"},
		{"an event without a type", "events[0].eventType", `"events": [{}]`, "events"},
		{"an event that is null", "events[0]", `"events": [null]`, "events"},
		{"an event id before the first", "events[0].eventId", `"events": [{"eventId": -1, "eventType": "WorkflowExecutionStarted"}]`, "events"},
		{"a start within a run", "events[1].eventType", `"events": [{"eventType": "WorkflowExecutionStarted"}, {"eventType": "WorkflowExecutionStarted"}]`, "events"},
		{"an event after the last", "events[2].eventType", `"events": [{"eventType": "WorkflowExecutionStarted"}, {"eventType": "WorkflowExecutionCompleted"}, ` + timer + `]`, "events"},
		{"event ids with a gap", "events[1].eventId", `"events": [{"eventId": 1, "eventType": "WorkflowExecutionStarted"}, {"eventId": 3, "eventType": "TimerStarted"}]`, "events"},
		{"a first event that is not 1", "events[0].eventId", `"events": [{"eventId": 2, "eventType": "WorkflowExecutionStarted"}]`, "events"},
		{"a misspelt field of an event", "events[0].workflowExecutionStartedEventAttributes.inptu", `"events": [{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"inptu": []}}]`, "events"},
		{"a misspelt member of a payload", "events[0].workflowExecutionStartedEventAttributes.input[0].dta", `"events": [{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"input": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "dta": ""}]}}]`, "events"},
		{"a time that is none", "events[0].eventTime", `"events": [{"eventType": "WorkflowExecutionStarted", "eventTime": "yesterday"}]`, "events"},
		{"every misspelt name at once", "events[0].evntType events[1].eventType comitId", `"events": [{"evntType": 1}, {"eventType": "Paid"}], "comitId": "c"`, "events"},
		{"a field that is not known", "dryRun", `"dryRun": true`, "commitId"},
	},
	"LogService/GetHistory": {
		{"no workflow", "workflow", `"workflow": null`, ""},
		{"an empty workflow id", "workflow.workflowId", `"workflow": {}`, ""},
		{"a namespace over the limit", "workflow.namespace", `"workflow": {"namespace": "` + strings.Repeat("x", 256) + `", "workflowId": "w"}`, ""},
		{"a run id over the limit", "runId", `"runId": "` + strings.Repeat("x", 256) + `"`, ""},
		{"a run id that is a number", "runId", `"runId": 7`, ""},
		{"an event before the first", "fromEventId", `"fromEventId": -1`, ""},
		{"an event id that is a word", "fromEventId", `"fromEventId": "first"`, ""},
		{"less than no events", "limit", `"limit": -1`, ""},
		{"too many events", "limit", `"limit": 10001`, ""},
		{"a limit beyond 32 bits", "limit", `"limit": 4294967297`, ""},
		{"a direction that is a word", "reverse", `"reverse": "yes"`, ""},
		{"a token that is none", "pageToken", `"pageToken": "next"`, ""},
		{"a token of a list", "pageToken", `"pageToken": "eyJ2IjoxLCJxIjoiIn0"`, ""},
		{"a field that is not known", "from", `"from": 1`, "fromEventId"},
	},
	"LogService/RecordHeartbeat": {
		{"no workflow", "workflow", `"workflow": null`, ""},
		{"an empty workflow id", "workflow.workflowId", `"workflow": {}`, ""},
		{"a workflow id over the limit", "workflow.workflowId", `"workflow": {"workflowId": "` + strings.Repeat("x", 1001) + `"}`, ""},
		{"a namespace with a NUL", "workflow.namespace", `"workflow": {"namespace": "\u0000", "workflowId": "w"}`, ""},
		{"no run", "runId", `"runId": ""`, ""},
		{"a run id with a NUL", "runId", `"runId": "\u0000"`, ""},
		{"a run id over the limit", "runId", `"runId": "` + strings.Repeat("x", 256) + `"`, ""},
		{"no activity", "activityId", `"activityId": ""`, ""},
		{"an activity id with a NUL", "activityId", `"activityId": "\u0000"`, ""},
		{"an activity id over the limit", "activityId", `"activityId": "` + strings.Repeat("x", 1001) + `"`, ""},
		{"an activity id that is a number", "activityId", `"activityId": 7`, ""},
		{"no attempt", "attempt", `"attempt": null`, ""},
		{"an attempt before the first", "attempt", `"attempt": 0`, ""},
		{"an attempt below zero", "attempt", `"attempt": -1`, ""},
		{"an attempt beyond 32 bits", "attempt", `"attempt": 2147483648`, ""},
		{"half an attempt", "attempt", `"attempt": 1.5`, ""},
		{"details that are a word", "details", `"details": "page 7"`, ""},
		{"a misspelt member of a payload", "details[0].dta", `"details": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "dta": ""}]`, "details"},
		{"a failure that is a word", "lastFailure", `"lastFailure": "timeout"`, ""},
		{"a misspelt field of a failure", "lastFailure.mesage", `"lastFailure": {"mesage": "timeout"}`, "lastFailure"},
		{"an identity over the limit", "identity", `"identity": "` + strings.Repeat("x", 1001) + `"`, ""},
		{"an identity that is a number", "identity", `"identity": 7`, ""},
		{"a time that is none", "time", `"time": "yesterday"`, ""},
		{"a time after the year 9999", "time", `"time": "10000-01-01T00:00:00Z"`, ""},
		{"a field that is not known", "heartbeatDetails", `"heartbeatDetails": []`, "details"},
	},
	"QueryService/DescribeExecution": {
		{"no workflow", "workflow", `"workflow": null`, ""},
		{"an empty workflow id", "workflow.workflowId", `"workflow": {}`, ""},
		{"a namespace with a NUL", "workflow.namespace", `"workflow": {"namespace": "\u0000", "workflowId": "w"}`, ""},
		{"a run id over the limit", "runId", `"runId": "` + strings.Repeat("x", 256) + `"`, ""},
		{"a run id with a NUL", "runId", `"runId": "\u0000"`, ""},
		{"a position that is none", "waitFor", `"waitFor": "soon"`, ""},
		{"a position without a sequence", "waitFor", `"waitFor": "1"`, ""},
		{"an empty position", "waitFor", `"waitFor": "0:1,"`, ""},
		{"a partition that the log has not", "waitFor", `"waitFor": "2:1"`, ""},
		{"a partition before the first", "waitFor", `"waitFor": "-1:1"`, ""},
		{"a sequence beyond 63 bits", "waitFor", `"waitFor": "0:9223372036854775808"`, ""},
		{"a wait in words", "waitTimeout", `"waitTimeout": "long"`, ""},
		{"less than no wait", "waitTimeout", `"waitTimeout": "-1s"`, ""},
	},
	"QueryService/ListExecutions": {
		{"a namespace over the limit", "namespace", `"namespace": "` + strings.Repeat("x", 256) + `"`, ""},
		{"a filter with an unknown field", "query", `"query": "Colour = 'red'"`, ""},
		{"a namespace with a NUL", "namespace", `"namespace": "\u0000"`, ""},
		{"a filter with a NUL", "query", `"query": "WorkflowId = 'a\u0000'"`, ""},
		{"a filter over the limit", "query", `"query": "WorkflowId = '` + strings.Repeat("x", 70_000) + `'"`, ""},
		{"a filter of parentheses", "query", `"query": "` + strings.Repeat("(", 60_000) + `"`, ""},
		{"a filter with a time that is none", "query", `"query": "StartTime > 'yesterday'"`, ""},
		{"a filter that ends early", "query", `"query": "WorkflowType = "`, ""},
		{"an injection", "query", `"query": "WorkflowType = 'x'; DROP TABLE annals.executions"`, ""},
		{"an order by what there is not", "orderBy", `"orderBy": "Colour"`, ""},
		{"an order in no direction", "orderBy", `"orderBy": "StartTime UP"`, ""},
		{"less than no runs", "pageSize", `"pageSize": -1`, ""},
		{"too many runs", "pageSize", `"pageSize": 1001`, ""},
		{"less than no offset", "offset", `"offset": -1`, ""},
		{"a token that is none", "pageToken", `"pageToken": "next"`, ""},
		{"a position that is none", "waitFor", `"waitFor": "soon"`, ""},
		{"less than no wait", "waitTimeout", `"waitTimeout": "-1s"`, ""},
		{"a field that is not known", "limit", `"limit": 10`, "pageSize"},
	},
	"QueryService/CountExecutions": {
		{"a namespace over the limit", "namespace", `"namespace": "` + strings.Repeat("x", 256) + `"`, ""},
		{"a filter with an unknown field", "query", `"query": "Colour = 'red'"`, ""},
		{"a namespace with a NUL", "namespace", `"namespace": "\u0000"`, ""},
		{"a filter with a NUL", "query", `"query": "WorkflowId = 'a\u0000'"`, ""},
		{"groups without a name", "groupBy", `"groupBy": [""]`, ""},
		{"a group that is null", "groupBy[0]", `"groupBy": [null]`, "groupBy"},
		{"groups of what there is not", "groupBy", `"groupBy": ["Colour"]`, ""},
		{"groups of one field twice", "groupBy", `"groupBy": ["ExecutionStatus", "ExecutionStatus"]`, ""},
		{"groups that are no array", "groupBy", `"groupBy": "ExecutionStatus"`, ""},
		{"a position that is none", "waitFor", `"waitFor": "soon"`, ""},
		{"less than no wait", "waitTimeout", `"waitTimeout": "-1s"`, ""},
	},
}

// right is what bad input is put into.
var right = map[string]string{
	"LogService/Append":              `{"workflow": {"workflowId": "w"}, "newRun": {}, "events": ` + started + `}`,
	"LogService/GetHistory":          `{"workflow": {"workflowId": "there"}}`,
	"LogService/RecordHeartbeat":     aBeat,
	"QueryService/DescribeExecution": `{"workflow": {"workflowId": "there"}, "waitFor": "now"}`,
	"QueryService/ListExecutions":    `{}`,
	"QueryService/CountExecutions":   `{}`,
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	service := serve(t, ingest.Config{Log: log, Tables: tables})
	service.post(t, "LogService/Append", `{"workflow": {"workflowId": "there"}, "newRun": {}, "events": `+started+`}`).ok(t)
	for call, rows := range badInput {
		for _, b := range rows {
			t.Run(call+"/"+b.name, func(t *testing.T) {
				var v violations
				e := service.post(t, call, b.request(t, call)).fault(t, &v)
				if e.Code != "invalid_argument" || v.fields() != b.field {
					t.Errorf("got %s, fields %q, want invalid_argument, %q: %s", e.Code, v.fields(), b.field, e.Message)
				}
				for _, f := range v.Violations {
					if f.Description == "" || !strings.Contains(e.Message, f.Field) && f.Field != "query" {
						t.Errorf("message %q does not tell of %q", e.Message, f)
					}
				}
			})
		}
		// What the rows change is right as it is: it is the change that is refused.
		service.post(t, call, right[call]).ok(t)
	}
	if got := service.post(t, "QueryService/CountExecutions", `{"waitFor": "now"}`).ok(t); got["count"] != "2" {
		t.Errorf("%v executions, want there and w: a request that was refused did something", got["count"])
	}
}

// request is the right one with b's members: text, so that a name may stand twice
// and a value be anything.
func (b bad) request(t *testing.T, call string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(right[call]), &members); err != nil {
		t.Fatal(err)
	}
	var replaced map[string]json.RawMessage
	if err := json.Unmarshal([]byte("{"+b.body+"}"), &replaced); err != nil {
		t.Fatal(err)
	}
	body := b.body
	for name, value := range members {
		if _, ok := replaced[name]; !ok {
			body += `, "` + name + `": ` + string(value)
		}
	}
	return "{" + body + "}"
}

// A field that is added to a request has to come with input that is refused.
func TestBadInputNamesEveryField(t *testing.T) {
	t.Parallel()
	for _, file := range []protoreflect.FileDescriptor{annalsv1.File_annals_v1_log_proto, annalsv1.File_annals_v1_query_proto} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				call := string(service.Name()) + "/" + string(m.Name())
				tried := map[string]bool{}
				for _, b := range badInput[call] {
					tried[b.field], tried[b.of] = true, true
				}
				for _, field := range fieldsOf(m.Input(), "") {
					if !tried[field] {
						t.Errorf("%s: no row for %s", call, field)
					}
				}
			}
		}
	}
}

// fieldsOf are the paths of the API's own fields in a message.
func fieldsOf(d protoreflect.MessageDescriptor, at string) (paths []string) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		path := strings.TrimPrefix(at+"."+f.JSONName(), ".")
		if f.Message() != nil && f.Message().ParentFile().Package() == annalsv1.File_annals_v1_log_proto.Package() && f.Message().Fields().Len() > 0 {
			paths = append(paths, fieldsOf(f.Message(), path)...)
			continue
		}
		paths = append(paths, path)
	}
	return paths
}

// What is no request at all.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), MaxRequestBytes: 4096})
	for _, c := range []struct{ name, body, code string }{
		{"nothing", ``, "invalid_argument"},
		{"no JSON", `workflow`, "invalid_argument"},
		{"cut short", `{"workflow": {`, "invalid_argument"},
		{"no object", `[]`, "invalid_argument"},
		{"two values", `{} {}`, "invalid_argument"},
		{"no UTF-8", "{\"workflow\": {\"workflowId\": \"\xff\"}}", "invalid_argument"},
		{"nested deeply", `{"workflow": ` + strings.Repeat("[", 1500) + strings.Repeat("]", 1500) + `}`, "invalid_argument"},
		{"over the limit", `{"commitId": "` + strings.Repeat("x", 5000) + `"}`, "resource_exhausted"},
	} {
		if e := service.post(t, "LogService/Append", c.body).fault(t, nil); e.Code != c.code || e.Message == "" {
			t.Errorf("%s: got %s %q, want %s", c.name, e.Code, e.Message, c.code)
		}
	}
}

// JSON that is no object is wrong as a whole, and says so of the request.
func TestRequestsThatAreNoObjects(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{})})
	for _, call := range []string{"LogService/Append", "QueryService/CountExecutions"} {
		for _, body := range []string{`[]`, `null`, `[{}]`, `7`, `"workflow"`, `true`} {
			var v violations
			e := service.post(t, call, body).fault(t, &v)
			if e.Code != "invalid_argument" || v.fields() != "request" || !strings.HasPrefix(e.Message, "the request: ") || !strings.Contains(e.Message, "an object") {
				t.Errorf("%s of %s: got %s, field %q: %s", call, body, e.Code, v.fields(), e.Message)
			}
		}
	}
}

// A field that this version's requests do not have asks for something that would
// not be done. One of Temporal's messages is kept.
func TestUnknownBinaryFields(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{})})
	logs := service.log(t)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1)
	request := func() *annalsv1.AppendRequest {
		return &annalsv1.AppendRequest{
			Workflow: &annalsv1.Workflow{WorkflowId: "w"}, Expect: &annalsv1.AppendRequest_NewRun{NewRun: &annalsv1.NewRun{}},
			Events: []*events.Event{events.WorkflowStarted("T", "q")},
		}
	}
	top, nested, event := request(), request(), request()
	top.ProtoReflect().SetUnknown(unknown)
	nested.Workflow.ProtoReflect().SetUnknown(unknown)
	event.Events[0].ProtoReflect().SetUnknown(unknown)
	for field, r := range map[string]*annalsv1.AppendRequest{"999": top, "workflow.999": nested} {
		_, err := logs.Append(t.Context(), r)
		d, ok := detail(t, err).(*annalsv1.InvalidArgument)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !ok || d.Violations[0].Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := logs.Append(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	got, err := logs.GetHistory(t.Context(), &annalsv1.GetHistoryRequest{Workflow: event.Workflow})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Events[0].ProtoReflect().GetUnknown()) != string(unknown) {
		t.Error("the field is gone")
	}
}
