package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// quietly are options of a rebuild that says nothing.
func quietly() postgres.RebuildOptions { return postgres.RebuildOptions{Logger: quiet} }

func rebuild(t failer, store *pgstore.Store, log events.Source, o postgres.RebuildOptions) postgres.Rebuilt {
	t.Helper()
	r, err := store.Rebuild(context.Background(), log, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// states are "generation state" of all generations, in order.
func states(t failer, pool *pgxpool.Pool) []string {
	t.Helper()
	list, err := postgres.Generations(context.Background(), pool)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, g := range list {
		out = append(out, g.Schema+" "+g.State)
	}
	return out
}

func wantStates(t failer, pool *pgxpool.Pool, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, states(t, pool)); diff != "" {
		t.Fatalf("generations, wanted (-) and there (+):\n%s", diff)
	}
}

// rows are dump without checkpoints, of which each generation has its own.
func rowsOf(t failer, pool *pgxpool.Pool) []string {
	t.Helper()
	var out []string
	for _, line := range dump(t, pool) {
		if !strings.HasPrefix(line, "checkpoint ") {
			out = append(out, line)
		}
	}
	return out
}

func TestRebuiltTablesAreThoseThatWereThere(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(1, 400), historytest.Options{Workflows: 30})
	projectAll(t, log, store, 0)
	before := rowsOf(t, pool)

	var phases []postgres.RebuildPhase
	o := quietly()
	o.Progress = func(p postgres.RebuildProgress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
	}
	r := rebuild(t, store, log, o)
	if r.Generation != 2 || r.Replaced != 1 || !r.Dropped || r.Resumed || r.Commits == 0 {
		t.Errorf("rebuilt: %+v", r)
	}
	if diff := cmp.Diff(before, rowsOf(t, pool)); diff != "" {
		t.Errorf("rows before (-) and after (+):\n%s", diff)
	}
	mustAgree(t, log, store, pool, workflows)
	wantStates(t, pool, "annals_executions_2 live")
	if diff := cmp.Diff([]postgres.RebuildPhase{postgres.RebuildFilling, postgres.RebuildIndexing, postgres.RebuildFollowing}, phases); diff != "" {
		t.Errorf("phases:\n%s", diff)
	}
	var old, indexes int
	err := pool.QueryRow(t.Context(), `
		SELECT count(*) FILTER (WHERE schemaname = 'annals_executions_1'), count(*) FILTER (WHERE schemaname = 'annals_executions_2' AND indexname LIKE 'executions_by_%')
		FROM pg_indexes`).Scan(&old, &indexes)
	if err != nil || old != 0 || indexes < 4 {
		t.Errorf("%d indexes of the old tables, %d of the new executions (%v)", old, indexes, err)
	}
}

// Who follows the log while the tables are replaced goes on with the new ones.
func TestTheLiveProjectorGoesOnWithTheNewTables(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(2, 200), historytest.Options{Workflows: 30, Tame: true})
	live := start(t, log, store, projection.Config{})
	for range 3 {
		rebuild(t, store, log, quietly())
	}
	workflows = append(workflows, appendMore(t, log, "later", 50)...)
	mustAgree(t, log, store, pool, workflows)
	if err := live.stop(); err != nil {
		t.Error(err)
	}
	for _, s := range live.Status() {
		if s.Checkpoint.Generation != 4 {
			t.Errorf("partition %d is projected into generation %d", s.Checkpoint.Partition, s.Checkpoint.Generation)
		}
	}
	wantStates(t, pool, "annals_executions_4 live")
}

