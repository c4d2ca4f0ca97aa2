package ingest_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/ingest"
	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/telemetry"
)

// The trace context of a call arrives in the commit, by every protocol; with a
// tracer it is that of the append's own span, in the caller's trace.
func TestTraceContext(t *testing.T) {
	t.Parallel()
	const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, p := range map[string]telemetry.Providers{
		"nobody traces": {}, "traced": {Tracer: sdktrace.NewTracerProvider()},
	} {
		t.Run(name, func(t *testing.T) {
			plain := newMemlog(t, memlog.Config{})
			log, err := telemetry.Log(plain, p)
			if err != nil {
				t.Fatal(err)
			}
			calls, err := exporters.Interceptor(p)
			if err != nil {
				t.Fatal(err)
			}
			service := serve(t, ingest.Config{Log: log, Interceptors: []connect.ServerInterceptor{calls}})
			check := func(id string) {
				t.Helper()
				for c, err := range plain.Commits(t.Context(), events.Workflow{Namespace: "default", ID: id}) {
					if err != nil {
						t.Fatal(err)
					}
					if handed := c.Traceparent == caller; !strings.HasPrefix(c.Traceparent, caller[:35]) || handed != (p.Tracer == nil) {
						t.Errorf("%s: the commit has %q", id, c.Traceparent)
					}
				}
			}

			service.post(t, "LogService/Append", strings.Replace(startRun1, `"w"`, `"json"`, 1), "Traceparent", caller).ok(t)
			check("json")
			ctx, info := connect.NewClientContext(t.Context())
			info.RequestHeader().Set("traceparent", caller)
			_, err = service.log(t, connecthttp.WithGRPC()).Append(ctx, &annalsv1.AppendRequest{
				Workflow: &annalsv1.Workflow{WorkflowId: "grpc"}, Expect: &annalsv1.AppendRequest_NewRun{NewRun: &annalsv1.NewRun{}},
				Events: []*events.Event{events.WorkflowStarted("T", "q")},
			})
			if err != nil {
				t.Fatal(err)
			}
			check("grpc")
		})
	}
}
