package exporters_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/telemetry"
)

var order = events.Workflow{Namespace: "default", ID: "order-7"}

// twoEvents is an append of two events.
func twoEvents() events.Request {
	return events.Request{Workflow: order, Events: []*events.Event{events.WorkflowStarted("Order", "orders"), events.Signaled("paid")}}
}

// measured is a log in memory whose appends are measured.
func measured(t *testing.T, p telemetry.Providers) events.Log {
	t.Helper()
	plain, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	log, err := telemetry.Log(plain, p)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// begin starts a program's telemetry for a test.
func begin(t *testing.T) *exporters.Exporters {
	t.Helper()
	all, err := exporters.Start(t.Context(), exporters.Config{Service: "annals-test", Version: "1", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// unset makes the environment say nothing.
func unset(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_SERVICE_NAME",
	} {
		t.Setenv(name, "")
	}
}

// What an operator scrapes.
func TestMetricsPage(t *testing.T) {
	unset(t)
	all := begin(t)
	defer func() {
		if err := all.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	log := measured(t, all.Providers)
	for range 2 {
		_, _ = log.Append(t.Context(), twoEvents()) // stored, then a conflict
	}
	if _, err := telemetry.Durability(all.Providers, func() (string, int) { return "always", 3 }); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	all.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	page := w.Body.String()
	for _, line := range []string{
		`annals_appends_total{outcome="stored"} 1`,
		`annals_appends_total{outcome="conflict"} 1`,
		`annals_append_events_total 2`,
		`annals_append_duration_seconds_count{outcome="stored"} 1`,
		`annals_append_duration_seconds_bucket{outcome="stored",le="30"} 1`,
		`annals_log_durability{mode="always"} 1`, `annals_log_replicas 3`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !regexp.MustCompile(`(?m)^target_info\{.*service_name="annals-test"`).MatchString(page) {
		t.Error("the page does not say whose it is")
	}
	if !strings.Contains(page, "\ngo_goroutine_count ") {
		t.Error("the page has nothing of the runtime")
	}
	if strings.Contains(page, "order-7") {
		t.Error("a workflow id is a label")
	}
	if t.Failed() {
		t.Log(page)
	}
	if all.Tracer != nil {
		t.Error("nobody asked for spans")
	}
}

func TestTracesAsTheEnvironmentSays(t *testing.T) {
	for _, c := range []struct {
		name   string
		env    []string
		traces bool
	}{
		{"nothing", nil, false},
		{"to the console", []string{"OTEL_TRACES_EXPORTER", "console"}, true},
		{"none", []string{"OTEL_TRACES_EXPORTER", "none"}, false},
		{"none, though there is a collector", []string{"OTEL_TRACES_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"}, false},
		{"switched off", []string{"OTEL_TRACES_EXPORTER", "console", "OTEL_SDK_DISABLED", "true"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			unset(t)
			for i := 0; i < len(c.env); i += 2 {
				t.Setenv(c.env[i], c.env[i+1])
			}
			if c.name == "none, though there is a collector" {
				t.Setenv("OTEL_METRICS_EXPORTER", "none")
			}
			all := begin(t)
			if (all.Tracer != nil) != c.traces {
				t.Errorf("traces: %t", all.Tracer != nil)
			}
			if err := all.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("an exporter that is none", func(t *testing.T) {
		unset(t)
		t.Setenv("OTEL_TRACES_EXPORTER", "pigeon")
		if _, err := exporters.Start(t.Context(), exporters.Config{Service: "annals-test", Logger: quiet()}); err == nil {
			t.Error("was taken")
		}
	})
}

// What is measured arrives at the collector that the environment names.
func TestCollector(t *testing.T) {
	unset(t)
	paths := make(chan string, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body) > 0 {
			paths <- r.URL.Path
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	all := begin(t)
	if _, err := measured(t, all.Providers).Append(t.Context(), twoEvents()); err != nil {
		t.Fatal(err)
	}
	if err := all.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(paths)
	got := map[string]bool{}
	for p := range paths {
		got[p] = true
	}
	if !got["/v1/traces"] || !got["/v1/metrics"] {
		t.Errorf("the collector got %v", got)
	}
}
