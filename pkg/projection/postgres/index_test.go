package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// shelves is a projection with all that Indexes may say.
var shelves = postgres.Definition{
	Name: "shelves", Version: 1,
	Tables: `CREATE TABLE shelves (id bigint NOT NULL, room text NOT NULL);
		CREATE TABLE books (isbn text NOT NULL, shelf bigint NOT NULL, pages integer)`,
	Indexes: []string{
		`ALTER TABLE shelves ADD CONSTRAINT shelves_pkey PRIMARY KEY (id)`,
		`ALTER TABLE books ADD CONSTRAINT books_on_shelves FOREIGN KEY (shelf) REFERENCES shelves (id)`,
		"-- a comment\nCREATE INDEX shelves_by_room ON shelves (room)",
		`CREATE UNIQUE INDEX books_by_isbn ON books(isbn)`,
		`CREATE INDEX books_by_pages ON books (pages DESC NULLS LAST) WHERE pages > 100`,
		`ALTER TABLE books ADD CONSTRAINT books_have_pages CHECK (pages > 0) NOT VALID`,
	},
}

// fillShelves makes a generation without indexes, beside the live one, and puts some rows into it.
func fillShelves(t *testing.T, pool *pgxpool.Pool, p *postgres.Projection) (generation int) {
	t.Helper()
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	generation, err := postgres.CreateBuilding(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	schema := postgres.SchemaOf("shelves", generation)
	exec(t, pool, `INSERT INTO `+schema+`.shelves SELECT n, 'room ' || n % 7 FROM generate_series(1, 100) AS n`)
	exec(t, pool, `INSERT INTO `+schema+`.books SELECT 'isbn ' || n, 1 + n % 100, n FROM generate_series(1, 5000) AS n`)
	return generation
}

// made is all that is indexed or constrained in a generation, and how many rows
// Postgres believes its tables to have.
func made(t *testing.T, pool *pgxpool.Pool, generation int) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT replace(pg_get_indexdef(indexrelid), $1 || '.', '') || ' valid ' || indisvalid
		FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid WHERE c.relnamespace = to_regnamespace($1)
		UNION ALL
		SELECT conname || ' ' || replace(pg_get_constraintdef(oid), $1 || '.', '') || ' validated ' || convalidated
		FROM pg_constraint WHERE connamespace = to_regnamespace($1) AND contype <> 'n'
		ORDER BY 1`, postgres.SchemaOf("shelves", generation))
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestIndexesMadeAfterwardsAreThoseMadeAtOnce(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, shelves)
	generation := fillShelves(t, pool, p)
	want := made(t, pool, 1)
	if len(want) < len(shelves.Indexes) {
		t.Fatalf("made at once: %q", want)
	}
	if got := made(t, pool, generation); len(got) != 0 {
		t.Fatalf("before: %q", got)
	}
	var names []string
	done := 0
	err := p.BuildIndexes(t.Context(), generation, 3, func(x postgres.IndexProgress) {
		names = append(names, x.Name)
		if done++; x.Done != done || x.Total != len(shelves.Indexes) || x.Took <= 0 || x.Table == "" {
			t.Errorf("progress %+v, want %d of %d", x, done, len(shelves.Indexes))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := names[len(names)-2:]; !slices.Equal(got, []string{"books_on_shelves", "books_have_pages"}) {
		t.Errorf("made in the end: %v; want the constraints that are no keys", got)
	}
	if d := cmp.Diff(want, made(t, pool, generation)); d != "" {
		t.Errorf("made at once (-) and afterwards (+):\n%s", d)
	}
	var rows float64
	if err := pool.QueryRow(t.Context(), `SELECT reltuples FROM pg_class WHERE oid = 'annals_shelves_2.books'::regclass`).Scan(&rows); err != nil || rows != 5000 {
		t.Errorf("Postgres believes that there are %v books (%v)", rows, err)
	}
	if err := p.BuildIndexes(t.Context(), generation, 0, nil); err == nil {
		t.Error("on no connection: no error")
	}
}

// Whatever was made before it was stopped is kept, what another left half made is
// not.
func TestMakingIndexesGoesOnWhereItWasStopped(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, shelves)
	generation := fillShelves(t, pool, p)
	schema := postgres.SchemaOf("shelves", generation)

	enough := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	stopped := ""
	err := p.BuildIndexes(ctx, generation, 1, func(x postgres.IndexProgress) {
		if x.Done == 2 {
			stopped = x.Name
			stop(enough)
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	var before uint32
	if err := pool.QueryRow(t.Context(), `SELECT to_regclass($1)::oid`, schema+"."+stopped).Scan(&before); err != nil {
		t.Fatal(err)
	}
	// What fails leaves nothing: an index of a key that is there twice.
	exec(t, pool, `INSERT INTO `+schema+`.shelves VALUES (7, 'again')`)
	if err := p.BuildIndexes(t.Context(), generation, 2, nil); err == nil || !strings.Contains(err.Error(), "make shelves_pkey of shelves") {
		t.Errorf("of a key that is there twice: %v", err)
	}
	exec(t, pool, `DELETE FROM `+schema+`.shelves WHERE room = 'again'`)
	exec(t, pool, `DROP INDEX IF EXISTS `+schema+`.shelves_by_room`)
	// A statement outside of a transaction that is stopped leaves such an index.
	exec(t, pool, `CREATE INDEX shelves_by_room ON `+schema+`.shelves (id)`)
	exec(t, pool, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = '`+schema+`.shelves_by_room'::regclass`)

	took := map[string]bool{}
	if err := p.BuildIndexes(t.Context(), generation, 2, func(x postgres.IndexProgress) { took[x.Name] = x.Took > 0 }); err != nil {
		t.Fatal(err)
	}
	if took[stopped] || !took["shelves_by_room"] || len(took) != len(shelves.Indexes) {
		t.Errorf("made anew: %v; want shelves_by_room, and not %s", took, stopped)
	}
	var after uint32
	if err := pool.QueryRow(t.Context(), `SELECT to_regclass($1)::oid`, schema+"."+stopped).Scan(&after); err != nil || after != before {
		t.Errorf("%s was %d and is %d (%v)", stopped, before, after, err)
	}
	whole := fillAnother(t, pool, p)
	if err := p.BuildIndexes(t.Context(), whole, 2, nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(made(t, pool, whole), made(t, pool, generation)); d != "" {
		t.Errorf("in one go (-) and stopped (+):\n%s", d)
	}
}

