package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// logged waits for a line of the JSON log and gives what it says under a name.
func (p *process) logged(msg, name string) string {
	p.t.Helper()
	for line := range p.said {
		var v map[string]any
		if json.Unmarshal([]byte(line), &v) == nil && v["msg"] == msg {
			return fmt.Sprint(v[name])
		}
	}
	p.t.Fatalf("it ended without logging %q:\n%s", msg, p.errors())
	return ""
}

// fetch is an HTTP request as curl makes it: a POST of JSON if there is a body.
func fetch(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(text)
}

// The programs together, as a worker in any language sees them: what is appended
// by HTTP is projected by another process and read back; each says how it does.
func TestIngestAndProjector(t *testing.T) {
	t.Parallel()
	bin, dir := install(t), t.TempDir()
	env := []string{"NATS_URL=" + testenv.NATSURL(t), "DATABASE_URL=" + testenv.Postgres(t)}
	if _, stderr, code := run(t, bin, dir, env, "annals", "log", "create", "--streams", "2"); code != 0 {
		t.Fatalf("annals log create: exit code %d\n%s", code, stderr)
	}
	ingest := start(t, bin, dir, env, "ingest", "--http", "127.0.0.1:0")
	url := ingest.logged("serving", "url")
	if mode := ingest.logged("the log is open", "durability"); mode != "unknown" { // the test's account may not know
		t.Errorf("ingest says that the log's durability is %s", mode)
	}
	if status, answer := fetch(t, url+"/readyz", ""); status != 503 || !strings.Contains(answer, `{"name":"log","ok":true}`) {
		t.Errorf("before there are tables, /readyz is %d %s", status, answer)
	}
	projector := start(t, bin, dir, env, "projector", "run", "--http", "127.0.0.1:0")
	metrics := projector.logged("serving metrics", "url")
	if n := projector.logged("the log is open", "streams"); n != "2" {
		t.Errorf("the projector says that the log has %s streams", n)
	}
	plain := start(t, bin, dir, env, "projector", "run")
	if n := plain.logged("the log is open", "replicas"); n != "1" {
		t.Errorf("a projector without metrics says that the log has %s replicas", n)
	}
	plain.signal(syscall.SIGTERM) // the other's figures are looked at
	if code := plain.end(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}

	status, answer := fetch(t, url+"/annals.v1.LogService/Append",
		`{"workflow": {"workflowId": "order-7"}, "newRun": {}, "events": [{"eventType": "WorkflowExecutionStarted"}, {"eventType": "TimerStarted"}]}`)
	var appended struct{ Position string }
	if err := json.Unmarshal([]byte(answer), &appended); status != 200 || err != nil {
		t.Fatalf("append: %d %s", status, answer)
	}
	eventually(t, "/readyz does not become ready", func() bool {
		status, _ := fetch(t, url+"/readyz", "")
		return status == 200
	})
	status, answer = fetch(t, url+"/annals.v1.QueryService/CountExecutions", fmt.Sprintf(`{"waitFor": %q, "waitTimeout": "60s"}`, appended.Position))
	if status != 200 || !strings.Contains(answer, `"count":"1"`) {
		t.Fatalf("count: %d %s", status, answer)
	}

	// The same by NATS.
	nc := testenv.Connect(t, strings.TrimPrefix(env[0], "NATS_URL="))
	counted, err := nc.Request("annals-api.v1.QueryService.CountExecutions", []byte(`{}`), patience)
	if err != nil || !strings.Contains(string(counted.Data), `"count":"1"`) {
		t.Errorf("count by NATS: %v, %v", counted, err)
	}

	for _, page := range []struct {
		url   string
		lines []string
	}{
		{url, []string{
			`annals_appends_total{outcome="stored"} 1`, `annals_append_duration_seconds_count{outcome="stored"} 1`,
			`annals_projection_lag_commits{partition="0"} 0`, `annals_projection_lag_seconds{partition="1"} 0`,
			`target_info{`, `rpc_server_`,
		}},
		{metrics, []string{
			`annals_projection_events_total{partition="`, `annals_projection_batch_commits_count 1`,
			`annals_projection_batch_duration_seconds_count{outcome="written"} 1`,
			`annals_projection_lag_commits{partition="1"} 0`, `annals_projection_stopped{partition="0"} 0`,
		}},
	} {
		status, answer := fetch(t, page.url+"/metrics", "")
		for _, line := range page.lines {
			if status != 200 || !strings.Contains(answer, "\n"+line) {
				t.Errorf("%s/metrics: %d, no line %s\n%s", page.url, status, line, answer)
			}
		}
		if strings.Contains(answer, "order-7") {
			t.Errorf("%s/metrics names a workflow", page.url)
		}
		eventually(t, page.url+"/metrics does not say how durable the log is", func() bool {
			_, answer := fetch(t, page.url+"/metrics", "")
			return strings.Contains(answer, "\nannals_log_durability{mode=\"unknown\"} 1\n") && strings.Contains(answer, "\nannals_log_replicas 1\n")
		})
	}
	if status, _ := fetch(t, metrics+"/healthz", ""); status != 200 {
		t.Errorf("the projector's /healthz is %d", status)
	}

	for _, p := range []*process{ingest, projector} {
		p.signal(syscall.SIGTERM)
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d after SIGTERM\n%s", code, p.errors())
		}
	}
}

