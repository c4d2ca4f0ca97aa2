package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/faultproxy"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// waits asks a projector again and again until a partition waits for what it is meant to wait for, and gives where it
// stands.
func waits(t *testing.T, r *running, reason func(error) bool) projection.PartitionStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		for _, s := range r.Status() {
			if s.Phase == projection.PhaseStopped {
				t.Fatalf("partition %d has stopped: %v", s.Checkpoint.Partition, s.Err)
			}
			if s.Phase == projection.PhaseWaiting && reason(s.Err) {
				return s
			}
		}
		runtime.Gosched()
	}
	t.Fatalf("no partition waits for it: %+v", r.Status())
	return projection.PartitionStatus{}
}

// mustFollow fails unless every partition follows, and waits for nothing.
func mustFollow(t *testing.T, r *running) {
	t.Helper()
	for _, s := range r.Status() {
		if s.Phase != projection.PhaseFollowing || s.Err != nil || !s.Since.IsZero() {
			t.Errorf("partition %d is %s since %s: %v", s.Checkpoint.Partition, s.Phase, s.Since, s.Err)
		}
	}
}

// The database takes no writes for a while, in each of the ways in which that happens without a connection's end: the
// projector waits, says what for, stops nothing and sets nothing aside, and goes on by itself.
func TestTablesThatTakeNoWrites(t *testing.T) {
	t.Parallel()
	failing := func(code string) (begin, end string) {
		return fmt.Sprintf(`CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '%s'; END $$;
			CREATE TRIGGER fails BEFORE INSERT ON annals_executions_1.run_events FOR EACH STATEMENT EXECUTE FUNCTION public.fails()`, code),
			`DROP FUNCTION public.fails() CASCADE`
	}
	cases := []struct{ name, begin, end, code string }{
		{
			name: "read-only", code: "25006",
			begin: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$;
				SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'plain'`,
			end: `SET default_transaction_read_only = off; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`,
		},
		{
			name: "no permission", code: "42501",
			begin: `DO $$ BEGIN EXECUTE format('REVOKE ALL ON SCHEMA annals, annals_executions_1 FROM %I', 'plain'); END $$`,
			end:   `GRANT ALL ON SCHEMA annals, annals_executions_1 TO plain`,
		},
		{
			name: "a lock that is held", code: "55P03",
			begin: `BEGIN; LOCK TABLE annals_executions_1.run_events IN ACCESS EXCLUSIVE MODE`,
			end:   `COMMIT`,
		},
	}
	for _, c := range []struct{ name, code string }{
		{"the disk is full", "53100"}, {"out of memory", "53200"}, {"the disk fails", "58030"}, {"a damaged page", "XX001"}, {"canceled", "57014"},
	} {
		begin, end := failing(c.code)
		cases = append(cases, struct{ name, begin, end, code string }{c.name, begin, end, c.code})
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			admin := newTables(t)
			conn, err := pgx.Connect(t.Context(), admin.Config().ConnString())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			do := func(sql string) {
				t.Helper()
				if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			pool := asPlainRole(t, admin, do)
			log := newLog(t, 2)
			g := historytest.New(historytest.Options{Workflows: 8})
			more := func(seed uint64) {
				t.Helper()
				if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, 50)); err != nil {
					t.Fatal(err)
				}
			}
			lines := newLogged()
			store := storeOn(t, pool, pgstore.Config{})
			onlooker := storeOn(t, admin, pgstore.Config{})
			r := start(t, log, store, projection.Config{MaxBackoff: 30 * time.Millisecond, Logger: lines.logger()})
			more(1)
			waitFor(t, onlooker, ends(t, log))
			do(tt.begin)
			more(2)
			s := waits(t, r, func(err error) bool {
				var pgErr *pgconn.PgError
				return errors.As(err, &pgErr) && pgErr.Code == tt.code
			})
			if s.Since.IsZero() {
				t.Error("it does not say since when it waits")
			}
			lines.with(t, "level=WARN", "trying again", "SQLSTATE "+tt.code)
			do(tt.end)
			waitFor(t, onlooker, ends(t, log))
			lines.with(t, "level=INFO", "projecting goes on")
			mustFollow(t, r)
			if err := r.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
			if lines.count("level=ERROR") > 0 {
				t.Error("something was logged as an error")
			}
			mustAgree(t, log, onlooker, admin, g.Workflows())
		})
	}
}

// asPlainRole is a pool of a role that is no superuser, on the database of another pool.
func asPlainRole(t *testing.T, admin *pgxpool.Pool, do func(string)) *pgxpool.Pool {
	t.Helper()
	c := admin.Config()
	do(`DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
		GRANT ALL ON SCHEMA annals, annals_executions_1 TO plain;
		GRANT ALL ON ALL TABLES IN SCHEMA annals, annals_executions_1 TO plain`)
	c.ConnConfig.User = "plain"
	c.ConnConfig.RuntimeParams["lock_timeout"] = "1s"
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// byTCP is a server with a port, and a proxy before it.
func byTCP(t *testing.T) (server *embedpg.Server, admin, pool *pgxpool.Pool, proxy *faultproxy.Proxy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := embedpg.Start(ctx, embedpg.Options{Ephemeral: true, Port: embedpg.AnyPort})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	open := func(url string) *pgxpool.Pool {
		t.Helper()
		p, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	admin = open(server.ConnString("postgres"))
	t.Cleanup(admin.Close)
	if err := pgstore.Migrate(ctx, admin); err != nil {
		t.Fatal(err)
	}
	proxy = faultproxy.New(t, server.ConnString("postgres"))
	pool = open(proxy.URL())
	t.Cleanup(pool.Close)
	return server, admin, pool, proxy
}

// A COMMIT reaches the server, which stores it, and the reply vanishes on the wire with the connection: the projector
// goes on behind what was stored.
func TestRepliesToCommitsAreLostOnTheWire(t *testing.T) {
	t.Parallel()
	_, admin, direct, proxy := byTCP(t)
	c := direct.Config()
	lost := make(chan struct{}, 1)
	c.ConnConfig.Tracer = beforeCommit(func() {
		select {
		case <-lost:
			met := proxy.Lose(faultproxy.ToClient)
			go func() {
				<-met
				proxy.Pass() // and cuts the connections of which something was lost
			}()
		default:
		}
	})
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	log := newLog(t, 1)
	g := historytest.New(historytest.Options{Workflows: 8, Resets: true})
	onlooker := storeOn(t, admin, pgstore.Config{})
	type outcome struct {
		to  projection.Checkpoint
		err error
	}
	wrote := make(chan outcome, 10_000)
	r := start(t, log, watched{storeOn(t, pool, pgstore.Config{CacheRuns: 1}), func(to projection.Checkpoint, err error) { wrote <- outcome{to, err} }},
		projection.Config{BatchCommits: 4, MaxBackoff: 20 * time.Millisecond})
	rounds, stored := 12, 0
	if *long {
		rounds = 400
	}
	for i := range rounds {
		lost <- struct{}{}
		if err := g.AppendAll(t.Context(), log, historytest.Seeded(uint64(i), 10)); err != nil {
			t.Fatal(err)
		}
		end := ends(t, log).At(0)
		var o outcome
		for o = <-wrote; o.err == nil && o.to.Sequence < end; {
			o = <-wrote
		}
		if o.err != nil { // else what was lost was the answer to somebody who reads
			at, err := onlooker.Checkpoint(t.Context(), log.Identity(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if at.Sequence < o.to.Sequence {
				t.Errorf("round %d: the batch up to %d was not stored; the checkpoint is at %d", i, o.to.Sequence, at.Sequence)
			}
			stored++
		}
		waitFor(t, onlooker, ends(t, log))
	}
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	t.Logf("%d COMMITs were stored whose replies were lost", stored)
	if stored < rounds/3 {
		t.Errorf("only in %d of %d rounds", stored, rounds)
	}
	mustAgree(t, log, onlooker, admin, g.Workflows())
}

// beforeCommit is called when a COMMIT is about to be sent.
type beforeCommit func()

func (f beforeCommit) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.EqualFold(data.SQL, "commit") {
		f()
	}
	return ctx
}

func (f beforeCommit) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// The database stops to answer, and no connection breaks: it is given up after a while, asked anew, and meanwhile no
// more of the log is held in memory than the config says, whatever the log has.
func TestADatabaseThatDoesNotAnswer(t *testing.T) {
	_, admin, pool, proxy := byTCP(t)
	process := testenv.NATSProcess(t, "") // another process, so that this one's memory is the projector's
	log := natsLog(t, testenv.Connect(t, process.URL()), 2)
	const answer = 300 * time.Millisecond
	store := storeOn(t, pool, pgstore.Config{AnswerTimeout: answer})
	lines := newLogged()
	before := heap()
	const buffer, commits, size = 2 << 20, 1500, 24 << 10
	r := start(t, log, store, projection.Config{MaxBackoff: 50 * time.Millisecond, BufferBytes: buffer, BatchBytes: buffer / 2, Logger: lines.logger()})
	if _, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: "first"}, Events: []*events.Event{events.WorkflowStarted("Order", "orders")}}); err != nil {
		t.Fatal(err)
	}
	onlooker := storeOn(t, admin, pgstore.Config{})
	waitFor(t, onlooker, ends(t, log))

	held := proxy.Hold(faultproxy.ToClient)
	var g errgroup.Group
	payload := string(bytes.Repeat([]byte("x"), size))
	for writer := range 32 {
		g.Go(func() error {
			for i := writer; i < commits; i += 32 {
				_, err := log.Append(t.Context(), events.Request{
					Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint("order-", i)},
					Events:   []*events.Event{events.WorkflowStarted("Order", "orders", payload), events.WorkflowCompleted()},
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	<-held
	waits(t, r, func(err error) bool { return errors.Is(err, postgres.ErrNoAnswer) })
	line := lines.with(t, "does not answer within 300ms")
	if !strings.Contains(line, "level=WARN") {
		t.Errorf("logged: %s", line)
	}
	// For as long as it takes it begins anew, and reads the log again.
	away := 10
	if *long {
		away = 600
	}
	most := uint64(0)
	begin := time.Now()
	for time.Since(begin) < time.Duration(away)*answer {
		most = max(most, heap())
	}
	grown := (int64(most) - int64(before)) >> 20
	t.Logf("the log has %d MiB, the buffers of two partitions may take %d MiB, the heap grew by %d MiB in %s", commits*size>>20, 2*buffer>>20, grown, time.Since(begin).Round(time.Second))
	if grown > 24 {
		t.Errorf("the heap grew by %d MiB", grown)
	}
	proxy.Pass()
	waitFor(t, onlooker, ends(t, log))
	mustFollow(t, r)
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if report := verify(t, log, onlooker, noWait); len(report.Differences) != 0 || report.Rows["executions"] != commits+1 {
		t.Errorf("verify: %+v", report)
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what pools keep goes with the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The database is so slow that a batch takes longer than an answer may: it is tried again in smaller ones, which get
// through.
func TestASlowDatabaseGetsSmallerBatches(t *testing.T) {
	t.Parallel()
	_, admin, pool, proxy := byTCP(t)
	log := newLog(t, 1)
	if err := bulk.Write(t.Context(), log, 1, 1500, bulk.Events); err != nil {
		t.Fatal(err)
	}
	store := storeOn(t, pool, pgstore.Config{AnswerTimeout: 400 * time.Millisecond})
	sizes, failed := []uint64{}, 0
	last := uint64(0)
	target := watched{store, func(c projection.Checkpoint, err error) {
		if err != nil {
			failed++
			return
		}
		sizes, last = append(sizes, c.Sequence-last), c.Sequence
	}}
	proxy.Slow(faultproxy.ToServer, 10*time.Millisecond) // of 32 KiB at most
	r := start(t, log, target, projection.Config{MaxBackoff: 20 * time.Millisecond})
	onlooker := storeOn(t, admin, pgstore.Config{})
	waitFor(t, onlooker, ends(t, log))
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	t.Logf("%d batches were too much, then came batches of %v commits", failed, sizes)
	if failed == 0 || len(sizes) < 2 {
		t.Error("nothing was too much: the test shows nothing")
	}
	if r := verify(t, log, onlooker, noWait); len(r.Differences) != 0 {
		t.Errorf("differences: %+v", r.Differences)
	}
}

// Whatever a projector or a keeper asks is given up when the answer takes too long.
func TestWhatGetsNoAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), newLog(t, 1)
	store := storeOn(t, pool, pgstore.Config{})
	at, err := store.Checkpoint(t.Context(), log.Identity(), 0)
	if err != nil {
		t.Fatal(err)
	}
	heartbeats, err := store.HeartbeatCheckpoint(t.Context(), log.Identity())
	if err != nil {
		t.Fatal(err)
	}
	control, err := store.Registry().ControlCheckpoint(t.Context(), log.Identity())
	if err != nil {
		t.Fatal(err)
	}
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(context.Background()) }()
	if _, err := holder.Exec(t.Context(), `LOCK TABLE annals.checkpoints, annals.quarantine, annals.heartbeat_checkpoints, annals.control_checkpoint IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	hasty := storeOn(t, pool, pgstore.Config{AnswerTimeout: 200 * time.Millisecond})
	for _, tt := range []struct {
		name string
		ask  func(context.Context) error
	}{
		{"Checkpoint", func(ctx context.Context) error { _, err := hasty.Checkpoint(ctx, log.Identity(), 0); return err }},
		{"Aside", func(ctx context.Context) error { _, err := hasty.Aside(ctx, at); return err }},
		{"SetAside", func(ctx context.Context) error {
			return hasty.SetAside(ctx, at, projection.Mark{}, projection.Quarantined{Subject: "x", Kind: projection.KindForeign, First: 1, Last: 1, Waiting: 1})
		}},
		{"HeartbeatCheckpoint", func(ctx context.Context) error { _, err := hasty.HeartbeatCheckpoint(ctx, log.Identity()); return err }},
		{"BeginHeartbeatsAnew", func(ctx context.Context) error { return hasty.BeginHeartbeatsAnew(ctx, heartbeats) }},
		{"ControlCheckpoint", func(ctx context.Context) error {
			_, err := hasty.Registry().ControlCheckpoint(ctx, log.Identity())
			return err
		}},
		{"WriteRegistry", func(ctx context.Context) error {
			return hasty.Registry().WriteRegistry(ctx, control, control, projection.RegistryRows{})
		}},
	} {
		if err := tt.ask(t.Context()); !errors.Is(err, postgres.ErrNoAnswer) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
