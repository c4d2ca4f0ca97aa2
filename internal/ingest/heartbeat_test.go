package ingest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
)

var beatTime = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func activity(workflow, id string) events.Activity {
	return events.Activity{Workflow: events.Workflow{Namespace: "default", ID: workflow}, RunID: "r1", ID: id}
}

// Every protocol records the whole of a heartbeat, and says whether it is the
// newest.
func TestHeartbeatsByEveryProtocol(t *testing.T) {
	t.Parallel()
	log := newNATS(t, testenv.NATS(t))
	service := serve(t, ingest.Config{Log: log})
	for name, options := range map[string][]connecthttp.Option{
		"connect": nil, "connect JSON": {connecthttp.WithProtoJSON()}, "gRPC": {connecthttp.WithGRPC()}, "gRPC-Web": {connecthttp.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			want := events.Heartbeat{
				Activity: activity(name, "a"), Attempt: 2, Time: beatTime, Identity: "worker",
				Details:     &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("binary/plain")}, Data: []byte{0, 255}}}},
				LastFailure: &failurepb.Failure{Message: "lost"},
			}
			request := &annalsv1.RecordHeartbeatRequest{
				Workflow: &annalsv1.Workflow{WorkflowId: name}, RunId: "r1", ActivityId: "a", Attempt: want.Attempt,
				Details: want.Details, LastFailure: want.LastFailure, Identity: want.Identity, Time: timestamppb.New(want.Time),
			}
			record := func(newest bool) {
				t.Helper()
				got, err := service.log(t, options...).RecordHeartbeat(t.Context(), request)
				if err != nil || got.Newest != newest {
					t.Fatalf("gave %v, %v; want the newest: %t", got, err, newest)
				}
			}
			record(true)
			record(true)
			request.Attempt = 1
			record(false)
			got, err := log.LastHeartbeat(t.Context(), want.Activity)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
				t.Errorf("(-sent +kept)\n%s", d)
			}
			// Without a time it is dated now, which is newer.
			request.Attempt, request.Time = 2, nil
			record(true)
		})
	}
}

const aBeat = `{"workflow": {"workflowId": "w"}, "runId": "r1", "activityId": "a", "attempt": 1, "time": "2026-11-23T12:00:00.123456Z", "details": [{"page": 7}]}`

// What curl sends, with payload shorthand, and what it sees; the same by NATS.
func TestHeartbeatsAsText(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	nc := testenv.Connect(t, url)
	log := newNATS(t, nc)
	c := ingest.Config{Log: log, Tables: newTables(t, newPool(t))}
	service := serve(t, c)
	serveNATS(t, url, c)
	for name, call := range map[string]func(body string) answer{
		"HTTP": func(body string) answer { return service.post(t, "LogService/RecordHeartbeat", body) },
		"NATS": func(body string) answer { return answered(ask(t, nc, "LogService.RecordHeartbeat", body)) },
	} {
		body := strings.Replace(aBeat, `"a"`, `"`+name+`"`, 1)
		for range 2 {
			if got := call(body).ok(t); !cmp.Equal(got, map[string]any{"newest": true}) {
				t.Errorf("%s: got %v", name, got)
			}
		}
		if got := call(strings.Replace(body, `"page": 7`, `"page": 6`, 1)).ok(t); got["newest"] != false {
			t.Errorf("%s: got %v", name, got)
		}
		h, err := log.LastHeartbeat(t.Context(), activity("w", name))
		if err != nil {
			t.Fatal(err)
		}
		want := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`{"page":7}`)}}}
		if d := cmp.Diff(want, h.Details, protocmp.Transform()); d != "" || !h.Time.Equal(beatTime) {
			t.Errorf("%s: kept at %s (-want +got)\n%s", name, h.Time, d)
		}
	}
}

