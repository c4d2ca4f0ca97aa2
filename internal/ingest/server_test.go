package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func poolOf(t *testing.T, c *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type conditionState struct {
	Name   string
	OK     bool
	Reason string
}

// ready is the conditions that a path of readiness gives, with the status.
func (i *instance) ready(t *testing.T, path string, status int) map[string]conditionState {
	t.Helper()
	got := i.get(t, path)
	var r struct {
		Ready      bool
		Conditions []conditionState
	}
	if err := json.Unmarshal(got.body, &r); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	if got.status != status || r.Ready != (status == http.StatusOK) {
		t.Errorf("%s: status %d, want %d: %s", path, got.status, status, got.body)
	}
	states := map[string]conditionState{}
	for _, c := range r.Conditions {
		states[c.Name] = c
	}
	return states
}

func TestHealth(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{
		Log: newMemlog(t, memlog.Config{}),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "figures")
		}),
	})
	if got := service.get(t, "/healthz"); got.status != 200 {
		t.Errorf("/healthz: %d %s", got.status, got.body)
	}
	if got := service.get(t, "/metrics"); string(got.body) != "figures" {
		t.Errorf("/metrics: %d %s", got.status, got.body)
	}
	states := service.ready(t, "/readyz", 200)
	for _, name := range []string{"accepting", "log", "tables"} {
		if !states[name].OK {
			t.Errorf("%s: %+v", name, states[name])
		}
		if one := service.ready(t, "/readyz/"+name, 200); len(one) != 1 {
			t.Errorf("/readyz/%s: %+v", name, one)
		}
	}
	for _, path := range []string{"/", "/readyz/nothing", "/annals.v1.LogService/Append"} {
		if got := service.get(t, path); got.status < 400 || got.status >= 500 {
			t.Errorf("GET %s: %d", path, got.status)
		}
	}
	if e := service.post(t, "LogService/Nothing", `{}`).fault(t, nil); e.Code != "unimplemented" {
		t.Errorf("a call that is not there: %+v", e)
	}
}

// A server that is to end finishes what is under way, says that it is not ready,
// and takes nothing new once it no longer serves.
func TestDrain(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	log := newMemlog(t, memlog.Config{Hook: func(memlog.Op) (bool, error) {
		close(arrived)
		<-release
		return true, nil
	}})
	service := serve(t, ingest.Config{Log: log})
	answered := make(chan answer, 1)
	go func() { answered <- service.post(t, "LogService/Append", startRun1) }()
	<-arrived

	// A connection that was there before is served while a call is under way.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, service.url+"/readyz/accepting", nil)
	if err != nil {
		t.Fatal(err)
	}
	watcher := h2c(t)
	if got := do(t, watcher, r.Clone(t.Context())); got.status != 200 {
		t.Fatalf("before: %d %s", got.status, got.body)
	}

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		service.stop()
	}()
	deadline := time.Now().Add(10 * time.Second)
	for refused := false; !refused; { // the listener is closed first
		_, err := client(t).Get(service.url + "/healthz")
		refused = err != nil
		if time.Now().After(deadline) {
			t.Fatal("it goes on taking connections")
		}
	}
	select {
	case <-stopped:
		t.Fatal("it ended with a call under way")
	case got := <-answered:
		t.Fatalf("answered before it could: %s", got.body)
	default:
	}
	close(release)
	if got := <-answered; got.status != 200 {
		t.Errorf("the call under way: %d %s", got.status, got.body)
	}
	<-stopped
}

// While balancers are given time to notice, everything is served as before but
// for readiness.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), DrainDelay: 3 * time.Second})
	service.get(t, "/healthz")
	done := make(chan struct{})
	go func() {
		defer close(done)
		service.stop()
	}()
	for {
		got := service.get(t, "/readyz/accepting")
		if got.status == http.StatusServiceUnavailable {
			if !strings.Contains(string(got.body), "draining") {
				t.Errorf("got %s", got.body)
			}
			break
		}
	}
	service.post(t, "LogService/Append", startRun1).ok(t)
	<-done
}