// appendMore begins workflows with a prefix and gives them.
func appendMore(t failer, log events.Appender, prefix string, n int) []events.Workflow {
	t.Helper()
	var out []events.Workflow
	for i := range n {
		w := events.Workflow{Namespace: "default", ID: prefix + "-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)}
		if _, err := log.Append(context.Background(), events.Request{Workflow: w, Expect: events.NewRun(), Events: []*events.Event{events.WorkflowStarted("Order", "orders", i)}}); err != nil {
			t.Fatal(err)
		}
		out = append(out, w)
	}
	return out
}

// Heartbeats are in no log: what makes tables anew from it leaves them alone.
func TestARebuildKeepsHeartbeats(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, _ := written(t, historytest.Seeded(3, 20), historytest.Options{})
	exec(t, pool, `INSERT INTO annals.activity_heartbeats (slot, namespace, workflow_id, run_id, activity_id, attempt, time, identity, log_id, log_epoch)
		VALUES (1, 'default', 'w', 'r', 'a', 3, now(), 'worker', 'log', 1)`)
	rebuild(t, store, log, quietly())
	var attempt int
	if err := pool.QueryRow(t.Context(), `SELECT attempt FROM annals.activity_heartbeats`).Scan(&attempt); err != nil || attempt != 3 {
		t.Errorf("attempt %d, %v", attempt, err)
	}
}

// Tables that somebody dropped come back, with the views.
func TestLostTablesAreRebuilt(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(4, 100), historytest.Options{})
	projectAll(t, log, store, 0)
	exec(t, pool, `DROP SCHEMA annals_executions_1 CASCADE`)
	if _, err := store.List(t.Context(), pgstore.ListQuery{Namespace: "default"}); err == nil {
		t.Error("a list of lost tables has no error")
	}
	rebuild(t, store, log, quietly())
	mustAgree(t, log, store, pool, workflows)
}

