package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/telemetry"
)

// ServeOptions say how ingest is run. Zero fields mean what ingest.Config says.
type ServeOptions struct {
	CallTimeout     time.Duration
	MaxRequestBytes int
	DrainDelay      time.Duration
	DrainTimeout    time.Duration
	// NATS gives a connection to serve the same calls on, by request/reply, as soon
	// as there is one; HTTP is served meanwhile. The connection MUST be for this
	// alone, and is closed. It is called once; its error, unless the context has
	// ended, ends Serve. Nil: calls are served by HTTP only.
	NATS func(context.Context) (*nats.Conn, error)
	// Telemetry measures calls, appends, reads and the lag of the tables, and
	// serves /metrics. Nil: nothing is measured.
	Telemetry *exporters.Exporters
	// LagIsMeasured says that a projector in this process measures the lag.
	LagIsMeasured bool
	Logger        *slog.Logger // nil: slog.Default()
}

// URL is where clients on this machine reach a server that listens there.
func URL(l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + l.Addr().String()
}

// Serve is ingest on l until the context ends and it has drained, and then
// returns nil. It closes l. Neither the log, which may be a PendingLog, nor
// Postgres need be there: /readyz says so, and calls that need them fail.
func Serve(ctx context.Context, l net.Listener, log events.Log, pool *pgxpool.Pool, o ServeOptions) (err error) {
	defer l.Close()
	tables, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		return err
	}
	c := ingest.Config{
		Log: log, Tables: tables, CallTimeout: o.CallTimeout, MaxRequestBytes: o.MaxRequestBytes,
		DrainDelay: o.DrainDelay, DrainTimeout: o.DrainTimeout, Logger: o.Logger,
	}
	if t := o.Telemetry; t != nil {
		if c.Log, err = telemetry.Log(log, t.Providers); err != nil {
			return err
		}
		calls, err := exporters.Interceptor(t.Providers)
		if err != nil {
			return err
		}
		if !o.LagIsMeasured {
			stop, lagErr := telemetry.Lag(t.Providers, log, tables.Checkpoints)
			if lagErr != nil {
				return lagErr
			}
			defer func() { err = errors.Join(err, stop()) }()
		}
		c.Interceptors, c.Metrics = []connect.ServerInterceptor{calls}, t.Handler()
	}
	server, err := ingest.New(c)
	if err != nil {
		return err
	}
	if o.NATS == nil {
		return server.Run(ctx, l)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Run(ctx, l) })
	g.Go(func() error {
		nc, err := o.NATS(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		return server.RunNATS(ctx, nc)
	})
	return g.Wait()
}

// ServeMetrics serves /metrics, /healthz, and /readyz by health, on l until the
// context ends, and then returns nil. It closes l.
func ServeMetrics(ctx context.Context, l net.Listener, t *exporters.Exporters, health *Health) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", t.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", health.serve)
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	err := h.Close()
	<-ended
	return err
}
