package cli_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// A worker in any language finds ingest by ANNALS_URL, in the exports and in its
// environment; what it appends is what the other commands read.
func TestDevServesTheAPI(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	p := start(t, bin, dir, env, "annals", "dev", "--ephemeral")
	p.await(`durability=always sync="sync_interval always`)
	p.urls()
	url, ok := strings.CutPrefix(strings.TrimSuffix(p.line(), "'"), "export ANNALS_URL='")
	if !ok {
		t.Fatalf("no line exports ANNALS_URL: %q", url)
	}
	status, answer := fetch(t, url+"/annals.v1.LogService/Append",
		`{"workflow": {"workflowId": "order-7"}, "newRun": {}, "events": [{"eventType": "WorkflowExecutionStarted"}]}`)
	if status != 200 {
		t.Fatalf("append: %d %s", status, answer)
	}
	if status, answer := fetch(t, url+"/annals.v1.QueryService/CountExecutions", `{"waitFor": "now"}`); status != 200 || !strings.Contains(answer, `"count":"1"`) {
		t.Errorf("count: %d %s", status, answer)
	}
	if stdout, stderr, code := run(t, bin, dir, env, "annals", "history", "order-7"); code != 0 || !strings.Contains(stdout, "WorkflowExecutionStarted") {
		t.Errorf("annals history: exit code %d\n%s%s", code, stdout, stderr)
	}
	status, answer = fetch(t, url+"/metrics", "")
	for _, line := range []string{
		`annals_appends_total{outcome="stored"} 1`, `annals_projection_batch_commits_count 1`,
		`annals_projection_lag_commits{partition="0"} 0`, `annals_log_durability{mode="always"} 1`, `annals_log_replicas 1`,
	} {
		if status != 200 || !strings.Contains(answer, "\n"+line+"\n") {
			t.Errorf("/metrics: %d, no line %s", status, line)
		}
	}
	if status, answer := fetch(t, url+"/readyz", ""); status != 200 {
		t.Errorf("/readyz: %d %s", status, answer)
	}

	// Another one: its command has the URL of its own.
	stdout, stderr, code := run(t, bin, workFolder(t, env, "other"), env, "annals", "dev", "--ephemeral", "--", "sh", "-c", `echo "$ANNALS_URL"`)
	if other := strings.TrimSpace(stdout); code != 0 || !strings.HasPrefix(other, "http://127.0.0.1:") || other == url {
		t.Errorf("exit code %d, ANNALS_URL is %q\n%s", code, other, stderr)
	}

	p.signal(os.Interrupt)
	if code := p.end(); code != 0 {
		t.Errorf("exit code %d after an interrupt\n%s", code, p.errors())
	}
	gone(t, url)
	nothingLeft(t, env)
}

// An address that was asked for is taken, or it fails: no other is.
func TestDevHTTPAddress(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	dev := func() (stdout, stderr string, code int) {
		return run(t, bin, tmpOf(env), env, "annals", "dev", "--ephemeral", "--http", address, "--", "sh", "-c", `echo "$ANNALS_URL"`)
	}
	if _, stderr, code := dev(); code != 3 || !strings.Contains(stderr, "listen on "+address) {
		t.Errorf("an address that is taken: exit code %d\n%s", code, stderr)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, code := dev(); code != 0 || stdout != fmt.Sprintf("http://%s\n", address) {
		t.Errorf("a free address: exit code %d, %q\n%s", code, stdout, stderr)
	}
	nothingLeft(t, env)
}
