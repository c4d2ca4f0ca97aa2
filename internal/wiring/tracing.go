package wiring

import (
	"context"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// queryTracer makes a span of each statement, COPY, batch and connection that a
// span is around: a query of a call, a batch of the projector. It goes where that
// one goes. Where there is none, nothing is made.
//
// A span has the statement as it was written, never what stood for its
// parameters: those are ids and payloads.
func queryTracer() pgx.QueryTracer {
	return otelpgx.NewTracer(
		otelpgx.WithTracerProvider(aroundProvider{}),
		otelpgx.WithMeterProvider(metricnoop.NewMeterProvider()), // the programs have figures of their own
	)
}

// aroundProvider makes spans by the provider of the span around them, so that a
// pool needs none when it is made.
type aroundProvider struct{ tracenoop.TracerProvider }

// Tracer is trace.TracerProvider's.
func (aroundProvider) Tracer(name string, o ...trace.TracerOption) trace.Tracer {
	return aroundTracer{name: name, options: o}
}

type aroundTracer struct {
	tracenoop.Tracer
	name    string
	options []trace.TracerOption
}

// Start is trace.Tracer's.
func (t aroundTracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	around := trace.SpanFromContext(ctx).TracerProvider()
	ctx, span := around.Tracer(t.name, t.options...).Start(ctx, name, o...)
	span = discreet{span}
	return trace.ContextWithSpan(ctx, span), span
}

// discreet is a span without the words of errors: Postgres and pgx quote values
// in them. The code of the error (SQLSTATE) is an attribute; whoever made the
// query has the rest.
type discreet struct{ trace.Span }

// RecordError is trace.Span's.
func (discreet) RecordError(error, ...trace.EventOption) {}

// SetStatus is trace.Span's.
func (s discreet) SetStatus(code codes.Code, _ string) { s.Span.SetStatus(code, "") }