// A rebuild that ends early leaves what readers see as it was, and is gone on
// with by the next one.
func TestARebuildIsResumedOrCanceled(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(5, 300), historytest.Options{Workflows: 20})
	projectAll(t, log, store, 0)
	before := rowsOf(t, pool)
	stopAt := func(phase postgres.RebuildPhase) {
		t.Helper()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		errStop := errors.New("stopped")
		o := quietly()
		o.Progress = func(p postgres.RebuildProgress) {
			if p.Phase == phase {
				cancel(errStop)
			}
		}
		if _, err := store.Rebuild(ctx, log, o); !errors.Is(err, errStop) {
			t.Fatalf("stopped while %s: %v", phase, err)
		}
		wantStates(t, pool, "annals_executions_1 live", "annals_executions_2 building")
		if diff := cmp.Diff(before, rowsOf(t, pool)); diff != "" {
			t.Errorf("stopped while %s, rows before (-) and after (+):\n%s", phase, diff)
		}
	}
	for _, phase := range []postgres.RebuildPhase{postgres.RebuildFilling, postgres.RebuildIndexing, postgres.RebuildFollowing} {
		stopAt(phase)
	}
	r := rebuild(t, store, log, quietly())
	if !r.Resumed || r.Generation != 2 {
		t.Errorf("rebuilt: %+v", r)
	}
	mustAgree(t, log, store, pool, workflows)

	o := quietly()
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(p postgres.RebuildProgress) { cancel() }
	if _, err := store.Rebuild(ctx, log, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	wantStates(t, pool, "annals_executions_2 live", "annals_executions_3 building")
	if n, err := store.Projection().CancelRebuild(t.Context(), 0); n != 3 || err != nil {
		t.Fatalf("canceled %d, %v", n, err)
	}
	wantStates(t, pool, "annals_executions_2 live")
	var left int
	err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'annals_executions_3') + (SELECT count(*) FROM annals.checkpoints WHERE generation = 3)`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d things are left of it, %v", left, err)
	}
	if _, err := store.Projection().CancelRebuild(t.Context(), 0); !errors.Is(err, postgres.ErrNoGeneration) {
		t.Errorf("canceled once more: %v", err)
	}
	mustAgree(t, log, store, pool, workflows)
}

// Two at once: one works, the other says so. Who is canceled by another finds out.
func TestOneRebuildAtATime(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(6, 100), historytest.Options{Workflows: 20})
	projectAll(t, log, store, 0)
	o := quietly()
	tried := false
	o.Progress = func(p postgres.RebuildProgress) {
		if p.Phase != postgres.RebuildIndexing || tried {
			return
		}
		tried = true
		second := quietly()
		second.Wait = -1
		if _, err := store.Rebuild(t.Context(), log, second); !errors.Is(err, postgres.ErrRebuilding) {
			t.Errorf("a second one: %v", err)
		}
		if _, err := store.Projection().CancelRebuild(t.Context(), 0); err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
	if _, err := store.Rebuild(t.Context(), log, o); !errors.Is(err, postgres.ErrCanceled) || !tried {
		t.Errorf("one that was canceled by another: %v", err)
	}
	wantStates(t, pool, "annals_executions_1 live")
	mustAgree(t, log, store, pool, workflows)
}

// A log that was restored has another epoch: what was filled from the one before
// is no beginning.
func TestARebuildBeginsAgainForAnotherEpoch(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(7, 100), historytest.Options{Workflows: 20})
	projectAll(t, log, store, 0)
	ctx, cancel := context.WithCancel(t.Context())
	o := quietly()
	o.Progress = func(postgres.RebuildProgress) { cancel() }
	if _, err := store.Rebuild(ctx, log, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := store.At(2).Checkpoint(t.Context(), log.Identity(), 0); err != nil {
		t.Fatal(err)
	}
	exec(t, pool, `UPDATE annals.checkpoints SET log_epoch = log_epoch + 1 WHERE generation = 2`)
	r := rebuild(t, store, log, quietly())
	if r.Resumed || r.Generation != 3 {
		t.Errorf("rebuilt: %+v", r)
	}
	mustAgree(t, log, store, pool, workflows)
	wantStates(t, pool, "annals_executions_3 live")

	// The live tables are of the epoch before: they are replaced all the same.
	exec(t, pool, `UPDATE annals.checkpoints SET log_epoch = 0 + log_epoch, log_id = 'another' WHERE generation = 3`)
	if _, err := store.Rebuild(t.Context(), log, quietly()); !errors.Is(err, postgres.ErrNotRebuildable) || !strings.Contains(err.Error(), "--log-changed") {
		t.Errorf("tables of another log: %v", err)
	}
	o = quietly()
	o.LogChanged = true
	if r := rebuild(t, store, log, o); r.Generation != 4 {
		t.Errorf("rebuilt: %+v", r)
	}
	mustAgree(t, log, store, pool, workflows)
}

// Generations are dropped on request, the live one never.
func TestOldGenerationsAreDroppedOnRequest(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(8, 30), historytest.Options{})
	o := quietly()
	o.KeepOld = true
	rebuild(t, store, log, o)
	rebuild(t, store, log, o)
	wantStates(t, pool, "annals_executions_1 retired", "annals_executions_2 retired", "annals_executions_3 live")
	p := store.Projection()
	if err := p.Drop(t.Context(), 3, 0); !errors.Is(err, postgres.ErrGenerationLive) {
		t.Errorf("drop the live one: %v", err)
	}
	if err := p.Drop(t.Context(), 9, 0); !errors.Is(err, postgres.ErrNoGeneration) {
		t.Errorf("drop one that was never there: %v", err)
	}
	if err := p.Drop(t.Context(), 2, 0); err != nil {
		t.Error(err)
	}

	// Somebody's view of the tables themselves, not of ours.
	exec(t, pool, `CREATE VIEW mine AS SELECT workflow_id FROM annals_executions_1.executions`)
	var dependents *postgres.DependentsError
	if err := p.Drop(t.Context(), 1, 0); !errors.As(err, &dependents) || !strings.Contains(err.Error(), "view mine") {
		t.Errorf("drop one that somebody's view depends on: %v", err)
	}
	exec(t, pool, `DROP VIEW mine`)

	// A reader is not waited for longer than was said, and is named.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SET LOCAL application_name = 'report'; SELECT count(*) FROM annals_executions_1.run_events`); err != nil {
		t.Fatal(err)
	}
	var inUse *postgres.InUseError
	if err := p.Drop(t.Context(), 1, 1); !errors.As(err, &inUse) || len(inUse.Holders) == 0 || inUse.Holders[0].Application != "report" {
		t.Errorf("drop one that is read: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Drop(t.Context(), 1, 0); err != nil {
		t.Error(err)
	}
	wantStates(t, pool, "annals_executions_3 live")
	mustAgree(t, log, store, pool, workflows)
}

