package wiring_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// teller tells the standing of a log until the test ends.
type teller struct {
	t     *testing.T
	lines chan map[string]any
	all   *exporters.Exporters
}

func tell(t *testing.T, c wiring.Config, log *wiring.Log) *teller {
	t.Helper()
	w := &teller{t: t, lines: make(chan map[string]any, 100)}
	c.Logger = slog.New(slog.NewJSONHandler(writerFunc(func(b []byte) {
		var line map[string]any
		if json.Unmarshal(b, &line) == nil {
			w.lines <- line
		}
	}), nil))
	var err error
	if w.all, err = exporters.Start(t.Context(), exporters.Config{Service: "annals-test", Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.TellStanding(ctx, log, w.all.Providers) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := w.all.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// said waits for a line of the log.
func (w *teller) said(msg string) map[string]any {
	w.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		select {
		case line := <-w.lines:
			if line["msg"] == msg {
				return line
			}
		case <-deadline.C:
			w.t.Fatalf("it does not say %q", msg)
		}
	}
}

// measured waits until the page has the line: figures follow the log by a moment.
func (w *teller) measured(line string) {
	w.t.Helper()
	var page string
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		r := httptest.NewRecorder()
		w.all.Handler().ServeHTTP(r, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, "/metrics", nil))
		if page = r.Body.String(); strings.Contains(page, "\n"+line+"\n") {
			if n := strings.Count(page, "\nannals_log_durability{"); n != 1 {
				w.t.Errorf("%d modes at once", n)
			}
			return
		}
	}
	w.t.Errorf("/metrics has no line %s:\n%s", line, page)
}

func openLog(t *testing.T, c wiring.Config) *wiring.Log {
	t.Helper()
	nc, err := c.NATS()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 2}); err != nil {
		t.Fatal(err)
	}
	log, err := c.OpenLog(t.Context(), natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log
}

// One line and two figures say how durable the log is; a server that comes back
// with another configuration is noticed.
func TestStandingIsToldAndKept(t *testing.T) {
	alone(t)
	server := startTalkative(t, "sync_interval: always")
	c := wiring.Config{NATSURL: server.url("told"), Logger: slog.New(slog.DiscardHandler)}
	log := openLog(t, c)
	w := tell(t, c, log)
	line := w.said("the log is open")
	for name, want := range map[string]any{"log": log.Identity().LogID, "epoch": 1.0, "streams": 2.0, "replicas": 1.0, "durability": "always", "level": "INFO"} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	w.measured(`annals_log_durability{mode="always"} 1`)
	w.measured(`annals_log_replicas 1`)

	server.Kill()
	server.configure(t, "sync_interval: 10s")
	server.Restart()
	if line := w.said("the log's durability has changed"); line["durability"] != "interval" || line["level"] != "WARN" || !strings.Contains(line["sync"].(string), "10s") {
		t.Errorf("it says %v", line)
	}
	w.measured(`annals_log_durability{mode="interval"} 1`)
}

// Servers that say nothing keep nobody from saying so.
func TestStandingOfSilentServersIsUnknown(t *testing.T) {
	alone(t)
	server := startTalkative(t, "sync_interval: always")
	c := wiring.Config{NATSURL: server.url("app"), Logger: slog.New(slog.DiscardHandler)}
	log := openLog(t, c)
	w := tell(t, c, log)
	if line := w.said("the log is open"); line["durability"] != "unknown" || line["replicas"] != 1.0 || !strings.Contains(line["sync"].(string), "system account") {
		t.Errorf("without a right to know it says %v", line)
	}
	w.measured(`annals_log_durability{mode="unknown"} 1`)

	server.Kill()
	began := time.Now()
	line := tell(t, c, log).said("the log is open")
	if _, ok := line["replicas"]; ok || line["durability"] != "unknown" {
		t.Errorf("of a server that is gone it says %v", line)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("that took %s", took)
	}
}

// An account that may not ask is helped by the monitoring port, and told why where
// that does not answer.
func TestStandingByTheMonitoringPort(t *testing.T) {
	alone(t)
	server := startTalkative(t, "sync_interval: always")
	c := wiring.Config{NATSURL: server.url("app"), Logger: slog.New(slog.DiscardHandler)}
	log := openLog(t, c)
	c.Monitors = []string{server.monitor}
	if line := tell(t, c, log).said("the log is open"); line["durability"] != "always" {
		t.Errorf("it says %v", line)
	}
	c.Monitors = []string{"http://127.0.0.1:1"}
	if line := tell(t, c, log).said("the log is open"); line["durability"] != "unknown" || !strings.Contains(line["sync"].(string), "127.0.0.1:1") || line["replicas"] != 1.0 {
		t.Errorf("without that port it says %v", line)
	}
}
