package raw_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/internal/testenv"
)

// A baseline that copies fewer rows, or makes fewer indexes, would be held against
// work that is not the same.
func TestLoads(t *testing.T) {
	url := testenv.Postgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `
		CREATE SCHEMA a; CREATE TABLE a.odd (n integer, s text); CREATE TABLE a.even (LIKE a.odd);
		CREATE SCHEMA b; CREATE TABLE b.odd (n integer, s text); CREATE TABLE b.even (LIKE b.odd);
		INSERT INTO a.odd SELECT 2 * n - 1, repeat('x', n % 9) FROM generate_series(1, 1000) AS n;
		INSERT INTO a.even SELECT 2 * n, NULL FROM generate_series(1, 500) AS n`); err != nil {
		t.Fatal(err)
	}
	var files [][]raw.File
	for _, where := range []string{"n <= 500", "n > 500"} {
		var list []raw.File
		for _, table := range []string{"odd", "even"} {
			f := raw.File{Table: table, Path: filepath.Join(t.TempDir(), table)}
			if err := raw.Dump(t.Context(), url, "SELECT * FROM a."+table+" WHERE "+where, f.Path); err != nil {
				t.Fatal(err)
			}
			list = append(list, f)
		}
		files = append(files, list)
	}
	indexes := []string{"CREATE INDEX x ON odd (s)", "ALTER TABLE odd ADD CONSTRAINT y PRIMARY KEY (n)", "CREATE INDEX z ON even (n)"}
	if err := raw.Load(t.Context(), url, "b", files, indexes); err != nil {
		t.Fatal(err)
	}
	var same bool
	var names []string
	err = conn.QueryRow(t.Context(), `
		SELECT (SELECT array_agg(o ORDER BY n) FROM a.odd AS o)::text = (SELECT array_agg(o ORDER BY n) FROM b.odd AS o)::text
		   AND (SELECT array_agg(e ORDER BY n) FROM a.even AS e)::text = (SELECT array_agg(e ORDER BY n) FROM b.even AS e)::text,
		       (SELECT array_agg(indexname::text ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'b')`).Scan(&same, &names)
	if err != nil || !same {
		t.Errorf("the rows are the same: %v (%v)", same, err)
	}
	if d := cmp.Diff([]string{"x", "y", "z"}, names); d != "" {
		t.Errorf("indexes (-want +got):\n%s", d)
	}
	if err := raw.Load(t.Context(), url, "b", files, nil); err == nil {
		t.Error("rows whose key is there already were copied")
	}
}
