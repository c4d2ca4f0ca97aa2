package wiring

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

const (
	// versionLook lies between two looks at the version of the tables.
	versionLook = time.Second
	// versionSaid lies between two lines of the log about it.
	versionSaid = time.Minute
	// remakeSaid lies between two lines of the log about how far tables are made.
	remakeSaid = 10 * time.Second
)

// prepareTables makes the tables, if that is wanted. While they are of an older
// version than this program's, or keep events in another way than was asked for, it
// waits for a rebuild, and says so: whoever projects goes on until then.
func prepareTables(ctx context.Context, pool *pgxpool.Pool, o ProjectOptions) error {
	logger := o.Logger
	if logger == nil {
		logger = slog.Default()
	}
	store, err := pgstore.New(pool, pgstore.Config{Events: o.Events})
	if err != nil {
		return err
	}
	if o.Migrate {
		err = store.Migrate(ctx)
	} else {
		err = store.CheckVersion(ctx)
	}
	tick := time.NewTicker(versionLook)
	defer tick.Stop()
	for said := (time.Time{}); wantsRebuild(err); err = store.CheckVersion(ctx) {
		if time.Since(said) >= versionSaid {
			said = time.Now()
			logger.Warn("waiting for the tables to be rebuilt", slog.Any("error", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if !o.Migrate {
		return nil // what the tables lack is said by each partition
	}
	return err
}

// Remake has the tables be made anew from the log if they are of an older version
// than this program, before anything else goes on with them: in the mode that was
// asked for, or else their own. It takes as long as a
// rebuild does, tells now and then how far it is, and goes on where it was when it is
// interrupted.
func Remake(ctx context.Context, log events.Log, pool *pgxpool.Pool, mode pgstore.EventsMode, logger *slog.Logger) error {
	store, err := pgstore.New(pool, pgstore.Config{Events: mode})
	if err != nil {
		return err
	}
	if err := store.CheckVersion(ctx); err == nil || !IsOlder(err) {
		return err
	}
	logger.Info("the tables are of an older version, and are made anew from the log", slog.Int("version", pgstore.Version))
	var said time.Time
	r, err := store.Rebuild(ctx, log, postgres.RebuildOptions{
		Projector: projection.Config{Attributes: searchattribute.NewRegistrar(log, registrar, logger)},
		Logger:    logger,
		Progress: func(p postgres.RebuildProgress) {
			if p.Phase == postgres.RebuildDone || time.Since(said) < remakeSaid {
				return
			}
			said = time.Now()
			logger.Info("making the tables", slog.String("phase", string(p.Phase)), slog.Uint64("commits", p.Commits), slog.Uint64("total", p.Total))
		},
	})
	if err != nil {
		return err
	}
	if r.NotDropped != nil {
		logger.Warn("the old tables could not be dropped: annals projection drop does it later", slog.Int("generation", r.Replaced), slog.Any("error", r.NotDropped))
	}
	logger.Info("the tables are made anew", slog.Int("generation", r.Generation), slog.Uint64("commits", r.Commits), slog.Uint64("events", r.Events))
	return nil
}

// wantsRebuild reports whether the tables are of an older version than the program, or
// of another mode than was asked for.
func wantsRebuild(err error) bool {
	var mode *projection.ModeError
	return IsOlder(err) || errors.As(err, &mode)
}

// IsOlder reports whether the tables are of an older version than the program.
func IsOlder(err error) bool {
	var version *projection.VersionError
	return errors.As(err, &version) && version.Tables < version.Program
}
