package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// inMode is a store that asks for a mode, on the tables of a pool.
func inMode(t failer, pool *pgxpool.Pool, mode pgstore.EventsMode) *pgstore.Store {
	t.Helper()
	return storeOn(t, pool, pgstore.Config{Events: mode})
}

func count(t failer, pool *pgxpool.Pool, sql string) (n int64) {
	t.Helper()
	if err := pool.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// Another way of keeping events than the tables have is refused, with what to do about it, and nothing is changed;
// a rebuild brings it about, beside a projector that goes on with whatever tables there are, and readers are told
// what they cannot ask any more.
func TestAnotherModeIsMadeByARebuild(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(5, 120), historytest.Options{Workflows: 20, Tame: true})
	live := start(t, log, store, projection.Config{})
	waitFor(t, store, ends(t, log))
	byType := pgstore.CountQuery{Namespace: "default", Query: "EventType = 'WorkflowExecutionStarted'"}
	for i, mode := range []pgstore.EventsMode{pgstore.EventsFull, pgstore.EventsNone, pgstore.EventsFull, pgstore.EventsIndex, pgstore.EventsNone} {
		asking, before := inMode(t, pool, mode), modeOf(t, pool)
		for what, err := range map[string]error{"Migrate": asking.Migrate(t.Context()), "CheckVersion": asking.CheckVersion(t.Context())} {
			var other *projection.ModeError
			if !errors.As(err, &other) || !errors.Is(err, projection.ErrVersion) || other.Tables != string(before) || !strings.Contains(err.Error(), "annals projection rebuild --events "+string(mode)) {
				t.Errorf("%s of tables in %s by who wants %s: %v", what, before, mode, err)
			}
		}
		if modeOf(t, pool) != before {
			t.Fatalf("asking for %s changed %s", mode, before)
		}
		mustAgree(t, log, store, pool, workflows)
		rebuild(t, asking, log, quietly())
		for what, err := range map[string]error{"Migrate": asking.Migrate(t.Context()), "without a mode": store.Migrate(t.Context()), "CheckVersion": asking.CheckVersion(t.Context())} {
			if err != nil {
				t.Errorf("%s of the rebuilt tables: %v", what, err)
			}
		}
		workflows = append(workflows, appendMore(t, log, fmt.Sprint("more", i), 10)...)
		waitFor(t, store, ends(t, log))
		if got := modeOf(t, pool); got != mode {
			t.Fatalf("rebuilt in %s, it is %s", mode, got)
		}
		mustAgree(t, log, store, pool, workflows)
		if whole := count(t, pool, "SELECT count(*) FROM pg_views WHERE schemaname = 'annals' AND viewname IN ('commits', 'event_json')"); whole != map[bool]int64{true: 2}[mode == pgstore.EventsFull] {
			t.Errorf("%d views of whole commits with %s", whole, mode)
		}
		n, err := store.Count(t.Context(), byType)
		if mode == pgstore.EventsNone {
			var bad *pgstore.FilterError
			if !errors.As(err, &bad) || !errors.Is(err, events.ErrInvalid) || bad.Offset != 0 || !strings.Contains(err.Error(), "annals projection rebuild --events index") {
				t.Errorf("%s without rows of events: %v, %v", byType.Query, n, err)
			}
			if rows := count(t, pool, "SELECT count(*) FROM annals.events"); rows != 0 {
				t.Errorf("%d rows of events", rows)
			}
		} else if all := count(t, pool, "SELECT count(*) FROM annals.executions WHERE namespace = 'default'"); err != nil || n.Count != all {
			t.Errorf("%s with %s: %d of %d, %v", byType.Query, mode, n.Count, all, err)
		}
	}
	if err := live.stop(); err != nil {
		t.Error(err)
	}
}

// A rebuild that is gone on with without a word about the mode keeps its own; with another one it begins again.
func TestAResumedRebuildKeepsItsMode(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(6, 60), historytest.Options{Workflows: 10})
	projectAll(t, log, store, 0)
	interrupt := func(s *pgstore.Store) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := quietly()
		o.Progress = func(p postgres.RebuildProgress) {
			if p.Phase == postgres.RebuildIndexing {
				cancel()
			}
		}
		if _, err := s.Rebuild(ctx, log, o); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted: %v", err)
		}
	}
	interrupt(inMode(t, pool, pgstore.EventsFull))
	// What is healed meanwhile is healed in either way.
	if healed, err := store.Heal(t.Context(), log, workflows[0]); err != nil || healed.Building == nil || healed.Building.Checkpoint.Generation != 2 {
		t.Fatalf("healed: %+v, %v", healed, err)
	}
	mustAgree(t, log, store, pool, workflows)
	if r := rebuild(t, store, log, quietly()); !r.Resumed || modeOf(t, pool) != pgstore.EventsFull {
		t.Errorf("gone on with: %+v in %s", r, modeOf(t, pool))
	}
	mustAgree(t, log, store, pool, workflows)
	interrupt(store)
	if r := rebuild(t, inMode(t, pool, pgstore.EventsIndex), log, quietly()); r.Resumed || modeOf(t, pool) != pgstore.EventsIndex {
		t.Errorf("begun again: %+v in %s", r, modeOf(t, pool))
	}
	mustAgree(t, log, store, pool, workflows)
}

// Tables that are dropped with the schema, and made again in another mode, are the same generation by number.
func TestTablesThatAreThrownAwayMayComeInAnotherMode(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(7, 60), historytest.Options{Workflows: 10})
	projectAll(t, log, store, 0)
	exec(t, pool, "DROP SCHEMA annals CASCADE")
	if err := inMode(t, pool, pgstore.EventsFull).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	projectAll(t, log, store, 10)
	mustAgree(t, log, store, pool, workflows)
}

