package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// asked is every query that there is, by its name, each about the workflow
// default/w.
var asked = map[string]func(context.Context, *pgstore.Store, pgstore.Include) error{
	"list": func(ctx context.Context, s *pgstore.Store, in pgstore.Include) error {
		_, err := s.List(ctx, pgstore.ListQuery{Namespace: "default", Include: in})
		return err
	},
	"count": func(ctx context.Context, s *pgstore.Store, in pgstore.Include) error {
		_, err := s.Count(ctx, pgstore.CountQuery{Namespace: "default", Include: in})
		return err
	},
	"describe": func(ctx context.Context, s *pgstore.Store, in pgstore.Include) error {
		_, err := s.Describe(ctx, pgstore.DescribeQuery{Workflow: events.Workflow{Namespace: "default", ID: "w"}, Include: in})
		if errors.Is(err, pgstore.ErrNotFound) { // no test here has it
			return nil
		}
		return err
	},
}

func of(logID string, epoch uint32, positions ...events.Position) events.Vector {
	v, err := events.VectorOf(positions...).Bind(events.Identity{LogID: logID, Epoch: epoch})
	if err != nil {
		panic(err)
	}
	return v
}

func spot(p events.Partition, sequence uint64) events.Position {
	return events.Position{Partition: p, Sequence: sequence}
}

func TestQueriesWaitForWhatTheyMustInclude(t *testing.T) {
	t.Parallel()
	for name, ask := range asked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := newQueries(t)
			setCheckpoint(t, pool, pgstore.Name, 0, 5)
			setCheckpoint(t, pool, pgstore.Name, 1, 4)
			for _, in := range []pgstore.Include{
				{},
				{Vector: of("log", 1)},
				{Vector: of("log", 1, spot(0, 5), spot(1, 4))},
				{Vector: events.VectorOf(spot(0, 5)), Wait: time.Minute},
			} {
				if err := ask(t.Context(), s, in); err != nil {
					t.Errorf("%s: %v", in.Vector, err)
				}
			}
			// It comes while it is waited for.
			done := make(chan error, 1)
			go func() {
				done <- ask(t.Context(), s, pgstore.Include{Vector: of("log", 1, spot(1, 6), spot(0, 5)), Wait: patience})
			}()
			for sequence := uint64(5); sequence <= 6; sequence++ {
				select {
				case err := <-done:
					t.Fatalf("it did not wait: %v", err)
				default:
				}
				setCheckpoint(t, pool, pgstore.Name, 1, sequence)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// askBehind asks what the tables do not have yet, and says how long the wait took. It
// waits longer and longer where nobody could tell in time how far they are.
func askBehind(t *testing.T, s *pgstore.Store, ask func(context.Context, *pgstore.Store, pgstore.Include) error, in pgstore.Include) (behind *projection.BehindError, took time.Duration, err error) {
	t.Helper()
	for ; ; in.Wait *= 2 {
		began := time.Now()
		err = ask(t.Context(), s, in)
		took = time.Since(began)
		if !errors.As(err, &behind) {
			t.Fatalf("after %s: %v", in.Wait, err)
		}
		if behind.Behind != nil || in.Wait == 0 || in.Wait > patience/4 {
			return behind, took, err
		}
	}
}

func TestQueriesThatAreBehindSaySo(t *testing.T) {
	t.Parallel()
	for name, ask := range asked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := newQueries(t)
			setCheckpoint(t, pool, pgstore.Name, 0, 5)
			vector := of("log", 1, spot(0, 5), spot(2, 7))
			for _, wait := range []time.Duration{0, 300 * time.Millisecond} {
				behind, took, err := askBehind(t, s, ask, pgstore.Include{Vector: vector, Wait: wait})
				if !errors.Is(err, projection.ErrBehind) || len(behind.Behind) != 1 || behind.Behind[0] != (projection.Behind{Wanted: spot(2, 7)}) || behind.Behind[0].By() != 7 {
					t.Fatalf("after %s: %v", wait, err)
				}
				if errors.Is(err, context.DeadlineExceeded) != (wait > 0) || took < wait || took > patience {
					t.Errorf("a wait of %s took %s: %v", wait, took, err)
				}
			}
			// The caller's own end is not that of the wait.
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := ask(ctx, s, pgstore.Include{Vector: vector, Wait: patience}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("bounded by the context: %v", err)
			}
			// What can never be.
			for _, in := range []pgstore.Include{
				{Vector: of("other", 1, spot(0, 5)), Wait: patience},
				{Vector: of("log", 2, spot(0, 99)), Wait: patience},
				{Vector: of("log", 2, spot(0, 5))},
				{Vector: of("log", 2)},
			} {
				if err := ask(t.Context(), s, in); !errors.Is(err, events.ErrWrongLog) {
					t.Errorf("%s: %v", in.Vector, err)
				}
			}
			for _, in := range []pgstore.Include{{Wait: -1}, {Vector: events.VectorOf(spot(-1, 1))}, {Vector: events.VectorOf(spot(events.Slots, 1))}} {
				if err := ask(t.Context(), s, in); !errors.Is(err, events.ErrInvalid) {
					t.Errorf("%+v: %v", in, err)
				}
			}
		})
	}
}

