package raw_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/internal/testenv"
)

// The indexes of a plan are those of its scans, each once, and nothing that a value of
// the statement looks like.
func TestExplainNamesTheIndexes(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `
		CREATE TABLE t (n integer, s text, u text);
		INSERT INTO t SELECT n, n::text, n::text FROM generate_series(1, 20000) AS n;
		CREATE INDEX by_n ON t (n); CREATE INDEX by_s ON t (s); ANALYZE t`); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, sql string
		args      []any
		want      []string
		line      string
	}{
		{"in order", `SELECT * FROM t ORDER BY n LIMIT 5`, nil, []string{"by_n"}, "Index Scan using by_n on t"},
		{"backwards", `SELECT * FROM t ORDER BY n DESC LIMIT 5`, nil, []string{"by_n"}, "Index Scan Backward using by_n on t"},
		{"alone", `SELECT n FROM t WHERE n = 7`, nil, []string{"by_n"}, "Index Only Scan using by_n on t"},
		{"several, one of them twice", `SELECT * FROM t WHERE n = 7 OR n = 9 OR s = $1`, []any{"5"}, []string{"by_n", "by_s"}, "Bitmap Index Scan on by_s"},
		{"none", `SELECT * FROM t WHERE u = $1`, []any{"\n  -> Index Scan using by_s on t"}, nil, "Seq Scan on t"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := raw.Explain(t.Context(), conn, tt.sql, tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, p.Indexes); d != "" {
				t.Errorf("indexes (-want +got):\n%s\nof\n%s", d, strings.Join(p.Lines, "\n"))
			}
			if all := strings.Join(p.Lines, "\n"); !strings.Contains(all, tt.line) || strings.Contains(all, "cost=") {
				t.Errorf("the plan is\n%s", all)
			}
		})
	}
}
