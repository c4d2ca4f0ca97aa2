package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/internal/scratch"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// switched is a pool that leads to one of two databases: where new connections go is changed under its user, who
// learns of it no more than the user of a name that moves from a primary to its standby.
type switched struct {
	*pgxpool.Pool
	second atomic.Bool
	each   [2]*pgxpool.Pool // to one of them always
}

func newSwitched(t *testing.T) *switched {
	t.Helper()
	s := new(switched)
	for i := range s.each {
		s.each[i] = newTables(t)
	}
	c := s.each[0].Config()
	c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		if s.second.Load() {
			c.Database = s.each[1].Config().ConnConfig.Database
		}
		return nil
	}
	var err error
	if s.Pool, err = pgxpool.NewWithConfig(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// failOver has the pool lead to the second database from now on.
func (s *switched) failOver() {
	s.second.Store(true)
	s.Reset()
}

// A standby that lacks the last transactions becomes the primary between two batches, unnoticed: what its tables do
// not have yet is not missing, and no workflow's chain is broken.
func TestTablesThatWentBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		cache int
	}{{"everything is cached", 10_000}, {"nothing is cached", 1}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool := newSwitched(t)
			log := newLog(t, 1)
			g := historytest.New(historytest.Options{Workflows: 6, Resets: true})
			more := func(seed uint64, n int) {
				t.Helper()
				if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, n)); err != nil {
					t.Fatal(err)
				}
			}
			more(1, 40)
			for _, each := range pool.each { // the standby has all of this
				projectAll(t, log, storeOn(t, each, pgstore.Config{}), 0)
			}
			store := storeOn(t, pool.Pool, pgstore.Config{CacheRuns: tt.cache})
			lines := newLogged()
			r := start(t, log, store, projection.Config{BatchCommits: 2, Logger: lines.logger()})
			more(2, 40) // and nothing of this
			waitFor(t, storeOn(t, pool.each[0], pgstore.Config{}), ends(t, log))
			pool.failOver()
			more(3, 40)
			waitFor(t, storeOn(t, pool.each[1], pgstore.Config{}), ends(t, log))
			if err := r.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
			lines.with(t, "the checkpoint was moved by another") // it was noticed
			mustAgree(t, log, storeOn(t, pool.each[1], pgstore.Config{}), pool.each[1], g.Workflows())
		})
	}
}

// What is read back for a batch while the tables are behind where they have been is no basis for it.
func TestReadingBackFromTablesThatWentBack(t *testing.T) {
	t.Parallel()
	pool := newSwitched(t)
	log := newLog(t, 1)
	g := historytest.New(historytest.Options{Workflows: 3})
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(1, 30)); err != nil {
		t.Fatal(err)
	}
	commits := commitsOf(t, log, messages(t, log, 0))
	for _, each := range pool.each {
		store := storeOn(t, each, pgstore.Config{})
		c, err := store.Checkpoint(t.Context(), log.Identity(), 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := store.Folder(c).Fold(t.Context(), commits[:10])
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	store := storeOn(t, pool.Pool, pgstore.Config{CacheRuns: 1})
	c, err := store.Checkpoint(t.Context(), log.Identity(), 0)
	if err != nil {
		t.Fatal(err)
	}
	f := store.Folder(c)
	for i := 10; ; i++ {
		if i == 28 {
			pool.failOver()
		}
		b, err := f.Fold(t.Context(), commits[i:i+1])
		if err == nil {
			err = b.Write(t.Context())
		}
		if i < 28 && err != nil {
			t.Fatal(err)
		}
		if i >= 28 {
			if !errors.Is(err, projection.ErrFenced) {
				t.Errorf("the tables went back from %d to 10: %v, want ErrFenced", i, err)
			}
			break
		}
	}
}

// pair is a primary and its standby, which gets what happens a little later.
type pair struct {
	primary, standby *embedpg.Server
	url              string // of both
}

// newPair makes them. They are durable servers, in memory where there is room.
func newPair(t *testing.T) *pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	folder, err := scratch.New("pg-pair", scratch.Options{Enter: true, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.Remove(); err != nil {
			t.Error(err)
		}
	})
	run := func(name string) *embedpg.Server {
		t.Helper()
		s, err := embedpg.Start(ctx, embedpg.Options{DataDir: filepath.Join(folder.Path, name), Port: embedpg.AnyPort})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	p := &pair{primary: run("primary")}
	copyServer(ctx, t, p.primary, filepath.Join(folder.Path, "primary"), filepath.Join(folder.Path, "standby"))
	p.standby = run("standby")
	host := func(s *embedpg.Server) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port())) }
	p.url = fmt.Sprintf("postgres://%s@%s,%s/postgres?sslmode=disable&target_session_attrs=read-write", embedpg.Superuser, host(p.primary), host(p.standby))
	return p
}

