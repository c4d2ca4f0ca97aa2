package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/telemetry"
)

// serveNATS runs a server by NATS until the test's end, on a connection of its own.
func serveNATS(t *testing.T, url string, c ingest.Config) (stop func()) {
	t.Helper()
	if c.Tables == nil {
		c.Tables = newTables(t, newPool(t))
	}
	c.Logger = quiet()
	s, err := ingest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	stop = background(t, func(ctx context.Context) error { return s.RunNATS(ctx, testenv.Connect(t, url)) })
	return stop
}

// ask sends a request and waits for its answer, once there is somebody to answer.
func ask(t *testing.T, nc *nats.Conn, call, body string, headers ...string) *nats.Msg {
	t.Helper()
	m := nats.NewMsg("annals-api.v1." + call)
	m.Data = []byte(body)
	for i := 0; i < len(headers); i += 2 {
		m.Header[headers[i]] = []string{headers[i+1]}
	}
	got, err := request(t, nc, m)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// request waits for an answer, once there is somebody to answer.
func request(t *testing.T, nc *nats.Conn, m *nats.Msg) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		got, err := nc.RequestMsgWithContext(ctx, m)
		if !errors.Is(err, nats.ErrNoResponders) || ctx.Err() != nil {
			return got, err
		}
	}
}

// answered is an answer as HTTP's are looked at.
func answered(m *nats.Msg) answer {
	if m.Header.Get(micro.ErrorCodeHeader) != "" {
		return answer{status: 500, body: m.Data}
	}
	return answer{status: 200, body: m.Data}
}

// What HTTP does, NATS does.
func TestNATS(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	nc := testenv.Connect(t, url)
	log := newNATS(t, nc)
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	traced, err := telemetry.Log(log, telemetry.Providers{})
	if err != nil {
		t.Fatal(err)
	}
	calls, err := exporters.Interceptor(telemetry.Providers{})
	if err != nil {
		t.Fatal(err)
	}
	serveNATS(t, url, ingest.Config{Log: traced, Tables: tables, MaxRequestBytes: 1 << 20, Interceptors: []connect.ServerInterceptor{calls}})

	const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	appended := answered(ask(t, nc, "LogService.Append", startRun1, "traceparent", caller)).ok(t)
	if appended["runId"] != "r1" || appended["existed"] != false || appended["commitId"] != "c1" {
		t.Fatalf("got %v", appended)
	}
	for c, err := range log.Commits(t.Context(), events.Workflow{Namespace: "default", ID: "w"}) {
		if err != nil || c.Traceparent != caller {
			t.Errorf("the commit has %q, %v", c.Traceparent, err)
		}
	}

	in, err := proto.Marshal(&annalsv1.GetHistoryRequest{Workflow: &annalsv1.Workflow{WorkflowId: "w"}})
	if err != nil {
		t.Fatal(err)
	}
	got := ask(t, nc, "LogService.GetHistory", string(in), "Content-Type", "application/proto")
	var history annalsv1.GetHistoryResponse
	if err := proto.Unmarshal(got.Data, &history); err != nil || len(history.Events) != 1 || got.Header.Get("Content-Type") != "application/proto" {
		t.Errorf("history: %v, %v, %v", &history, err, got.Header)
	}
	if count := answered(ask(t, nc, "QueryService.CountExecutions", `{"waitFor": "now"}`)).ok(t); count["count"] != "1" {
		t.Errorf("count: %v", count)
	}

	for _, c := range []struct {
		name, call, body string
		headers          []string
		code, detail     string
	}{
		{"a conflict", "LogService.Append", strings.Replace(startRun1, "c1", "c2", 1), nil, "aborted", "Conflict"},
		{"a field that is not known", "LogService.Append", `{"wrkflow": {}}`, nil, "invalid_argument", "InvalidArgument"},
		{"a filter of two lines", "QueryService.ListExecutions", `{"query": "\n\nColour = 1"}`, nil, "invalid_argument", "InvalidArgument"},
		{"no workflow", "LogService.GetHistory", `{"workflow": {"workflowId": "none"}}`, nil, "not_found", "NotFound"},
		{"another form", "LogService.GetHistory", `<a/>`, []string{"Content-Type", "text/xml"}, "invalid_argument", ""},
		{"no protobuf", "LogService.GetHistory", `{}`, []string{"Content-Type", "application/proto"}, "invalid_argument", ""},
		{"a timeout in words", "LogService.GetHistory", `{}`, []string{"Connect-Timeout-Ms", "long"}, "invalid_argument", ""},
		{"too large a request", "LogService.Append", `{"commitId": "` + strings.Repeat("x", 1<<20) + `"}`, nil, "resource_exhausted", ""},
		{"no time", "QueryService.CountExecutions", `{"waitFor": "0:999"}`, []string{"Connect-Timeout-Ms", "1500"}, "deadline_exceeded", "Behind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ask(t, nc, c.call, c.body, c.headers...)
			e := answered(m).fault(t, nil)
			text := m.Header.Get(micro.ErrorHeader)
			if e.Code != c.code || m.Header.Get(micro.ErrorCodeHeader) != c.code || !strings.HasPrefix(text, c.code+": ") || e.Message == "" {
				t.Errorf("got %+v, headers %v, want %s", e, m.Header, c.code)
			}
			switch {
			case c.detail == "" && len(e.Details) == 0:
			case len(e.Details) != 1 || e.Details[0].Type != "annals.v1."+c.detail || !json.Valid(e.Details[0].Debug):
				t.Errorf("details are %+v, want %s", e.Details, c.detail)
			}
		})
	}

	// As `nats micro info` sees it.
	info, err := nc.Request("$SRV.INFO.annals-ingest", nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"LogService.Append", "LogService.GetHistory", "QueryService.DescribeExecution", "QueryService.ListExecutions", "QueryService.CountExecutions"} {
		if !strings.Contains(string(info.Data), `"annals-api.v1.`+call+`"`) {
			t.Errorf("the service does not tell of %s: %s", call, info.Data)
		}
	}
}