// A new version is made beside programs of the old one, which project and read
// until readers are given the new one.
func TestANewVersionIsBuiltBesideTheOldOne(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change string
		column string
	}{
		"columns behind the others":  {`ALTER TABLE executions ADD COLUMN colour text NOT NULL DEFAULT 'red'`, "colour"},
		"columns of another kind":    {`ALTER TABLE executions ALTER COLUMN attempt TYPE bigint; ALTER TABLE executions ADD COLUMN colour text NOT NULL DEFAULT 'red'`, "colour"},
		"a column that is not there": {`ALTER TABLE timers DROP COLUMN fire_time CASCADE; ALTER TABLE timers ADD COLUMN fire_time timestamptz; ALTER TABLE timers ADD COLUMN colour text`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newTables(t)
			old := storeOn(t, pool, pgstore.Config{})
			log, workflows := written(t, historytest.Seeded(9, 100), historytest.Options{Workflows: 20})
			exec(t, pool, `CREATE ROLE "reader `+name+`"; GRANT SELECT ON annals.executions, annals.timers TO "reader `+name+`"; GRANT SELECT (run_id) ON annals.workflows TO PUBLIC`)
			t.Cleanup(func() {
				if _, err := pool.Exec(context.Background(), `DROP OWNED BY "reader `+name+`"; DROP ROLE "reader `+name+`"`); err != nil {
					t.Error(err)
				}
			})
			live := start(t, log, old, projection.Config{})
			newer, err := pgstore.NewVersion(pool, pgstore.Version+1, func(d *postgres.Definition) { d.Tables += ";\n" + tc.change })
			if err != nil {
				t.Fatal(err)
			}
			var version *projection.VersionError
			if _, err := newer.List(t.Context(), pgstore.ListQuery{Namespace: "default"}); !errors.As(err, &version) || version.Tables != pgstore.Version || !strings.Contains(err.Error(), "annals projection rebuild") {
				t.Errorf("the newer program's list: %v", err)
			}
			if err := newer.Projection().Migrate(t.Context()); !errors.As(err, &version) {
				t.Errorf("the newer program's migrate: %v", err)
			}
			o := quietly()
			o.KeepOld = true
			seen := false
			o.Progress = func(p postgres.RebuildProgress) {
				if seen {
					return
				}
				seen = true
				more := appendMore(t, log, "beside", 20)
				workflows = append(workflows, more...)
				mustAgree(t, log, old, pool, workflows)
			}
			rebuild(t, newer, log, o)
			workflows = append(workflows, appendMore(t, log, "after", 30)...)
			if err := <-live.done; !errors.As(err, &version) || version.Tables != pgstore.Version+1 || !strings.Contains(err.Error(), "run the newer program") {
				t.Errorf("the older program's projector ended with %v", err)
			}
			live.cancel()
			now := start(t, log, newer, projection.Config{})
			mustAgree(t, log, newer, pool, workflows)
			if err := now.stop(); err != nil {
				t.Error(err)
			}
			var readers, columns int
			err = pool.QueryRow(t.Context(), `
				SELECT (SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = $1 AND table_schema = 'annals'),
				       (SELECT count(*) FROM information_schema.columns WHERE table_schema = 'annals' AND column_name = 'colour')`, "reader "+name).Scan(&readers, &columns)
			if err != nil || readers != 2 || columns != 1 {
				t.Errorf("%d grants, %d new columns, %v", readers, columns, err)
			}
			if _, err := old.Rebuild(t.Context(), log, quietly()); !errors.Is(err, postgres.ErrNotRebuildable) {
				t.Errorf("the older program's rebuild: %v", err)
			}
		})
	}
}

