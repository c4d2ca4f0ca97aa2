package pgstore_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// killer lets a statement of its pool fail before it is sent, and the session with
// it.
type killer struct {
	left atomic.Int64 // statements until then
	last atomic.Pointer[string]
}

func (k *killer) at(ctx context.Context, sql string) context.Context {
	if k.left.Add(-1) != 0 {
		return ctx
	}
	k.last.Store(&sql)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func (k *killer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return k.at(ctx, d.SQL)
}
func (k *killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (k *killer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	return k.at(ctx, fmt.Sprintf("a batch of %d", d.Batch.Len()))
}
func (k *killer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (k *killer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// killed is a store on the same tables whose statements can be made to fail.
func killed(t *testing.T, pool *pgxpool.Pool) (*pgstore.Store, *killer) {
	t.Helper()
	k := &killer{}
	c := pool.Config()
	c.ConnConfig.Tracer = k
	own, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	return storeOn(t, own, pgstore.Config{}), k
}

// A heal that dies before any of its statements has changed nothing; the next one
// does it all.
func TestHealIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.append("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
	for i := range 300 { // enough to be copied
		s.append("", events.AtEnd(), events.Signaled(fmt.Sprint("s", i)))
	}
	s.background()
	projectAll(t, s.log, s.store, 0)
	s.exec(`UPDATE annals_executions_1.executions SET state = '\x00' WHERE workflow_id = 'victim'`)
	s.append("", events.AtEnd(), events.Signaled("more"))
	r := start(t, s.log, s.store, projection.Config{})
	waitFor(t, s.store, ends(t, s.log))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	before := dump(t, s.pool)
	store, k := killed(t, s.pool)
	deaths := 0
	for n := int64(1); ; n++ {
		k.left.Store(n)
		_, err := store.Heal(t.Context(), s.log, victim)
		if err == nil {
			break
		}
		deaths++
		if errors.Is(err, projection.ErrNotHealed) {
			t.Errorf("killed before statement %d (%s): %v", n, *k.last.Load(), err)
		}
		if diff := cmp.Diff(before, dump(t, s.pool)); diff != "" || len(s.entries()) != 1 {
			t.Fatalf("killed before statement %d (%s), it left (-before +after):\n%s", n, *k.last.Load(), diff)
		}
	}
	t.Logf("%d deaths", deaths)
	if deaths < 10 {
		t.Errorf("a heal has %d statements only", deaths)
	}
	if len(s.entries()) != 0 {
		t.Errorf("left: %+v", s.entries())
	}
	s.mustBeAFreshFold()
	// Whose reply was lost heals again: nothing is wrong with that.
	want := rows(t, s.pool)
	if healed, err := s.store.Heal(t.Context(), s.log, victim); err != nil || healed.Was != nil {
		t.Errorf("%+v, %v", healed, err)
	}
	if diff := cmp.Diff(want, rows(t, s.pool)); diff != "" {
		t.Errorf("healing what is well changed (-before +after):\n%s", diff)
	}
}

// A quarantine that dies before any of its statements has set nothing aside and
// moved nothing; one whose reply is lost is done once.
func TestQuarantineIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.append("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
	projectAll(t, s.log, s.store, 0)
	s.publish(victim.Subject(), []byte("hello"))
	store, k := killed(t, s.pool)
	c, err := s.store.Checkpoint(t.Context(), s.log.Identity(), s.put.Partition)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.log.Message(t.Context(), s.put)
	if err != nil {
		t.Fatal(err)
	}
	mark := projection.Mark{Sequence: s.put.Sequence, Hash: projection.Fingerprint(m), Time: m.Time}
	q := projection.Quarantined{
		Partition: s.put.Partition, Subject: m.Subject, Workflow: victim, Kind: projection.KindForeign, Reason: "hello",
		First: mark.Sequence, Waiting: 1, Last: mark.Sequence,
	}
	before, deaths := dump(t, s.pool), 0
	for n := int64(1); ; n++ {
		k.left.Store(n)
		err := store.SetAside(t.Context(), c, mark, q)
		if err == nil {
			break
		}
		deaths++
		if diff := cmp.Diff(before, dump(t, s.pool)); diff != "" || len(s.entries()) != 0 {
			t.Fatalf("killed before statement %d, it left (-before +after):\n%s", n, diff)
		}
	}
	if deaths < 3 {
		t.Errorf("%d deaths", deaths)
	}
	k.left.Store(0)
	// Twice is fenced: it was done.
	if err := store.SetAside(t.Context(), c, mark, q); !errors.Is(err, projection.ErrFenced) {
		t.Errorf("done twice: %v", err)
	}
	after, err := s.store.Checkpoint(t.Context(), s.log.Identity(), s.put.Partition)
	if err != nil || after.Epoch <= c.Epoch || after.Sequence != mark.Sequence {
		t.Errorf("%+v, %v", after, err)
	}
	if err := projection.Check(t.Context(), s.log, after); err != nil {
		t.Error(err)
	}
	if e := s.entries(); len(e) != 1 || e[0].Waiting != 1 {
		t.Errorf("%+v", e)
	}
}

// Two projectors meet what cannot be applied, while transactions fail before and
// after they are stored: it is set aside once, and every message behind it is
// counted once.
func TestTwoProjectorsMeetWhatCannotBeApplied(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.append("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
	s.background()
	var crashes atomic.Int64
	var projectors []*running
	for i := range 2 {
		store := storeOn(t, s.pool, pgstore.Config{CacheRuns: 1 + 3*i})
		var mu sync.Mutex // guards random
		random := rand.New(rand.NewPCG(uint64(i), 9))
		store.FailAt(func(int) error {
			mu.Lock()
			defer mu.Unlock()
			if random.IntN(8) == 0 {
				crashes.Add(1)
				return errCrash
			}
			return nil
		})
		projectors = append(projectors, start(t, s.log, store, projection.Config{BatchCommits: 3, MaxBackoff: 30 * time.Millisecond}))
	}
	for i := range 40 {
		s.publish(victim.Subject(), []byte(fmt.Sprint("hello ", i)))
		if i%10 == 0 {
			s.background()
		}
	}
	waitFor(t, s.store, ends(t, s.log))
	e := s.entries()
	if len(e) != 1 || e[0].Waiting != 40 || e[0].Last != s.put.Sequence || e[0].First >= e[0].Last {
		t.Errorf("%+v", e)
	}
	s.void()
	waitFor(t, s.store, ends(t, s.log))
	if e := s.entries(); len(e) != 1 || e[0].Waiting != 41 {
		t.Errorf("the void waits too: %+v", e)
	}
	if _, err := s.store.Heal(t.Context(), s.log, victim); err != nil {
		t.Fatal(err)
	}
	s.append("", events.AtEnd(), events.WorkflowCompleted())
	s.background()
	waitFor(t, s.store, ends(t, s.log))
	// Once more, with the same workflow.
	s.publish(victim.Subject(), nil)
	waitFor(t, s.store, ends(t, s.log))
	if e := s.entries(); len(e) != 1 || e[0].Position() != s.put {
		t.Errorf("quarantined again: %+v", e)
	}
	s.void()
	if _, err := s.store.Heal(t.Context(), s.log, victim); err != nil {
		t.Fatal(err)
	}
	for _, r := range projectors {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	if crashes.Load() == 0 {
		t.Error("nothing failed: the test proves nothing")
	}
	r := start(t, s.log, s.store, projection.Config{})
	waitFor(t, s.store, ends(t, s.log))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	s.mustBeAFreshFold()
}

// One to blame in a batch of thousands is found in some fifteen transactions, and
// all the others of the batch are in the tables.
func TestTheOneToBlameIsFoundInALargeBatch(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	if _, err := pool.Exec(t.Context(), `ALTER TABLE annals_executions_1.executions ADD CONSTRAINT no_poison CHECK (workflow_type <> 'poison')`); err != nil {
		t.Fatal(err)
	}
	const n = 4000
	for i := range n {
		kind := "Order"
		if i == 2017 || i == 3100 {
			kind = "poison"
		}
		if _, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint(i)}, Events: []*events.Event{events.WorkflowStarted(kind, "q")}}); err != nil {
			t.Fatal(err)
		}
	}
	var writes atomic.Int64
	r := start(t, log, watched{store, func(projection.Checkpoint, error) { writes.Add(1) }}, projection.Config{})
	waitFor(t, store, ends(t, log))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d batches tried", writes.Load())
	if writes.Load() > 100 {
		t.Errorf("%d batches were tried", writes.Load())
	}
	var rows int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM annals.executions`).Scan(&rows); err != nil || rows != n-2 {
		t.Errorf("%d executions, %v", rows, err)
	}
	page, err := store.Quarantined(t.Context(), postgres.QuarantineQuery{Limit: 1})
	if err != nil || page.Total != 2 || len(page.Entries) != 1 || page.Entries[0].First != 2018 || page.Entries[0].Kind != projection.KindRefused {
		t.Errorf("%+v, %v", page, err)
	}
	next, err := store.Quarantined(t.Context(), postgres.QuarantineQuery{Limit: 10, After: page.Entries[0].Position()})
	if err != nil || next.Total != 2 || len(next.Entries) != 1 || next.Entries[0].First != 3101 {
		t.Errorf("%+v, %v", next, err)
	}
}

// The race that loses an event where heal and projector do not fence each other: a
// projector's transaction is open, and holds the checkpoint, when the heal comes.
// What the projector has read meanwhile it takes for commits that wait, and they
// do so no longer.
func TestHealBesideAnOpenTransaction(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.append("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
	part := s.log.Partition(victim)
	var open atomic.Pointer[chan struct{}] // set: the next transaction waits on it before it commits
	opened := make(chan struct{}, 1)
	store := storeOn(t, s.pool, pgstore.Config{})
	store.FailAt(func(place int) error {
		if place != pgstore.BeforeCommit {
			return nil
		}
		if c := open.Swap(nil); c != nil {
			opened <- struct{}{}
			<-*c
		}
		return nil
	})
	r := start(t, s.log, store, projection.Config{BatchCommits: 1, MaxBackoff: time.Millisecond})
	waitFor(t, s.store, ends(t, s.log))
	const rounds = 25
	for i := range rounds {
		// What the projector, which is idle, has cached is dropped with its next
		// batch, so that it meets the damage.
		waitFor(t, s.store, ends(t, s.log))
		s.mustBeAFreshFold() // before anything is mended
		if _, err := s.store.Heal(t.Context(), s.log, victim); err != nil {
			t.Fatal(err)
		}
		s.exec(`UPDATE annals_executions_1.workflows SET last_hash = decode(repeat('00', 16), 'hex') WHERE workflow_id = 'victim'`)
		s.append("", events.AtEnd(), events.Signaled(fmt.Sprint("bad ", i)))
		waitFor(t, s.store, ends(t, s.log))
		if len(s.entries()) != 1 {
			t.Fatalf("round %d: nothing is quarantined", i)
		}
		release := make(chan struct{})
		open.Store(&release)
		// The first one's transaction stays open; those behind it are read.
		for j := range 3 {
			s.append("", events.AtEnd(), events.Signaled(fmt.Sprint(i, j)))
		}
		<-opened
		done := make(chan error, 1)
		go func() {
			h, err := s.store.Heal(context.Background(), s.log, victim)
			if err == nil && h.Was == nil {
				err = errors.New("it was not quarantined")
			}
			done <- err
		}()
		waitForLock(t, s.pool)
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, s.store, ends(t, s.log))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	c, err := s.store.Checkpoint(t.Context(), s.log.Identity(), part)
	if err != nil || c.Epoch <= 3*rounds {
		t.Errorf("%+v, %v", c, err)
	}
	s.mustBeAFreshFold()
}

// waitForLock returns once a session waits for another one's lock.
func waitForLock(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var waiting int
		err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for a lock")
		}
	}
}

// heal is how many heals there are under load.
var heal = flag.Int("heals", 24, "heals under load")

// Heals beside projectors under load, of workflows that are well and of some whose
// rows are damaged again and again: no event is lost or doubled.
func TestHealUnderLoad(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		log  func(*testing.T) events.Log
	}{
		{"memory", func(t *testing.T) events.Log { return newLog(t, 2) }},
		{"R1", func(t *testing.T) events.Log { return natsLog(t, testenv.NATS(t), 2) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			log, pool := tt.log(t), newTables(t)
			store := storeOn(t, pool, pgstore.Config{})
			var fenced atomic.Int64
			var projectors []*running
			for i := range 2 {
				target := watched{storeOn(t, pool, pgstore.Config{CacheRuns: 1 + 20*i}), func(_ projection.Checkpoint, err error) {
					if errors.Is(err, projection.ErrFenced) {
						fenced.Add(1)
					}
				}}
				projectors = append(projectors, start(t, log, target, projection.Config{BatchCommits: 5, MaxBackoff: 5 * time.Millisecond}))
			}
			g := historytest.New(historytest.Options{Workflows: 8})
			if err := g.AppendAll(ctx, log, historytest.Seeded(1, 60)); err != nil {
				t.Fatal(err)
			}
			workflows := g.Workflows()
			waitFor(t, store, ends(t, log))
			load, more := make(chan error, 1), make(chan uint64, 1)
			go func() {
				for seed := range more {
					if err := g.AppendAll(context.Background(), log, historytest.Seeded(seed, 20)); err != nil {
						load <- err
						return
					}
				}
				load <- nil
			}()
			random := rand.New(rand.NewPCG(1, 2))
			heals, were := 0, 0 // that were of quarantined workflows
			for heals < *heal {
				more <- uint64(2 + heals)
				if w := workflows[random.IntN(len(workflows))]; heals%2 == 0 {
					_, err := pool.Exec(ctx, `UPDATE annals_executions_1.workflows SET last_hash = decode(repeat('00', 16), 'hex') WHERE namespace = $1 AND workflow_id = $2`, w.Namespace, w.ID)
					if err != nil {
						t.Fatal(err)
					}
				}
				h, err := store.Heal(ctx, log, workflows[random.IntN(len(workflows))])
				if err != nil {
					t.Fatal(err)
				}
				heals++
				if h.Was != nil {
					were++
				}
			}
			close(more)
			if err := <-load; err != nil {
				t.Fatal(err)
			}
			waitFor(t, store, ends(t, log))
			page, err := store.Quarantined(ctx, postgres.QuarantineQuery{})
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range page.Entries {
				were++
				if _, err := store.Heal(ctx, log, q.Workflow); err != nil {
					t.Error(err)
				}
			}
			for _, r := range projectors {
				for _, status := range r.Status() {
					if status.Phase == projection.PhaseStopped {
						t.Errorf("%+v", status)
					}
				}
				if err := r.stop(); err != nil {
					t.Error(err)
				}
			}
			t.Logf("%d heals, %d of them of quarantined workflows; %d batches were fenced", heals, were, fenced.Load())
			if were == 0 || fenced.Load() == 0 {
				t.Error("nothing was quarantined, or the heals met no projector: the test proves nothing")
			}
			// What was damaged and not met by a commit since; all else must be right as
			// it is.
			for _, w := range workflows {
				var damaged bool
				err := pool.QueryRow(ctx, `SELECT last_hash = decode(repeat('00', 16), 'hex') FROM annals.workflows WHERE (slot, namespace, workflow_id) = ($1, $2, $3)`,
					int16(w.Slot()), w.Namespace, w.ID).Scan(&damaged)
				if err != nil {
					t.Fatal(err)
				}
				if !damaged {
					continue
				}
				if _, err := store.Heal(ctx, log, w); err != nil {
					t.Error(err)
				}
			}
			mustAgree(t, log, store, pool, g.Workflows())
		})
	}
}

// What is not of this log, or has no tables yet, is not healed.
func TestHealRefuses(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.append("run-1", events.NewRun(), events.WorkflowStarted("Order", "orders"))
	if _, err := s.store.Heal(t.Context(), s.log, victim); !errors.Is(err, projection.ErrNotHealed) || !strings.Contains(err.Error(), "start the projector") {
		t.Errorf("without a checkpoint: %v", err)
	}
	projectAll(t, s.log, s.store, 0)
	if _, err := s.store.Heal(t.Context(), newLog(t, 3), victim); !errors.Is(err, projection.ErrWrongCheckpoint) {
		t.Errorf("of another log: %v", err)
	}
	if _, err := s.store.Heal(t.Context(), s.log, events.Workflow{}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("of no workflow: %v", err)
	}
	// Rows of a workflow that the log does not have are deleted.
	ghost := victim
	for i := 0; ; i++ {
		if ghost.ID = fmt.Sprint("ghost-", i); s.log.Partition(ghost) == s.log.Partition(victim) {
			break
		}
	}
	s.exec(fmt.Sprintf(`INSERT INTO annals_executions_1.workflows SELECT * FROM jsonb_populate_record(NULL::annals_executions_1.workflows,
		(SELECT to_jsonb(w) || '{"workflow_id": %q, "slot": %d}' FROM annals_executions_1.workflows AS w WHERE workflow_id = 'victim'))`, ghost.ID, ghost.Slot()))
	if _, err := s.store.Heal(t.Context(), s.log, ghost); err != nil {
		t.Error(err)
	}
	s.mustBeAFreshFold()
}
