package pgstore_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/faultproxy"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// What is at the log's place after its server was away is not what it was: every partition stops, says so, and the
// tables stay as they are, for whoever opens the right log again.
func TestTheLogComesBackAsAnother(t *testing.T) {
	t.Parallel()
	// otherLog is a store with another log in it.
	otherLog := func(t *testing.T, into string) {
		t.Helper()
		p := testenv.NATSProcess(t, "", "NATS_STORE_DIR="+into)
		nc := testenv.Connect(t, p.URL())
		log := natsLog(t, nc, 1)
		if err := historytest.New(historytest.Options{}).AppendAll(t.Context(), log, historytest.Seeded(77, 20)); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		p.Stop()
	}
	for _, tt := range []struct {
		name string
		// put makes the store of another time or place; early is a copy of the store as it was before the tables
		// had come to where they are, saved a backup of then.
		put func(t *testing.T, early, saved, into string)
	}{
		{"another log", func(t *testing.T, _, _, into string) { otherLog(t, into) }},
		{"an older copy of its disk", func(t *testing.T, early, _, into string) {
			if err := os.CopyFS(into, os.DirFS(early)); err != nil {
				t.Fatal(err)
			}
		}},
		{"restored from a backup", func(t *testing.T, _, saved, into string) {
			p := testenv.NATSProcess(t, "", "NATS_STORE_DIR="+into)
			nc := testenv.Connect(t, p.URL())
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			folder, err := backup.Open(saved)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := natslog.Restore(t.Context(), js, folder, natslog.RestoreOptions{}); err != nil {
				t.Fatal(err)
			}
			nc.Close()
			p.Stop()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			store, early, saved, kept := base+"/store", base+"/early", base+"/saved", base+"/kept"
			process := testenv.NATSProcess(t, "", "NATS_STORE_DIR="+store)
			nc := testenv.Connect(t, process.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
			log := natsLog(t, nc, 1)
			pool := newTables(t)
			tables := storeOn(t, pool, pgstore.Config{})
			lines := newLogged()
			r := start(t, log, tables, projection.Config{MaxBackoff: 50 * time.Millisecond, Logger: lines.logger()})
			g := historytest.New(historytest.Options{Workflows: 8})
			more := func(seed uint64) {
				t.Helper()
				if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, 12)); err != nil {
					t.Fatal(err)
				}
				waitFor(t, tables, ends(t, log))
			}
			more(1)
			if _, err := log.Backup(t.Context(), saved, backup.Options{}); err != nil {
				t.Fatal(err)
			}
			process.Stop()
			if err := os.CopyFS(early, os.DirFS(store)); err != nil {
				t.Fatal(err)
			}
			process.Restart()
			more(2)
			want := dump(t, pool)
			process.Stop()
			if err := os.Rename(store, kept); err != nil {
				t.Fatal(err)
			}
			tt.put(t, early, saved, store)
			process.Restart()
			err := <-r.done
			if !errors.Is(err, events.ErrWrongLog) && !errors.Is(err, projection.ErrWrongCheckpoint) {
				t.Errorf("Run: %v", err)
			}
			t.Logf("Run: %v", err)
			r.cancel()
			for _, s := range r.Status() {
				if s.Phase != projection.PhaseStopped || s.Err == nil {
					t.Errorf("partition %d is %s: %v", s.Checkpoint.Partition, s.Phase, s.Err)
				}
			}
			lines.with(t, "level=ERROR", "the partition has stopped")
			if diff := cmp.Diff(want, dump(t, pool)); diff != "" {
				t.Errorf("the tables were (-) and are (+):\n%s", diff)
			}

			// The right one again.
			process.Stop()
			if err := os.RemoveAll(store); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(kept, store); err != nil {
				t.Fatal(err)
			}
			process.Restart()
			log = openLog(t, process.URL())
			r = start(t, log, tables, projection.Config{})
			more(3)
			if err := r.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
			mustAgree(t, log, tables, pool, g.Workflows())
		})
	}
}

// The log's server is far away, or answers nothing for a while: what comes is projected as it comes, and nothing
// stops.
func TestTheLogIsSlowOrSilent(t *testing.T) {
	t.Parallel()
	process := testenv.NATSProcess(t, "")
	log := natsLog(t, testenv.Connect(t, process.URL()), 2)
	proxy := faultproxy.New(t, process.URL())
	far := openLog(t, proxy.URL(), faultproxy.Options()...)
	pool := newTables(t)
	tables := storeOn(t, pool, pgstore.Config{})
	r := start(t, far, tables, projection.Config{MaxBackoff: 50 * time.Millisecond})
	g := historytest.New(historytest.Options{Workflows: 8, Resets: true})
	more := func(seed uint64) {
		t.Helper()
		if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, 25)); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Slow(faultproxy.ToClient, 20*time.Millisecond)
	more(1)
	waitFor(t, tables, ends(t, log))
	proxy.Slow(faultproxy.ToClient, 0)

	held := proxy.Hold(faultproxy.ToClient)
	more(2)
	<-held
	proxy.Pass()
	waitFor(t, tables, ends(t, log))

	lost := proxy.Lose(faultproxy.ToClient)
	more(3)
	<-lost
	proxy.Pass()
	waitFor(t, tables, ends(t, log))
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	mustAgree(t, log, tables, pool, g.Workflows())
}
