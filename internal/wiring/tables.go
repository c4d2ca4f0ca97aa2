package wiring

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

const (
	// versionLook lies between two looks at the version of the tables.
	versionLook = time.Second
	// versionSaid lies between two lines of the log about it.
	versionSaid = time.Minute
)

// prepareTables makes the tables, if that is wanted. While they are of an older
// version than this program's, or keep events in another way than was asked for, it waits for a rebuild, and says so: the older
// program goes on until then.
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

// wantsRebuild reports whether the tables are of an older version than the program, or
// of another mode than was asked for.
func wantsRebuild(err error) bool {
	var version *projection.VersionError
	var mode *projection.ModeError
	return errors.As(err, &version) && version.Tables < version.Program || errors.As(err, &mode)
}
