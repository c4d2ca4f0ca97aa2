package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// projector is the program that keeps the tables.
func projector(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "projector",
		Short: "Keep the tables in Postgres up to date with the log",
		Long: `Folds the log in NATS JetStream into tables in Postgres, exactly once.

Servers are found by NATS_URL (or a context of the nats CLI) and DATABASE_URL (or any PG* variable).
Logs go to standard error.`,
		Example: `  projector migrate
  projector run`,
	}, runCommand(a), migrateCommand(a), versionCommand(a))
	a.serverFlags(root.PersistentFlags())
	a.logFlags(root.PersistentFlags(), "info", "json")
	return root
}

func migrateCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Make the tables, or bring them to this program's version",
		Long: `Makes the schema and the tables that the projector and the queries need. It may be repeated, and done by
several at once.`,
		Args: cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		pool, err := a.postgres(c.Context())
		if err != nil {
			return err
		}
		if err := a.servers.Ping(c.Context(), pool); err != nil {
			return err
		}
		if err := pgstore.Migrate(c.Context(), pool); err != nil {
			return err
		}
		slog.Info("the tables are ready", slog.Int("version", pgstore.Version))
		return nil
	}
	return c
}

func runCommand(a *app) *cobra.Command {
	var migrate bool
	var wait time.Duration
	var address string
	c := &cobra.Command{
		Use:   "run",
		Short: "Project until it is interrupted",
		Long: `Follows the log and keeps the tables. It survives the loss of either server and goes on when they are back;
any number may run at once, and only one of them gets a commit in.

A partition whose next commit cannot be applied stops and says so; the others go on. The program ends, with
exit code 3, when all have stopped.`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&migrate, "migrate", true, "make the tables first if they are not there")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the servers and the log at the start")
	c.Flags().StringVar(&address, "http", env("ANNALS_HTTP", ""), "`ADDRESS` to serve /metrics and /healthz on, e.g. :9464; none by default ($ANNALS_HTTP)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx := c.Context()
		log, pool, err := a.await(ctx, wait)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		slog.Info("projecting", slog.String("log", log.Identity().LogID), slog.Int("partitions", log.Identity().Map.Partitions()))
		o := wiring.ProjectOptions{Migrate: migrate, Logger: slog.Default()}
		if address == "" {
			return wiring.Project(ctx, log, pool, o)
		}
		return a.measure(ctx, log, "annals-projector", func(ctx context.Context, t *exporters.Exporters) error {
			l, err := a.listen(ctx, address)
			if err != nil {
				return err
			}
			slog.Info("serving metrics", slog.String("url", wiring.URL(l)))
			o.Telemetry = t
			return together(ctx,
				func(ctx context.Context) error { return wiring.ServeMetrics(ctx, l, t) },
				func(ctx context.Context) error { return wiring.Project(ctx, log, pool, o) })
		})
	}
	return c
}

// await connects to both servers, which may start at the same time as this
// program, and opens the log.
func (a *app) await(ctx context.Context, wait time.Duration) (*wiring.Log, *pgxpool.Pool, error) {
	pool, err := a.postgres(ctx)
	if err != nil {
		return nil, nil, err
	}
	var log *wiring.Log
	attempt := func() error {
		if log == nil {
			l, err := a.log(ctx)
			if err != nil {
				return final(err)
			}
			log = l
		}
		return final(a.servers.Ping(ctx, pool))
	}
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(wait))
	err = backoff.RetryNotify(attempt, backoff.WithContext(delays, ctx), func(err error, next time.Duration) {
		slog.Warn("waiting for the servers", slog.Any("error", err), slog.String("again_in", next.Round(time.Millisecond).String()))
	})
	return log, pool, err
}

// final marks what waiting does not change. A log that is not there yet may be
// made in a moment.
func final(err error) error {
	var refused *wiring.ConnectError
	var wrong *events.WrongLogError
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, events.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &wrong) && wrong.Want == "there":
		return err
	}
	return backoff.Permanent(err)
}