// Calls that do not end in time are cut off, and the server says so.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	arrived := make(chan struct{})
	log := newMemlog(t, memlog.Config{Hook: func(memlog.Op) (bool, error) {
		close(arrived)
		<-release
		return true, nil
	}})
	s, err := ingest.New(ingest.Config{Log: log, Tables: newTables(t, newPool(t)), DrainTimeout: 20 * time.Millisecond, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	runUntilCutOff(t, s, arrived)
	close(release)
}

func TestCompression(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), MaxRequestBytes: 64 << 10})
	squeeze := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(s))
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	long := strings.Replace(startRun1, `"WorkflowExecutionStarted"`,
		`"WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"input": ["`+strings.Repeat("x", 20_000)+`"]}`, 1)
	service.post(t, "LogService/Append", squeeze(long), "Content-Encoding", "gzip").ok(t)

	history := `{"workflow": {"workflowId": "w"}}`
	got := service.post(t, "LogService/GetHistory", history, "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(bytes.NewReader(got.body))
	if err != nil {
		t.Fatalf("the answer is not compressed: %v", err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || len(plain) < 20_000 || len(got.body) > 2_000 {
		t.Errorf("%d bytes, compressed %d, %v", len(plain), len(got.body), err)
	}
	if got := service.post(t, "LogService/GetHistory", history, "Accept-Encoding", "identity"); !json.Valid(got.body) {
		t.Errorf("compressed without being asked for: %.20q", got.body)
	}

	// What grows beyond the limit is refused for it.
	bomb := squeeze(`{"commitId": "` + strings.Repeat("x", 10<<20) + `"}`)
	if e := service.post(t, "LogService/Append", bomb, "Content-Encoding", "gzip").fault(t, nil); e.Code != "resource_exhausted" {
		t.Errorf("%d bytes that become ten million: got %+v", len(bomb), e)
	}
	if e := service.post(t, "LogService/Append", startRun1, "Content-Encoding", "br").fault(t, nil); e.Code != "unimplemented" {
		t.Errorf("an encoding that is not known: got %+v", e)
	}
}

// A client has so long to send its request; what the call then takes is another
// matter.
func TestBodyTimeout(t *testing.T) {
	t.Parallel()
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), BodyTimeout: 400 * time.Millisecond})
	for name, c := range map[string]*http.Client{"HTTP/1": client(t), "HTTP/2": h2c(t)} {
		body, stall := io.Pipe()
		go func() { _, _ = io.WriteString(stall, `{"workflow": `) }()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, service.url+"/annals.v1.LogService/Append", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if e := do(t, c, r).fault(t, nil); e.Code != "deadline_exceeded" {
			t.Errorf("%s: half a request is answered with %+v", name, e)
		}
		_ = stall.Close()

		r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, service.url+"/annals.v1.QueryService/CountExecutions",
			strings.NewReader(`{"waitFor": "0:1", "waitTimeout": "1.2s"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if e := do(t, c, r).fault(t, nil); e.Code != "deadline_exceeded" || len(e.Details) != 1 {
			t.Errorf("%s: a call that takes longer than its body may is answered with %+v", name, e)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	for name, c := range map[string]ingest.Config{
		"no log":               {Tables: tables},
		"no tables":            {Log: log},
		"a negative time":      {Log: log, Tables: tables, CallTimeout: -1},
		"a negative size":      {Log: log, Tables: tables, MaxRequestBytes: -1},
		"a negative drain":     {Log: log, Tables: tables, DrainTimeout: -1},
		"a negative delay":     {Log: log, Tables: tables, DrainDelay: -1},
		"a negative body":      {Log: log, Tables: tables, BodyTimeout: -1},
		"a negative wait time": {Log: log, Tables: tables, WaitTimeout: -1},
	} {
		if _, err := ingest.New(c); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// runUntilCutOff stops a server once a call has arrived that does not end.
func runUntilCutOff(t *testing.T, s *ingest.Server, arrived <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended, called := make(chan error, 1), make(chan error, 1)
	go func() { ended <- s.Run(ctx, l) }()
	c := client(t)
	go func() {
		got, err := c.Post("http://"+l.Addr().String()+"/annals.v1.LogService/Append", "application/json", strings.NewReader(startRun1))
		if err == nil {
			err = errors.Join(got.Body.Close(), errors.New("there was an answer"))
		}
		called <- err
	}()
	<-arrived
	cancel()
	if err := <-ended; !errors.Is(err, ingest.ErrCutOff) {
		t.Errorf("got %v", err)
	}
	if err := <-called; err == nil || strings.Contains(err.Error(), "there was an answer") {
		t.Errorf("the call that was cut off: %v", err)
	}
}
