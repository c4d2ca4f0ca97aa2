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
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/telemetry"
)

// ProjectOptions say how a projector is run.
type ProjectOptions struct {
	Migrate bool // make the tables first
	// Telemetry measures batches, the lag, and what has stopped. Nil: nothing is
	// measured.
	Telemetry *exporters.Exporters
	// Health is told how it stands. Nil: nobody asks.
	Health *Health
	Logger *slog.Logger // nil: slog.Default()
}

// Migrate makes the tables, or brings them to this program's version; see
// pgstore.Migrate.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error { return pgstore.Migrate(ctx, pool) }

// Project keeps the tables up to date with the log, its heartbeats included, until
// the context ends, and then returns nil. Any number of processes do so together:
// they share the partitions by leases. It fails if the tables are of another
// version, or when every partition has stopped here. Where only the heartbeats
// stop, that is reported, and the partitions go on.
//
// It works on connections of its own to where the pool leads.
func Project(ctx context.Context, log events.Log, pool *pgxpool.Pool, o ProjectOptions) error {
	if o.Migrate {
		if err := pgstore.Migrate(ctx, pool); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	leases, err := postgres.OpenLeases(ctx, pool.Config(), pgstore.Name, postgres.LeaseConfig{})
	if err != nil {
		return err
	}
	defer leases.Close()
	work, err := pgxpool.NewWithConfig(ctx, leases.Sessions(pool.Config()))
	if err != nil {
		return err
	}
	defer work.Close()
	store, err := pgstore.New(work, pgstore.Config{})
	if err != nil {
		return err
	}
	// Leases of tables that are not there could not be had: that is said at once. If
	// Postgres is away it is waited for.
	if err := store.CheckVersion(ctx); errors.Is(err, projection.ErrVersion) {
		return err
	}
	m, err := projection.NewMembership(leases, projection.MembershipConfig{Logger: o.Logger})
	if err != nil {
		return err
	}
	c := projection.Config{Logger: o.Logger, Membership: m}
	o.Health.follow(m.Status)
	if o.Telemetry == nil {
		return project(ctx, log, store, store, c, nil)
	}
	target, err := telemetry.Target(store, o.Telemetry.Providers)
	if err != nil {
		return err
	}
	stop, err := telemetry.Lag(o.Telemetry.Providers, log, store.Checkpoints)
	if err != nil {
		return err
	}
	stopLeases, err := telemetry.Membership(o.Telemetry.Providers, m.Status)
	if err != nil {
		return errors.Join(err, stop())
	}
	return errors.Join(project(ctx, log, target, store, c, o.Telemetry), stop(), stopLeases())
}

func project(ctx context.Context, log events.Log, target projection.Target, heartbeats projection.HeartbeatTarget, c projection.Config, t *exporters.Exporters) error {
	p, err := projection.New(log, target, c)
	if err != nil {
		return err
	}
	k, err := projection.NewHeartbeatKeeper(log, heartbeats, c)
	if err != nil {
		return err
	}
	if t == nil {
		return beside(ctx, p, k)
	}
	stop, err := telemetry.Projector(t.Providers, p.Status)
	if err != nil {
		return err
	}
	stopHeartbeats, err := telemetry.Heartbeats(t.Providers, log, k.Status)
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
