package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceparent is the name under which W3C's header is carried.
const traceparent = "traceparent"

// carrier holds the one header that a commit has.
type carrier string

func (c *carrier) Get(key string) string {
	if key == traceparent {
		return string(*c)
	}
	return ""
}

func (c *carrier) Set(key, value string) {
	if key == traceparent {
		*c = carrier(value)
	}
}

func (c *carrier) Keys() []string { return []string{traceparent} }

// inject is the context's span as a commit keeps it; empty if there is none.
func inject(ctx context.Context) string {
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return string(c)
}

// extract is the span that a commit names; it may be invalid.
func extract(text string) trace.SpanContext {
	if text == "" {
		return trace.SpanContext{}
	}
	c := carrier(text)
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), &c))
}
