package ingest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

const (
	startRun1 = `{"workflow": {"workflowId": "w"}, "newRun": {"runId": "r1"}, "commitId": "c1", "events": [{"eventType": "WorkflowExecutionStarted"}]}`
	complete  = `{"workflow": {"workflowId": "w"}, "after": {"runId": "r1", "eventId": "1"}, "events": [{"eventType": "WorkflowExecutionCompleted"}]}`
)

// detailOf is the details of all kinds of errors, as their debug JSON has them.
type detailOf struct {
	Workflow struct{ Namespace, WorkflowID string }
	Expected string
	Actual   *struct{ RunID, EventID, Status, Position string }
	RunID    string
	EventID  string
	CommitID string
	Position string

	Limit, Got, Max, Remedy string
	Expectation, Reason     string
	Positions               []struct{ Wanted, Reached string }
}

// An append that finds too many others under way is refused at once, stores
// nothing, and goes through later.
func TestOverload(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]memlog.Config{
		"commits under way": {MaxInFlightCommits: 1}, "bytes under way": {MaxInFlightBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			entered, leave := make(chan struct{}), make(chan struct{})
			config.Hook = func(op memlog.Op) (bool, error) {
				if op.CommitID == "c1" {
					close(entered)
					<-leave
				}
				return true, nil
			}
			service := serve(t, ingest.Config{Log: newMemlog(t, config)})
			first := make(chan answer)
			go func() { first <- service.post(t, "LogService/Append", startRun1) }()
			<-entered
			second := strings.NewReplacer(`"w"`, `"v"`, `"c1"`, `"c2"`).Replace(startRun1)
			var d detailOf
			e := service.post(t, "LogService/Append", second).fault(t, &d)
			if e.Code != "resource_exhausted" || e.Details[0].Type != "annals.v1.LimitExceeded" || d.Limit != name || d.Got == "" || d.Max != "1" || d.Remedy == "" {
				t.Errorf("got %+v, %+v", e, d)
			}
			close(leave)
			(<-first).ok(t)
			if got := service.post(t, "LogService/Append", second).ok(t); got["existed"] == true {
				t.Errorf("what was refused was stored: %v", got)
			}
		})
	}
}

