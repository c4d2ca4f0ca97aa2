package pgstore_test

import (
	"flag"
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/searchattribute"
)

var jitRuns = flag.Int("jit.runs", 30_000, "how many runs the tables of BenchmarkJIT have")

// BenchmarkJIT measures what Postgres's compiling of expressions costs and saves queries that read many rows. Their
// statements are sent as they are, so that the setting is the pool's.
func BenchmarkJIT(b *testing.B) {
	pool := newTables(b)
	fill(b, pool, *jitRuns)
	type query interface {
		Statement(types map[string]searchattribute.Type) (string, []any, error)
	}
	for _, q := range []struct {
		name  string
		query query
	}{
		{"list=newest", pgstore.ListQuery{Namespace: "default"}},
		{"list=keyword", pgstore.ListQuery{Namespace: "default", Query: "Customer = 'customer-77'"}},
		{"list=failure", pgstore.ListQuery{Namespace: "default", Query: "LastFailure LIKE '%timeout%'"}},
		{"list=pending", pgstore.ListQuery{Namespace: "default", Query: "HasPendingActivity = 'Charge'"}},
		{"list=long", pgstore.ListQuery{Namespace: "default", Query: "HistoryLength > 1000", OrderBy: "HistoryLength DESC"}},
		{"count=all", pgstore.CountQuery{Namespace: "default"}},
		{"count=type", pgstore.CountQuery{Namespace: "default", GroupBy: []string{"WorkflowType"}}},
		{"count=day", pgstore.CountQuery{Namespace: "default", GroupBy: []string{"CloseDay", "ExecutionStatus"}}},
	} {
		sql, args, err := q.query.Statement(fuzzed)
		if err != nil {
			b.Fatal(err)
		}
		for jit, settings := range map[string]map[string]string{
			"off": {"jit": "off"}, "on": {"jit": "on"}, "always": {"jit": "on", "jit_above_cost": "0"},
		} {
			b.Run(q.name+"/jit="+jit, func(b *testing.B) {
				c := pool.Config()
				c.MaxConns = 1
				maps.Copy(c.ConnConfig.RuntimeParams, settings)
				own, err := pgxpool.NewWithConfig(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				defer own.Close()
				var plan string
				if err := own.QueryRow(b.Context(), "EXPLAIN (FORMAT JSON) "+sql, args...).Scan(&plan); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := own.Exec(b.Context(), sql, args...); err != nil {
						b.Fatal(err)
					}
				}
				if strings.Contains(plan, `"JIT"`) {
					b.ReportMetric(1, "compiled")
				}
			})
		}
	}
}
