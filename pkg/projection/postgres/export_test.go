package postgres

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// MigrateTo makes the bookkeeping as an older program had it.
func MigrateTo(ctx context.Context, pool *pgxpool.Pool, version int64) error {
	if err := createSchema(ctx, pool); err != nil {
		return err
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithTableName("annals.migrations"))
	if err != nil {
		return err
	}
	_, err = p.UpTo(ctx, version)
	return err
}

// Fail has writes of the registry fail with what f says, before they commit and after.
func (r *Registry) Fail(f func(committed bool) error) { r.fault = f }

// CreateBuilding makes the next generation's tables, empty and without indexes.
func CreateBuilding(ctx context.Context, p *Projection) (generation int, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		generation, err = p.create(ctx, tx, "building")
		return err
	})
	return generation, err
}
