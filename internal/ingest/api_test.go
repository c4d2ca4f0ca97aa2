package ingest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// Every protocol does the same: an append, its history, its rows, an error.
func TestProtocols(t *testing.T) {
	t.Parallel()
	log := newNATS(t, testenv.NATS(t))
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	service := serve(t, ingest.Config{Log: log, Tables: tables})
	for _, p := range []struct {
		name    string
		options []connecthttp.Option
	}{
		{"connect", nil},
		{"connect JSON", []connecthttp.Option{connecthttp.WithProtoJSON()}},
		{"connect gzip", []connecthttp.Option{connecthttp.WithSendGzip()}},
		{"connect GET", []connecthttp.Option{connecthttp.WithHTTPGet()}},
		{"gRPC", []connecthttp.Option{connecthttp.WithGRPC()}},
		{"gRPC gzip", []connecthttp.Option{connecthttp.WithGRPC(), connecthttp.WithSendGzip()}},
		{"gRPC-Web", []connecthttp.Option{connecthttp.WithGRPCWeb()}},
	} {
		t.Run(p.name, func(t *testing.T) {
			ctx := t.Context()
			w := &annalsv1.Workflow{Namespace: "protocols", WorkflowId: p.name}
			started := events.WorkflowStarted("Order", "orders", map[string]int{"order": 7}, strings.Repeat("x", 4096))
			request := &annalsv1.AppendRequest{
				Workflow: w, Expect: &annalsv1.AppendRequest_NewRun{NewRun: &annalsv1.NewRun{RunId: "run-1"}}, CommitId: "c1",
				Events: []*events.Event{started, events.TimerStarted("t1", 0)},
			}
			logs := service.log(t, p.options...)
			appended, err := logs.Append(ctx, request)
			if err != nil {
				t.Fatal(err)
			}
			want := &annalsv1.AppendResponse{RunId: "run-1", FirstEventId: 1, LastEventId: 2, Position: appended.Position, Vector: appended.Vector, CommitId: "c1"}
			if d := cmp.Diff(want, appended, protocmp.Transform()); d != "" || appended.Position == "" || !strings.HasPrefix(appended.Vector, appended.Position+"@") {
				t.Fatalf("(-want +got)\n%s", d)
			}

			history, err := logs.GetHistory(ctx, &annalsv1.GetHistoryRequest{Workflow: w})
			if err != nil {
				t.Fatal(err)
			}
			if len(history.Events) != 2 || history.RunId != "run-1" || history.NextPageToken != "" {
				t.Fatalf("got %v", history)
			}
			started = proto.CloneOf(started)
			started.EventId, started.EventTime = 1, history.Events[0].EventTime
			if d := cmp.Diff(started, history.Events[0], protocmp.Transform()); d != "" {
				t.Fatalf("(-appended +read)\n%s", d)
			}

			described, err := service.queries(t, p.options...).DescribeExecution(ctx, &annalsv1.DescribeExecutionRequest{Workflow: w, WaitFor: appended.Position})
			if err != nil {
				t.Fatal(err)
			}
			if x := described.Execution; x.WorkflowType != "Order" || x.Status != "Running" || x.HistoryLength != 2 || len(described.PendingTimers) != 1 {
				t.Fatalf("got %v", described)
			}

			request.CommitId = "c2"
			_, err = logs.Append(ctx, request)
			conflict, ok := detail(t, err).(*annalsv1.Conflict)
			if connect.CodeOf(err) != connect.CodeAborted || !ok {
				t.Fatalf("got %v", err)
			}
			actual := &annalsv1.Cursor{RunId: "run-1", EventId: 2, Status: "Running", Position: appended.Position}
			if d := cmp.Diff(actual, conflict.Actual, protocmp.Transform()); d != "" {
				t.Fatalf("(-want +got)\n%s", d)
			}
		})
	}
}

// detail is the only one of an error.
func detail(t *testing.T, err error) proto.Message {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) || len(e.Details()) != 1 {
		t.Fatalf("want an error with a detail, got %v", err)
	}
	m, err := connectproto.UnmarshalErrorDetail(e.Details()[0])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What curl sends, and what it sees.
