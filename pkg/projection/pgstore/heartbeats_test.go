package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/internal/testenv/pgfault"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// beat is a heartbeat of an activity of workflow w<n>.
func beat(n int, id string, attempt int32, seconds int) events.Heartbeat {
	return events.Heartbeat{
		Activity: events.Activity{Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint("w", n)}, RunID: "r", ID: id},
		Attempt:  attempt, Time: *at(seconds), Identity: "worker",
		Details: &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: fmt.Appendf(nil, "%d", seconds)}}},
	}
}

func record(t *testing.T, log events.Heartbeats, list ...events.Heartbeat) {
	t.Helper()
	for _, h := range list {
		if _, err := log.RecordHeartbeat(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
}

// heartbeatDump is every column of every heartbeat, in order.
func heartbeatDump(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), "SELECT to_jsonb(h)::text FROM annals.activity_heartbeats AS h ORDER BY slot, namespace, workflow_id, run_id, activity_id")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// keepHeartbeats keeps a log's heartbeats until it is stopped.
func keepHeartbeats(t *testing.T, log projection.HeartbeatSource, target projection.HeartbeatTarget) (k *projection.HeartbeatKeeper, stop func() error) {
	t.Helper()
	k, err := projection.NewHeartbeatKeeper(log, target, projection.Config{Logger: quiet, MaxBackoff: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return k, stop
}

// keptUpTo waits until the tables have come to the end of a log's heartbeats.
func keptUpTo(t *testing.T, log projection.HeartbeatSource, s *pgstore.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, lag, err := s.HeartbeatLag(ctx, log)
		if err != nil {
			t.Fatal(err)
		}
		if lag == 0 {
			return
		}
	}
}

func TestHeartbeatsAreKept(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log := newLog(t, 1)
	whole := beat(1, "whole\t'\"\\", 1<<31-1, 0)
	whole.Identity = "nul\x00"
	whole.LastFailure = &failurepb.Failure{Message: "a\x00b", Cause: &failurepb.Failure{Message: "c"}}
	bare := events.Heartbeat{Activity: beat(2, "bare", 1, 0).Activity, Attempt: 1, Time: *at(1)}
	long := beat(0, strings.Repeat("é", 500), 1, 1)
	long.Activity.Workflow = events.Workflow{Namespace: random(255), ID: random(1000)}
	long.Activity.RunID, long.Activity.ID = events.RunID(random(255)), random(1000)
	record(t, log, whole, bare, long, beat(3, "a", 1, 0), beat(3, "a", 1, 5), beat(3, "a", 1, 4))
	k, stop := keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	record(t, log, beat(3, "a", 2, 3), beat(3, "b", 1, 0))
	keptUpTo(t, log, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := k.Status(); s.Passed != 0 || s.Checkpoint.Sequence == 0 {
		t.Errorf("status %+v", s)
	}
	got := map[string]string{}
	rows, err := pool.Query(t.Context(), `SELECT activity_id, concat_ws(' | ', attempt, to_char(time AT TIME ZONE 'UTC', 'HH24:MI:SS'), details->'payloads'->0->>'data', last_failure, failure::text, identity, length(namespace || workflow_id || run_id || activity_id))
		FROM annals.activity_heartbeats`)
	if err != nil {
		t.Fatal(err)
	}
	var id, text string
	if _, err := pgx.ForEachRow(rows, []any{&id, &text}, func() error { got[id] = text; return nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		whole.Activity.ID: "2147483647 | 12:00:00 | MA== | a\ufffdb | {\"cause\": {\"message\": \"c\"}, \"message\": \"a\ufffdb\"} | nul\ufffd | 19",
		"bare":            "1 | 12:00:01 |  | 14",
		long.Activity.ID:  "1 | 12:00:01 | MQ== | worker | 2510",
		"a":               "2 | 12:00:03 | Mw== | worker | 11",
		"b":               "1 | 12:00:00 | MA== | worker | 11",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r := verify(t, log, store, noWait); len(r.Differences) != 0 || r.Rows["activity_heartbeats"] != 5 || r.Forgotten != 0 {
		t.Errorf("verify says %+v", r)
	}
}

// random is a text that does not compress.
func random(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '!' + byte(rand.N(90))
	}
	return string(b)
}

// However heartbeats are split into batches, and however often some are delivered
// again, the rows are those of the newest.
func TestHeartbeatBatchesMakeTheSameRows(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log := newLog(t, 1)
	var all []events.StoredHeartbeat
	// A follower that is fast sees everything, what is replaced later too.
	for i := range 60 {
		all = append(all, events.StoredHeartbeat{Heartbeat: beat(i%3, fmt.Sprint("a", i%7), 1+int32(i/20), i), Sequence: uint64(i + 1)})
	}
	var want []string
	for round := range 12 {
		if _, err := pool.Exec(t.Context(), "DELETE FROM annals.activity_heartbeats; DELETE FROM annals.heartbeat_checkpoints"); err != nil {
			t.Fatal(err)
		}
		c, err := store.HeartbeatCheckpoint(t.Context(), log.Identity())
		if err != nil {
			t.Fatal(err)
		}
		for c.Sequence < 60 {
			n := uint64(60)
			if round > 0 {
				n = min(60, c.Sequence+1+rand.N(uint64(20)))
			}
			to := c
			to.Sequence = n
			from := c.Sequence
			if back := rand.N(uint64(5)); back < from {
				from -= back // some of what was written before
			}
			if err := store.WriteHeartbeats(t.Context(), c, to, all[from:n]); err != nil {
				t.Fatal(err)
			}
			c = to
		}
		got := heartbeatDump(t, pool)
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 21 {
			t.Fatalf("round %d, %d rows (-one batch +many)\n%s", round, len(got), diff)
		}
	}
}

// Whatever fails in a transaction, and whoever else writes, the end is the same.
func TestHeartbeatsSurviveCrashesAndEachOther(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 1)
	var injectors []*pgfault.Injector
	for range 3 {
		behind, faults := withFaults(t, pool)
		faults.Decide(func(s pgfault.Statement) pgfault.Fault {
			if s.Step < 0 || rand.N(5) > 0 {
				return pgfault.None
			}
			return []pgfault.Fault{pgfault.Before, pgfault.After}[rand.N(2)]
		})
		injectors = append(injectors, faults)
		keepHeartbeats(t, log, storeOn(t, behind, pgstore.Config{}))
	}
	store := storeOn(t, pool, pgstore.Config{})
	for i := range 300 {
		record(t, log, beat(i%5, fmt.Sprint("a", i%9), 1, i))
		if i%10 == 9 {
			keptUpTo(t, log, store)
		}
	}
	r := verify(t, log, store, pgstore.VerifyOptions{})
	if len(r.Differences) != 0 || r.Rows["activity_heartbeats"] != 45 {
		t.Errorf("verify says %+v", r)
	}
	before, after := 0, 0
	for _, faults := range injectors {
		before, after = before+faults.Count("", pgfault.Before), after+faults.Count("", pgfault.After)
	}
	t.Logf("%d connections were cut before a statement, %d after one", before, after)
	if before == 0 || after == 0 {
		t.Error("nothing is shown where nothing fails")
	}
}

// Of two keepers one works and one stands by, which takes over when the first one
// is gone.
func TestOneOfTwoKeepersStandsBy(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 1)
	store := storeOn(t, pool, pgstore.Config{})
	logged := newLogged()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type keeper struct {
		*projection.HeartbeatKeeper
		stop func() error
	}
	start := func() keeper {
		k, err := projection.NewHeartbeatKeeper(log, storeOn(t, pool, pgstore.Config{}), projection.Config{Logger: logged.logger(), MaxBackoff: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		stop := sync.OnceValue(func() error { cancel(); return <-done })
		t.Cleanup(func() { _ = stop() })
		return keeper{k, stop}
	}
	standing := func(k keeper) bool { return k.Status().Phase == projection.PhaseStandingBy }
	one, two := start(), start()
	n := 0
	next := func() { n++; record(t, log, beat(n%7, "a", 1, n)); keptUpTo(t, log, store) }
	for !standing(one) && !standing(two) {
		if next(); ctx.Err() != nil {
			t.Fatal("neither stands by")
		}
	}
	for range 200 {
		next()
	}
	if by := logged.count("another keeps the heartbeats; standing by"); by < 1 || by > 20 { // one a heartbeat where nobody stands by
		t.Errorf("%d changes of roles in 200 heartbeats", by)
	}
	working, idle := one, two
	if standing(one) {
		working, idle = two, one
	}
	if err := working.stop(); err != nil {
		t.Fatal(err)
	}
	next() // waits until it is kept
	if standing(idle) {
		t.Error("nobody has taken over, and yet it is kept")
	}
	if r := verify(t, log, store, pgstore.VerifyOptions{}); len(r.Differences) != 0 || r.Rows["activity_heartbeats"] != 7 {
		t.Errorf("verify says %+v", r)
	}
}

func TestWriteHeartbeatsIsFenced(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	id := newLog(t, 1).Identity()
	from, err := store.HeartbeatCheckpoint(t.Context(), id)
	if err != nil || from.Sequence != 0 || from.LogID != id.LogID || from.LogEpoch != id.Epoch {
		t.Fatalf("checkpoint %+v, %v", from, err)
	}
	to := from
	to.Sequence = 3
	list := []events.StoredHeartbeat{{Heartbeat: beat(1, "a", 1, 0), Sequence: 3}}
	if err := store.WriteHeartbeats(t.Context(), from, to, list); err != nil {
		t.Fatal(err)
	}
	before := heartbeatDump(t, pool)
	list[0].Attempt = 2
	if err := store.WriteHeartbeats(t.Context(), from, to, list); !errors.Is(err, projection.ErrFenced) {
		t.Errorf("from a checkpoint that has moved: %v", err)
	}
	if err := store.BeginHeartbeatsAnew(t.Context(), from); !errors.Is(err, projection.ErrFenced) {
		t.Errorf("beginning anew from a checkpoint that has moved: %v", err)
	}
	if diff := cmp.Diff(before, heartbeatDump(t, pool)); diff != "" {
		t.Errorf("something was written:\n%s", diff)
	}
	if c, err := store.HeartbeatCheckpoint(t.Context(), id); err != nil || c != to {
		t.Errorf("checkpoint %+v, %v", c, err)
	}
}

// A message that is none and a heartbeat that Postgres refuses are passed over,
// and told of.
func TestWhatCannotBeKeptIsPassedOver(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	exec(t, pool, "ALTER TABLE annals.activity_heartbeats ADD CHECK (identity <> 'refused')")
	store := storeOn(t, pool, pgstore.Config{})
	log := newLog(t, 1)
	refused := beat(1, "refused", 1, 0)
	refused.Identity = "refused"
	foreign := beat(1, "foreign", 1, 0).Activity
	record(t, log, beat(1, "a", 1, 0), refused)
	log.PutHeartbeat(foreign.HeartbeatSubject(), nil, nil)
	record(t, log, beat(1, "b", 1, 0))
	log.PutHeartbeat("annals-heartbeat.of.nobody", nil, nil)
	k, stop := keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	for k.Status().Checkpoint.Sequence < 5 && t.Context().Err() == nil { // said after it is written
		runtime.Gosched()
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := k.Status(); s.Passed != 3 || s.Written != 2 || s.Checkpoint.Sequence != 5 {
		t.Errorf("status %+v", s)
	}
	if n := len(heartbeatDump(t, pool)); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	var kinds []string
	for _, d := range verify(t, log, store, noWait).Differences {
		kinds = append(kinds, d.Kind+" "+d.Workflow.ID)
	}
	if diff := cmp.Diff([]string{pgstore.KindNotFolded + " w1", pgstore.KindNotFolded + " ", pgstore.KindMissing + " w1"}, kinds); diff != "" {
		t.Errorf("verify (-want +got)\n%s", diff)
	}
}

// A stream that ends before the checkpoint was made anew: it is read from its
// start, and what is there stays.
func TestAStreamMadeAnewIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	old := newLog(t, 1)
	record(t, old, beat(1, "kept", 1, 0), beat(1, "again", 3, 0), beat(1, "older", 1, 9))
	_, stop := keepHeartbeats(t, old, store)
	keptUpTo(t, old, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	anew := sameIdentity{newLog(t, 1), old.Identity()}
	record(t, anew, beat(1, "again", 4, 0), beat(1, "older", 1, 8))
	_, stop = keepHeartbeats(t, anew, store)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for seq := uint64(3); seq != 2; {
		c, err := store.HeartbeatCheckpoint(ctx, old.Identity())
		if err != nil {
			t.Fatal(err)
		}
		seq = c.Sequence
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := pool.QueryRow(t.Context(), `SELECT string_agg(activity_id || ' ' || attempt || ' ' || coalesce(sequence::text, 'none'), ', ' ORDER BY activity_id) FROM annals.activity_heartbeats`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	// What is newer here than in the stream was lost with the old one.
	if want := "again 4 1, kept 1 none, older 1 none"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := verify(t, anew, store, noWait); len(r.Differences) != 0 || r.Forgotten != 2 || r.Rows["activity_heartbeats"] != 1 {
		t.Errorf("verify says %+v", r)
	}
}

// sameIdentity is a log that says that it is another one.
type sameIdentity struct {
	*memlog.Log
	id events.Identity
}

func (l sameIdentity) Identity() events.Identity { return l.id }

// Another log's heartbeats take the place of those of the one before, whatever
// their attempts; a later epoch's only if they are newer.
func TestHeartbeatsOfAnotherLogAndEpoch(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	id := newLog(t, 1).Identity()
	write := func(id events.Identity, attempt int32) {
		t.Helper()
		from, err := store.HeartbeatCheckpoint(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		to := from
		to.Sequence++
		if err := store.WriteHeartbeats(t.Context(), from, to, []events.StoredHeartbeat{{Heartbeat: beat(1, "a", attempt, 0), Sequence: to.Sequence}}); err != nil {
			t.Fatal(err)
		}
	}
	attempt := func(want int) {
		t.Helper()
		var got int
		if err := pool.QueryRow(t.Context(), "SELECT attempt FROM annals.activity_heartbeats").Scan(&got); err != nil || got != want {
			t.Errorf("attempt %d, %v; want %d", got, err, want)
		}
	}
	write(id, 5)
	restored := id
	restored.Epoch++
	write(restored, 4)
	attempt(5)
	write(restored, 6)
	attempt(6)
	write(newLog(t, 1).Identity(), 1)
	attempt(1)
}

// Heartbeats outlive the tables that are made from the log.
func TestHeartbeatsOutliveARebuild(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{})
	log := newLog(t, 1)
	record(t, log, beat(1, "a", 1, 0))
	_, stop := keepHeartbeats(t, log, store)
	keptUpTo(t, log, store)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	before := heartbeatDump(t, pool)
	exec(t, pool, "DROP SCHEMA annals_executions_1 CASCADE")
	exec(t, pool, "DELETE FROM annals.projections")
	if err := pgstore.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, heartbeatDump(t, pool)); diff != "" || len(before) != 1 {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if _, lag, err := store.HeartbeatLag(t.Context(), log); err != nil || lag != 0 {
		t.Errorf("the lag is %d, %v", lag, err)
	}
}
