package telemetry_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/telemetry"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// meters are providers whose figures and spans a test looks at.
type meters struct {
	telemetry.Providers
	reader *sdkmetric.ManualReader
	spans  *tracetest.SpanRecorder
}

func newMeters(t *testing.T) *meters {
	t.Helper()
	m := &meters{reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	m.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader))
	m.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(m.spans))
	return m
}

// figures are all that was measured, as "name{labels}": a number, or for a
// histogram how many there were.
func (m *meters) figures(t *testing.T) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, metric := range m.collect(t) {
		switch data := metric.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				out[metric.Name+labels(p.Attributes)] = float64(p.Value)
			}
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				out[metric.Name+labels(p.Attributes)] = float64(p.Value)
			}
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				out[metric.Name+labels(p.Attributes)] = p.Value
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				out[metric.Name+labels(p.Attributes)] = float64(p.Count)
			}
		case metricdata.Histogram[int64]:
			for _, p := range data.DataPoints {
				out[metric.Name+labels(p.Attributes)] = float64(p.Count)
			}
		default:
			t.Fatalf("%s is a %T", metric.Name, data)
		}
	}
	return out
}

func (m *meters) collect(t *testing.T) []metricdata.Metrics {
	t.Helper()
	var r metricdata.ResourceMetrics
	if err := m.reader.Collect(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	var all []metricdata.Metrics
	for _, s := range r.ScopeMetrics {
		all = append(all, s.Metrics...)
	}
	return all
}

func labels(set attribute.Set) string {
	var parts []string
	for _, kv := range set.ToSlice() {
		parts = append(parts, fmt.Sprintf("%s=%s", kv.Key, kv.Value.String()))
	}
	sort.Strings(parts)
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// span is the only one of that name that has ended.
func (m *meters) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	all := slices.DeleteFunc(m.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.Name() != name })
	if len(all) != 1 {
		t.Fatalf("%d spans %q, want 1", len(all), name)
	}
	return all[0]
}

func newLog(t *testing.T, c memlog.Config) *memlog.Log {
	t.Helper()
	c.Streams = 2
	l, err := memlog.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func measured(t *testing.T, l events.Log, p telemetry.Providers) events.Log {
	t.Helper()
	m, err := telemetry.Log(l, p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newTables(t *testing.T) *pgstore.Store {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t, pgtables.Empty))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
