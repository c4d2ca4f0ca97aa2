// Package exporters makes the providers of a program's telemetry, as the
// environment says (OTEL_*).
package exporters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"connectrpc.com/connect/v2"
	"connectrpc.com/otelconnect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	prometheusexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/annals-io/annals/pkg/telemetry"
)

// Config is what a program says of itself.
type Config struct {
	Service string // e.g. "annals-ingest"; OTEL_SERVICE_NAME overrules it
	Version string
	// Logger gets what goes wrong while exporting. Nil: slog.Default().
	Logger *slog.Logger
}

// Exporters are a program's providers, with what collects from them.
type Exporters struct {
	telemetry.Providers
	registry *prometheus.Registry
	shutdown []func(context.Context) error
}

// Start makes the providers. Figures are always served by Handler; they are
// exported too, and spans are made, if the environment says where to, as
// OpenTelemetry specifies it: OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER,
// OTEL_EXPORTER_OTLP_ENDPOINT and so on. It fails if what they say cannot be
// done. The caller calls Shutdown.
func Start(ctx context.Context, c Config) (*Exporters, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		c.Logger.Warn("telemetry", slog.Any("error", err))
	}))
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", c.Service), attribute.String("service.version", c.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	t := &Exporters{registry: prometheus.NewRegistry()}
	if err := errors.Join(t.startMetrics(ctx, about), t.startTraces(ctx, about)); err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: %w", err), t.Shutdown(ctx))
	}
	return t, nil
}

func (t *Exporters) startMetrics(ctx context.Context, about *resource.Resource) error {
	served, err := prometheusexporter.New(prometheusexporter.WithRegisterer(t.registry), prometheusexporter.WithoutScopeInfo())
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(about), sdkmetric.WithReader(served)}
	if wanted("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.Meter = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return runtime.Start(runtime.WithMeterProvider(provider))
}

func (t *Exporters) startTraces(ctx context.Context, about *resource.Resource) error {
	if !wanted("TRACES") {
		return nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil || autoexport.IsNoneSpanExporter(exporter) {
		return err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(exporter))
	t.Tracer = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

// wanted reports whether the environment asks for an export. By OpenTelemetry's
// default everything goes to a collector on this machine, which mostly is not
// there.
func wanted(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	for _, name := range []string{"OTEL_" + signal + "_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// Handler serves the figures in Prometheus's format.
func (t *Exporters) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{Registry: t.registry, ErrorHandling: promhttp.ContinueOnError})
}

// Interceptor measures the calls of a service, and takes W3C's trace context from
// their headers.
func Interceptor(p telemetry.Providers) (connect.ServerInterceptor, error) {
	p = p.OrNone()
	return otelconnect.NewServerInterceptor(
		otelconnect.WithTracerProvider(p.Tracer), otelconnect.WithMeterProvider(p.Meter),
		otelconnect.WithPropagator(propagation.TraceContext{}), otelconnect.WithTrustRemote(),
		otelconnect.WithDurationHistogramOptions(telemetry.Seconds),
	)
}

// Shutdown exports what is left and ends what Start began.
func (t *Exporters) Shutdown(ctx context.Context) error {
	var errs []error
	for _, f := range t.shutdown {
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}
