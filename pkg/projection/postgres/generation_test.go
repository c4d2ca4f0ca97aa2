package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// notes is a projection with one table.
var notes = postgres.Definition{
	Name: "notes", Version: 1, Schema: "shown", Views: []string{"notes"},
	Tables:  `CREATE TABLE notes (id bigint PRIMARY KEY, text text NOT NULL); COMMENT ON COLUMN notes.text IS 'What it says.'`,
	Indexes: []string{`CREATE INDEX notes_by_text ON notes (text)`},
}

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return openPool(t, testenv.Postgres(t), postgres.PoolConfig{})
}

func openNotes(t *testing.T, pool *pgxpool.Pool, d postgres.Definition) *postgres.Projection {
	t.Helper()
	p, err := postgres.Open(pool, d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func TestReadersSeeTheLiveGeneration(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, notes)
	if err := p.CheckVersion(t.Context()); !errors.Is(err, projection.ErrVersion) {
		t.Errorf("before it is migrated: %v", err)
	}
	for range 2 {
		if err := p.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, pool, `INSERT INTO annals_notes_1.notes VALUES (1, 'a')`)
	var text, comment string
	err := pool.QueryRow(t.Context(), `SELECT text, col_description('shown.notes'::regclass, 2) FROM shown.notes`).Scan(&text, &comment)
	if err != nil || text != "a" || comment != "What it says." {
		t.Errorf("the view shows %q, and says %q of it (%v)", text, comment, err)
	}
	changed := notes
	changed.Version++
	for _, err := range []error{openNotes(t, pool, changed).CheckVersion(t.Context()), openNotes(t, pool, changed).Migrate(t.Context())} {
		if !errors.Is(err, projection.ErrVersion) {
			t.Errorf("of another version: %v", err)
		}
	}
}

// Tables of another mode are no more this program's than those of another version: a definition that names a mode
// takes no others, one that names none takes all.
func TestTablesOfAnotherModeAreRefused(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	in := func(mode string) *postgres.Projection {
		d := notes
		d.Mode = mode
		return openNotes(t, pool, d)
	}
	if err := in("small").Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := events.Identity{LogID: "log", Epoch: 1}
	for _, tc := range []struct {
		mode  string
		fails bool
	}{{"small", false}, {"", false}, {"large", true}} {
		p := in(tc.mode)
		_, checkpoint := p.Checkpoint(t.Context(), id, 0)
		for what, err := range map[string]error{"Migrate": p.Migrate(t.Context()), "CheckVersion": p.CheckVersion(t.Context()), "Checkpoint": checkpoint} {
			var other *projection.ModeError
			if is := errors.As(err, &other) && errors.Is(err, projection.ErrVersion); is != tc.fails || !is && err != nil || is && (other.Tables != "small" || other.Wanted != "large" || other.Projection != "notes") {
				t.Errorf("%s by who wants %q: %v", what, tc.mode, err)
			}
		}
	}
	if mode, ok, err := in("large").ModeIn(t.Context(), pool); mode != "small" || !ok || err != nil {
		t.Errorf("the mode is %q, %v, %v", mode, ok, err)
	}
	if _, err := postgres.Open(pool, postgres.Definition{Name: "notes", Version: 1, Tables: notes.Tables, Mode: "No Mode"}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("a mode that is none: %v", err)
	}
}

// A snapshot that is older than a generation cannot see its rows, and must not
// take that for an answer.
func TestASnapshotFromBeforeFails(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	if err := openNotes(t, pool, notes).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		var n int
		if err := tx.QueryRow(t.Context(), `SELECT 1`).Scan(&n); err != nil { // takes the snapshot
			return err
		}
		exec(t, pool, `UPDATE annals.generations SET state = 'retired', retired_at = now() WHERE generation = 1`)
		exec(t, pool, `INSERT INTO annals.generations (projection, generation, version, state, live_at) VALUES ('notes', 2, 1, 'live', now())`)
		exec(t, pool, `CREATE SCHEMA annals_notes_2`)
		exec(t, pool, `CREATE TABLE annals_notes_2.notes (id bigint, text text)`)
		exec(t, pool, `INSERT INTO annals_notes_2.notes VALUES (1, 'b')`)
		exec(t, pool, `CREATE OR REPLACE VIEW shown.notes AS SELECT id, text FROM annals_notes_2.notes WHERE annals.visible('notes', 2)`)
		return tx.QueryRow(t.Context(), `SELECT count(*) FROM shown.notes`).Scan(&n)
	})
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "40001" {
		t.Errorf("a query of the new generation in an older snapshot: %v, want SQLSTATE 40001", err)
	}
	var text string
	if err := pool.QueryRow(t.Context(), `SELECT text FROM shown.notes`).Scan(&text); err != nil || text != "b" {
		t.Errorf("a later one: %q, %v", text, err)
	}
}

// A database of a program that knew no generations keeps what it has.
func TestTablesFromBeforeGenerations(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	if err := postgres.MigrateTo(t.Context(), pool, 2); err != nil {
		t.Fatal(err)
	}
	exec(t, pool, `INSERT INTO annals.projections (name, version) VALUES ('executions', 1)`)
	exec(t, pool, `INSERT INTO annals.checkpoints (projection, partition, log_id, log_epoch, sequence) VALUES ('executions', 3, 'log', 2, 0)`)
	exec(t, pool, `CREATE TABLE annals.events (text text)`)
	exec(t, pool, `INSERT INTO annals.events VALUES ('kept')`)
	p := openNotes(t, pool, postgres.Definition{Name: "executions", Version: 1, Schema: "annals", Views: []string{"events"}, Tables: "-"})
	if err := p.CheckVersion(t.Context()); !errors.Is(err, projection.ErrVersion) {
		t.Errorf("before it is migrated: %v", err)
	}
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := pool.QueryRow(t.Context(), `SELECT text FROM annals.events`).Scan(&text); err != nil || text != "kept" {
		t.Errorf("the view shows %q, %v", text, err)
	}
	c, err := p.Checkpoint(t.Context(), events.Identity{LogID: "log", Epoch: 2}, 3)
	if err != nil || c.Generation != 1 || c.LogEpoch != 2 {
		t.Errorf("checkpoint %+v, %v", c, err)
	}
}

func TestDefinitionsThatCannotBe(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	for name, spoil := range map[string]func(*postgres.Definition){
		"no name":       func(d *postgres.Definition) { d.Name = "" },
		"capitals":      func(d *postgres.Definition) { d.Name = "Notes" },
		"no version":    func(d *postgres.Definition) { d.Version = 0 },
		"no tables":     func(d *postgres.Definition) { d.Tables = "" },
		"no schema":     func(d *postgres.Definition) { d.Schema = "" },
		"not an object": func(d *postgres.Definition) { d.Views = []string{"a.b"} },
	} {
		d := notes
		spoil(&d)
		if _, err := postgres.Open(pool, d); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