func TestJSON(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	service := serve(t, ingest.Config{Log: log, Tables: tables})

	got := service.post(t, "LogService/Append", `{"workflow": {"workflowId": "order-7"}, "newRun": {"runId": "r1"}, "commitId": "c1", "events": [
		{"eventType": "WorkflowExecutionStarted", "eventTime": "2026-01-02T03:04:05Z", "workflowExecutionStartedEventAttributes":
			{"workflowType": {"name": "Order"}, "taskQueue": {"name": "orders"}, "input": [{"order": 7}], "attempt": 1}},
		{"eventType": "EVENT_TYPE_TIMER_STARTED", "eventTime": "2026-01-02T03:04:06Z", "timer_started_event_attributes": {"timerId": "t", "startToFireTimeout": "60s"}}
	]}`)
	position := regexp.MustCompile(`^[01]:1$`)
	appended := got.ok(t)
	if p, _ := appended["position"].(string); !position.MatchString(p) {
		t.Errorf("position is %v", appended["position"])
	}
	same(t, "append", appended, map[string]any{
		"runId": "r1", "firstEventId": "1", "lastEventId": "2", "position": appended["position"], "existed": false, "commitId": "c1", "warning": "",
		"vector": fmt.Sprintf("%s@%s/1", appended["position"], log.Identity().LogID),
	})

	got = service.post(t, "LogService/GetHistory", `{"workflow": {"workflowId": "order-7"}, "reverse": true, "limit": 1}`)
	page := got.ok(t)
	token, _ := page["nextPageToken"].(string)
	same(t, "history", page, map[string]any{
		"runId": "r1", "nextPageToken": token,
		"events": []any{map[string]any{
			"eventId": "2", "eventTime": "2026-01-02T03:04:06Z", "eventType": "EVENT_TYPE_TIMER_STARTED",
			"timerStartedEventAttributes": map[string]any{"timerId": "t", "startToFireTimeout": "60s"},
		}},
	})
	got = service.post(t, "LogService/GetHistory", fmt.Sprintf(`{"workflow": {"workflowId": "order-7"}, "reverse": true, "pageToken": %q}`, token))
	same(t, "the page after it", got.ok(t), map[string]any{
		"runId": "r1", "nextPageToken": "",
		"events": []any{map[string]any{
			"eventId": "1", "eventTime": "2026-01-02T03:04:05Z", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED",
			"workflowExecutionStartedEventAttributes": map[string]any{
				"workflowType": map[string]any{"name": "Order"}, "taskQueue": map[string]any{"name": "orders"}, "attempt": 1.0,
				"input": map[string]any{"payloads": []any{map[string]any{
					"metadata": map[string]any{"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJvcmRlciI6N30=",
				}}},
			},
		}},
	})

	wait := fmt.Sprintf(`"waitFor": %q, "waitTimeout": "60s"`, appended["position"])
	list := service.post(t, "QueryService/ListExecutions", `{"query": "WorkflowType = 'Order'", `+wait+`}`).ok(t)
	rows, _ := list["executions"].([]any)
	if len(rows) != 1 || list["nextPageToken"] != "" {
		t.Fatalf("list: %v", list)
	}
	row, _ := rows[0].(map[string]any)
	some := map[string]any{}
	for _, name := range []string{
		"namespace", "workflowId", "runId", "workflowType", "status", "taskQueue", "startTime", "closeTime",
		"historyLength", "runTimeout", "cancelRequested", "memo", "pause", "buildIds", "pendingTimers",
	} {
		value, there := row[name]
		if !there {
			t.Errorf("list: no %s", name)
		}
		some[name] = value
	}
	same(t, "list", some, map[string]any{
		"namespace": "default", "workflowId": "order-7", "runId": "r1", "workflowType": "Order", "status": "Running", "taskQueue": "orders",
		"startTime": "2026-01-02T03:04:05Z", "closeTime": nil, "historyLength": "2", "runTimeout": "0s", "cancelRequested": false,
		"memo": map[string]any{}, "pause": nil, "buildIds": []any{}, "pendingTimers": 1.0,
	})

	same(t, "count", service.post(t, "QueryService/CountExecutions", `{"groupBy": ["WorkflowType", "ExecutionStatus"], `+wait+`}`).ok(t), map[string]any{
		"count": "1", "groups": []any{map[string]any{"values": []any{"Order", "Running"}, "count": "1"}}, "lacking": nil,
	})
	same(t, "count without groups", service.post(t, "QueryService/CountExecutions", `{}`).ok(t), map[string]any{"count": "1", "groups": []any{}, "lacking": nil})

	described := service.post(t, "QueryService/DescribeExecution", `{"workflow": {"workflowId": "order-7"}}`).ok(t)
	delete(described, "execution")
	if asOf, _ := described["asOf"].(map[string]any); asOf["position"] == "" || asOf["time"] == nil {
		t.Errorf("describe: as of %v", described["asOf"])
	}
	delete(described, "asOf")
	same(t, "describe", described, map[string]any{
		"workflow":          map[string]any{"newestRunId": "r1", "runs": "1"},
		"pendingActivities": []any{}, "pendingChildren": []any{}, "quarantine": nil, "gaps": []any{},
		"pendingNexusOperations": []any{}, "pendingUpdates": []any{}, "pendingExternalRequests": []any{}, "lag": map[string]any{"commits": "0", "age": "0s"},
		"pendingTimers": []any{map[string]any{
			"startedEventId": "2", "timerId": "t", "startedTime": "2026-01-02T03:04:06Z", "fireTime": "2026-01-02T03:05:06Z",
		}},
	})
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got)\n%s", what, d)
	}
}

