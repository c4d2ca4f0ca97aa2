package postgres_test

import (
	"context"
	"errors"
	"io"
	osexec "os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/leasestest"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

func openLeases(t *testing.T, pool *pgxpool.Pool, c postgres.LeaseConfig) *postgres.Leases {
	t.Helper()
	l, err := postgres.OpenLeases(t.Context(), pool.Config(), notes.Name, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestLeases(t *testing.T) {
	t.Parallel()
	leasestest.Run(t, func(t *testing.T, ttl time.Duration) func() projection.Leases {
		pool := newPool(t)
		if err := openNotes(t, pool, notes).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return func() projection.Leases { return openLeases(t, pool, postgres.LeaseConfig{TTL: ttl}) }
	})
}

// TestTheDeadAreBuried: what a member holds that is dead is free at once, and who holds
// the rest keeps it. The epoch of the partition is raised when it is taken, so that one
// that was buried alive is fenced.
func TestTheDeadAreBuried(t *testing.T) {
	t.Parallel()
	s := newScene(t, postgres.LeaseConfig{TTL: time.Hour})
	alive := openLeases(t, s.pool, postgres.LeaseConfig{TTL: time.Hour})
	for _, l := range []*postgres.Leases{alive, s.holder} {
		if _, err := l.Renew(t.Context(), []string{"partition"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	other := projection.PartitionLease(4)
	if taken, err := alive.Claim(t.Context(), []string{other}); err != nil || len(taken) != 1 {
		t.Fatalf("claimed %v, %v", taken, err)
	}
	n, err := postgres.Bury(t.Context(), s.pool, func(m projection.Member) bool { return m.ID == s.holder.Member().ID })
	if err != nil || n != 1 {
		t.Fatalf("buried %d, %v", n, err)
	}
	taken, err := s.taker.Claim(t.Context(), []string{partition, other})
	if err != nil || len(taken) != 1 || taken[0].Name != partition {
		t.Errorf("taken: %v, %v; want %s alone", taken, err, partition)
	}
	if after := s.checkpoint(t); after.Epoch <= s.before.Epoch {
		t.Errorf("the epoch was %d and is %d", s.before.Epoch, after.Epoch)
	}
	sharing, err := s.Sharing(t.Context())
	if err != nil || len(sharing.Members) != 1 || sharing.Members[0].ID != alive.Member().ID {
		t.Errorf("members are %+v, %v; want the one that lives", sharing.Members, err)
	}
}

// Who is known to have died is a process of this machine that is none now: not one
// that lives, not one of another machine or container, not one of which it cannot be
// told.
func TestWhoDiedHere(t *testing.T) {
	t.Parallel()
	l := openLeases(t, newPool(t), postgres.LeaseConfig{})
	alive := l.Member()
	if postgres.DiedHere(alive) {
		t.Error("this process has died")
	}
	if runtime.GOOS != "linux" {
		return
	}
	ended := endedProcess(t)
	dead := alive
	dead.PID = ended
	if !postgres.DiedHere(dead) {
		t.Errorf("%+v lives", dead)
	}
	for _, id := range []string{"", "0123456789ab", "0123456789ab-" + alive.ID[strings.Index(alive.ID, "-")+1:], alive.ID[strings.Index(alive.ID, "-")+1:]} {
		elsewhere := dead
		elsewhere.ID = id
		if postgres.DiedHere(elsewhere) {
			t.Errorf("%+v died here", elsewhere)
		}
	}
}

// endedProcess is the number of a process that has ended.
func endedProcess(t *testing.T) int {
	t.Helper()
	c := osexec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.ProcessState.Pid()
}

// scene is a partition whose holder has a transaction open that has the checkpoint.
type scene struct {
	*postgres.Projection
	pool   *pgxpool.Pool
	holder *postgres.Leases
	taker  *postgres.Leases
	before projection.Checkpoint
}

var (
	identity  = events.Identity{LogID: "log", Epoch: 1}
	partition = projection.PartitionLease(3)
)

func newScene(t *testing.T, c postgres.LeaseConfig) *scene {
	t.Helper()
	pool := newPool(t)
	s := &scene{Projection: openNotes(t, pool, notes), pool: pool}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.holder, s.taker = openLeases(t, pool, c), openLeases(t, pool, c)
	if taken, err := s.holder.Claim(t.Context(), []string{partition}); err != nil || len(taken) != 1 {
		t.Fatalf("claimed %v, %v", taken, err)
	}
	s.before = s.checkpoint(t)
	return s
}

func (s *scene) checkpoint(t *testing.T) projection.Checkpoint {
	t.Helper()
	c, err := s.Checkpoint(t.Context(), identity, 3)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lock opens a session with a transaction that has the checkpoint.
func (s *scene) lock(t *testing.T, config *pgxpool.Config) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), config.ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, sql := range []string{`BEGIN`, `UPDATE annals.checkpoints SET sequence = sequence`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// take claims until the lease is taken, and says how long that took from its end on.
func (s *scene) take(t *testing.T) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for held := true; held; {
		sharing, err := s.Sharing(ctx)
		if err != nil {
			t.Fatal(err)
		}
		held = sharing.Leases[0].Left > 0
	}
	expired := time.Now()
	for {
		taken, err := s.taker.Claim(ctx, []string{partition})
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		if len(taken) == 1 {
			return time.Since(expired)
		}
	}
}

// Whoever takes a partition's lease finds nobody in the way for long: a holder that
// was stopped in the middle of a transaction has it ended, whether it is idle or in
// the middle of a COPY, which no timeout of Postgres ends.
func TestAHolderThatStoppedInATransactionIsOvertaken(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(t *testing.T, pool *pgxpool.Pool, conn *pgx.Conn) (ended func() error){
		"idle": func(t *testing.T, _ *pgxpool.Pool, conn *pgx.Conn) func() error {
			return func() error { _, err := conn.Exec(t.Context(), `SELECT 1`); return err }
		},
		"in the middle of COPY": func(t *testing.T, pool *pgxpool.Pool, conn *pgx.Conn) func() error {
			rows, more := io.Pipe()
			done := make(chan error, 1)
			go func() {
				_, err := conn.PgConn().CopyFrom(t.Context(), rows, `COPY annals_notes_1.notes FROM STDIN`)
				done <- err
			}()
			if _, err := io.WriteString(more, "1\ta\n"); err != nil {
				t.Fatal(err)
			}
			for reading := false; !reading; {
				err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
					WHERE pid = $1 AND state = 'active' AND query LIKE 'COPY%' AND wait_event = 'ClientRead')`, conn.PgConn().PID()).Scan(&reading)
				if err != nil {
					t.Fatal(err)
				}
			}
			return func() error { _ = more.Close(); return <-done }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// It would wait for longer than the test does.
			s := newScene(t, postgres.LeaseConfig{TTL: time.Second, BlockedWait: time.Minute})
			config := s.holder.Sessions(s.pool.Config())
			ended := hold(t, s.pool, s.lock(t, config)) // without AfterConnect, which sets the timeout
			took := s.take(t)
			t.Logf("taken %s after it had expired", took.Round(time.Millisecond))
			if took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if err := ended(); err == nil {
				t.Error("the holder's transaction goes on")
			}
			after := s.checkpoint(t)
			if after.Epoch <= s.before.Epoch {
				t.Errorf("epoch %d, was %d", after.Epoch, s.before.Epoch)
			}
			if err := s.holder.Holds(t.Context(), partition); !errors.Is(err, projection.ErrLeaseLost) {
				t.Errorf("the holder: %v", err)
			}
			var n int
			if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM shown.notes`).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows of the transaction that was ended, %v", n, err)
			}
		})
	}
}

// Others that are in the way, such as who mends rows, are waited for and not
// harmed.
func TestStrangersAreWaitedFor(t *testing.T) {
	t.Parallel()
	for name, session := range map[string]func(*scene) string{
		"a stranger":             func(*scene) string { return "psql" },
		"the program's own name": func(*scene) string { return "" },
		"another member": func(s *scene) string {
			return s.taker.Sessions(s.pool.Config()).ConnConfig.RuntimeParams["application_name"]
		},
		"a member with half a name": func(s *scene) string { return s.holder.Member().ID[:6] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, postgres.LeaseConfig{TTL: 200 * time.Millisecond, BlockedWait: time.Second})
			config := s.pool.Config()
			config.ConnConfig.RuntimeParams["application_name"] = session(s)
			conn := s.lock(t, config)
			refused := 0
			for refused < 2 {
				taken, err := s.taker.Claim(t.Context(), []string{partition})
				if len(taken) > 0 {
					t.Fatal("it was taken though somebody has its checkpoint")
				}
				if err != nil {
					if !strings.Contains(err.Error(), "somebody has locked") {
						t.Fatal(err)
					}
					refused++
				}
			}
			if _, err := conn.Exec(t.Context(), `COMMIT`); err != nil {
				t.Errorf("who was in the way: %v", err)
			}
			s.take(t)
		})
	}
}

// The epoch that a take-over raises is that of the generation that is live.
func TestTakingAPartitionRaisesTheLiveEpoch(t *testing.T) {
	t.Parallel()
	s := newScene(t, postgres.LeaseConfig{TTL: time.Minute})
	exec(t, s.pool, `INSERT INTO annals.generations (projection, generation, version, state) VALUES ('notes', 2, 1, 'building')`)
	exec(t, s.pool, `INSERT INTO annals.checkpoints (projection, generation, partition, log_id, log_epoch, sequence) VALUES ('notes', 2, 3, 'log', 1, 0), ('notes', 1, 4, 'log', 1, 0)`)
	if err := s.holder.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.take(t)
	for what, want := range map[string]bool{
		`generation = 1 AND partition = 3`: true,
		`generation = 2 AND partition = 3`: false,
		`generation = 1 AND partition = 4`: false,
	} {
		var epoch int64
		if err := s.pool.QueryRow(t.Context(), `SELECT epoch FROM annals.checkpoints WHERE projection = 'notes' AND `+what).Scan(&epoch); err != nil || epoch > s.before.Epoch != want {
			t.Errorf("%s: epoch %d, was %d; raised: want %t (%v)", what, epoch, s.before.Epoch, want, err)
		}
	}
}

// Sessions of a member end by themselves if they are left idle in a transaction.
func TestSessionsOfAMember(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	config := pool.Config()
	config.ConnConfig.RuntimeParams["application_name"] = strings.Repeat("a name that is too long ", 4)
	l, err := postgres.OpenLeases(t.Context(), config, notes.Name, postgres.LeaseConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	work, err := pgxpool.NewWithConfig(t.Context(), l.Sessions(config))
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close()
	var name, idle string
	if err := work.QueryRow(t.Context(), `SELECT current_setting('application_name'), current_setting('idle_in_transaction_session_timeout')`).Scan(&name, &idle); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, "/"+l.Member().ID) || idle != "5s" {
		t.Errorf("application_name %q, idle_in_transaction_session_timeout %s", name, idle)
	}
}
