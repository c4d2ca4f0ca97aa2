package wiring_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// secret is what must not be in a span: an id, or what a payload says.
const secret = "order-of-mrs-miller"

// traced runs f in a span, on a pool as the programs have it, and returns the
// spans in it.
func traced(t *testing.T, f func(context.Context, *pgxpool.Pool)) []sdktrace.ReadOnlySpan {
	t.Helper()
	pool := newPool(t)
	if err := pgstore.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	ctx, call := provider.Tracer("test").Start(t.Context(), "call")
	f(ctx, pool)
	call.End()
	var spans []sdktrace.ReadOnlySpan
	for _, s := range recorder.Ended() {
		if s.SpanContext().SpanID() == call.SpanContext().SpanID() {
			continue
		}
		if s.SpanContext().TraceID() != call.SpanContext().TraceID() || !s.Parent().IsValid() {
			t.Errorf("%s is in no trace of the call", s.Name())
		}
		spans = append(spans, s)
	}
	return spans
}

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := (wiring.Config{DatabaseURL: testenv.Postgres(t)}).Postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// told is all that a span says, as text.
func told(s sdktrace.ReadOnlySpan) string {
	return fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status(), s.Links())
}

func value(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	for _, a := range s.Attributes() {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// TestQueriesGiveSpans: what a call asks of the tables is in its trace, without
// what it asks for.
func TestQueriesGiveSpans(t *testing.T) {
	spans := traced(t, func(ctx context.Context, pool *pgxpool.Pool) {
		tables, err := pgstore.New(pool, pgstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tables.List(ctx, pgstore.ListQuery{Namespace: "default", Query: "WorkflowId = '" + secret + "'"}); err != nil {
			t.Fatal(err)
		}
		if _, err := tables.Count(ctx, pgstore.CountQuery{Namespace: secret}); err != nil {
			t.Fatal(err)
		}
		if _, err := tables.Describe(ctx, pgstore.DescribeQuery{Workflow: events.Workflow{Namespace: "default", ID: secret}, Run: secret}); err == nil {
			t.Fatal("it is there")
		}
	})
	statements := 0
	for _, s := range spans {
		if strings.Contains(told(s), secret) {
			t.Errorf("the span %s tells what was asked for: %s", s.Name(), told(s))
		}
		if strings.Contains(value(s, "db.query.text"), "annals.executions") {
			statements++
			if got := value(s, "db.system.name"); got != "postgresql" {
				t.Errorf("%s is of the system %q", s.Name(), got)
			}
		}
	}
	if statements < 3 {
		t.Errorf("%d spans with a statement on executions among %d, want one at least for each call", statements, len(spans))
	}
}

// TestFailedQueriesKeepQuiet: Postgres and pgx quote values in their errors.
func TestFailedQueriesKeepQuiet(t *testing.T) {
	spans := traced(t, func(ctx context.Context, pool *pgxpool.Pool) {
		if _, err := pool.Exec(ctx, "SELECT $1::text::int", secret); err == nil || !strings.Contains(err.Error(), secret) {
			t.Fatalf("got %v: this shows nothing", err)
		}
		if _, err := pool.Exec(ctx, "SELECT $1::int", []string{secret}); err == nil || !strings.Contains(err.Error(), secret) {
			t.Fatalf("got %v: this shows nothing", err)
		}
	})
	failed, states := 0, 0
	for _, s := range spans {
		if strings.Contains(told(s), secret) {
			t.Errorf("the span %s tells the value: %s", s.Name(), told(s))
		}
		if s.Status().Code == codes.Error {
			failed++
		}
		if value(s, "pgx.sql_state") == "22P02" {
			states++
		}
	}
	if failed < 2 || states != 1 {
		t.Errorf("%d spans failed, %d with the state of an invalid text, want 2 and 1", failed, states)
	}
}

// TestCopiesAndBatchesGiveSpans, which the projector writes by.
func TestCopiesAndBatchesGiveSpans(t *testing.T) {
	spans := traced(t, func(ctx context.Context, pool *pgxpool.Pool) {
		if _, err := pool.Exec(ctx, "CREATE TABLE notes (note text)"); err != nil {
			t.Fatal(err)
		}
		rows := pgx.CopyFromRows([][]any{{secret}, {secret}})
		if _, err := pool.CopyFrom(ctx, pgx.Identifier{"notes"}, []string{"note"}, rows); err != nil {
			t.Fatal(err)
		}
		var b pgx.Batch
		b.Queue("DELETE FROM notes WHERE note = $1", secret)
		if err := pool.SendBatch(ctx, &b).Close(); err != nil {
			t.Fatal(err)
		}
	})
	copied, deleted := false, false
	for _, s := range spans {
		if strings.Contains(told(s), secret) {
			t.Errorf("the span %s tells the value: %s", s.Name(), told(s))
		}
		copied = copied || strings.Contains(s.Name(), "copy") && value(s, "pgx.rows_affected") == "2"
		deleted = deleted || strings.HasPrefix(value(s, "db.query.text"), "DELETE")
	}
	if !copied || !deleted {
		t.Errorf("a span of the COPY: %t, of the DELETE: %t", copied, deleted)
	}
}

// Nothing is around these queries: what they cost is in the difference.
func BenchmarkQuery(b *testing.B) {
	url := testenv.Postgres(b)
	for _, c := range []struct {
		name string
		open func() (*pgxpool.Pool, error)
	}{
		{"pool=plain", func() (*pgxpool.Pool, error) { return pgxpool.New(b.Context(), url) }},
		{"pool=traced", func() (*pgxpool.Pool, error) { return (wiring.Config{DatabaseURL: url}).Postgres(b.Context()) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			pool, err := c.open()
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pool.Exec(b.Context(), "SELECT 1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
