package pgstore_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// newQueries is a store on empty tables, and a way to fill them past the projector.
func newQueries(t testing.TB) (*pgstore.Store, *pgxpool.Pool) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t, pgtables.Empty))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s, pool
}

// storedRun is what tests of queries care about in a row of annals.executions.
type storedRun struct {
	workflow, run, kind, status string
	start                       *time.Time
}

func (r storedRun) String() string {
	start := "no time"
	if r.start != nil {
		start = r.start.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%s/%s %s %s %s", r.workflow, r.run, r.kind, r.status, start)
}

const insertRun = `
INSERT INTO annals.executions (
    slot, namespace, workflow_id, run_id, status, workflow_type, start_time, state,
    task_queue, identity, cron_schedule, attempt, root_workflow_id, root_run_id, first_run_id, original_run_id,
    cancel_requested, workflow_task_failures, pending_activities, pending_timers, pending_children,
    pending_nexus_operations, pending_updates, signals, history_length, history_size_bytes,
    unknown_events, missing_references, partition, first_sequence, last_sequence, run_no)
VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $5 IN ('Running', 'Paused') THEN '\x00'::bytea END,
    'orders', 'tester', '', 1, $3, $4, $4, $4,
    false, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 3, 7, 9, (SELECT count(*) FROM annals.executions))`

// insertRuns adds rows past the projector.
func insertRuns(t testing.TB, pool *pgxpool.Pool, namespace string, runs ...storedRun) {
	t.Helper()
	var b pgx.Batch
	for _, r := range runs {
		w := events.Workflow{Namespace: namespace, ID: r.workflow}
		b.Queue(insertRun, int16(w.Slot()), namespace, r.workflow, r.run, r.status, r.kind, r.start)
	}
	if err := pool.SendBatch(t.Context(), &b).Close(); err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// at is a start time, so many seconds after another.
func at(seconds int) *time.Time {
	t := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
	return &t
}

// sorted is the order that a list promises, without SQL: runs without a start
// time are the oldest, ties go by workflow and run.
func sorted(runs []storedRun, descending bool) []storedRun {
	out := slices.Clone(runs)
	slices.SortFunc(out, func(a, b storedRun) int {
		c := cmp.Or(compareTimes(a.start, b.start), cmp.Compare(a.workflow, b.workflow), cmp.Compare(a.run, b.run))
		if descending {
			return -c
		}
		return c
	})
	return out
}

func compareTimes(a, b *time.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	default:
		return a.Compare(*b)
	}
}
