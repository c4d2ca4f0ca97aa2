package pgstore_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// fillForPlans makes 30,000 runs of 15,000 workflows, of 20 types (one has half
// of all runs) and four statuses (most are completed), a hundredth of them
// without a start time and each with a memo of half a kilobyte, and analyzes them.
func fillForPlans(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	// A commit that is not flushed yet hides from VACUUM that its rows are
	// visible to all, and indexes alone could answer nothing.
	exec(t, pool, `SET synchronous_commit = on;
		INSERT INTO annals.executions (
		    slot, namespace, workflow_id, run_id, status, close_time, state, workflow_type, start_time,
		    task_queue, identity, cron_schedule, attempt, root_workflow_id, root_run_id, first_run_id, original_run_id,
		    cancel_requested, workflow_task_failures, pending_activities, pending_timers, pending_children,
		    pending_nexus_operations, pending_updates, signals, history_length, history_size_bytes,
		    unknown_events, missing_references, partition, first_sequence, last_sequence, run_no, memo)
		SELECT i % 1024, 'default', 'workflow-' || i / 2, 'run-' || i, s, CASE WHEN s <> 'Running' THEN now() END, CASE WHEN s = 'Running' THEN '\x00'::bytea END,
		    'Type' || CASE WHEN i % 2 = 0 THEN 0 ELSE i / 2 % 19 + 1 END,
		    CASE WHEN i % 100 <> 0 THEN timestamptz '2026-01-01Z' + (i * 7919 % 30000) * interval '1 minute' END,
		    'orders', 'tester', '', 1, 'workflow-' || i / 2, 'run-' || i, 'run-' || i, 'run-' || i,
		    false, 0, 0, 0, 0, 0, 0, 0, 12, 3456, 0, 0, 0, i, i, 2 * i,
		    jsonb_build_object('customer', jsonb_build_object('data', repeat(md5(i::text), 16)))
		FROM generate_series(1, 30000) AS i,
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

	const (
		inOrder = 1 << iota // the index gives the rows in the list's order: nothing is sorted
		byPlace             // the token's place is found in the index, not passed over
	)
	used := map[string]bool{}
	for _, tc := range []struct {
		name  string
		query interface {
			Statement() (string, []any, error)
		}
		index string
		how   int
	}{
		{"newest", list(""), "executions_by_start", inOrder},
		{"newest, later page", next(list("")), "executions_by_start", inOrder | byPlace},
		{"oldest", ascending(list("")), "executions_by_start", inOrder},
		{"oldest, later page", next(ascending(list(""))), "executions_by_start", inOrder | byPlace},
		{"since", list("StartTime > '2026-01-20T00:00:00Z'"), "executions_by_start", inOrder},
		{"between, later page", next(list("StartTime BETWEEN '2026-01-10T00:00:00Z' AND '2026-01-20T00:00:00Z'")), "executions_by_start", inOrder | byPlace},
		{"of a type", list("WorkflowType = 'Type7'"), "executions_by_type", inOrder},
		{"of a type, later page", next(list("WorkflowType = 'Type7'")), "executions_by_type", inOrder | byPlace},
		{"of a type, since", list("WorkflowType = 'Type7' AND StartTime > '2026-01-20T00:00:00Z'"), "executions_by_type", inOrder},
		{"of a type, oldest, later page", next(ascending(list("WorkflowType = 'Type7'"))), "executions_by_type", inOrder | byPlace},
		{"count a type", count("WorkflowType = 'Type7'"), "executions_by_type", 0},
		{"count by type", count("", "WorkflowType"), "executions_by_type", 0},
		{"running", list("ExecutionStatus = 'Running'"), "executions_by_status", inOrder},
		{"running, later page", next(list("ExecutionStatus = 'Running'")), "executions_by_status", inOrder | byPlace},
		{"running, oldest", ascending(list("ExecutionStatus = 'Running'")), "executions_by_status", inOrder},
		{"terminated or timed out", list("ExecutionStatus IN ('Terminated', 'TimedOut')"), "executions_by_status", 0},
		{"count running", count("ExecutionStatus = 'Running'"), "executions_by_status", 0},
		{"count by status", count("", "ExecutionStatus"), "executions_by_status", 0},
		{"of a workflow", list("WorkflowId = 'workflow-77'"), "executions_by_workflow", 0},
		{"of some workflows", list("WorkflowId IN ('workflow-77', 'workflow-78')"), "executions_by_workflow", 0},
		{"one run", list("RunId = 'run-777'"), "executions_by_run", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sql, args, err := tc.query.Statement()
			if err != nil {
				t.Fatal(err)
			}
			var nodes, indexes []string
			place := false
			explain(t, pool, sql, args).each(func(p plan) {
				if p.Index == "quarantine_pkey" || p.Index == "one_live_generation" {
					return // what is quarantined is read once, whatever is listed
				}
				nodes = append(nodes, p.Node)
				if p.Index != "" {
					indexes = append(indexes, p.Index)
				}
				place = place || strings.Contains(p.Condition, "ROW(")
			})
			for _, index := range indexes {
				if index != tc.index {
					t.Errorf("it uses %s, want %s", index, tc.index)
				}
			}
			if len(indexes) == 0 {
				t.Errorf("it uses no index, want %s", tc.index)
			}
			if tc.how&inOrder != 0 && slices.ContainsFunc(nodes, func(n string) bool { return strings.Contains(n, "Sort") }) {
				t.Error("it sorts")
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
