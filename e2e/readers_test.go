package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// readers poll the tables in all the ways in which a client may, for as long as
// tables are replaced under them, and know what must never be seen: a run that was
// there and is not, one that is there twice, a number that has become less, two
// tables that do not agree.
type readers struct {
	t      *testing.T
	url    string
	floors floors
	still  still
	polls  atomic.Int64
	// refused counts transactions that were told to run again (SQLSTATE 40001).
	refused atomic.Int64
	// anomalies counts what must never be seen; the first few are told.
	anomalies atomic.Int64
	perWay    sync.Map // *atomic.Int64 by name

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// still are the workflows of a namespace in which nothing happens any more.
type still struct {
	namespace, below  string // workflow ids
	workflows, events int64
}

// floors are the most that anybody has seen of each run: who begins to read
// afterwards must see as much.
type floors struct {
	mu   sync.Mutex // guards runs
	runs map[string]seen
}

// seen is what was seen of a run.
type seen struct {
	length, sequence int64
}

// before is a copy, taken when a read begins.
func (f *floors) before() map[string]seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]seen, len(f.runs))
	for k, v := range f.runs {
		out[k] = v
	}
	return out
}

// raise takes in what a read has seen.
func (f *floors) raise(got map[string]seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, v := range got {
		if old := f.runs[k]; v.length > old.length {
			f.runs[k] = v
		}
	}
}

// watchedNamespace is where events come in while tables are read.
const watchedNamespace = "live"

// The queries of readers. The second reads three tables in one statement: all runs, each
// with its workflow, and where it runs with its events.
const (
	runsSQL = `SELECT workflow_id, run_id, history_length, last_sequence FROM annals.executions WHERE namespace = '` + watchedNamespace + `'`
	bothSQL = `SELECT e.workflow_id, e.run_id, e.history_length, e.last_sequence,
	                  CASE e.status WHEN 'Running' THEN coalesce(w.last_sequence, 0) ELSE e.last_sequence END,
	                  CASE e.status WHEN 'Running' THEN
	                      (SELECT count(*) FROM annals.events AS v WHERE (v.slot, v.namespace, v.workflow_id, v.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id))
	                  ELSE e.history_length END
	           FROM annals.executions AS e LEFT JOIN annals.workflows AS w USING (slot, namespace, workflow_id)
	           WHERE e.namespace = '` + watchedNamespace + `'`
	// eventsSQL counts the events of a run by their rows.
	eventsSQL = `SELECT count(*), coalesce(max(sequence), 0) FROM annals.events WHERE slot = $1 AND namespace = '` + watchedNamespace + `' AND workflow_id = $2 AND run_id = $3`
	stillSQL  = `SELECT count(*), coalesce(sum(history_length), 0)::bigint FROM annals.executions WHERE namespace = $1 AND workflow_id < $2`
)