// Everything that a row can hold comes through.
func TestDescribeEverything(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	service := serve(t, ingest.Config{Log: log, Tables: tables})
	appended := service.post(t, "LogService/Append", `{"workflow": {"namespace": "n", "workflowId": "w"}, "newRun": {"runId": "r1"}, "events": [
		{"eventType": "WorkflowExecutionStarted", "eventTime": "2026-01-02T03:04:05Z", "workflowExecutionStartedEventAttributes": {
			"workflowType": {"name": "Order"}, "taskQueue": {"name": "q"}, "attempt": 1, "cronSchedule": "@daily", "identity": "me",
			"workflowExecutionTimeout": "3600s", "retryPolicy": {"maximumAttempts": 3}, "priority": {"priorityKey": 2},
			"memo": {"fields": {"note": "hello"}}, "searchAttributes": {"indexedFields": {"City": "Bern"}}}},
		{"eventType": "ActivityTaskScheduled", "activityTaskScheduledEventAttributes": {"activityId": "a", "activityType": {"name": "Charge"}, "taskQueue": {"name": "q"}, "startToCloseTimeout": "1.5s"}},
		{"eventType": "StartChildWorkflowExecutionInitiated", "startChildWorkflowExecutionInitiatedEventAttributes": {"workflowId": "child", "workflowType": {"name": "Ship"}, "taskQueue": {"name": "q"}}},
		{"eventType": "WorkflowExecutionPaused", "workflowExecutionPausedEventAttributes": {"identity": "op", "reason": "because"}}
	]}`).ok(t)
	d := service.post(t, "QueryService/DescribeExecution",
		fmt.Sprintf(`{"workflow": {"namespace": "n", "workflowId": "w"}, "runId": "r1", "waitFor": %q}`, appended["position"])).ok(t)
	x, _ := d["execution"].(map[string]any)
	hello := map[string]any{"metadata": map[string]any{"encoding": "anNvbi9wbGFpbg=="}, "data": "ImhlbGxvIg=="}
	for name, want := range map[string]any{
		"status": "Paused", "cronSchedule": "@daily", "identity": "me", "executionTimeout": "3600s", "taskTimeout": "0s",
		"retryPolicy": map[string]any{"maximumAttempts": 3.0}, "priority": map[string]any{"priorityKey": 2.0},
		"memo": map[string]any{"note": hello}, "pendingActivities": 1.0, "pendingChildren": 1.0,
	} {
		same(t, name, x[name], want)
	}
	if p, _ := x["pause"].(map[string]any); p["reason"] != "because" || p["identity"] != "op" || p["eventId"] != "4" {
		t.Errorf("pause is %v", x["pause"])
	}
	if a, _ := x["searchAttributes"].(map[string]any); len(a) != 1 || a["City"] == nil {
		t.Errorf("search attributes are %v", x["searchAttributes"])
	}
	activity, _ := d["pendingActivities"].([]any)[0].(map[string]any)
	child, _ := d["pendingChildren"].([]any)[0].(map[string]any)
	if activity["activityType"] != "Charge" || activity["startToCloseTimeout"] != "1.500s" || activity["status"] != "Scheduled" {
		t.Errorf("activity is %v", activity)
	}
	if child["workflowId"] != "child" || child["workflowType"] != "Ship" || child["status"] != "Initiated" {
		t.Errorf("child is %v", child)
	}
}