// Rows that are spoilt are found and healed whatever the tables keep; in full those of commits with them.
func TestHealInEachMode(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			pool := newTablesIn(t, mode)
			store := storeOn(t, pool, pgstore.Config{})
			log, workflows := written(t, historytest.Seeded(9, 120), historytest.Options{Workflows: 8})
			projectAll(t, log, store, 0)
			before := rowsOf(t, pool)
			sick := workflows[0]
			spoil := []string{
				"UPDATE annals_executions_1.executions SET task_queue = 'x' WHERE (namespace, workflow_id) = ($1, $2)",
				"DELETE FROM annals_executions_1.workflows WHERE (namespace, workflow_id) = ($1, $2)",
			}
			switch mode {
			case pgstore.EventsFull:
				spoil = append(spoil,
					"UPDATE annals_executions_1.commits SET body = body || '\\x00', events = '{}' WHERE (namespace, workflow_id) = ($1, $2) AND sequence % 2 = 0",
					"DELETE FROM annals_executions_1.commits WHERE (namespace, workflow_id) = ($1, $2) AND sequence % 2 = 1")
				fallthrough
			case pgstore.EventsIndex:
				spoil = append(spoil, "DELETE FROM annals_executions_1.run_events AS v USING annals_executions_1.executions AS x WHERE (x.slot, x.run_no) = (v.slot, v.run_no) AND (namespace, workflow_id) = ($1, $2)")
			case pgstore.EventsNone:
				spoil = append(spoil, "INSERT INTO annals_executions_1.run_events SELECT slot, 1, run_no, first_sequence, NULL, 'X', '' FROM annals_executions_1.executions WHERE (namespace, workflow_id) = ($1, $2)")
			}
			for _, sql := range spoil {
				if tag, err := pool.Exec(t.Context(), sql, sick.Namespace, sick.ID); err != nil || tag.RowsAffected() == 0 {
					t.Fatalf("%s: %s, %v", sql, tag, err)
				}
			}
			faces := map[string]bool{}
			for _, d := range verify(t, log, store, noWait).Differences {
				if d.Workflow != sick {
					t.Errorf("found of another workflow: %+v", d)
				}
				faces[strings.Fields(d.Where)[0]] = true
			}
			want := []string{"annals.events", "annals.executions", "annals.workflows"}
			if mode == pgstore.EventsFull {
				want = append([]string{"annals.commits"}, want...)
			}
			for _, face := range want {
				if !faces[face] {
					t.Errorf("nothing was found in %s", face)
				}
			}
			if _, err := store.Heal(t.Context(), log, sick); err != nil {
				t.Fatal(err)
			}
			if after := rowsOf(t, pool); !slices.Equal(before, after) {
				t.Error("healed rows are not those that were there")
			}
			mustAgree(t, log, store, pool, workflows)
		})
	}
}

// What the log takes at the most, and what Postgres has in no text, is kept in full.
func TestFullKeepsWhatIsDeepAndWhatHasNULs(t *testing.T) {
	t.Parallel()
	pool := newTablesIn(t, pgstore.EventsFull)
	store := storeOn(t, pool, pgstore.Config{})
	log := newLog(t, 1)
	failed := events.WorkflowFailed(errors.New("at the bottom"))
	a := failed.GetWorkflowExecutionFailedEventAttributes()
	for range 890 { // more than 900 levels are refused
		a.Failure = &failurepb.Failure{Cause: a.Failure}
	}
	w := events.Workflow{Namespace: "default", ID: "odd"}
	if _, err := log.Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Order", "orders"), events.Signaled("a\x00b\\u0000", "\x00"), failed}}); err != nil {
		t.Fatal(err)
	}
	projectAll(t, log, store, 0)
	mustAgree(t, log, store, pool, []events.Workflow{w})
	if n := count(t, pool, "SELECT count(*) FROM annals.event_json WHERE event IS NOT NULL AND event <> 'null'"); n != 3 {
		t.Errorf("%d events as JSON", n)
	}
}

// An event that JSON cannot hold, as somebody may have written past the library, is null there; the bytes have it.
func TestAnEventThatJSONCannotHoldIsNull(t *testing.T) {
	t.Parallel()
	long := events.WorkflowStarted("Order", "orders")
	long.EventId = 1
	long.GetWorkflowExecutionStartedEventAttributes().WorkflowRunTimeout = &durationpb.Duration{Seconds: 1 << 60}
	signaled := events.Signaled("s")
	signaled.EventId = 2
	c := events.Commit{Body: []byte("body")}
	got, body, err := pgstore.CommitRow(projection.Commit{Commit: &c, Segments: []events.SegmentEvents{{Segment: &events.Segment{Run: "run"}, Events: []*events.Event{long, signaled}}}})
	if err != nil || !strings.HasPrefix(got, `{"run":{"1":null,"2":{"eventId":"2"`) || string(body) != "body" {
		t.Errorf("%s, %q, %v", got, body, err)
	}
}

// Headers that others have put beside ours are kept too, in order.
func TestFullKeepsAllHeaders(t *testing.T) {
	t.Parallel()
	pool := newTablesIn(t, pgstore.EventsFull)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(11, 20), historytest.Options{Workflows: 2})
	for p := range events.Partition(log.Identity().Map.Partitions()) {
		for _, m := range messages(t, log, p) {
			log.Alter(m.Position, func(m *events.Message) {
				m.Header["X-Others"] = []string{"b", "a", "", "b"}
			})
		}
	}
	projectAll(t, log, store, 0)
	mustAgree(t, log, store, pool, workflows)
	if n := count(t, pool, `SELECT count(*) FROM annals.commits WHERE headers -> 'X-Others' <> '["b", "a", "", "b"]'`); n != 0 {
		t.Errorf("%d commits have other headers", n)
	}
}