// fillAnother fills one more generation: the one before is not building any more.
func fillAnother(t *testing.T, pool *pgxpool.Pool, p *postgres.Projection) int {
	t.Helper()
	exec(t, pool, `UPDATE annals.generations SET state = 'retired', live_at = now(), retired_at = now() WHERE state = 'building'`)
	return fillShelves(t, pool, p)
}

// A session may still be making an index for a process that is gone.
func TestAnIndexThatIsBeingMadeIsWaitedFor(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, shelves)
	generation := fillShelves(t, pool, p)
	schema := postgres.SchemaOf("shelves", generation)
	other, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback(context.Background()) }()
	for _, sql := range []string{
		fmt.Sprintf(`SELECT pg_advisory_xact_lock(hashtextextended('annals index %s.books_by_isbn', 0))`, schema),
		fmt.Sprintf(`CREATE UNIQUE INDEX books_by_isbn ON %s.books (isbn)`, schema),
	} {
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	var took []postgres.IndexProgress
	go func() {
		done <- p.BuildIndexes(t.Context(), generation, 2, func(x postgres.IndexProgress) { took = append(took, x) })
	}()
	for waits := false; !waits; {
		if err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, x := range took {
		if there := x.Took == 0; there != (x.Name == "books_by_isbn") {
			t.Errorf("%s was there: %v", x.Name, there)
		}
	}
}

func TestStatementsThatMakeNoIndex(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	for name, sql := range map[string]string{
		"no name":                  `CREATE INDEX ON shelves (room)`,
		"outside of a transaction": `CREATE INDEX CONCURRENTLY x ON shelves (room)`,
		"perhaps":                  `CREATE INDEX IF NOT EXISTS x ON shelves (room)`,
		"a constraint's name":      `ALTER TABLE shelves ADD PRIMARY KEY (id)`,
		"something else":           `DROP TABLE shelves`,
		"a schema":                 `CREATE INDEX x ON public.shelves (room)`,
		"twice":                    shelves.Indexes[0],
	} {
		d := shelves
		d.Indexes = append(slices.Clone(d.Indexes), sql)
		if _, err := postgres.Open(pool, d); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