// startReaders polls until stop is called.
func startReaders(t *testing.T, url string, s still) *readers {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &readers{t: t, url: url, still: s, floors: floors{runs: map[string]seen{}}, cancel: cancel}
	simple := r.pool(func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol })
	prepared := r.pool(nil)
	store, err := pgstore.New(r.pool(func(c *pgxpool.Config) { c.MaxConns = 3 }), pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	type way struct {
		name string
		read func(context.Context) error
	}
	for _, ways := range [][]way{{
		{"a statement, prepared", func(ctx context.Context) error { return r.one(ctx, prepared) }},
		{"three tables in a statement", func(ctx context.Context) error { return r.both(ctx, prepared, r.floors.before()) }},
		{"a transaction, read committed", func(ctx context.Context) error { return r.committed(ctx, prepared) }},
	}, {
		{"a statement, simple protocol", func(ctx context.Context) error { return r.one(ctx, simple) }},
		{"a count of what does not change", func(ctx context.Context) error { return r.unchanged(ctx, prepared) }},
	}, {
		{"a transaction, repeatable read", func(ctx context.Context) error { return r.repeatable(ctx, prepared, false) }},
		{"a transaction, repeatable read, from before", func(ctx context.Context) error { return r.repeatable(ctx, prepared, true) }},
	}, {
		{"list", func(ctx context.Context) error { return r.list(ctx, store) }},
		{"count", func(ctx context.Context) error { return r.count(ctx, store) }},
		{"describe", func(ctx context.Context) error { return r.describe(ctx, store) }},
	}} {
		r.wg.Go(func() {
			rest, end := newPace()
			defer end()
			for i := 0; ctx.Err() == nil; i++ {
				rest()
				way := ways[i%len(ways)]
				err := way.read(ctx)
				if ctx.Err() != nil {
					return
				}
				polls, _ := r.perWay.LoadOrStore(way.name, &atomic.Int64{})
				polls.(*atomic.Int64).Add(1)
				r.polls.Add(1)
				if err != nil {
					r.anomaly("%s: %v", way.name, err)
				}
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

func (r *readers) pool(change func(*pgxpool.Config)) *pgxpool.Pool {
	c, err := pgxpool.ParseConfig(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	c.MaxConns = 8
	c.ConnConfig.RuntimeParams["application_name"] = "reader"
	if change != nil {
		change(c)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(pool.Close)
	return pool
}

// stop ends the polling. It may be called again.
func (r *readers) stop() {
	r.cancel()
	r.wg.Wait()
}

func (r *readers) anomaly(format string, args ...any) {
	if n := r.anomalies.Add(1); n <= 20 {
		r.t.Errorf("anomaly: "+format, args...)
	}
}

// refusedOr counts what was told to run again.
func (r *readers) refusedOr(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "40001" {
		r.refused.Add(1)
		return nil
	}
	return err
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// runs reads runs, and holds them against those that were seen before.
func (r *readers) runs(ctx context.Context, q querier, before map[string]seen) (map[string]seen, error) {
	rows, err := q.Query(ctx, runsSQL)
	if err != nil {
		return nil, err
	}
	got := map[string]seen{}
	var workflow, run string
	var s seen
	_, err = pgx.ForEachRow(rows, []any{&workflow, &run, &s.length, &s.sequence}, func() error {
		key := workflow + "/" + run
		if _, twice := got[key]; twice {
			r.anomaly("%s is there twice", key)
		}
		got[key] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.compare(before, got)
	return got, nil
}

// compare tells of each run that is not there, or has become less.
func (r *readers) compare(before, got map[string]seen) {
	for key, old := range before {
		now, there := got[key]
		switch {
		case !there:
			r.anomaly("%s was there, with %d events, and is not", key, old.length)
		case now.length < old.length || now.sequence < old.sequence:
			r.anomaly("%s had %d events up to %d, and has %d up to %d", key, old.length, old.sequence, now.length, now.sequence)
		}
	}
}

func (r *readers) one(ctx context.Context, pool *pgxpool.Pool) error {
	got, err := r.runs(ctx, pool, r.floors.before())
	if err == nil {
		r.floors.raise(got)
	}
	return err
}

// both reads tables that must agree, and no less than was there before.
func (r *readers) both(ctx context.Context, q querier, before map[string]seen) error {
	rows, err := q.Query(ctx, bothSQL)
	if err != nil {
		return err
	}
	got := map[string]seen{}
	var workflow, run string
	var s seen
	var last, events int64
	_, err = pgx.ForEachRow(rows, []any{&workflow, &run, &s.length, &s.sequence, &last, &events}, func() error {
		if events != s.length || last != s.sequence {
			r.anomaly("%s has %d events up to %d, and there are %d rows of events; its workflow is at %d", workflow, s.length, s.sequence, events, last)
		}
		key := workflow + "/" + run
		if _, twice := got[key]; twice {
			r.anomaly("%s is there twice", key)
		}
		got[key] = s
		return nil
	})
	if err != nil {
		return err
	}
	r.compare(before, got)
	return nil
}

// committed reads twice in a transaction in which each statement sees what is
// there: the second sees no less than the first.
func (r *readers) committed(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		first, err := r.runs(ctx, tx, r.floors.before())
		if err != nil {
			return err
		}
		second := map[string]seen{}
		for key, old := range first {
			w, run := parseKey(key)
			var s seen
			if err := tx.QueryRow(ctx, eventsSQL, int16(w.Slot()), w.ID, string(run)).Scan(&s.length, &s.sequence); err != nil {
				return err
			}
			second[key] = s
			r.compare(map[string]seen{key: old}, second)
			if len(second) == 8 {
				break
			}
		}
		r.floors.raise(second)
		return nil
	})
}

// repeatable reads in a transaction that sees one moment: the same twice. Its
// snapshot may be taken before anything is read.
func (r *readers) repeatable(ctx context.Context, pool *pgxpool.Pool, old bool) error {
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		before := r.floors.before()
		if old {
			if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.02)`); err != nil {
				return err
			}
		}
		first, err := r.runs(ctx, tx, before)
		if err != nil {
			return err
		}
		second, err := r.runs(ctx, tx, first)
		if err != nil {
			return err
		}
		if len(first) != len(second) {
			r.anomaly("a transaction sees %d runs, then %d", len(first), len(second))
		}
		for key, s := range second {
			if first[key] != s {
				r.anomaly("a transaction sees %v of %s, then %v", first[key], key, s)
			}
		}
		if err := r.both(ctx, tx, first); err != nil {
			return err
		}
		r.floors.raise(first)
		return nil
	})
	return r.refusedOr(err)
}

func (r *readers) unchanged(ctx context.Context, pool *pgxpool.Pool) error {
	var n, length int64
	if err := pool.QueryRow(ctx, stillSQL, r.still.namespace, r.still.below).Scan(&n, &length); err != nil {
		return err
	}
	if n != r.still.workflows || length != r.still.events {
		r.anomaly("%d runs with %d events are there of %d with %d that do not change", n, length, r.still.workflows, r.still.events)
	}
	return nil
}

// list reads all pages: each run that was seen before it began is on one of them.
// New runs begin later, and come before those that are read already.
func (r *readers) list(ctx context.Context, store *pgstore.Store) error {
	before, got := r.floors.before(), map[string]seen{}
	for q := (pgstore.ListQuery{Namespace: watchedNamespace, Limit: pgstore.MaxLimit}); ; {
		page, err := store.List(ctx, q)
		if err != nil {
			return err
		}
		for _, x := range page.Executions {
			key := x.WorkflowID + "/" + x.RunID
			if _, twice := got[key]; twice {
				r.anomaly("%s is listed twice", key)
			}
			at, err := events.ParsePosition(x.Position)
			if err != nil {
				return err
			}
			got[key] = seen{x.HistoryLength, int64(at.Sequence)}
		}
		if q.PageToken = page.NextPageToken; q.PageToken == "" {
			break
		}
	}
	r.compare(before, got)
	return nil
}

// oldSnapshot begins a transaction that sees the tables as they are now, and reads
// nothing of them. After a swap it must be refused, and not see any row.
func (r *readers) oldSnapshot(ctx context.Context) (afterwards func()) {
	r.t.Helper()
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_current_snapshot()`); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		r.t.Helper()
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		var n, length int64
		err := conn.QueryRow(ctx, stillSQL, r.still.namespace, r.still.below).Scan(&n, &length)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "40001" {
			r.anomaly("a snapshot from before the swap sees %d runs with %d events, %v; want SQLSTATE 40001", n, length, err)
			return
		}
		r.refused.Add(1)
	}
}

func (r *readers) count(ctx context.Context, store *pgstore.Store) error {
	before := int64(len(r.floors.before()))
	c, err := store.Count(ctx, pgstore.CountQuery{Namespace: watchedNamespace, GroupBy: []string{"ExecutionStatus"}})
	if err != nil {
		return err
	}
	if c.Count < before {
		r.anomaly("%d runs were there, and %d are counted", before, c.Count)
	}
	return nil
}

func (r *readers) describe(ctx context.Context, store *pgstore.Store) error {
	for key, old := range r.floors.before() {
		w, run := parseKey(key)
		d, err := store.Describe(ctx, pgstore.DescribeQuery{Workflow: w, Run: run})
		if err != nil {
			return err
		}
		if d.Execution.HistoryLength < old.length {
			r.anomaly("%s is described with %d events, and had %d", key, d.Execution.HistoryLength, old.length)
		}
		return nil // any one
	}
	return nil
}

// parseKey is the workflow and the run that "workflow/run" names.
func parseKey(key string) (events.Workflow, events.RunID) {
	workflow, run, _ := strings.Cut(key, "/")
	return events.Workflow{Namespace: watchedNamespace, ID: workflow}, events.RunID(run)
}

// report is what there is to be recorded.
func (r *readers) report() string {
	s := fmt.Sprintf("readers: %d polls, %d anomalies, %d transactions told to run again (40001)", r.polls.Load(), r.anomalies.Load(), r.refused.Load())
	r.perWay.Range(func(name, polls any) bool {
		s += fmt.Sprintf("\n  %-46s %8d", name, polls.(*atomic.Int64).Load())
		return true
	})
	return s
}