// Each way in which the log refuses has its code and its detail.
func TestRefusals(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{Limits: events.Limits{CommitBytes: 1000}})
	service := serve(t, ingest.Config{Log: log})
	first := service.post(t, "LogService/Append", startRun1).ok(t)

	actual := func(t *testing.T, d detailOf, event, status string) {
		t.Helper()
		a := d.Actual
		if a == nil || a.RunID != "r1" || a.EventID != event || a.Status != status || a.Position == "" {
			t.Errorf("actual is %+v", a)
		}
		if d.Workflow.Namespace != "default" || d.Workflow.WorkflowID != "w" {
			t.Errorf("workflow is %+v", d.Workflow)
		}
	}
	for _, c := range []struct {
		name, call, body, code, detail string
		check                          func(*testing.T, detailOf)
	}{
		{
			"a run is open", "LogService/Append", strings.Replace(startRun1, `"c1"`, `"c2"`, 1), "aborted", "Conflict",
			func(t *testing.T, d detailOf) { actual(t, d, "1", "Running") },
		},
		{
			"another event", "LogService/Append", strings.Replace(complete, `"1"`, `"7"`, 1), "aborted", "Conflict",
			func(t *testing.T, d detailOf) { actual(t, d, "1", "Running") },
		},
		{
			"a used commit id", "LogService/Append", strings.Replace(startRun1, `Started"`, `Started", "version": "1"`, 1), "already_exists", "CommitIdReused",
			func(t *testing.T, d detailOf) {
				if d.CommitID != "c1" || d.Position != first["position"] {
					t.Errorf("got %+v", d)
				}
			},
		},
		{
			"a commit over the limit", "LogService/Append",
			`{"workflow": {"workflowId": "w"}, "atEnd": {}, "events": [{"eventType": "WorkflowExecutionSignaled", "workflowExecutionSignaledEventAttributes": {"signalName": "` + strings.Repeat("x", 1100) + `"}}]}`,
			"resource_exhausted", "LimitExceeded",
			func(t *testing.T, d detailOf) {
				if d.Max != "1000" || d.Got == "" || d.Remedy == "" || d.Limit == "" {
					t.Errorf("got %+v", d)
				}
			},
		},
		{
			"no workflow to go on with", "LogService/Append", `{"workflow": {"workflowId": "none"}, "atEnd": {}, "events": [{"eventType": "TimerStarted"}]}`, "not_found", "NotFound",
			func(t *testing.T, d detailOf) {
				if d.Workflow.WorkflowID != "none" || d.RunID != "" {
					t.Errorf("got %+v", d)
				}
			},
		},
		{
			"no workflow", "LogService/GetHistory", `{"workflow": {"workflowId": "none"}}`, "not_found", "NotFound",
			func(t *testing.T, d detailOf) {
				if d.Workflow.WorkflowID != "none" || d.RunID != "" {
					t.Errorf("got %+v", d)
				}
			},
		},
		{
			"no run", "LogService/GetHistory", `{"workflow": {"workflowId": "w"}, "runId": "r9"}`, "not_found", "NotFound",
			func(t *testing.T, d detailOf) {
				if d.RunID != "r9" {
					t.Errorf("got %+v", d)
				}
			},
		},
		{
			"no event", "LogService/GetHistory", `{"workflow": {"workflowId": "w"}, "fromEventId": 9}`, "not_found", "NotFound",
			func(t *testing.T, d detailOf) {
				if d.RunID != "r1" || d.EventID != "9" {
					t.Errorf("got %+v", d)
				}
			},
		},
		{
			"no row", "QueryService/DescribeExecution", `{"workflow": {"workflowId": "none"}}`, "not_found", "NotFound",
			func(t *testing.T, d detailOf) {
				if d.Workflow.WorkflowID != "none" {
					t.Errorf("got %+v", d)
				}
			},
		},
		{
			// Nothing projects here.
			"the tables are behind", "QueryService/CountExecutions", fmt.Sprintf(`{"waitFor": %q, "waitTimeout": "1.5s"}`, first["position"]), "deadline_exceeded", "Behind",
			func(t *testing.T, d detailOf) {
				partition, _, _ := strings.Cut(first["position"].(string), ":")
				if len(d.Positions) != 1 || d.Positions[0].Wanted != first["position"] || d.Positions[0].Reached != partition+":0" {
					t.Errorf("got %+v", d)
				}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d detailOf
			e := service.post(t, c.call, c.body).fault(t, &d)
			if e.Code != c.code || e.Details[0].Type != "annals.v1."+c.detail || e.Message == "" {
				t.Fatalf("got %+v, want %s with %s", e, c.code, c.detail)
			}
			c.check(t, d)
		})
	}

	service.post(t, "LogService/Append", complete).ok(t)
	var d detailOf
	e := service.post(t, "LogService/Append", `{"workflow": {"workflowId": "w"}, "atEnd": {"runId": "r1"}, "events": [{"eventType": "TimerStarted"}]}`).fault(t, &d)
	if e.Code != "failed_precondition" || e.Details[0].Type != "annals.v1.Closed" {
		t.Fatalf("got %+v", e)
	}
	actual(t, d, "2", "Completed")

	t.Run("corrupt", func(t *testing.T) {
		w := events.Workflow{Namespace: "default", ID: "foreign"}
		log.Put(log.Identity().Map.Partition(w.Slot()), w.Subject(), nil, []byte("hello"))
		var d detailOf
		e := service.post(t, "LogService/GetHistory", `{"workflow": {"workflowId": "foreign"}}`).fault(t, &d)
		if e.Code != "data_loss" || e.Details[0].Type != "annals.v1.Corrupt" || d.Workflow.WorkflowID != "foreign" || d.Position == "" || d.Reason == "" {
			t.Fatalf("got %+v %+v", e, d)
		}
	})

	t.Run("another log's expectation", func(t *testing.T) {
		other := newMemlog(t, memlog.Config{Hook: func(memlog.Op) (bool, error) { return false, errors.New("lost") }, AppendTimeout: 50 * time.Millisecond})
		_, err := other.Append(t.Context(), events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "w"}, CommitID: "c9", Events: []*events.Event{events.WorkflowStarted("T", "q")},
		})
		var unknown *events.OutcomeUnknownError
		if !errors.As(err, &unknown) {
			t.Fatal(err)
		}
		seen, err := log.Tail(t.Context(), events.Workflow{Namespace: "default", ID: "w"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := events.AtEnd().WithAttempt(events.Attempt{After: seen}).MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		e := serve(t, ingest.Config{Log: other}).post(t, "LogService/Append", fmt.Sprintf(
			`{"workflow": {"workflowId": "w"}, "expectation": %q, "commitId": "c9", "events": [{"eventType": "TimerStarted"}]}`, token)).fault(t, nil)
		if e.Code != "failed_precondition" || !strings.Contains(e.Message, "log") {
			t.Fatalf("got %+v", e)
		}
	})
}

// An append that was stored without its answer arriving is recognised by another
// instance, whatever it expected, and has the same answer there.
func TestRetryThroughAnotherInstance(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	first := serve(t, ingest.Config{Log: newNATS(t, nc)})
	second := serve(t, ingest.Config{Log: openNATS(t, testenv.Connect(t, testenv.URL(nc)))})
	for _, c := range []struct{ name, body string }{
		{"new run", startRun1},
		{"after", `{"workflow": {"workflowId": "w"}, "after": {"runId": "r1", "eventId": "1"}, "commitId": "c2", "events": [{"eventType": "TimerStarted"}]}`},
		{"at end", `{"workflow": {"workflowId": "w"}, "atEnd": {}, "commitId": "0190a0b0-0000-7000-8000-000000000001", "events": [{"eventType": "TimerFired"}]}`},
		{"at the end of a run", `{"workflow": {"workflowId": "w"}, "atEnd": {"runId": "r1"}, "commitId": "c4", "events": [{"eventType": "WorkflowExecutionCompleted"}]}`},
		{"the next run", strings.NewReplacer(`"r1"`, `"r2"`, `"c1"`, `"c5"`).Replace(startRun1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := first.post(t, "LogService/Append", c.body).ok(t)
			if want["existed"] != false {
				t.Fatalf("got %v", want)
			}
			want["existed"] = true
			same(t, "the other instance", second.post(t, "LogService/Append", c.body).ok(t), want)
			same(t, "the same instance", first.post(t, "LogService/Append", c.body).ok(t), want)
		})
	}
}