// What a wait was told is no proof for what is read after it: the server that
// answers may be another one, which is behind.
func TestAnAnswerProvesWhatItIncludes(t *testing.T) {
	t.Parallel()
	for name, ask := range asked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := newQueries(t)
			setCheckpoint(t, pool, pgstore.Name, 0, 5)
			in := pgstore.Include{Vector: events.VectorOf(spot(0, 5)), Wait: patience}
			if err := ask(t.Context(), s, in); err != nil {
				t.Fatal(err)
			}
			in.Wait = 300 * time.Millisecond
			setCheckpoint(t, pool, pgstore.Name, 0, 4) // as a replica that lags behind the one before
			if err := ask(t.Context(), s, in); !errors.Is(err, projection.ErrBehind) {
				t.Errorf("gave %v", err)
			}
			done := make(chan error, 1)
			in.Wait = patience
			go func() { done <- ask(t.Context(), s, in) }()
			setCheckpoint(t, pool, pgstore.Name, 0, 5)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// counting counts the statements on checkpoints.
type counting struct{ looks atomic.Int64 }

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, "annals.checkpoints") {
		c.looks.Add(1)
	}
	return ctx
}
func (*counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A thousand that wait ask Postgres no more often than one does.
func TestAThousandWaitsLoadPostgresAsOneDoes(t *testing.T) {
	t.Parallel()
	c, err := pgxpool.ParseConfig(testenv.Postgres(t, pgtables.Empty))
	if err != nil {
		t.Fatal(err)
	}
	var counted counting
	c.ConnConfig.Tracer = &counted
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := storeOn(t, pool, pgstore.Config{MaxWaits: 1000})
	setCheckpoint(t, pool, pgstore.Name, 0, 5)

	const long = 500 * time.Millisecond
	looks := map[int]int64{}
	for _, n := range []int{1, 1000} {
		before := counted.looks.Load()
		began := time.Now()
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				ctx, cancel := context.WithDeadline(t.Context(), began.Add(long))
				defer cancel()
				if err := s.WaitFor(ctx, events.VectorOf(spot(events.Partition(i%16), uint64(6+i)))); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("gave %v", err)
				}
			})
		}
		all.Wait()
		looks[n] = counted.looks.Load() - before
	}
	// One that waits for half a second looks about 25 times, a thousand that ask for
	// themselves a thousand times at least. While more and more begin to wait, which on
	// a busy machine takes a while, there is a look every 2 ms.
	if looks[1] == 0 || looks[1000] > 300 {
		t.Errorf("looks at the checkpoints in %s, by waits: %v", long, looks)
	}
	t.Logf("looks at the checkpoints in %s, by waits: %v", long, looks)

	// One more than are allowed is refused by name, and asks nothing.
	ctx, cancel := context.WithCancel(t.Context())
	ends := make(chan error, 1100)
	for range 1100 {
		go func() { ends <- s.WaitFor(ctx, events.VectorOf(spot(0, 99))) }()
	}
	for range 100 {
		if err := <-ends; !errors.Is(err, projection.ErrTooManyWaits) {
			t.Fatalf("one of too many: %v", err)
		}
	}
	if err := asked["list"](t.Context(), s, pgstore.Include{Vector: events.VectorOf(spot(0, 99)), Wait: patience}); !errors.Is(err, projection.ErrTooManyWaits) {
		t.Errorf("beside a thousand that wait: %v", err)
	}
	cancel()
	for range 1000 {
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("one of a thousand: %v", err)
		}
	}
	if err := asked["list"](t.Context(), s, pgstore.Include{Vector: events.VectorOf(spot(0, 5)), Wait: patience}); err != nil {
		t.Errorf("when they had gone: %v", err)
	}
}

