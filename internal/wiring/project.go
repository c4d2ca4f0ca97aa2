package wiring

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/telemetry"
)

// ProjectOptions say how a projector is run.
type ProjectOptions struct {
	Migrate bool // make the tables first
	// Telemetry measures batches, the lag, and what has stopped. Nil: nothing is
	// measured.
	Telemetry *exporters.Exporters
	Logger    *slog.Logger // nil: slog.Default()
}

// Migrate makes the tables, or brings them to this program's version; see
// pgstore.Migrate.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error { return pgstore.Migrate(ctx, pool) }

// Project keeps the tables up to date with the log until the context ends, and
// then returns nil. It fails if the tables are of another version, or when
// every partition has stopped.
func Project(ctx context.Context, source events.Source, pool *pgxpool.Pool, o ProjectOptions) error {
	if o.Migrate {
		if err := pgstore.Migrate(ctx, pool); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	store, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		return err
	}
	if o.Telemetry == nil {
		return project(ctx, source, store, o)
	}
	target, err := telemetry.Target(store, o.Telemetry.Providers)
	if err != nil {
		return err
	}
	stop, err := telemetry.Lag(o.Telemetry.Providers, source, store.Checkpoints)
	if err != nil {
		return err
	}
	return errors.Join(project(ctx, source, target, o), stop())
}

func project(ctx context.Context, source events.Source, target projection.Target, o ProjectOptions) error {
	p, err := projection.New(source, target, projection.Config{Logger: o.Logger})
	if err != nil {
		return err
	}
	if o.Telemetry == nil {
		return p.Run(ctx)
	}
	stop, err := telemetry.Projector(o.Telemetry.Providers, p.Status)
	if err != nil {
		return err
	}
	return errors.Join(p.Run(ctx), stop())
}
