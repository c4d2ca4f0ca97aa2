package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/internal/scratch"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Sessions are cut at any moment, those that commit among them.
func TestCutSessionsAreSurvived(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 3)
	store := storeOn(t, pool, pgstore.Config{CacheRuns: 3})
	admin, err := pgxpool.New(t.Context(), pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()

	wrote := make(chan error, 10_000)
	r := start(t, log, watched{store, func(_ projection.Checkpoint, err error) { wrote <- err }}, projection.Config{BatchCommits: 3, MaxBackoff: 20 * time.Millisecond})
	g := historytest.New(historytest.Options{Workflows: 10})
	cut, failed := 0, 0
	for _, s := range historytest.Seeded(11, 25) {
		if err := g.AppendAll(t.Context(), log, historytest.Seeded(s.Seed, 20)); err != nil {
			t.Fatal(err)
		}
		var n int
		err := admin.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		cut += n
		if <-wrote != nil {
			failed++
		}
	}
	waitFor(t, storeOn(t, admin, pgstore.Config{}), ends(t, log))
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	close(wrote)
	for err := range wrote {
		if err != nil {
			failed++
		}
	}
	t.Logf("%d sessions cut, %d batches failed by it", cut, failed)
	if cut == 0 {
		t.Error("no session was cut")
	}
	mustAgree(t, log, store, pool, g.Workflows())
}

// Postgres is stopped and started again, and so is NATS, by SIGKILL.
func TestServersGoAwayAndComeBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	folder, err := scratch.New("pg-data", scratch.Options{Enter: true, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.Remove(); err != nil {
			t.Error(err)
		}
	})
	options := embedpg.Options{DataDir: folder.Path + "/data", Ephemeral: true, Port: embedpg.AnyPort}
	server, err := embedpg.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	pool, err := pgxpool.New(ctx, server.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pgstore.Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	options.Port = server.Port()

	process := testenv.NATSProcess(t, "")
	nc := testenv.Connect(t, process.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	log := natsLog(t, nc, 2)
	store := storeOn(t, pool, pgstore.Config{})
	r := start(t, log, store, projection.Config{MaxBackoff: 50 * time.Millisecond})
	_, stop := keepHeartbeats(t, log, store)
	g := historytest.New(historytest.Options{Workflows: 8})
	beats := 0
	heartbeats := func() {
		t.Helper()
		for i := range 20 {
			beats++
			record(t, log, beat(i%4, fmt.Sprint("a", i%7), 1, beats))
		}
	}
	for _, s := range historytest.Seeded(5, 2) {
		heartbeats()
		if err := g.AppendAll(ctx, log, historytest.Seeded(s.Seed, 60)); err != nil {
			t.Fatal(err)
		}
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := g.AppendAll(ctx, log, historytest.Seeded(s.Seed+1, 60)); err != nil { // the log does not need Postgres
			t.Fatal(err)
		}
		heartbeats()
		process.Kill()
		if server, err = embedpg.Start(ctx, options); err != nil {
			t.Fatal(err)
		}
		process.Restart()
		if err := g.AppendAll(ctx, log, historytest.Seeded(s.Seed+2, 60)); err != nil {
			t.Fatal(err)
		}
		heartbeats()
		waitFor(t, store, ends(t, log))
		keptUpTo(t, log, store)
	}
	if err := errors.Join(r.stop(), stop()); err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := len(heartbeatDump(t, pool)); n != 20 {
		t.Errorf("%d heartbeats are kept, want those of 20 activities", n)
	}
	mustAgree(t, log, store, pool, g.Workflows())
}
