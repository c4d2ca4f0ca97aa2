package telemetry

import (
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// scope names this instrumentation.
const scope = "github.com/annals-io/annals"

// Providers are where spans and figures go: those of the program's
// OpenTelemetry SDK. A nil one takes none.
type Providers struct {
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
}

// OrNone has a provider that takes nothing for each that is nil.
func (p Providers) OrNone() Providers {
	if p.Tracer == nil {
		p.Tracer = tracenoop.NewTracerProvider()
	}
	if p.Meter == nil {
		p.Meter = metricnoop.NewMeterProvider()
	}
	return p
}

func (p Providers) tracer() trace.Tracer { return p.OrNone().Tracer.Tracer(scope) }
func (p Providers) meter() metric.Meter  { return p.OrNone().Meter.Meter(scope) }

// Seconds are the bounds of histograms of times, from the fastest append in
// memory to the longest that is waited for: OpenTelemetry's own are made for
// milliseconds.
var Seconds = metric.WithExplicitBucketBoundaries(
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30,
)

// commits are the bounds of histograms of batches.
var commits = metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
