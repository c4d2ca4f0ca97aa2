package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/wiring"
)

// Ingest runs the program ingest and returns its exit code.
func Ingest(ctx context.Context, args []string, s Streams) int {
	return newApp(s).main(ctx, ingest, args)
}

// ingest is the program that serves the API.
func ingest(a *app) *cobra.Command {
	var address string
	var wait time.Duration
	var byNATS bool
	var o wiring.ServeOptions
	c := &cobra.Command{
		Use:   "ingest",
		Short: "Serve appends, histories and queries to workers in any language",
		Long: `Serves the API of proto/annals/v1 on one port: Connect, gRPC and gRPC-Web, and JSON by HTTP POST. Beside it
are /healthz, /readyz (every condition by its name, and each alone at /readyz/NAME) and /metrics. The same calls
are served by NATS request/reply, to annals-api.v1.SERVICE.CALL.

It serves from its first moment, with what is there: queries as soon as Postgres is, for which it never stops
waiting, and appends and histories as soon as the log is. Until then such calls are answered "unavailable", and
/readyz says what is missing. Only if the log cannot be opened for as long as --wait does it end, with exit code
3, and at once if waiting cannot help: a log that this version does not know, a malformed URL.

It keeps nothing itself: any number may run, and what one of them did not answer is settled through another.
Asked to end (SIGTERM, SIGINT), it finishes the calls that are under way.

Servers are found by NATS_URL (or a context of the nats CLI) and DATABASE_URL (or any PG* variable). Traces
and metrics are exported as the variables OTEL_* say. Logs go to standard error.`,
		Example: `  ingest
  ingest --http 127.0.0.1:7070
  curl -H 'Content-Type: application/json' 127.0.0.1:7070/annals.v1.QueryService/CountExecutions -d '{}'
  nats request annals-api.v1.QueryService.CountExecutions '{}'`,
		Args: cobra.NoArgs,
	}
	a.serverFlags(c.PersistentFlags())
	a.monitorFlag(c.Flags())
	a.logFlags(c.PersistentFlags(), "info", "json")
	f := c.Flags()
	f.StringVar(&address, "http", env("ANNALS_HTTP", ":7070"), "`ADDRESS` to serve on ($ANNALS_HTTP)")
	f.BoolVar(&byNATS, "nats", true, "serve by NATS request/reply too, once the log is open")
	f.DurationVar(&wait, "wait", time.Minute, "how long to try to open the log at the start, before it gives up")
	f.DurationVar(&o.CallTimeout, "call-timeout", 30*time.Second, "what ends a call whose client names no deadline")
	f.IntVar(&o.MaxRequestBytes, "max-request-bytes", 8<<20, "the largest request, uncompressed")
	f.DurationVar(&o.DrainDelay, "drain-delay", 0, "how long to go on as before when asked to end, but for /readyz: time for load balancers to notice")
	f.DurationVar(&o.DrainTimeout, "drain-timeout", 30*time.Second, "how long calls under way have to end after that")
	c.AddCommand(versionCommand(a))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkServing(o, wait); err != nil {
			return err
		}
		ctx := c.Context()
		pool, err := a.postgres(ctx)
		if err != nil {
			return err
		}
		l, err := a.listen(ctx, address)
		if err != nil {
			return err
		}
		a.onClose(func() { _ = l.Close() })
		log := wiring.NewPendingLog()
		if byNATS {
			o.NATS = a.connectOnceOpen(log, wait)
		}
		return a.measure(ctx, "annals-ingest", func(ctx context.Context, t *exporters.Exporters) error {
			o.Telemetry, o.Logger = t, slog.Default()
			slog.Info("serving", slog.String("url", wiring.URL(l)))
			return together(ctx,
				func(ctx context.Context) error { return a.openWhileServing(ctx, log, wait, t) },
				func(ctx context.Context) error { return wiring.Serve(ctx, l, log, pool, o) })
		})
	}
	return c
}

// checkServing names the flag that cannot be as it is.
func checkServing(o wiring.ServeOptions, wait time.Duration) error {
	switch {
	case o.CallTimeout <= 0:
		return usagef("--call-timeout is %s, it is more than 0s", o.CallTimeout)
	case o.MaxRequestBytes < 1:
		return usagef("--max-request-bytes is %d, it is at least 1", o.MaxRequestBytes)
	case o.DrainDelay < 0:
		return usagef("--drain-delay is %s, it is at least 0s", o.DrainDelay)
	case o.DrainTimeout <= 0:
		return usagef("--drain-timeout is %s, it is more than 0s", o.DrainTimeout)
	}
	return checkWait(wait)
}

// listen opens a port for HTTP.
func (a *app) listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// openWhileServing opens the log that is served already, and tells how durable it
// is. It returns nil when the context has ended.
func (a *app) openWhileServing(ctx context.Context, pending *wiring.PendingLog, wait time.Duration, t *exporters.Exporters) error {
	log, err := a.awaitLog(ctx, wait, pending.Failed)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	pending.Open(log)
	return a.servers.TellStanding(ctx, log, t.Providers)
}

// connectOnceOpen connects to NATS when the log is open: an instance that cannot
// append yet takes no requests from those that can. The connection is another than
// the log's: what it drains is not the log's.
func (a *app) connectOnceOpen(log *wiring.PendingLog, wait time.Duration) func(context.Context) (*nats.Conn, error) {
	return func(ctx context.Context) (nc *nats.Conn, err error) {
		select {
		case <-log.Opened():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		err = retry(ctx, wait, func() (err error) {
			nc, err = a.servers.NATS()
			return err
		}, nil)
		return nc, err
	}
}

// measure runs a long-running program with its telemetry.
func (a *app) measure(ctx context.Context, service string, run func(context.Context, *exporters.Exporters) error) error {
	t, err := exporters.Start(ctx, exporters.Config{Service: service, Version: thisBuild().Version, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := t.Shutdown(ctx); err != nil {
			slog.Warn("telemetry: not all was exported", slog.Any("error", err))
		}
	}()
	return run(ctx, t)
}

// together runs all until each has ended; the first error asks the others to end.
func together(ctx context.Context, all ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, f := range all {
		g.Go(func() error { return f(ctx) })
	}
	return g.Wait()
}
