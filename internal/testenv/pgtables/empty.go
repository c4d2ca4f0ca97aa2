// Package pgtables has the databases that tests of the execution tables begin with.
package pgtables

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Empty is a database with the tables of pgstore, without rows.
var Empty = In(pgstore.EventsIndex)

// In is Empty with tables that keep events in a mode.
func In(mode pgstore.EventsMode) testenv.Template {
	return testenv.Template{Name: "tables_" + string(mode), Prepare: func(ctx context.Context, url string) error {
		pool, err := pgxpool.New(ctx, url)
		if err != nil {
			return err
		}
		defer pool.Close()
		store, err := pgstore.New(pool, pgstore.Config{Events: mode})
		if err != nil {
			return err
		}
		return store.Migrate(ctx)
	}}
}
