package pgstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// newPool is a pool on an empty database.
func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// newStore is a store on a database with empty tables.
func newStore(t *testing.T, c pgstore.Config) (*pgstore.Store, *pgxpool.Pool) {
	t.Helper()
	pool := newPool(t)
	if err := pgstore.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	s, err := pgstore.New(pool, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, pool
}

func TestMigrateTwelveAtOnce(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	start := time.Now()
	var g errgroup.Group
	for range 12 {
		g.Go(func() error { return pgstore.Migrate(t.Context(), pool) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("twelve migrations of one database took %v", time.Since(start))
	s, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CheckVersion(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTablesThatAreNotThisVersionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, sql string }{
		{"no schema", `DROP SCHEMA annals CASCADE`},
		{"no projection", `DELETE FROM annals.projections`},
		{"an older version", `UPDATE annals.generations SET version = version + 1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, pool := newStore(t, pgstore.Config{})
			if _, err := pool.Exec(t.Context(), tc.sql); err != nil {
				t.Fatal(err)
			}
			if err := s.CheckVersion(t.Context()); !errors.Is(err, projection.ErrVersion) {
				t.Errorf("CheckVersion: %v, want ErrVersion", err)
			}
		})
	}
}

// The descriptions in Go and the tables in SQL are written down twice: they must
// say the same, and every column must say what it is.
func TestTablesAreAsDescribed(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			tablesAreAsDescribed(t, newTablesIn(t, mode), mode)
		})
	}
}

func tablesAreAsDescribed(t *testing.T, pool *pgxpool.Pool, mode pgstore.EventsMode) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT c.relname || '.' || a.attname || ' ' || replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
		FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
		WHERE c.relnamespace = 'annals_executions_1'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY c.relname, a.attnum`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pgstore.DescribedColumns(mode), got); diff != "" {
		t.Errorf("columns described in Go (-) and in SQL (+):\n%s", diff)
	}
	var silent []string
	rows, err = pool.Query(t.Context(), `
		SELECT c.relname || '.' || a.attname
		FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
		WHERE c.relnamespace IN ('annals'::regnamespace, 'annals_executions_1'::regnamespace) AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
		  AND c.relname <> 'migrations' AND col_description(c.oid, a.attnum) IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	if silent, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(silent) > 0 {
		t.Errorf("columns without a comment: %v (%v)", silent, err)
	}
}

// Lists are in the order of bytes, as the log in memory has them, whatever the
// collation of the user's database.
func TestTextsHaveTheOrderOfBytes(t *testing.T) {
	t.Parallel()
	pool := newTablesIn(t, pgstore.EventsFull)
	rows, err := pool.Query(t.Context(), `
		SELECT c.relname || '.' || a.attname || ' ' || o.collname
		FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_collation AS o ON o.oid = a.attcollation
		WHERE c.relnamespace = 'annals_executions_1'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND a.atttypid = 'text'::regtype AND o.collname <> 'C'`)
	if err != nil {
		t.Fatal(err)
	}
	other, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(other) > 0 {
		t.Errorf("texts in another order: %v (%v)", other, err)
	}
}

// Dropping the schema and migrating again is how tables are thrown away.
func TestMigrateAfterTheSchemaWasDropped(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t, pgstore.Config{})
	if _, err := pool.Exec(t.Context(), `DROP SCHEMA annals CASCADE`); err != nil {
		t.Fatal(err)
	}
	if err := pgstore.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckVersion(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	rows, err := pool.Query(t.Context(), `SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	if left, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(left) > 0 {
		t.Errorf("outside the schema: %v (%v)", left, err)
	}
}
