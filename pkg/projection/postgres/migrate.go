package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/annals-io/annals/pkg/projection"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the key of the advisory lock under which tables are made.
const migrationLock = 0x616e6e616c73 // "annals"

// migrate brings the bookkeeping to what this program needs. It is idempotent,
// and safe when several processes do it at once.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := createSchema(ctx, pool); err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }()
	options := []goose.ProviderOption{goose.WithTableName("annals.migrations")}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, options...)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if current, target, err := p.GetVersions(ctx); err == nil && current == target {
		return nil // no lock where there is nothing to do
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if p, err = goose.NewProvider(goose.DialectPostgres, db, dir, append(options, goose.WithSessionLocker(locker))...); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// createSchema makes the schema, which the list of migrations lies in too: who
// drops it can begin again.
func createSchema(ctx context.Context, pool *pgxpool.Pool) error {
	var there bool
	err := pool.QueryRow(ctx, `SELECT to_regnamespace('annals') IS NOT NULL`).Scan(&there)
	if err == nil && !there {
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS annals`)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	return nil
}

// newestMigration is the version that the embedded migrations bring a database to.
var newestMigration = sync.OnceValue(func() (newest int64) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // of the pattern
	}
	for _, f := range files {
		if n, err := goose.NumericComponent(f); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
})

func checkMigrations(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var version int64
	err := pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM annals.migrations WHERE is_applied`).Scan(&version)
	if IsMissing(err) {
		return fmt.Errorf("%w: %w", projection.ErrVersion, errNoTables)
	}
	if err != nil {
		return fmt.Errorf("read the version of the bookkeeping: %w", err)
	}
	if want := newestMigration(); version < want {
		return fmt.Errorf("%w: their bookkeeping is of version %d, this program's is %d: migrate it (projector migrate)", projection.ErrVersion, version, want)
	}
	return nil
}
