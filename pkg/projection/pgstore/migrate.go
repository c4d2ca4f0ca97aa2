package pgstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/annals-io/annals/pkg/projection"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed sql/tables.sql
var tablesSQL string

// migrationLock is the key of the advisory lock under which tables are made.
const migrationLock = 0x616e6e616c73 // "annals"

// Migrate brings the database to what this program needs: the bookkeeping by
// numbered migrations, and the projection's tables if there are none. It is
// idempotent, and safe when several processes do it at once. It fails with
// projection.ErrVersion if the tables are of another version.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	err := checkVersion(ctx, pool)
	if err == nil {
		return migrateBookkeeping(ctx, pool)
	}
	if !errors.Is(err, errNoTables) {
		return err
	}
	if err := migrateBookkeeping(ctx, pool); err != nil {
		return err
	}
	return createTables(ctx, pool)
}

func migrateBookkeeping(ctx context.Context, pool *pgxpool.Pool) error {
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

// createTables makes the projection's tables, unless another process just has.
func createTables(ctx context.Context, pool *pgxpool.Pool) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO annals.projections (name, version) VALUES ($1, $2) ON CONFLICT DO NOTHING`, Name, Version)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, tablesSQL)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	return checkVersion(ctx, pool)
}

// errNoTables: the database was not prepared.
var errNoTables = errors.New("the database has no tables of Annals: migrate it first (projector migrate)")

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
	if err := pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM annals.migrations WHERE is_applied`).Scan(&version); err != nil {
		return fmt.Errorf("read the version of the bookkeeping: %w", err)
	}
	if want := newestMigration(); version < want {
		return fmt.Errorf("%w: their bookkeeping is of version %d, this program's is %d: migrate it (projector migrate)", projection.ErrVersion, version, want)
	}
	return nil
}

func checkVersion(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var version int
	err := pool.QueryRow(ctx, `SELECT version FROM annals.projections WHERE name = $1`, Name).Scan(&version)
	var pgErr *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows), errors.As(err, &pgErr) && (pgErr.Code == "42P01" || pgErr.Code == "3F000"):
		return fmt.Errorf("%w: %w", projection.ErrVersion, errNoTables)
	case err != nil:
		return fmt.Errorf("read the version of the tables: %w", err)
	case version != Version:
		return fmt.Errorf("%w: they are of version %d, this program's is %d: rebuild them", projection.ErrVersion, version, Version)
	}
	return nil
}