// Where a view has to be made anew, and somebody's own depends on it, nothing is
// done, and that one is named, before anything is filled.
func TestViewsThatOthersDependOn(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log, _ := written(t, historytest.Seeded(10, 20), historytest.Options{})
	exec(t, pool, `CREATE VIEW mine AS SELECT workflow_id FROM annals.executions`)
	same, err := pgstore.NewVersion(pool, pgstore.Version+1, func(d *postgres.Definition) { d.Tables += ";\nALTER TABLE executions ADD COLUMN colour text" })
	if err != nil {
		t.Fatal(err)
	}
	rebuild(t, same, log, quietly())
	var n, direct int
	if err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM annals_executions_2.executions)`).Scan(&n, &direct); err != nil || n != direct || n == 0 {
		t.Errorf("the view on a view shows %d of %d rows, %v", n, direct, err)
	}
	other, err := pgstore.NewVersion(pool, pgstore.Version+2, func(d *postgres.Definition) {
		d.Tables += ";\nALTER TABLE executions ALTER COLUMN attempt TYPE bigint"
	})
	if err != nil {
		t.Fatal(err)
	}
	var dependents *postgres.DependentsError
	if _, err := other.Rebuild(t.Context(), log, quietly()); !errors.As(err, &dependents) || !strings.Contains(err.Error(), "view mine") {
		t.Errorf("rebuild: %v", err)
	}
	exec(t, pool, `DROP VIEW mine`)
	rebuild(t, other, log, quietly())
}

// A workflow that is quarantined in the tables that are being filled, too, is healed
// there with the live ones, at whatever point the rebuild is, and the swap brings no
// quarantine back.
func TestAHealReachesTablesThatAreBeingFilled(t *testing.T) {
	t.Parallel()
	for _, phase := range []postgres.RebuildPhase{postgres.RebuildIndexing, postgres.RebuildFollowing} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.append("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
			s.background()
			s.publish(victim.Subject(), []byte("hello"))
			s.background()
			project := func() {
				t.Helper()
				r := start(t, s.log, s.store, projection.Config{})
				waitFor(t, s.store, ends(t, s.log))
				if err := r.stop(); err != nil {
					t.Error(err)
				}
			}
			project()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := quietly()
			o.Progress = func(p postgres.RebuildProgress) {
				if p.Phase == phase {
					cancel()
				}
			}
			if _, err := s.store.Rebuild(ctx, s.log, o); !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped while %s: %v", phase, err)
			}
			filled := s.store.At(2)
			if page, err := filled.Quarantined(t.Context(), postgres.QuarantineQuery{Workflow: &victim}); err != nil || page.Total != 1 {
				t.Fatalf("quarantined in the tables that are filled: %+v, %v", page, err)
			}
			s.void()
			s.append("", events.AtEnd(), events.Signaled("more"))
			healed, err := s.store.Heal(t.Context(), s.log, victim)
			if err != nil || healed.Was == nil || healed.Building == nil || healed.Building.Was == nil || healed.Building.Checkpoint.Generation != 2 {
				t.Fatalf("healed: %+v, %v", healed, err)
			}
			if page, err := filled.Quarantined(t.Context(), postgres.QuarantineQuery{}); err != nil || page.Total != 0 {
				t.Errorf("quarantined in the tables that are filled, once it was healed: %+v, %v", page, err)
			}
			if r := rebuild(t, s.store, s.log, quietly()); !r.Resumed || r.Generation != 2 {
				t.Errorf("rebuilt: %+v", r)
			}
			project()
			if left := s.entries(); len(left) != 0 {
				t.Errorf("the swap brought back %+v", left)
			}
			s.mustBeAFreshFold()
		})
	}
}

// A transaction whose snapshot was taken before the swap, at whatever moment of the
// rebuild, is told to run again by every view: it sees no row of the old tables, and
// none of those of the new ones that it could see.
func TestSnapshotsFromBeforeASwapAreRefused(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(11, 100), historytest.Options{Workflows: 20})
	projectAll(t, log, store, 0)

	snapshots := map[string]pgx.Tx{}
	take := func(when string) {
		conn, err := pgx.Connect(t.Context(), pool.Config().ConnString())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err == nil {
			_, err = tx.Exec(t.Context(), `SELECT pg_current_snapshot()`)
		}
		if err != nil {
			t.Error(err)
			return
		}
		snapshots[when] = tx
	}
	take("before")
	o := quietly()
	o.Progress = func(p postgres.RebuildProgress) {
		if when := "while " + string(p.Phase); snapshots[when] == nil {
			take(when)
		}
	}
	rebuild(t, store, log, o)
	if len(snapshots) != 4 {
		t.Errorf("%d snapshots, want one before and one in each phase", len(snapshots))
	}
	for when, tx := range snapshots {
		for _, view := range pgstore.Definition().Views {
			err := pgx.BeginFunc(t.Context(), tx, func(tx pgx.Tx) error {
				var rows int
				if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM annals.`+view).Scan(&rows); err != nil {
					return err
				}
				return fmt.Errorf("it saw %d rows", rows)
			})
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) || pgErr.Code != "40001" {
				t.Errorf("%s, by a snapshot of %s: %v; want SQLSTATE 40001", view, when, err)
			}
		}
	}
	mustAgree(t, log, store, pool, workflows)
}
