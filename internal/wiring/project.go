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

// Project keeps the tables up to date with the log, its heartbeats included, until
// the context ends, and then returns nil. It fails if the tables are of another
// version, or when every partition has stopped. Where only the heartbeats stop,
// that is reported, and the partitions go on.
func Project(ctx context.Context, log events.Log, pool *pgxpool.Pool, o ProjectOptions) error {
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
		return project(ctx, log, store, store, o)
	}
	target, err := telemetry.Target(store, o.Telemetry.Providers)
	if err != nil {
		return err
	}
	stop, err := telemetry.Lag(o.Telemetry.Providers, log, store.Checkpoints)
	if err != nil {
		return err
	}
	return errors.Join(project(ctx, log, target, store, o), stop())
}

func project(ctx context.Context, log events.Log, target projection.Target, heartbeats projection.HeartbeatTarget, o ProjectOptions) error {
	p, err := projection.New(log, target, projection.Config{Logger: o.Logger})
	if err != nil {
		return err
	}
	k, err := projection.NewHeartbeatKeeper(log, heartbeats, projection.Config{Logger: o.Logger})
	if err != nil {
		return err
	}
	if o.Telemetry == nil {
		return beside(ctx, p, k)
	}
	stop, err := telemetry.Projector(o.Telemetry.Providers, p.Status)
	if err != nil {
		return err
	}
	stopHeartbeats, err := telemetry.Heartbeats(o.Telemetry.Providers, log, k.Status)
	if err != nil {
		return errors.Join(err, stop())
	}
	return errors.Join(beside(ctx, p, k), stop(), stopHeartbeats())
}

// beside runs the keeper of heartbeats for as long as the projector runs, and
// leaves the projector running if the keeper stops.
func beside(ctx context.Context, p *projection.Projector, k *projection.HeartbeatKeeper) error {
	ctx, cancel := context.WithCancel(ctx)
	kept := make(chan error, 1)
	go func() { kept <- k.Run(ctx) }()
	err := p.Run(ctx)
	cancel()
	return errors.Join(err, <-kept)
}