// Calls that are refused beside each other are answered each, and counted.
func TestNATSRefusedAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	serveNATS(t, url, ingest.Config{Log: newMemlog(t, memlog.Config{}), MaxRequestBytes: 8})
	nc := testenv.Connect(t, url)
	const callers, each = 8, 16
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				m := nats.NewMsg("annals-api.v1.LogService.Append")
				m.Data = []byte(`{"wrkflow": {}}`)
				got, err := request(t, nc, m)
				if err != nil || got.Header.Get(micro.ErrorCodeHeader) != "resource_exhausted" {
					t.Errorf("got %+v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	got, err := request(t, nc, nats.NewMsg("$SRV.STATS.annals-ingest"))
	if err != nil {
		t.Fatal(err)
	}
	var stats struct {
		Endpoints []struct {
			Name string
			Data struct {
				Calls, Errors int
				LastError     string `json:"last_error"`
				AverageTime   int    `json:"average_time"`
			}
		}
	}
	if err := json.Unmarshal(got.Data, &stats); err != nil {
		t.Fatal(err)
	}
	for _, e := range stats.Endpoints {
		want := 0
		if e.Name == "LogService-Append" {
			want = callers * each
		}
		if e.Data.Calls != want || e.Data.Errors != want || (e.Data.LastError != "") != (want > 0) || (e.Data.AverageTime > 0) != (want > 0) {
			t.Errorf("statistics of %s: %+v, want %d calls, all of them refused", e.Name, e.Data, want)
		}
	}
}

// An answer that the server would not carry says so: its connection would be cut.
func TestNATSAnswerTooLarge(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	serveNATS(t, url, ingest.Config{Log: log, Tables: tables})
	nc := testenv.Connect(t, url)
	for i := range 3 {
		e := events.WorkflowStarted("T", "q")
		memo, err := events.Payload(strings.Repeat("x", 1_500_000))
		if err != nil {
			t.Fatal(err)
		}
		e.GetWorkflowExecutionStartedEventAttributes().Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{"note": memo}}
		if _, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint(i)}, Events: []*events.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	if e := answered(ask(t, nc, "QueryService.ListExecutions", `{"waitFor": "now"}`)).fault(t, nil); e.Code != "resource_exhausted" || !strings.Contains(e.Message, "fewer") {
		t.Errorf("got %+v", e)
	}
	answered(ask(t, nc, "QueryService.ListExecutions", `{"pageSize": 1}`)).ok(t)
}

// A server that is to end answers what came before, and nothing after; others go on.
func TestNATSDrain(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	nc := testenv.Connect(t, url)
	const calls = 8
	var arrived atomic.Int32
	all, release := make(chan struct{}), make(chan struct{})
	log := newMemlog(t, memlog.Config{Hook: func(memlog.Op) (bool, error) {
		if arrived.Add(1) == calls {
			close(all)
		}
		<-release
		return true, nil
	}})
	stop := serveNATS(t, url, ingest.Config{Log: log})
	answered(ask(t, nc, "QueryService.CountExecutions", `{}`)).ok(t) // it serves
	answers := make(chan *nats.Msg, calls)
	sub, err := nc.ChanSubscribe("answers", answers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for i := range calls {
		m := nats.NewMsg("annals-api.v1.LogService.Append")
		m.Reply, m.Data = "answers", []byte(strings.Replace(startRun1, `"w"`, fmt.Sprintf(`"w%d"`, i), 1))
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	<-all // beside each other: each waits in the log
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := nc.Request("annals-api.v1.QueryService.CountExecutions", []byte(`{}`), time.Minute)
		if errors.Is(err, nats.ErrNoResponders) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("it goes on answering: %v", err)
		}
	}
	select {
	case <-stopped:
		t.Error("it ended with calls under way")
	default:
	}
	close(release)
	for range calls {
		answered(<-answers).ok(t)
	}
	<-stopped
}

// An append whose outcome is not known says so in time, by NATS too.
func TestNATSOutcomeUnknown(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	log := newMemlog(t, memlog.Config{Hook: func(memlog.Op) (bool, error) { return false, errors.New("lost") }})
	serveNATS(t, url, ingest.Config{Log: log})
	var d detailOf
	e := answered(ask(t, testenv.Connect(t, url), "LogService.Append", startRun1, "Connect-Timeout-Ms", "1500")).fault(t, &d)
	if e.Code != "unavailable" || d.Expectation == "" || d.CommitID != "c1" {
		t.Errorf("got %+v %+v", e, d)
	}
}
