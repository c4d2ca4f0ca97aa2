package ingest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/annals-io/annals/internal/ingest"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// noise is a text that nothing makes shorter.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// The size of a request is bounded as it comes and as it is unpacked, by every
// protocol.
func TestSizes(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), MaxRequestBytes: limit})
	named := func(id string) string { return `{"workflow": {"workflowId": "w"}, "commitId": "` + id + `"}` }
	for _, c := range []struct {
		name, body, code string
		headers          []string
	}{
		{"short enough, though no request", named("c"), "invalid_argument", nil},
		{"too long", named(noise(limit)), "resource_exhausted", nil},
		{"too long, packed as well", gzipped(t, named(noise(2*limit))), "resource_exhausted", []string{"Content-Encoding", "gzip"}},
		{"short, and too long when unpacked", gzipped(t, named(strings.Repeat("x", 100<<20))), "resource_exhausted", []string{"Content-Encoding", "gzip"}},
		{"packed, and nothing of the kind", named("c"), "invalid_argument", []string{"Content-Encoding", "gzip"}},
		{"packed, and cut short", gzipped(t, named(noise(1000)))[:500], "invalid_argument", []string{"Content-Encoding", "gzip"}},
	} {
		begun := time.Now()
		if e := service.post(t, "LogService/Append", c.body, c.headers...).fault(t, nil); e.Code != c.code || e.Message == "" {
			t.Errorf("%s: got %s %q, want %s", c.name, e.Code, e.Message, c.code)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%s took %v", c.name, took)
		}
	}
	for name, o := range map[string][]connecthttp.Option{
		"connect": nil, "gRPC": {connecthttp.WithGRPC()}, "gRPC-Web": {connecthttp.WithGRPCWeb()},
	} {
		for _, text := range []string{noise(limit), strings.Repeat("x", 10*limit)} {
			for _, options := range [][]connecthttp.Option{o, append(o[:len(o):len(o)], connecthttp.WithSendGzip())} {
				_, err := service.log(t, options...).Append(t.Context(), &annalsv1.AppendRequest{CommitId: text})
				if connect.CodeOf(err) != connect.CodeResourceExhausted {
					t.Errorf("%s, %d bytes, with %d options: got %v", name, len(text), len(options), err)
				}
			}
		}
	}
}

// A call ends when its client's time is up, or the server's if the client names
// none, whatever it waits for.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	lock, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(t.Context()) }()
	if _, err := lock.Exec(t.Context(), "LOCK TABLE annals.executions IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	log := newMemlog(t, memlog.Config{Hook: func(memlog.Op) (bool, error) { return false, errors.New("lost") }})
	patient := serve(t, ingest.Config{Log: log, Tables: newTables(t, pool), CallTimeout: time.Hour})
	hasty := serve(t, ingest.Config{Log: log, Tables: newTables(t, pool), CallTimeout: 600 * time.Millisecond})

	for _, c := range []struct {
		name, call, body, code, detail string
	}{
		{"a query that waits for a lock", "QueryService/CountExecutions", `{}`, "deadline_exceeded", ""},
		{"an append that is not answered", "LogService/Append", startRun1, "unavailable", "annals.v1.OutcomeUnknown"},
	} {
		for name, got := range map[string]answer{
			"the client's": patient.post(t, c.call, c.body, "Connect-Timeout-Ms", "800"),
			"the server's": hasty.post(t, c.call, c.body),
			// The shorter one of both is kept by whoever has it.
			"both": hasty.post(t, c.call, c.body, "Connect-Timeout-Ms", "1000"),
		} {
			e := got.fault(t, nil)
			if e.Code != c.code || c.detail != "" && (len(e.Details) != 1 || e.Details[0].Type != c.detail) {
				t.Errorf("%s, %s deadline: got %+v", c.name, name, e)
			}
		}
	}
	for _, ms := range []string{"soon", "-1", "1.5", "99999999999"} {
		e := patient.post(t, "QueryService/CountExecutions", `{}`, "Connect-Timeout-Ms", ms).fault(t, nil)
		if e.Code != "invalid_argument" || !strings.Contains(e.Message, "timeout") {
			t.Errorf("Connect-Timeout-Ms %s: got %+v", ms, e)
		}
	}
}
