package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/api/annals/v1/annalsv1connect"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t, pgtables.Empty))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func newTables(t *testing.T, pool *pgxpool.Pool) *pgstore.Store {
	t.Helper()
	s, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newMemlog(t *testing.T, c memlog.Config) *memlog.Log {
	t.Helper()
	if c.Streams == 0 {
		c.Streams = 2
	}
	l, err := memlog.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newNATS makes a log of two streams where a connection leads, and opens it.
func newNATS(t *testing.T, nc *nats.Conn) *natslog.Log {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 2}); err != nil {
		t.Fatal(err)
	}
	return openNATS(t, nc)
}

// openNATS opens the log that a connection reaches.
func openNATS(t *testing.T, nc *nats.Conn) *natslog.Log {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	l, err := natslog.Open(t.Context(), js, natslog.Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// project keeps the tables up to date until the test's end.
func project(t *testing.T, log events.Source, tables *pgstore.Store) {
	t.Helper()
	p, err := projection.New(log, tables, projection.Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	background(t, p.Run)
}

// background runs f until the test's end.
func background(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var ended bool
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// instance is a server that runs.
type instance struct {
	url  string
	stop func() // drains it
}

// serve runs a server until the test's end. A config without tables gets some.
func serve(t *testing.T, c ingest.Config) *instance {
	t.Helper()
	if c.Tables == nil {
		c.Tables = newTables(t, newPool(t))
	}
	if c.Logger == nil {
		c.Logger = quiet()
	}
	s, err := ingest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &instance{
		url:  "http://" + l.Addr().String(),
		stop: background(t, func(ctx context.Context) error { return s.Run(ctx, l) }),
	}
}

// client is a client of its own connections, closed at the test's end.
func client(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// h2c is client for HTTP/2 without TLS, as gRPC has it.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (i *instance) log(t *testing.T, o ...connecthttp.Option) annalsv1connect.LogServiceClient {
	t.Helper()
	return annalsv1connect.NewLogServiceClient(connect.NewClient(connecthttp.NewTransport(h2c(t), i.url, o...)))
}

func (i *instance) queries(t *testing.T, o ...connecthttp.Option) annalsv1connect.QueryServiceClient {
	t.Helper()
	return annalsv1connect.NewQueryServiceClient(connect.NewClient(connecthttp.NewTransport(h2c(t), i.url, o...)))
}

// answer is what an HTTP client sees.
type answer struct {
	status int
	body   []byte
}

// wireError is an error as the Connect protocol writes it.
type wireError struct {
	Code    string
	Message string
	Details []struct {
		Type  string
		Debug json.RawMessage
	}
}

// post sends JSON by plain HTTP, as curl does.
func (i *instance) post(t *testing.T, procedure, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.url+"/annals.v1."+procedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	return do(t, client(t), r)
}

func (i *instance) get(t *testing.T, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, client(t), r)
}

func do(t *testing.T, c *http.Client, r *http.Request) answer {
	t.Helper()
	got, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, body}
}

// ok is the body of an answer that is no error.
func (a answer) ok(t *testing.T) map[string]any {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// fault is the error of an answer, and the JSON of its only detail in v.
func (a answer) fault(t *testing.T, v any) wireError {
	t.Helper()
	if a.status == http.StatusOK {
		t.Fatalf("want an error, got %s", a.body)
	}
	var e wireError
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if v == nil {
		return e
	}
	if len(e.Details) != 1 {
		t.Fatalf("%d details, want 1: %s", len(e.Details), a.body)
	}
	d := json.NewDecoder(bytes.NewReader(e.Details[0].Debug))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("detail of %s: %v", a.body, err)
	}
	return e
}
