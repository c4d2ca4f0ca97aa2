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
	"github.com/annals-io/annals/pkg/searchattribute"
	"github.com/annals-io/annals/pkg/telemetry"
)

// ProjectOptions say how a projector is run.
type ProjectOptions struct {
	Migrate bool // make the tables first
	// Events is what the tables are to keep of events; see pgstore.Config.
	Events pgstore.EventsMode
	// Telemetry measures batches, the lag, and what has stopped. Nil: nothing is
	// measured.
	Telemetry *exporters.Exporters
	// Health is told how it stands. Nil: nobody asks.
	Health *Health
	Logger *slog.Logger // nil: slog.Default()
}

// Migrate makes the tables, or brings them to this program's version; see
// pgstore.Store.Migrate.
func Migrate(ctx context.Context, pool *pgxpool.Pool, mode pgstore.EventsMode) error {
	s, err := pgstore.New(pool, pgstore.Config{Events: mode})
	if err != nil {
		return err
	}
	return s.Migrate(ctx)
}

// Project keeps the tables up to date with the log, its heartbeats and the registry
// of search attributes included, until the context ends, and then returns nil. Any
// number of processes do so together: they share the partitions by leases. It
// waits while the tables are of an older version, until they are rebuilt. It fails
// if they are of a newer version, or when every partition has stopped here.
// Where only the heartbeats or the registry stop, that is reported, and the
// partitions go on.
//
// It works on connections of its own to where the pool leads.
func Project(ctx context.Context, log events.Log, pool *pgxpool.Pool, o ProjectOptions) error {
	if err := prepareTables(ctx, pool, o); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	leases, err := postgres.OpenLeases(ctx, pool.Config(), pgstore.Name, postgres.LeaseConfig{})
	if err != nil {
		return err
	}
	defer leases.Close()
	buryKilled(ctx, pool, o)
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
		return project(ctx, log, store, store, c, o.Telemetry)
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

// buryKilled frees what projectors held that were killed on this machine, as this one
// may have been a moment ago. If Postgres is away they are waited for.
func buryKilled(ctx context.Context, pool *pgxpool.Pool, o ProjectOptions) {
	logger := o.Logger
	if logger == nil {
		logger = slog.Default()
	}
	n, err := postgres.Bury(ctx, pool, postgres.DiedHere)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		logger.Warn("leases of projectors that were killed here are waited for", slog.Any("error", err))
	case n > 0:
		logger.Info("took the leases of projectors that were killed here", slog.Int("projectors", n))
	}
}

// registrar is who registers search attributes by the values that it projects.
const registrar = "projector"

func project(ctx context.Context, log events.Log, target projection.Target, store *pgstore.Store, config projection.Config, t *exporters.Exporters) error {
	attributes := searchattribute.NewRegistrar(log, registrar, config.Logger)
	config.Attributes = attributes
	p, err := projection.New(log, target, config)
	if err != nil {
		return err
	}
	k, err := projection.NewHeartbeatKeeper(log, store, config)
	if err != nil {
		return err
	}
	c, err := projection.NewControlKeeper(log, store.Registry(), config)
	if err != nil {
		return err
	}
	if t == nil {
		return beside(ctx, p, k, c)
	}
	var stops []func() error
	for _, measure := range []func() (func() error, error){
		func() (func() error, error) { return telemetry.Projector(t.Providers, p.Status) },
		func() (func() error, error) { return telemetry.Heartbeats(t.Providers, log, k.Status) },
		func() (func() error, error) { return telemetry.Control(t.Providers, log, c.Status) },
		func() (func() error, error) {
			return telemetry.SearchAttributes(t.Providers, attributes.Stats)
		},
	} {
		stop, err := measure()
		if err != nil {
			return errors.Join(err, all(stops))
		}
		stops = append(stops, stop)
	}
	return errors.Join(beside(ctx, p, k, c), all(stops))
}

// all calls what ends measurements.
func all(stops []func() error) (err error) {
	for _, stop := range stops {
		err = errors.Join(err, stop())
	}
	return err
}

// runner is what runs beside a projector.
type runner interface {
	Run(ctx context.Context) error
}

// beside runs the keepers for as long as the projector runs, and leaves the
// projector running if one of them stops.
func beside(ctx context.Context, p *projection.Projector, keepers ...runner) error {
	ctx, cancel := context.WithCancel(ctx)
	kept := make(chan error, len(keepers))
	for _, k := range keepers {
		go func() { kept <- k.Run(ctx) }()
	}
	err := p.Run(ctx)
	cancel()
	for range keepers {
		err = errors.Join(err, <-kept)
	}
	return err
}
