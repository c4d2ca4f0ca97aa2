package pgstore_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// commentsOfIndexes are what is said of the indexes of some schemas.
func commentsOfIndexes(t *testing.T, pool *pgxpool.Pool, schemas ...string) map[string]string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT c.relname::text, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		WHERE c.relnamespace = ANY ($1::text[]::regnamespace[]) AND c.relname <> 'migrations_pkey'`, schemas)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	var name, comment string
	if _, err := pgx.ForEachRow(rows, []any{&name, &comment}, func() error { comments[name] = comment; return nil }); err != nil {
		t.Fatal(err)
	}
	return comments
}

// Each index of the tables names the queries that it is for. Those that TestPlansUseTheirIndexes does not ask, the
// keys, are used by the queries that they name. Here no table is read as a whole, as few rows as there are.
func TestEachIndexNamesItsQuery(t *testing.T) {
	t.Parallel()
	pool := newTablesIn(t, pgstore.EventsFull)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(14, 300), historytest.Options{Workflows: 30})
	projectAll(t, log, store, 0)
	fill(t, pool, 5000) // of few runs any index will do
	exec(t, pool, "ANALYZE")
	c := pool.Config()
	c.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	strict, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(strict.Close)

	comments := commentsOfIndexes(t, pool, "annals_executions_1")
	w := workflows[0]
	run := []any{int16(w.Slot()), w.Namespace, w.ID, "run"}
	of := func(index, query, sql string, args ...any) {
		t.Helper()
		if !strings.Contains(comments[index], query) {
			t.Errorf("%s says %q, and nothing of %q", index, comments[index], query)
		}
		used := map[string]bool{}
		explain(t, strict, sql, args).each(func(p plan) { used[p.Index] = true })
		if !used[index] {
			t.Errorf("%s of %s is not used, but %v", index, query, slices.Sorted(maps.Keys(used)))
		}
	}
	// A run is found without its workflow's other runs, by whichever index.
	byItsKey := func(what, sql string, args ...any) {
		t.Helper()
		explain(t, strict, sql, args).each(func(p plan) {
			if strings.HasPrefix(p.Index, "executions_") && !strings.Contains(p.Condition, "run_id") {
				t.Errorf("%s finds a run by %s, on %s", what, p.Index, p.Condition)
			}
		})
	}
	for index, sql := range pgstore.DescribeStatements() {
		args := run
		if index == "workflows_pkey" {
			args = run[:3]
		}
		if index == "executions_pkey" {
			byItsKey("describe", sql, args...)
			continue
		}
		of(index, "describe", sql, args...)
	}
	for _, table := range pgstore.Described(pgstore.EventsFull) {
		sql, update := pgstore.StatementsOf(store, table.Name)
		args := run[:3:3]
		if table.Name == "run_events" {
			args = append(args, []int64{1})
		}
		of(table.Name+"_pkey", "heal", sql, args...)
		if comment := comments[table.Name+"_pkey"]; strings.Contains(comment, "update") {
			nulls := make([]any, len(table.Columns))
			if table.Name == "executions" {
				byItsKey("update", update, nulls...)
			} else {
				of(table.Name+"_pkey", "update", update, nulls...)
			}
		}
	}
	load := []any{[]int16{int16(w.Slot())}, []string{w.Namespace}, []string{w.ID}}
	of("workflows_pkey", "reads its end back", pgstore.LoadStatement(store), load...)
	byItsKey("load", pgstore.LoadStatement(store), load...)
	for index, query := range map[string]string{
		"run_events_pkey": "annals.events", "signals_pkey": "annals.signals", "commits_pkey": "annals.event_json",
	} {
		of(index, query, "SELECT * FROM "+query+" WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 ORDER BY event_id", run...)
	}
	of("commits_pkey", "annals.commits", "SELECT body FROM annals.commits WHERE slot = $1 AND sequence = $2", run[0], int64(1))
	for index, query := range map[string]string{
		"run_events_pkey": "EventType = 'TimerStarted'", "activities_pkey": "HasPendingActivity = 'Charge'", "children_pkey": "HasPendingChild = 'Ship'", "timers_pkey": "PendingTimerBefore = '2026-01-01T00:00:00Z'",
	} {
		field, _, _ := strings.Cut(query, " ")
		sql, args, err := pgstore.ListQuery{Namespace: "default", Query: query + " AND WorkflowId = 'w'"}.Statement(nil)
		if err != nil {
			t.Fatal(err)
		}
		of(index, field, sql, args...)
	}

	// All of them name one, those of the bookkeeping too.
	names := []string{"list", "count", "describe", "heal", "rojector", "annals.", "status", "search-attribute list", "keeper", "rebuild", "generation", "checkpoints", "lease"}
	for index, comment := range commentsOfIndexes(t, pool, "annals", "annals_executions_1") {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(comment, name) }) {
			t.Errorf("%s names no query: %q", index, comment)
		}
	}

	// A rebuild makes them with what they say.
	rebuild(t, store, log, quietly())
	if diff := cmp.Diff(comments, commentsOfIndexes(t, pool, "annals_executions_2")); diff != "" {
		t.Errorf("what indexes say, before a rebuild (-) and after (+):\n%s", diff)
	}
}