func TestIngestRefuses(t *testing.T) {
	t.Parallel()
	bin, dir := install(t), t.TempDir()
	env := []string{"NATS_URL=" + testenv.NATSURL(t), "DATABASE_URL=" + testenv.Postgres(t, pgtables.Empty)}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a flag that is not there", []string{"--port", "1"}, 2, "unknown flag"},
		{"an argument", []string{"serve"}, 2, "serve"},
		{"no time for calls", []string{"--call-timeout", "0"}, 2, "--call-timeout is 0s, it is more than 0s"},
		{"less than no time for calls", []string{"--call-timeout", "-1s"}, 2, "--call-timeout is -1s, it is more than 0s"},
		{"no room for requests", []string{"--max-request-bytes", "0"}, 2, "--max-request-bytes is 0, it is at least 1"},
		{"less than no delay", []string{"--drain-delay", "-1s"}, 2, "--drain-delay is -1s, it is at least 0s"},
		{"no time to drain", []string{"--drain-timeout", "0"}, 2, "--drain-timeout is 0s, it is more than 0s"},
		{"no wait", []string{"--wait", "0"}, 2, "--wait is 0s, it is more than 0s"},
		{"an address that is none", []string{"--http", "nowhere"}, 3, "listen on nowhere"},
		{"no log in time", []string{"--http", "127.0.0.1:0", "--wait", "50ms"}, 3, "log create"},
	} {
		_, stderr, code := run(t, bin, dir, env, append([]string{"ingest"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, want %d; it says\n%s", c.name, code, c.code, stderr)
		}
	}
	if _, stderr, code := run(t, bin, dir, env, "projector", "run", "--wait", "0"); code != 2 || !strings.Contains(stderr, "--wait is 0s, it is more than 0s") {
		t.Errorf("a projector that does not wait: exit code %d, want 2; it says\n%s", code, stderr)
	}
	foreign := testenv.NATSURL(t)
	js, err := jetstream.New(testenv.Connect(t, foreign))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: natslog.StreamName(0), Subjects: []string{"annals.>"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, variable, says string }{
		{"a URL of NATS that is none", "NATS_URL=nats://joe:secret@127.0.0.1:port", "malformed URL"},
		{"a context of NATS that is not there", "NATS_CONTEXT=elsewhere", "unknown context"},
		{"a URL of Postgres that is none", "DATABASE_URL=postgres://%zz", "database: "},
		{"a log that is none of ours", "NATS_URL=" + foreign, "wrong log"},
	} {
		env := append(slices.Clone(env), c.variable)
		if strings.HasPrefix(c.variable, "NATS_CONTEXT") {
			env = append(env, "NATS_URL=")
		}
		_, stderr, code := run(t, bin, dir, env, "ingest", "--http", "127.0.0.1:0", "--wait", "1h")
		if code != 3 || !strings.Contains(stderr, c.says) || strings.Contains(stderr, "waiting") || strings.Contains(stderr, "secret") {
			t.Errorf("%s: exit code %d, want 3 at once; it says\n%s", c.name, code, stderr)
		}
	}
	if stdout, _, code := run(t, bin, dir, env, "ingest", "version"); code != 0 || !strings.Contains(stdout, "version") {
		t.Errorf("version: exit code %d, %s", code, stdout)
	}
}
