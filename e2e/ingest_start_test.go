package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/internal/testenv"
)

// look is a GET.
func look(t testing.TB, c *http.Client, url string) reply {
	t.Helper()
	got, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: got.StatusCode, body: body}
}

// lacks waits until of all conditions exactly this one does not hold, for a
// reason with these words.
func (s *service) lacks(c *http.Client, condition, why string) {
	s.t.Helper()
	var last reply
	for until := time.Now().Add(patience); time.Now().Before(until); {
		last = look(s.t, c, s.url+"/readyz")
		var answer struct {
			Conditions []struct {
				Name, Reason string
				OK           bool
			}
		}
		if err := json.Unmarshal(last.body, &answer); err != nil {
			s.t.Fatalf("/readyz: %d %s", last.status, last.body)
		}
		found := last.status == http.StatusServiceUnavailable && len(answer.Conditions) > 1
		for _, one := range answer.Conditions {
			found = found && one.OK == (one.Name != condition) && (one.OK || strings.Contains(one.Reason, why))
		}
		if found {
			return
		}
	}
	s.t.Fatalf("/readyz is %d %s, want that %s alone does not hold: %s", last.status, last.body, condition, why)
}

// becomesReady waits until every condition holds.
func (s *service) becomesReady(c *http.Client) {
	s.t.Helper()
	var last reply
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if last = look(s.t, c, s.url+"/readyz"); last.status == http.StatusOK {
			return
		}
	}
	s.t.Fatalf("/readyz is %d %s", last.status, last.body)
}

// stop ends it in order.
func (s *service) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if code := s.end(); code != 0 {
		s.t.Errorf("exit code %d after SIGTERM", code)
	}
}

// code is the code of an error of the API, with its message.
func (r reply) code(t testing.TB) (code, message string) {
	t.Helper()
	var e struct{ Code, Message string }
	if err := json.Unmarshal(r.body, &e); err != nil || r.status == http.StatusOK {
		t.Fatalf("want an error, got %d %s, %v", r.status, r.body, r.err)
	}
	return e.Code, e.Message
}

func startOf(id string) object {
	return object{"workflow": object{"workflowId": id}, "newRun": object{}, "events": []object{{"eventType": "WorkflowExecutionStarted"}}}
}

// An ingest that starts while Postgres is away takes appends; queries come with
// Postgres.
func TestIngestStartsWithoutPostgres(t *testing.T) {
	t.Parallel()
	ports, err := embednats.StablePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	e := environment{t: t, nats: testenv.NATSURL(t), database: fmt.Sprintf("postgres://%s@127.0.0.1:%d/annals?sslmode=disable", embedpg.Superuser, ports[0])}
	e.annals(0, "log", "create", "--streams", "2")
	s, c := e.launchIngest(), web(t)
	if got := look(t, c, s.url+"/healthz"); got.status != http.StatusOK {
		t.Errorf("/healthz is %d %s", got.status, got.body)
	}
	s.said("the log is open")
	s.lacks(c, "tables", "connect")
	if got := look(t, c, s.url+"/readyz/log"); got.status != http.StatusOK {
		t.Errorf("/readyz/log is %d %s", got.status, got.body)
	}
	appended := post(c, s.url, "LogService/Append", startOf("w"))
	var position struct{ Position string }
	if err := json.Unmarshal(appended.body, &position); appended.status != http.StatusOK || err != nil {
		t.Fatalf("append: %d %s, %v", appended.status, appended.body, appended.err)
	}
	if got := post(c, s.url, "LogService/GetHistory", object{"workflow": object{"workflowId": "w"}}); got.status != http.StatusOK {
		t.Errorf("history: %d %s", got.status, got.body)
	}
	if code, message := post(c, s.url, "QueryService/CountExecutions", object{}).code(t); code != "unavailable" || !strings.Contains(message, "tables") {
		t.Errorf("count: %s, %s", code, message)
	}

	postgres, err := embedpg.Start(t.Context(), embedpg.Options{Port: ports[0], Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := postgres.CreateDatabase(t.Context(), "annals"); err != nil {
		t.Fatal(err)
	}
	e.startProjector()
	s.becomesReady(c)
	count := post(c, s.url, "QueryService/CountExecutions", object{"waitFor": position.Position, "waitTimeout": "60s"})
	if count.status != http.StatusOK || !strings.Contains(string(count.body), `"count":"1"`) {
		t.Errorf("count: %d %s, %v", count.status, count.body, count.err)
	}
	s.stop()
}

// An ingest that starts while NATS is away answers queries, and says what it lacks;
// appends come with NATS.
func TestIngestStartsWithoutNATS(t *testing.T) {
	t.Parallel()
	e, server := newEnvironment(t)
	server.Kill()
	s, c := e.launchIngest(), web(t)
	if got := look(t, c, s.url+"/healthz"); got.status != http.StatusOK {
		t.Errorf("/healthz is %d %s", got.status, got.body)
	}
	s.lacks(c, "log", "connect to NATS at "+e.nats)
	refused := post(c, s.url, "LogService/Append", startOf("w"))
	if code, message := refused.code(t); code != "unavailable" || !strings.Contains(message, "not open yet") {
		t.Errorf("append: %s, %s", code, message)
	}
	if refused.unknownOutcome() != "" {
		t.Errorf("the append that was never sent is said to be unknown: %s", refused.body)
	}
	if got := post(c, s.url, "QueryService/CountExecutions", object{}); got.status != http.StatusOK {
		t.Errorf("count: %d %s, %v", got.status, got.body, got.err)
	}
	if code, message := post(c, s.url, "QueryService/CountExecutions", object{"waitFor": "0:1"}).code(t); code != "unavailable" || !strings.Contains(message, "not open yet") {
		t.Errorf("count that waits: %s, %s", code, message)
	}

	server.Restart()
	s.said("the log is open")
	s.becomesReady(c)
	if got := post(c, s.url, "LogService/Append", startOf("w")); got.status != http.StatusOK || !strings.Contains(string(got.body), `"existed":false`) {
		t.Errorf("append: %d %s, %v", got.status, got.body, got.err)
	}
	s.said("serving by NATS")
	history, err := testenv.Connect(t, e.nats).Request("annals-api.v1.LogService.GetHistory", []byte(`{"workflow": {"workflowId": "w"}}`), patience)
	if err != nil || !strings.Contains(string(history.Data), "WORKFLOW_EXECUTION_STARTED") && !strings.Contains(string(history.Data), "WorkflowExecutionStarted") {
		t.Errorf("history by NATS: %v, %v", history, err)
	}
	s.stop()
}

// While it waits for the log, a signal ends it as at any other time.
func TestIngestEndsWhileItWaitsForTheLog(t *testing.T) {
	t.Parallel()
	e := environment{t: t, nats: "nats://127.0.0.1:1", database: testenv.Postgres(t)}
	s := e.launchIngest()
	s.said("waiting for the servers")
	s.stop()
}