// swap puts a copy of the live tables in their place, as a rebuild does, at the
// place where they are. Like that it gives up before Postgres looks for a deadlock
// with readers, and tries again.
func swap(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		err := swapOnce(ctx, pool)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "55P03" {
			return err
		}
	}
}

func swapOnce(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '300ms'`); err != nil {
			return err
		}
		var from int
		err := tx.QueryRow(ctx, `SELECT generation FROM annals.generations WHERE projection = $1 AND state = 'live'`, pgstore.Name).Scan(&from)
		if err != nil {
			return err
		}
		to := from + 1
		var sql strings.Builder
		fmt.Fprintf(&sql, `SELECT 1 FROM annals.checkpoints WHERE projection = '%s' FOR UPDATE; CREATE SCHEMA annals_executions_%d;`, pgstore.Name, to)
		for _, table := range pgstore.Described(pgstore.EventsIndex) {
			fmt.Fprintf(&sql, `CREATE TABLE annals_executions_%[1]d.%[3]s (LIKE annals_executions_%[2]d.%[3]s INCLUDING ALL);
				INSERT INTO annals_executions_%[1]d.%[3]s SELECT * FROM annals_executions_%[2]d.%[3]s;`, to, from, table.Name)
		}
		fmt.Fprintf(&sql, `
			UPDATE annals.generations SET state = 'retired', retired_at = clock_timestamp() WHERE projection = '%[1]s' AND generation = %[2]d;
			INSERT INTO annals.generations (projection, generation, version, state, live_at) VALUES ('%[1]s', %[3]d, %[4]d, 'live', clock_timestamp());
			INSERT INTO annals.checkpoints (projection, generation, partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time)
			SELECT projection, %[3]d, partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time FROM annals.checkpoints WHERE projection = '%[1]s' AND generation = %[2]d;
			UPDATE annals.checkpoints SET epoch = epoch + 1 WHERE projection = '%[1]s' AND generation = %[2]d;
			UPDATE annals.projections SET last_generation = %[3]d WHERE name = '%[1]s';
			DO $$ DECLARE v text; d text; BEGIN
				FOR v, d IN SELECT viewname, definition FROM pg_views WHERE schemaname = 'annals_executions_%[2]d' LOOP
					EXECUTE format('CREATE VIEW annals_executions_%[3]d.%%I AS %%s', v, replace(d, 'annals_executions_%[2]d.', 'annals_executions_%[3]d.'));
				END LOOP;
				FOR v, d IN SELECT viewname, definition FROM pg_views WHERE schemaname = 'annals' AND definition LIKE '%%visible(''%[1]s''%%' LOOP
					d := replace(replace(d, 'annals_executions_%[2]d.', 'annals_executions_%[3]d.'), ', %[2]d)', ', %[3]d)');
					EXECUTE format('CREATE OR REPLACE VIEW annals.%%I AS %%s', v, d);
				END LOOP;
			END $$;`, pgstore.Name, from, to, pgstore.Version)
		_, err = tx.Exec(ctx, sql.String())
		return err
	})
}

// atStatement calls a function before a statement that holds a text is sent.
type atStatement struct {
	text string
	call func()
}

func (a *atStatement) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.Contains(q.SQL, a.text) {
		a.call()
	}
	return ctx
}

func (a *atStatement) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A projector that looks for its checkpoint while the tables are replaced does not
// go on with those that were: it would be fenced by nobody.
func TestACheckpointIsNotOfTablesThatWereReplaced(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t, pgtables.Empty)
	pool := poolOn(t, url, nil)
	log := newLog(t, 1)
	if _, err := storeOn(t, pool, pgstore.Config{}).Checkpoint(t.Context(), log.Identity(), 0); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"INSERT INTO annals.checkpoints", "FROM annals.checkpoints"} {
		var once sync.Once
		store := storeOn(t, poolOn(t, url, &atStatement{text, func() {
			once.Do(func() {
				if err := swap(t.Context(), pool); err != nil {
					t.Error(err)
				}
			})
		}}), pgstore.Config{})
		if c, err := store.Checkpoint(t.Context(), log.Identity(), 0); !errors.Is(err, projection.ErrFenced) {
			t.Errorf("replaced before %q: %+v, %v, want ErrFenced", text, c, err)
		}
		c, err := store.Checkpoint(t.Context(), log.Identity(), 0)
		if err != nil {
			t.Fatal(err)
		}
		var live int
		if err := pool.QueryRow(t.Context(), `SELECT generation FROM annals.generations WHERE state = 'live'`).Scan(&live); err != nil || c.Generation != live {
			t.Errorf("asked again: of generation %d, %d is live, %v", c.Generation, live, err)
		}
	}
}

func poolOn(t *testing.T, url string, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	c.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// TestWhatWasAppendedIsNeverMissed: whoever asks with the vector of what he has
// just appended finds it, whatever becomes of the projector meanwhile, and while
// one generation of the tables after the other takes the place of the one before.
func TestWhatWasAppendedIsNeverMissed(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  func(*testing.T) events.Log
	}{
		{"memory", func(t *testing.T) events.Log { return newLog(t, 3) }},
		{"R1", func(t *testing.T) events.Log { return natsLog(t, testenv.NATS(t), 3) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := tt.log(t)
			c, err := pgxpool.ParseConfig(testenv.Postgres(t, pgtables.Empty))
			if err != nil {
				t.Fatal(err)
			}
			c.MaxConns = 20
			pool, err := pgxpool.NewWithConfig(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			stores := []*pgstore.Store{storeOn(t, pool, pgstore.Config{}), storeOn(t, pool, pgstore.Config{})}

			const writers, appends = 8, 25
			ended := make(chan struct{})
			var swaps, starts atomic.Int64
			answered := make(chan struct{}, writers*appends)
			var others sync.WaitGroup
			others.Go(func() { // a projector that is stopped after some batches, again and again
				for {
					wrote := make(chan struct{}, 1000)
					r := start(t, log, watched{stores[0], func(projection.Checkpoint, error) {
						select {
						case wrote <- struct{}{}:
						default:
						}
					}}, projection.Config{MaxBackoff: 20 * time.Millisecond})
					starts.Add(1)
					for range 5 {
						select {
						case <-wrote:
						case <-ended:
						}
					}
					if err := r.stop(); err != nil {
						t.Errorf("the projector: %v", err)
					}
					select {
					case <-ended:
						return
					default:
					}
				}
			})
			others.Go(func() {
				for {
					for range 25 {
						select {
						case <-answered:
						case <-ended:
							return
						}
					}
					if err := swap(t.Context(), pool); err != nil {
						t.Errorf("swap: %v", err)
						return
					}
					swaps.Add(1)
				}
			})

			var all sync.WaitGroup
			for i := range writers {
				all.Go(func() {
					random := rand.New(rand.NewPCG(uint64(i), 11))
					w := events.Workflow{Namespace: "default", ID: fmt.Sprint("w", i)}
					r := events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("T", "q")}}
					var seen events.Vector
					for n := range appends {
						res, err := log.Append(t.Context(), r)
						if err != nil {
							t.Errorf("append: %v", err)
							return
						}
						if seen, err = seen.Merge(res.Vector()); err != nil {
							t.Error(err)
							return
						}
						in := pgstore.Include{Vector: seen, Wait: patience}
						s := stores[random.IntN(2)]
						switch random.IntN(3) {
						case 0:
							d, err := s.Describe(t.Context(), pgstore.DescribeQuery{Workflow: w, Include: in})
							if err != nil || d.Execution.HistoryLength != int64(n+1) {
								t.Errorf("describe after append %d: %d events, %v", n+1, d.Execution.HistoryLength, err)
							}
						case 1:
							page, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", Query: fmt.Sprintf("WorkflowId = '%s'", w.ID), Include: in})
							if err != nil || len(page.Executions) != 1 || page.Executions[0].HistoryLength != int64(n+1) {
								t.Errorf("list after append %d: %+v, %v", n+1, page.Executions, err)
							}
						default:
							c, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: "default", Query: fmt.Sprintf("WorkflowId = '%s'", w.ID), Include: in})
							if err != nil || c.Count != 1 {
								t.Errorf("count after append %d: %d, %v", n+1, c.Count, err)
							}
						}
						answered <- struct{}{}
						r = events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: []*events.Event{events.Signaled("s")}}
					}
				})
			}
			all.Wait()
			close(ended)
			others.Wait()
			if swaps.Load() == 0 || starts.Load() < 3 {
				t.Errorf("%d swaps and %d starts of the projector", swaps.Load(), starts.Load())
			}
			t.Logf("%d queries, %d swaps, %d starts of the projector", writers*appends, swaps.Load(), starts.Load())
		})
	}
}