// A description has the newest heartbeat of what is pending, once the tables do.
func TestDescribeShowsTheLastHeartbeat(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	k, err := projection.NewHeartbeatKeeper(log, tables, projection.Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	background(t, k.Run)
	service := serve(t, ingest.Config{Log: log, Tables: tables})
	service.post(t, "LogService/Append", `{"workflow": {"workflowId": "w"}, "newRun": {"runId": "r1"}, "events": [{"eventType": "WorkflowExecutionStarted"},
		{"eventType": "ActivityTaskScheduled", "activityTaskScheduledEventAttributes": {"activityId": "a"}},
		{"eventType": "ActivityTaskScheduled", "activityTaskScheduledEventAttributes": {"activityId": "b"}}]}`).ok(t)
	service.post(t, "LogService/RecordHeartbeat", strings.Replace(aBeat, `"attempt": 1`, `"attempt": 3, "identity": "worker", "lastFailure": {"message": "lost"}`, 1)).ok(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if _, lag, err := tables.HeartbeatLag(ctx, log); err != nil {
			t.Fatal(err)
		} else if lag == 0 {
			break
		}
	}
	pending := service.post(t, "QueryService/DescribeExecution", `{"workflow": {"workflowId": "w"}, "waitFor": "now"}`).ok(t)["pendingActivities"].([]any)
	if len(pending) != 2 {
		t.Fatalf("pending: %v", pending)
	}
	want := map[string]any{
		"attempt": 3.0, "time": "2026-11-23T12:00:00.123456Z", "identity": "worker", "lastFailure": map[string]any{"message": "lost"},
		"details": map[string]any{"payloads": []any{map[string]any{"metadata": map[string]any{"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJwYWdlIjo3fQ=="}}},
	}
	got := pending[0].(map[string]any)["lastHeartbeat"]
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if none := pending[1].(map[string]any); none["activityId"] != "b" || none["lastHeartbeat"] != nil {
		t.Errorf("the other is %v", none)
	}
}

// Each way in which a heartbeat is refused has its code.
func TestHeartbeatRefusals(t *testing.T) {
	t.Parallel()
	var lossy atomic.Bool
	log := newMemlog(t, memlog.Config{Limits: events.Limits{CommitBytes: 1000}, Hook: func(memlog.Op) (bool, error) {
		if lossy.Load() {
			return false, errors.New("lost")
		}
		return true, nil
	}})
	service := serve(t, ingest.Config{Log: log})
	hasty := serve(t, ingest.Config{Log: log, CallTimeout: time.Second}) // what is lost is tried until then
	foreign := activity("w", "foreign")
	log.PutHeartbeat(foreign.HeartbeatSubject(), nil, []byte("hello"))

	var d detailOf
	e := service.post(t, "LogService/RecordHeartbeat", strings.Replace(aBeat, `"a"`, `"foreign"`, 1)).fault(t, &d)
	if e.Code != "data_loss" || d.Workflow.WorkflowID != "w" || d.Reason == "" {
		t.Errorf("a foreign message: %+v, %+v", e, d)
	}
	d = detailOf{}
	e = service.post(t, "LogService/RecordHeartbeat", strings.Replace(aBeat, `7`, `"`+strings.Repeat("x", 1000)+`"`, 1)).fault(t, &d)
	if e.Code != "resource_exhausted" || d.Max != "1000" || d.Got == "" || !strings.Contains(d.Limit, "heartbeat") || d.Remedy == "" {
		t.Errorf("over the limit: %+v, %+v", e, d)
	}
	lossy.Store(true)
	e = hasty.post(t, "LogService/RecordHeartbeat", aBeat).fault(t, nil)
	if e.Code != "unavailable" || len(e.Details) != 0 || !strings.Contains(e.Message, "unknown") {
		t.Errorf("of unknown outcome: %+v", e)
	}
	lossy.Store(false)
	if got := service.post(t, "LogService/RecordHeartbeat", aBeat).ok(t); got["newest"] != true {
		t.Errorf("sent again: %v", got)
	}
	// A time that is given counts as given: the first of all is not that of the
	// service, which would be newer than any other.
	first := int64(-62135596800)
	for _, bad := range []*timestamppb.Timestamp{{Seconds: 1 << 60}, {Seconds: first}, {Seconds: first, Nanos: 5}, {Seconds: first, Nanos: 999}} {
		_, err := service.log(t).RecordHeartbeat(t.Context(), &annalsv1.RecordHeartbeatRequest{
			Workflow: &annalsv1.Workflow{WorkflowId: "w"}, RunId: "r1", ActivityId: "a", Attempt: 1, Time: bad,
		})
		checkField(t, err, "time")
	}
	for _, bad := range []string{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000005Z", "0001-01-01T01:00:00+01:00"} {
		var v violations
		e := service.post(t, "LogService/RecordHeartbeat", `{"workflow":{"workflowId":"w"},"runId":"r1","activityId":"early","attempt":1,"time":"`+bad+`"}`).fault(t, &v)
		if v.fields() != "time" {
			t.Errorf("the time %s: %s for %q", bad, e.Message, v.fields())
		}
	}
	got := service.post(t, "LogService/RecordHeartbeat", `{"workflow":{"workflowId":"w"},"runId":"r1","activityId":"early","attempt":1,"time":"0001-01-01T00:00:00.000001Z"}`).ok(t)
	if got["newest"] != true {
		t.Errorf("the first time that there is: %v", got)
	}
	if h, err := log.LastHeartbeat(t.Context(), activity("w", "early")); err != nil || !h.Time.Equal(time.Time{}.Add(time.Microsecond)) {
		t.Errorf("kept is %v, %v", h.Time, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := service.log(t).RecordHeartbeat(ended, &annalsv1.RecordHeartbeatRequest{}); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("with an ended context: %v", err)
	}
}