// A history in pages is that of one run, whatever begins meanwhile, and each
// page fits a gRPC client.
func TestHistoryPages(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	service := serve(t, ingest.Config{Log: log})
	logs := service.log(t, connecthttp.WithGRPC())
	w := &annalsv1.Workflow{WorkflowId: "w"}
	big := strings.Repeat("x", 700<<10)
	for i := range 6 {
		r := &annalsv1.AppendRequest{Workflow: w, Events: []*events.Event{events.Signaled("s", big)}}
		if i == 0 {
			r.Expect = &annalsv1.AppendRequest_NewRun{NewRun: &annalsv1.NewRun{RunId: "r1"}}
			r.Events = []*events.Event{events.WorkflowStarted("T", "q", big)}
		} else {
			r.Expect = &annalsv1.AppendRequest_AtEnd{AtEnd: &annalsv1.AtEnd{}}
		}
		if _, err := logs.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, reverse := range []bool{false, true} {
		request := &annalsv1.GetHistoryRequest{Workflow: w, Reverse: reverse}
		if reverse {
			request.RunId = "r1"
		}
		var pages [][]int64
		for {
			page, err := logs.GetHistory(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if page.RunId != "r1" {
				t.Errorf("a page of run %s, want r1", page.RunId)
			}
			var ids []int64
			for _, e := range page.Events {
				ids = append(ids, e.EventId)
			}
			pages = append(pages, ids)
			if page.NextPageToken == "" {
				break
			}
			if request.PageToken = page.NextPageToken; len(pages) == 1 && !reverse {
				_, err := logs.Append(t.Context(), &annalsv1.AppendRequest{
					Workflow: w, Expect: &annalsv1.AppendRequest_After{After: &annalsv1.After{RunId: "r1", EventId: 6}},
					Events: []*events.Event{events.WorkflowCompleted(), events.WorkflowStarted("T", "q")},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		want := [][]int64{{1, 2}, {3, 4}, {5, 6, 7}}
		if reverse {
			want = [][]int64{{7, 6, 5}, {4, 3}, {2, 1}}
		}
		same(t, "pages", pages, want)
	}
}

// A token goes with the request that it came from.
func TestHistoryTokenOfAnotherRequest(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{})})
	start := `"newRun": {}, "events": [{"eventType": "WorkflowExecutionStarted"}, {"eventType": "TimerStarted"}]`
	service.post(t, "LogService/Append", `{"workflow": {"workflowId": "a"}, `+start+`}`).ok(t)
	service.post(t, "LogService/Append", `{"workflow": {"workflowId": "b"}, `+start+`}`).ok(t)
	page := service.post(t, "LogService/GetHistory", `{"workflow": {"workflowId": "a"}, "limit": 1}`).ok(t)
	token, _ := json.Marshal(page["nextPageToken"])
	for name, request := range map[string]string{
		"another workflow":    `{"workflow": {"workflowId": "b"}, "pageToken": %s}`,
		"another direction":   `{"workflow": {"workflowId": "a"}, "reverse": true, "pageToken": %s}`,
		"another first event": `{"workflow": {"workflowId": "a"}, "fromEventId": 2, "pageToken": %s}`,
		"a run named now":     `{"workflow": {"workflowId": "a"}, "runId": "r", "pageToken": %s}`,
	} {
		var v violations
		e := service.post(t, "LogService/GetHistory", fmt.Sprintf(request, token)).fault(t, &v)
		if e.Code != "invalid_argument" || v.fields() != "pageToken" {
			t.Errorf("%s: got %s %v", name, e.Code, v)
		}
	}
	// A limit is for the page alone.
	service.post(t, "LogService/GetHistory", fmt.Sprintf(`{"workflow": {"workflowId": "a"}, "limit": 7, "pageToken": %s}`, token)).ok(t)
}
