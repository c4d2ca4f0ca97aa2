package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/internal/testenv/pgtables"
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

// newTables is a pool on a database of the test's own, with empty tables.
func newTables(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return newTablesIn(t, pgstore.EventsIndex)
}

// modes are the ways of keeping events.
var modes = []pgstore.EventsMode{pgstore.EventsIndex, pgstore.EventsFull, pgstore.EventsNone}

// newTablesIn is newTables with tables that keep events in a mode.
func newTablesIn(t testing.TB, mode pgstore.EventsMode) *pgxpool.Pool {
	t.Helper()
	c, err := pgxpool.ParseConfig(testenv.Postgres(t, pgtables.In(mode)))
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

// modeOf is how the live tables keep events.
func modeOf(t failer, pool *pgxpool.Pool) (mode pgstore.EventsMode) {
	t.Helper()
	err := pool.QueryRow(context.Background(), "SELECT mode FROM annals.generations WHERE projection = $1 AND state = 'live'", pgstore.Name).Scan(&mode)
	if err != nil {
		t.Fatal(err)
	}
	return mode
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
// server may still be about to run what a canceled call had sent, or what was sent
// by a connection that was cut.
func empty(t failer, pools ...*pgxpool.Pool) {
	t.Helper()
	for _, pool := range pools {
		pool.Reset()
	}
	pool := pools[len(pools)-1]
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
	for _, table := range pgstore.Described(modeOf(t, pool)) {
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
	for _, table := range pgstore.Described(modeOf(t, pool)) {
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
		ms := commitsOf(t, log, after(messages(t, log, p), c.Sequence))
		f := store.Folder(c)
		for len(ms) > 0 {
			n := len(ms)
			if size > 0 {
				n = min(n, size)
			}
			b, err := f.Fold(ctx, ms[:n])
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

// commitsOf are messages as the projector's reader gives them: those that a void covers passed over, what lies
// elsewhere in the log read.
func commitsOf(t failer, log events.Log, ms []events.Message) []projection.Commit {
	t.Helper()
	out := make([]projection.Commit, 0, len(ms))
	for _, m := range ms {
		c, err := projection.Decode(m)
		if bad := (*projection.CannotApplyError)(nil); errors.As(err, &bad) {
			if _, err := log.Covering(context.Background(), bad.Workflow, bad.Position); err != nil {
				t.Fatalf("%s is no commit, and no void covers it: %v", m.Position, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := projection.Complete(context.Background(), log, &c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
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
		n += w.Stored
	}
	stored := n
	mode := modeOf(t, pool)
	if mode == pgstore.EventsNone {
		stored = 0
	}
	if r.Events != n || r.Rows["events"] != stored || r.Rows["executions"] != int64(len(want)) {
		t.Errorf("Verify compared %d events, %d rows of events and %d of executions; the log has %d events of %d runs", r.Events, r.Rows["events"], r.Rows["executions"], n, len(want))
	}
	if mode == pgstore.EventsFull {
		mustBeWhole(t, log, pool, r.Rows["commits"])
	}
	if mode == pgstore.EventsNone {
		return // Stored counts rows of events
	}
	got, err := historytest.Stored(context.Background(), pool)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(historytest.ByRun(want), historytest.ByRun(got)); diff != "" {
		t.Fatalf("counted in the log (-) and in the tables (+):\n%s", diff)
	}
}

// quiet drops what is logged.
var quiet = slog.New(slog.DiscardHandler)
