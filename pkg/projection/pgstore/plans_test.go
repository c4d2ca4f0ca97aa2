package pgstore_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// fillForPlans makes 30,000 runs of 15,000 workflows, of 20 types (one has half
// of all runs) and four statuses (most are completed), a hundredth of them
// without a start time and each with a memo of half a kilobyte and a search
// attribute that four have in common, and analyzes them.
func fillForPlans(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	fill(t, pool, 30_000)
}

func fill(t testing.TB, pool *pgxpool.Pool, runs int) {
	t.Helper()
	// A commit that is not flushed yet hides from VACUUM that its rows are
	// visible to all, and indexes alone could answer nothing.
	exec(t, pool, `SET synchronous_commit = on;
		INSERT INTO annals.executions (
		    slot, namespace, workflow_id, run_id, status, close_time, state, workflow_type, start_time,
		    task_queue, identity, cron_schedule, attempt, root_workflow_id, root_run_id, first_run_id, original_run_id,
		    cancel_requested, workflow_task_failures, pending_activities, pending_timers, pending_children,
		    pending_nexus_operations, pending_updates, signals, history_length, history_size_bytes,
		    unknown_events, missing_references, partition, first_sequence, last_sequence, run_no, search_values, untyped_attributes, memo)
		SELECT i % 1024, 'default', 'workflow-' || i / 2, 'run-' || i, s, CASE WHEN s <> 'Running' THEN timestamptz '2026-02-01Z' + (i * 7907 % 30000) * interval '1 minute' END, CASE WHEN s = 'Running' THEN '\x00'::bytea END,
		    'Type' || CASE WHEN i % 2 = 0 THEN 0 ELSE i / 2 % 19 + 1 END,
		    CASE WHEN i % 100 <> 0 THEN timestamptz '2026-01-01Z' + (i * 7919 % 30000) * interval '1 minute' END,
		    'orders', 'tester', '', 1, 'workflow-' || i / 2, 'run-' || i, 'run-' || i, 'run-' || i,
		    false, 0, 0, 0, 0, 0, 0, 0, 12, 3456, 0, 0, 0, i, i, 2 * i,
		    jsonb_build_object('Customer', 'customer-' || i / 4, 'Labels', jsonb_build_array('label-' || i / 40)), CASE WHEN i % 1000 = 3 THEN ARRAY['Later'] END,
		    jsonb_build_object('customer', jsonb_build_object('data', repeat(md5(i::text), 16)))
		FROM generate_series(1::bigint, `+strconv.Itoa(runs)+`) AS i,
		     LATERAL (SELECT CASE WHEN i % 50 = 0 THEN 'Running' WHEN i % 50 = 1 THEN 'Failed' WHEN i % 500 = 2 THEN 'Terminated' ELSE 'Completed' END AS s) AS status`)
	exec(t, pool, `VACUUM ANALYZE annals_executions_1.executions`)
}

// plan is what EXPLAIN says of a node and those under it.
type plan struct {
	Node      string `json:"Node Type"`
	Index     string `json:"Index Name"`
	Condition string `json:"Index Cond"`
	Children  []plan `json:"Plans"`
}

func (p plan) each(visit func(plan)) {
	visit(p)
	for _, c := range p.Children {
		c.each(visit)
	}
}

// unbounded reports whether a node may get more rows than a page can use: some that
// it reads are under no limit.
func (p plan) unbounded() bool {
	if p.Node == "Limit" {
		return false
	}
	return len(p.Children) == 0 || slices.ContainsFunc(p.Children, plan.unbounded)
}

// statement is one that is no query of the store's.
type statement string

func (s statement) Statement(map[string]searchattribute.Type) (string, []any, error) {
	return string(s), []any{"default"}, nil
}

func explain(t *testing.T, pool *pgxpool.Pool, sql string, args []any) plan {
	t.Helper()
	// The statement's own parameters are kept, so that Postgres plans what it
	// will get.
	var text string
	if err := pool.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+sql, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var explained []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &explained); err != nil {
		t.Fatal(err)
	}
	return explained[0].Plan
}

