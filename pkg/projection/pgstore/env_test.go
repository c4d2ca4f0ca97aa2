package pgstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// emptyTables is a database with empty tables.
var emptyTables = testenv.Template{Name: "tables", Prepare: func(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	return pgstore.Migrate(ctx, pool)
}}

// newTables is a pool on a database of the test's own, with empty tables.
func newTables(t testing.TB) *pgxpool.Pool {
	t.Helper()
	c, err := pgxpool.ParseConfig(testenv.Postgres(t, emptyTables))
	if err != nil {
		t.Fatal(err)
	}
	c.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func storeOn(t failer, pool *pgxpool.Pool, c pgstore.Config) *pgstore.Store {
	t.Helper()
	s, err := pgstore.New(pool, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// empty deletes all rows, once nothing of what was stopped is under way: the
// server may still be about to run what a canceled call had sent.
func empty(t failer, pool *pgxpool.Pool) {
	t.Helper()
	pool.Reset()
	for {
		var sessions int
		if err := pool.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").Scan(&sessions); err != nil {
			t.Fatal(err)
		}
		if sessions == 1 { // this one
			break
		}
	}
	var sql strings.Builder
	for _, table := range pgstore.Described() {
		fmt.Fprintf(&sql, "DELETE FROM annals.%s; ", table.Name)
	}
	if _, err := pool.Exec(context.Background(), sql.String()+"DELETE FROM annals.checkpoints"); err != nil {
		t.Fatal(err)
	}
}

func newLog(t failer, streams int) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// written is a log of a few streams with what the steps say, and its workflows.
func written(t failer, steps []historytest.Step, o historytest.Options) (*memlog.Log, []events.Workflow) {
	t.Helper()
	log := newLog(t, 3)
	g := historytest.New(o)
	if err := g.AppendAll(context.Background(), log, steps); err != nil {
		t.Fatal(err)
	}
	return log, g.Workflows()
}

// dump is every column of every row of every table, in order, but for the time
// at which a checkpoint moved, and for checkpoints of nothing.
func dump(t failer, pool *pgxpool.Pool) []string {
	t.Helper()
	ctx := context.Background()
	var out []string
	for _, table := range pgstore.Described() {
		key := ""
		for _, c := range table.Columns {
			if c.Key {
				key += ", " + c.Name
			}
		}
		rows, err := pool.Query(ctx, fmt.Sprintf("SELECT '%s ' || to_jsonb(t)::text FROM annals.%[1]s AS t ORDER BY %s", table.Name, key[2:]))
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, list...)
	}
	rows, err := pool.Query(ctx, "SELECT 'checkpoint ' || (to_jsonb(c) - 'updated_at')::text FROM annals.checkpoints AS c WHERE sequence > 0 ORDER BY partition")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return append(out, list...)
}

// messages are those of a partition.
func messages(t failer, log events.Log, p events.Partition) []events.Message {
	t.Helper()
	ctx := context.Background()
	b, err := log.Bounds(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	var out []events.Message
	if b.Last == 0 {
		return nil
	}
	for m, err := range log.Follow(ctx, p, events.FollowOptions{Until: b.Last}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// projectAll projects the log to its end in one batch a partition, or in
// batches of size commits.
func projectAll(t failer, log events.Log, store *pgstore.Store, size int) {
	t.Helper()
	ctx := context.Background()
	for p := range events.Partition(log.Identity().Map.Partitions()) {
		c, err := store.Checkpoint(ctx, log.Identity(), p)
		if err != nil {
			t.Fatal(err)
		}
		ms := messages(t, log, p)[c.Sequence:]
		f := store.Folder(c)
		for len(ms) > 0 {
			n := len(ms)
			if size > 0 {
				n = min(n, size)
			}
			b, err := f.Fold(ctx, decoded(t, ms[:n]))
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Write(ctx); err != nil {
				t.Fatal(err)
			}
			ms = ms[n:]
		}
	}
}

func decoded(t failer, ms []events.Message) []projection.Commit {
	t.Helper()
	out := make([]projection.Commit, len(ms))
	for i, m := range ms {
		c, err := projection.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = c
	}
	return out
}

// noWait verifies the tables as they are.
var noWait = pgstore.VerifyOptions{Wait: -1}

func verify(t failer, log events.Log, store *pgstore.Store, o pgstore.VerifyOptions) pgstore.VerifyReport {
	t.Helper()
	r, err := store.Verify(context.Background(), log, o)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return r
}

// mustAgree fails unless Verify finds nothing and what plain code counts in the
// log is what the tables say.
func mustAgree(t failer, log events.Log, store *pgstore.Store, pool *pgxpool.Pool, workflows []events.Workflow) {
	t.Helper()
	r := verify(t, log, store, pgstore.VerifyOptions{})
	for _, d := range r.Differences {
		t.Errorf("%s %s %s: %s", d.Kind, d.Workflow, d.Run, d.Where)
	}
	want, err := historytest.Facts(context.Background(), log, workflows)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for _, w := range want {
		n += w.Events
	}
	if r.Events != n || r.Rows["events"] != n || r.Rows["executions"] != int64(len(want)) {
		t.Errorf("Verify compared %d events, %d rows of events and %d of executions; the log has %d events of %d runs", r.Events, r.Rows["events"], r.Rows["executions"], n, len(want))
	}
	if diff := cmp.Diff(byRun(want), byRun(facts(t, pool))); diff != "" {
		t.Fatalf("counted in the log (-) and in the tables (+):\n%s", diff)
	}
}

func byRun(list []historytest.Run) map[[3]string]historytest.Run {
	out := map[[3]string]historytest.Run{}
	for _, r := range list {
		out[[3]string{r.Namespace, r.WorkflowID, r.RunID}] = r
	}
	return out
}

// facts asks the tables what historytest.Facts counts in the log. Numbers of
// events come from the rows of events, pending ones from the rows of what is
// pending: the columns of executions that say the same must agree.
func facts(t failer, pool *pgxpool.Pool) []historytest.Run {
	t.Helper()
	rows, err := pool.Query(context.Background(), `
		WITH ev AS (
			SELECT slot, namespace, workflow_id, run_id, count(*) AS n, min(event_id) AS lowest, max(event_id) AS highest,
			       count(*) FILTER (WHERE type = 'WorkflowExecutionSignaled') AS signals,
			       min(sequence) AS first, max(sequence) AS last, count(DISTINCT partition) AS partitions
			FROM annals.events GROUP BY 1, 2, 3, 4)
		SELECT e.namespace, e.workflow_id, e.run_id, e.workflow_type AS type, e.task_queue, e.status,
		       e.start_time AS start, e.close_time AS close, ev.n AS events, ev.signals, e.unknown_events AS unknown, e.history_size_bytes AS bytes,
		       a.all AS activities, ti.all AS timers, c.all AS children,
		       a.pending AS pending_activities, ti.pending AS pending_timers, c.pending AS pending_children,
		       e.pending_nexus_operations::bigint AS pending_nexus, e.pending_updates::bigint AS pending_updates,
		       ev.first, ev.last, w.run_id = e.run_id AS newest, w.runs
		FROM annals.executions AS e
		JOIN ev USING (slot, namespace, workflow_id, run_id)
		JOIN annals.workflows AS w USING (slot, namespace, workflow_id)
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE status IN ('Scheduled', 'Started')) AS pending FROM annals.activities AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS a
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE status = 'Started') AS pending FROM annals.timers AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS ti
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE status IN ('Initiated', 'Started')) AS pending FROM annals.children AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS c
		WHERE (e.history_length, e.history_length, 1, e.signals, e.first_sequence, e.last_sequence, 1)
		    = (ev.n, ev.highest, ev.lowest, ev.signals, ev.first, ev.last, ev.partitions)
		  AND (e.pending_activities, e.pending_timers, e.pending_children) = (a.pending, ti.pending, c.pending)
		  AND w.last_sequence >= e.last_sequence AND w.first_sequence <= e.first_sequence`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[historytest.Run])
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		r := &list[i]
		if r.Start != nil {
			*r.Start = r.Start.UTC()
		}
		if r.Close != nil {
			*r.Close = r.Close.UTC()
		}
	}
	return list
}

// quiet drops what is logged.
var quiet = slog.New(slog.DiscardHandler)
