package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/telemetry"
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
  projector run
  projector status`,
	}, runCommand(a), migrateCommand(a), rebuildCommand(a), projectionStatusCommand(a), versionCommand(a))
	a.serverFlags(root.PersistentFlags())
	a.logFlags(root.PersistentFlags(), "info", "json")
	return root
}

func migrateCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Make the tables, or bring them to this program's version",
		Long: `Makes the schema and the tables that the projector and the queries need. It may be repeated, and done by
several at once. Tables of an older version are left alone: projector rebuild makes them anew beside those that
are read. That is exit code 3, as are tables of a newer version.`,
		Args: cobra.NoArgs,
	}
	events := eventsFlag(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		mode, err := events()
		if err != nil {
			return err
		}
		pool, err := a.postgres(c.Context())
		if err != nil {
			return err
		}
		if err := a.servers.Ping(c.Context(), pool); err != nil {
			return err
		}
		if err := wiring.Migrate(c.Context(), pool, mode); err != nil {
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
		Long: `Follows the log and keeps the tables. It survives the loss of either server and goes on when they are back.
Any number may run at once: they share the partitions, and take over from one that dies within ten seconds.
"projector status" says who has which.

Tables that are of an older version, or keep events in another way than --events says, it waits for: annals projection
rebuild makes them. Without --events it takes them as they are.

A workflow with a commit that cannot be applied is quarantined, and that is said; all others go on (annals projection
quarantine, annals projection heal). A partition stops where the log is another one, or more than 10,000 of its
workflows would be quarantined. The program ends, with exit code 3, when all have stopped in it.`,
		Args: cobra.NoArgs,
	}
	a.monitorFlag(c.Flags())
	c.Flags().BoolVar(&migrate, "migrate", true, "make the tables first if they are not there")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the servers and the log at the start")
	c.Flags().StringVar(&address, "http", env("ANNALS_HTTP", ""), "`ADDRESS` to serve /metrics, /healthz and /readyz on, e.g. :9464; none by default ($ANNALS_HTTP)")
	events := eventsFlag(c.Flags())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkWait(wait); err != nil {
			return err
		}
		mode, err := events()
		if err != nil {
			return err
		}
		ctx := c.Context()
		log, pool, err := a.await(ctx, wait)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		slog.Info("projecting", slog.String("log", log.Identity().LogID), slog.Int("partitions", log.Identity().Map.Partitions()))
		o := wiring.ProjectOptions{Migrate: migrate, Events: mode, Logger: slog.Default()}
		if address == "" {
			return together(ctx,
				func(ctx context.Context) error { return a.servers.TellStanding(ctx, log, telemetry.Providers{}) },
				func(ctx context.Context) error { return wiring.Project(ctx, log, pool, o) })
		}
		return a.measure(ctx, "annals-projector", func(ctx context.Context, t *exporters.Exporters) error {
			l, err := a.listen(ctx, address)
			if err != nil {
				return err
			}
			slog.Info("serving metrics", slog.String("url", wiring.URL(l)))
			o.Telemetry, o.Health = t, &wiring.Health{}
			return together(ctx,
				func(ctx context.Context) error { return a.servers.TellStanding(ctx, log, t.Providers) },
				func(ctx context.Context) error { return wiring.ServeMetrics(ctx, l, t, o.Health) },
				func(ctx context.Context) error { return wiring.Project(ctx, log, pool, o) })
		})
	}
	return c
}
