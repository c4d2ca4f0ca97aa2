package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
)

func TestMain(m *testing.M) { Main(m) }

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// fill makes the stream that every test here makes, and puts one message in.
func fill(t testing.TB, nc *nats.Conn, replicas int) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
	if seq := publish(t, js); seq != 1 {
		t.Errorf("the first message of the test has sequence %d", seq)
	}
	return js
}

func publish(t testing.TB, js jetstream.JetStream) uint64 {
	t.Helper()
	ack, err := js.Publish(within(t), "s", nil)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func TestNATSIsEachTestsOwn(t *testing.T) {
	for _, tt := range []struct {
		name     string
		connect  func(testing.TB) *nats.Conn
		replicas int
	}{
		{"R1", NATS, 1},
		{"R3", NATSCluster, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, second := tt.connect(t), tt.connect(t)
			fill(t, first, tt.replicas)
			fill(t, second, tt.replicas)
			again, err := jetstream.New(Connect(t, URL(first)))
			if err != nil {
				t.Fatal(err)
			}
			if seq := publish(t, again); seq != 2 {
				t.Errorf("sequence %d by another connection to the same URL, want 2", seq)
			}
			if got := first.MaxPayload(); got != embednats.MaxPayload {
				t.Errorf("max payload %d", got)
			}
		})
	}
}

// What a test stored must not burden the ones after it.
func TestNATSIsCleanedUp(t *testing.T) {
	for _, tt := range []struct {
		name     string
		connect  func(testing.TB) *nats.Conn
		servers  func() (accounts, error)
		replicas int
	}{
		{"R1", NATS, oneServer, 1},
		{"R3", NATSCluster, threeServers, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var url string
			t.Run("a test that uses it", func(t *testing.T) {
				nc := tt.connect(t)
				url = URL(nc)
				fill(t, nc, tt.replicas)
			})
			name, err := accountOf(url)
			if err != nil {
				t.Fatal(err)
			}
			a, err := tt.servers()
			if err != nil {
				t.Fatal(err)
			}
			members := []*embednats.Server{}
			if c, ok := a.(*embednats.Cluster); ok {
				for i := range c.Len() {
					members = append(members, c.Server(i))
				}
			} else {
				members = append(members, a.(*embednats.Server))
			}
			for _, s := range members {
				store := filepath.Join(s.StoreDir(), "jetstream")
				if _, err := os.Stat(filepath.Join(store, name)); !os.IsNotExist(err) {
					t.Errorf("%s still has the account's folder: %v", s.Name(), err)
				}
				// The groups of replicated streams are kept apart from their accounts.
				groups, err := filepath.Glob(filepath.Join(store, "$SYS", "_js_", "S-*"))
				if err != nil || len(groups) > 0 {
					t.Errorf("%s still has %v, %v", s.Name(), groups, err)
				}
			}
		})
	}
}

func TestStepDown(t *testing.T) {
	nc := NATSCluster(t)
	js := fill(t, nc, 3)
	before, err := leader(within(t), nc, "S")
	if err != nil {
		t.Fatal(err)
	}
	StepDown(t, nc, "S")
	after, err := leader(within(t), nc, "S")
	if err != nil || after == before {
		t.Errorf("%q leads, and %q did before: %v", after, before, err)
	}
	if seq := publish(t, js); seq != 2 {
		t.Errorf("sequence %d after the move, want 2", seq)
	}
}

func TestOwnServers(t *testing.T) {
	s := OwnServer(t, embednats.Options{SyncAlways: true})
	fill(t, Connect(t, s.ClientURL()), 1)
	c := OwnCluster(t, embednats.Options{})
	if c.Len() != 3 {
		t.Errorf("%d servers, want 3", c.Len())
	}
	fill(t, Connect(t, c.ClientURL()), 3)
}

func TestPostgresIsEachTestsOwn(t *testing.T) {
	for range 2 {
		conn := open(t, Postgres(t))
		if _, err := conn.Exec(within(t), "CREATE TABLE same ()"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPostgresTemplateIsPreparedOnce(t *testing.T) {
	var prepared atomic.Int32
	template := Template{Name: t.Name(), Prepare: func(ctx context.Context, url string) error {
		prepared.Add(1)
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
		return err
	}}
	var wg sync.WaitGroup
	urls := make([]string, 4)
	for i := range urls {
		wg.Go(func() { urls[i] = Postgres(t, template) })
	}
	wg.Wait()
	for _, url := range urls {
		conn := open(t, url)
		var n int
		if err := conn.QueryRow(within(t), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 1000 {
			t.Errorf("%d rows, %v; want 1000", n, err)
		}
		if _, err := conn.Exec(within(t), "DELETE FROM t"); err != nil {
			t.Fatal(err)
		}
	}
	if n := prepared.Load(); n != 1 {
		t.Errorf("prepared %d times", n)
	}
}

func TestPostgresTemplateThatFails(t *testing.T) {
	d, err := oneDatabaseServer()
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken migration")
	times := 0
	template := Template{Name: t.Name(), Prepare: func(context.Context, string) error { times++; return broken }}
	for range 2 {
		if err := d.create(within(t), "never", template); !errors.Is(err, broken) {
			t.Errorf("got %v, want the template's error", err)
		}
	}
	if times != 1 {
		t.Errorf("tried %d times", times)
	}
}

func TestPostgresIsDropped(t *testing.T) {
	var url string
	t.Run("a test that leaves its session open", func(t *testing.T) {
		url = Postgres(t)
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Ping(within(t)); err != nil {
			t.Fatal(err)
		}
	})
	if conn, err := pgx.Connect(within(t), url); err == nil {
		_ = conn.Close(within(t))
		t.Error("the database is still there")
	}
}

func open(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// An acknowledged message survives SIGKILL, on the same port, again and again.
func TestProcessIsKilledAndRestarted(t *testing.T) {
	p := NATSProcess(t, "")
	url := p.URL()
	fill(t, Connect(t, url), 1)
	for want := uint64(2); want < 5; want++ {
		pid := p.PID()
		p.Kill()
		if _, err := nats.Connect(url); err == nil {
			t.Fatal("the killed server accepts connections")
		}
		p.Restart()
		if p.URL() != url || p.PID() == pid {
			t.Errorf("URL %s, process %d; want %s and another than %d", p.URL(), p.PID(), url, pid)
		}
		js, err := jetstream.New(Connect(t, url))
		if err != nil {
			t.Fatal(err)
		}
		if got := publish(t, js); got != want {
			t.Errorf("sequence %d, want %d", got, want)
		}
	}
	p.Stop()
	p.Restart()
}

func BenchmarkPostgres(b *testing.B) {
	Postgres(b)
	d, err := oneDatabaseServer()
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, strategy := range []string{"FILE_COPY", "WAL_LOG"} {
		b.Run("strategy="+strategy, func(b *testing.B) {
			for b.Loop() {
				n++
				name := "bench_" + strconv.Itoa(n)
				if _, err := d.admin.Exec(within(b), fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 STRATEGY %s", name, strategy)); err != nil {
					b.Fatal(err)
				}
				if err := d.drop(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
