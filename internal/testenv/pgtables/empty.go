// Package pgtables has the database that tests of the execution tables begin with.
package pgtables

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Empty is a database with the tables of pgstore, without rows.
var Empty = testenv.Template{Name: "tables", Prepare: func(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	return pgstore.Migrate(ctx, pool)
}}