// Each index is there for queries, and these use it.
func TestPlansUseTheirIndexes(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	fillForPlans(t, pool)

	list := func(query string) pgstore.ListQuery { return pgstore.ListQuery{Namespace: "default", Query: query} }
	// next is the hundredth page or so: its token is deep in the list.
	next := func(q pgstore.ListQuery) pgstore.ListQuery {
		q.Offset = 4000
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if page.NextPageToken == "" {
			q.Offset = 100
			if page, err = s.List(t.Context(), q); err != nil || page.NextPageToken == "" {
				t.Fatalf("%q has no deep page: %v", q.Query, err)
			}
		}
		q.Offset, q.PageToken = 0, page.NextPageToken
		return q
	}
	ascending := func(q pgstore.ListQuery) pgstore.ListQuery {
		q.OrderBy = "StartTime ASC"
		return q
	}
	count := func(query string, by ...string) pgstore.CountQuery {
		return pgstore.CountQuery{Namespace: "default", Query: query, GroupBy: by}
	}

	byStart := func(q pgstore.ListQuery) pgstore.ListQuery {
		q.OrderBy = "StartTime DESC"
		return q
	}

	const (
		inOrder = 1 << iota // the index gives the rows in the list's order: no more are sorted than a page can use
		byPlace             // the token's place is found in the index, not passed over
		alone               // the index has all that is asked for: no row is read
	)
	used := map[string]bool{}
	for _, tc := range []struct {
		name  string
		query interface {
			Statement(types map[string]searchattribute.Type) (string, []any, error)
		}
		index string
		how   int
	}{
		{"all", list(""), "executions_by_close", inOrder},
		{"all, later page", next(list("")), "executions_by_close", inOrder | byPlace},
		{"all, the other way round", pgstore.ListQuery{Namespace: "default", OrderBy: "CloseTime, StartTime, RunId DESC, WorkflowId DESC"}, "executions_by_close", inOrder},
		{"closed since", list("CloseTime > '2026-02-20T00:00:00Z'"), "executions_by_close", inOrder},
		{"closed between, later page", next(list("CloseTime BETWEEN '2026-02-10T00:00:00Z' AND '2026-02-20T00:00:00Z'")), "executions_by_close", inOrder | byPlace},
		{"count all", count(""), "executions_by_close", alone},
		{"newest", byStart(list("")), "executions_by_start", inOrder},
		{"newest, later page", next(byStart(list(""))), "executions_by_start", inOrder | byPlace},
		{"oldest", ascending(list("")), "executions_by_start", inOrder},
		{"oldest, later page", next(ascending(list(""))), "executions_by_start", inOrder | byPlace},
		{"since", byStart(list("StartTime > '2026-01-20T00:00:00Z'")), "executions_by_start", inOrder},
		{"between, later page", next(byStart(list("StartTime BETWEEN '2026-01-10T00:00:00Z' AND '2026-01-20T00:00:00Z'"))), "executions_by_start", inOrder | byPlace},
		{"of a type", list("WorkflowType = 'Type7'"), "executions_by_type", inOrder},
		{"of a type, later page", next(list("WorkflowType = 'Type7'")), "executions_by_type", inOrder | byPlace},
		{"of a type, closed since", list("WorkflowType = 'Type7' AND CloseTime > '2026-02-20T00:00:00Z'"), "executions_by_type", inOrder},
		{"open of a type", list("WorkflowType = 'Type7' AND CloseTime IS NULL"), "executions_by_type", inOrder},
		{"count a type", count("WorkflowType = 'Type7'"), "executions_by_type", alone},
		{"count by type", count("", "WorkflowType"), "executions_by_type", alone},
		{"running", list("ExecutionStatus = 'Running'"), "executions_by_status", inOrder},
		{"running, later page", next(list("ExecutionStatus = 'Running'")), "executions_by_status", inOrder | byPlace},
		{"failed, later page", next(list("ExecutionStatus = 'Failed'")), "executions_by_status", inOrder | byPlace},
		{"terminated or timed out", list("ExecutionStatus IN ('Terminated', 'TimedOut')"), "executions_by_status", 0},
		{"count running", count("ExecutionStatus = 'Running'"), "executions_by_status", alone},
		{"count by status", count("GROUP BY ExecutionStatus"), "executions_by_status", alone},
		{"of a workflow", list("WorkflowId = 'workflow-77'"), "executions_by_workflow", 0},
		{"of some workflows", list("WorkflowId IN ('workflow-77', 'workflow-78')"), "executions_by_workflow", 0},
		{"of workflows by prefix", list("WorkflowId STARTS_WITH 'workflow-777'"), "executions_by_workflow", 0},
		{"one run", list("RunId = 'run-777'"), "executions_by_run", 0},
		{"by a keyword", list("Customer = 'customer-77'"), "executions_by_search_values", 0},
		{"by some keywords", list("Customer IN ('customer-77', 'customer-78', 'customer-79')"), "executions_by_search_values", 0},
		{"by an element of a list", list("Labels = 'label-77' AND ExecutionStatus != 'Running'"), "executions_by_search_values", 0},
		{"count by a keyword", count("Customer = 'customer-77'", "ExecutionStatus"), "executions_by_search_values", 0},
		{"what gets its type", statement("SELECT 1 FROM annals.executions WHERE namespace = $1 AND untyped_attributes @> ARRAY['Later'] AND untyped_attributes IS NOT NULL"), "executions_untyped", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sql, args, err := tc.query.Statement(fuzzed)
			if err != nil {
				t.Fatal(err)
			}
			var nodes, indexes []string
			place, sorts := false, false
			explain(t, pool, sql, args).each(func(p plan) {
				if p.Index == "quarantine_pkey" || p.Index == "one_live_generation" {
					return // what is quarantined is read once, whatever is listed
				}
				nodes = append(nodes, p.Node)
				if p.Index != "" {
					indexes = append(indexes, p.Index)
				}
				place = place || strings.Contains(p.Condition, "ROW(")
				sorts = sorts || strings.Contains(p.Node, "Sort") && p.unbounded()
			})
			for _, index := range indexes {
				if index != tc.index {
					t.Errorf("it uses %s, want %s", index, tc.index)
				}
			}
			if len(indexes) == 0 {
				t.Errorf("it uses no index, want %s", tc.index)
			}
			if tc.how&inOrder != 0 && sorts {
				t.Error("it sorts")
			}
			if tc.how&alone != 0 && !slices.Contains(nodes, "Index Only Scan") {
				t.Error("it reads rows")
			}
			if tc.how&byPlace != 0 && !place {
				t.Error("it passes over the pages before")
			}
			if t.Failed() {
				t.Logf("%s\n%v", sql, nodes)
			}
			used[tc.index] = true
		})
	}

	rows, err := pool.Query(t.Context(), `
		SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		WHERE c.relnamespace = 'annals_executions_1'::regnamespace AND NOT i.indisprimary ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, slices.Sorted(maps.Keys(used))); diff != "" {
		t.Errorf("indexes that there are (-) and that have a query here (+):\n%s", diff)
	}
}