// copyServer makes the data of a standby, as the user whose the primary's data is: by Postgres's functions for that,
// since not every installation has pg_basebackup. What WAL is missing the standby asks the primary for.
// https://www.postgresql.org/docs/15/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
func copyServer(ctx context.Context, t *testing.T, primary *embedpg.Server, from, to string) {
	t.Helper()
	data := filepath.Join(to, "data")
	if err := os.Mkdir(to, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o711); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, primary.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SELECT pg_backup_start('standby', true)"); err != nil {
		t.Fatal(err)
	}
	copyData(t, filepath.Join(from, "data"), data)
	var label string
	if err := conn.QueryRow(ctx, "SELECT labelfile FROM pg_backup_stop(false)").Scan(&label); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(data, "postgresql.auto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	follow := fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=%s'\n", primary.Port(), embedpg.Superuser)
	for name, text := range map[string]string{"backup_label": label, "standby.signal": "", "postgresql.auto.conf": string(settings) + follow} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(from, "data"))
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	err = filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// copyData copies a data folder without its WAL, while its server runs: files may go meanwhile.
func copyData(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			return os.Mkdir(filepath.Join(to, name), 0o700)
		case strings.HasPrefix(name, "pg_wal/"), strings.HasPrefix(name, "postmaster."):
			return nil
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// until asks a server again and again until the answer is yes.
func until(t *testing.T, s *embedpg.Server, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for yes := false; !yes; {
		if err := conn.QueryRow(ctx, sql, args...).Scan(&yes); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// sql runs statements, one after the other.
func sql(t *testing.T, s *embedpg.Server, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// A primary is gone, and its standby, which lacks the last transactions, takes its place while commits come: the
// projector finds it, and goes on from the checkpoint that it finds there. Nothing is lost, and nothing is there twice.
func TestFailoverToAStandbyThatLacksTheLastTransactions(t *testing.T) {
	t.Parallel()
	servers := newPair(t)
	pool, err := postgres.OpenPool(t.Context(), servers.url, postgres.PoolConfig{MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pgstore.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	log := newLog(t, 3)
	g := historytest.New(historytest.Options{Workflows: 12, Resets: true})
	more := func(seed uint64) {
		t.Helper()
		if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, 100)); err != nil {
			t.Fatal(err)
		}
	}
	store := storeOn(t, pool, pgstore.Config{CacheRuns: 2})
	lines := newLogged()
	r := start(t, log, store, projection.Config{BatchCommits: 5, MaxBackoff: 50 * time.Millisecond, Logger: lines.logger()})
	more(1)
	waitFor(t, store, ends(t, log))
	var at string
	if err := pool.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&at); err != nil {
		t.Fatal(err)
	}
	until(t, servers.standby, "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)", at)
	sql(t, servers.standby, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	until(t, servers.standby, "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
	more(2) // which only the primary will ever have
	waitFor(t, store, ends(t, log))
	before, err := store.Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.primary.Stop(); err != nil {
		t.Fatal(err)
	}
	more(3)
	lines.with(t, "projecting was interrupted")
	sql(t, servers.standby, "SELECT pg_promote()")
	after, err := store.Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("checkpoints before: %v", sequences(before))
	t.Logf("checkpoints found on the standby, or later: %v", sequences(after))
	more(4)
	waitFor(t, store, ends(t, log))
	for _, s := range r.Status() {
		if s.Phase != projection.PhaseFollowing || !s.Since.IsZero() {
			t.Errorf("partition %d is %s since %s: %v", s.Checkpoint.Partition, s.Phase, s.Since, s.Err)
		}
	}
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	mustAgree(t, log, store, pool, g.Workflows())
}

func sequences(cs []projection.Checkpoint) (out []uint64) {
	for _, c := range cs {
		out = append(out, c.Sequence)
	}
	return out
}