// An outcome that is not known is said to be, early enough for the client to hear
// it, with all that settles it: through another instance, once.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored=%t", stored), func(t *testing.T) {
			// A busy machine may need longer for the answer than is kept for it.
			for client := 2 * time.Second; !unknownWithin(t, client, stored); client *= 2 {
				if client > time.Minute {
					t.Fatalf("no answer reaches the client within %s", client)
				}
			}
		})
	}
}

// unknownWithin reports whether a client who has so long heard in time that the
// outcome is not known, and holds that it can then be settled.
func unknownWithin(t *testing.T, client time.Duration, stored bool) bool {
	t.Helper()
	var lossy atomic.Bool
	log := newMemlog(t, memlog.Config{Hook: func(memlog.Op) (bool, error) {
		if lossy.Load() {
			return stored, errors.New("lost")
		}
		return true, nil
	}})
	first := serve(t, ingest.Config{Log: log})
	second := serve(t, ingest.Config{Log: log.Open(memlog.Config{})})
	first.post(t, "LogService/Append", startRun1).ok(t)

	lossy.Store(true)
	signal := events.Signaled("paid")
	request := &annalsv1.AppendRequest{
		Workflow: &annalsv1.Workflow{WorkflowId: "w"}, Expect: &annalsv1.AppendRequest_AtEnd{AtEnd: &annalsv1.AtEnd{}}, Events: []*events.Event{signal},
	}
	ctx, cancel := context.WithTimeout(t.Context(), client)
	defer cancel()
	_, err := first.log(t).Append(ctx, request)
	if ctx.Err() != nil {
		return false
	}
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	unknown, ok := detail(t, err).(*annalsv1.OutcomeUnknown)
	if !ok || unknown.CommitId == "" || unknown.Workflow.WorkflowId != "w" {
		t.Fatalf("got %v", err)
	}
	if _, err := base64.RawURLEncoding.DecodeString(unknown.Expectation); err != nil {
		t.Errorf("the expectation needs escaping: %q", unknown.Expectation)
	}

	request.CommitId, request.Expect = unknown.CommitId, &annalsv1.AppendRequest_Expectation{Expectation: unknown.Expectation}
	for i := range 2 {
		got, err := second.log(t).Append(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if got.LastEventId != 2 || got.RunId != "r1" || got.Existed != (stored || i > 0) {
			t.Errorf("settled %d times: %v", i+1, got)
		}
	}
	return true
}

// Where nothing can have been stored the code is the same, and there is nothing to
// send back.
func TestLogUnavailable(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	service := serve(t, ingest.Config{Log: newNATS(t, nc), CallTimeout: 2 * time.Second})
	nc.Close()
	for call, body := range map[string]string{
		"LogService/Append": startRun1, "LogService/GetHistory": `{"workflow": {"workflowId": "w"}}`,
	} {
		e := service.post(t, call, body).fault(t, nil)
		if e.Code != "unavailable" || len(e.Details) != 0 {
			t.Errorf("%s: got %+v", call, e)
		}
	}
	states := service.ready(t, "/readyz", 503)
	if states["log"].OK || states["log"].Reason == "" || !states["tables"].OK || !states["accepting"].OK {
		t.Errorf("got %+v", states)
	}
	if nc.Status() != nats.CLOSED {
		t.Error("the connection is open: this tried nothing")
	}
}

func TestTablesUnavailable(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	log := newMemlog(t, memlog.Config{})
	service := serve(t, ingest.Config{Log: log, Tables: newTables(t, pool)})
	if _, err := pool.Exec(t.Context(), "DROP SCHEMA annals CASCADE"); err != nil {
		t.Fatal(err)
	}
	if e := service.post(t, "QueryService/CountExecutions", `{}`).fault(t, nil); e.Code != "failed_precondition" {
		t.Errorf("without tables: got %+v", e)
	}
	service.ready(t, "/readyz/log", 200)
	if states := service.ready(t, "/readyz/tables", 503); states["tables"].OK || len(states) != 1 {
		t.Errorf("got %+v", states)
	}
	// The log needs no tables.
	service.post(t, "LogService/Append", startRun1).ok(t)

	if _, err := pool.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"); err == nil {
		t.Fatal("a session survived its end")
	}
	elsewhere := pool.Config()
	elsewhere.ConnConfig.Host = "/nowhere"
	gone := serve(t, ingest.Config{Log: log, Tables: newTables(t, poolOf(t, elsewhere))})
	if e := gone.post(t, "QueryService/CountExecutions", `{}`).fault(t, nil); e.Code != "unavailable" {
		t.Errorf("without a server: got %+v", e)
	}
}
