package pgstore_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// swapCut cuts the connection of a swap at one of its statements: before the
// server gets it, or once it has answered and the answer is lost. It is a pool's
// tracer, and makes its connections.
type swapCut struct {
	mu      sync.Mutex
	conn    *pgx.Conn // in a swap
	seen    int       // statements of that swap
	at      int       // from 1; 0: none
	applied bool
	cut     func(statement string) // what else happens then
}

// arm has the next swap cut at a statement.
func (c *swapCut) arm(at int, applied bool, cut func(string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.seen, c.at, c.applied, c.cut = nil, 0, at, applied, cut
}

func (c *swapCut) statement(conn *pgx.Conn, sql string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(sql, "'statement_timeout'") {
		c.conn, c.seen = conn, 0
	}
	if conn != c.conn {
		return
	}
	if c.seen++; c.seen != c.at {
		return
	}
	c.at = 0
	wire := conn.PgConn().Conn().(*cuttable)
	if c.applied {
		wire.loseAnswer(func() { c.cut(sql) })
		return
	}
	_ = wire.Close()
	c.cut(sql)
}

func (c *swapCut) TraceQueryStart(ctx context.Context, conn *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	c.statement(conn, d.SQL)
	return ctx
}
func (c *swapCut) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *swapCut) TraceBatchStart(ctx context.Context, conn *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	c.statement(conn, "a batch")
	return ctx
}
func (c *swapCut) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *swapCut) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// cuttable is a connection whose next answer can be lost.
type cuttable struct {
	net.Conn
	mu   sync.Mutex
	lost func() // called when the next answer is lost
}

func (c *cuttable) loseAnswer(lost func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = lost
}

func (c *cuttable) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		_ = c.Conn.Close()
		c.lost()
		c.lost = nil
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// cutPool is a pool whose swaps can be cut.
func cutPool(t *testing.T) (*pgxpool.Pool, *swapCut) {
	t.Helper()
	config, err := pgxpool.ParseConfig(testenv.Postgres(t, pgtables.Empty))
	if err != nil {
		t.Fatal(err)
	}
	cut := &swapCut{}
	config.MaxConns = 8
	config.ConnConfig.Tracer = cut
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &cuttable{Conn: conn}, nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, cut
}

// The rebuild dies at every statement of the swap, before it or after it, and is
// begun anew each time: either all is as it was, or all is swapped.
func TestARebuildThatDiesAtAnyStatementOfTheSwap(t *testing.T) {
	t.Parallel()
	pool, cut := cutPool(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(20, 150), historytest.Options{Workflows: 20})
	live := start(t, log, store, projection.Config{})
	before := 1 // the live generation
	var points []string
	for at := 1; ; at++ {
		// A statement that the server has run is undone like one that it never got, so
		// that every other one is enough; but the last is not.
		for _, applied := range []bool{false, true} {
			if applied && at%2 == 1 && points[len(points)-1] != "commit" {
				continue
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			errDied := errors.New("died")
			statement := ""
			cut.arm(at, applied, func(sql string) {
				statement = sql
				cancel(errDied)
			})
			r, err := store.Rebuild(ctx, log, quietly())
			cancel(nil)
			if statement == "" { // the swap has fewer statements
				if err != nil {
					t.Fatal(err)
				}
				if last := points[len(points)-1]; last != "commit" || len(points) < 8 {
					t.Errorf("it was cut at %q", points)
				}
				workflows = append(workflows, appendMore(t, log, "end", 10)...)
				mustAgree(t, log, store, pool, workflows)
				if err := live.stop(); err != nil {
					t.Error(err)
				}
				return
			}
			if swapped := applied && statement == "commit"; swapped != (err == nil) || !swapped && !errors.Is(err, errDied) {
				t.Fatalf("it died at %s (applied: %v), and ended with %v, %+v", statement, applied, err, r)
			}
			if !applied {
				points = append(points, statement)
			}
			got := states(t, pool)
			var want []string
			if applied && statement == "commit" {
				want = []string{schemaOf(before+1) + " live"}
				if !r.Dropped {
					want = slices.Insert(want, 0, schemaOf(before)+" retired")
				}
			} else {
				want = []string{schemaOf(before) + " live", schemaOf(before+1) + " building"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("it died at %s (applied: %v), wanted (-) and there (+):\n%s", statement, applied, diff)
			}
			if slices.Contains(got, schemaOf(before+1)+" live") {
				if !r.Dropped {
					if err := store.Projection().Drop(t.Context(), before, 0); err != nil {
						t.Fatal(err)
					}
				}
				before++
				workflows = append(workflows, appendMore(t, log, "swapped", 10)...)
				mustAgree(t, log, store, pool, workflows)
			}
		}
	}
}

func schemaOf(generation int) string {
	return "annals_executions_" + string(rune('0'+generation))
}

// The connection of the swap is lost, and the rebuild goes on: it finds out what
// became of it.
func TestARebuildThatLosesTheAnswersOfTheSwap(t *testing.T) {
	t.Parallel()
	pool, cut := cutPool(t)
	store := storeOn(t, pool, pgstore.Config{})
	log, workflows := written(t, historytest.Seeded(21, 60), historytest.Options{Workflows: 20})
	projectAll(t, log, store, 0)
	commit := 0
	cut.arm(1_000_000, false, nil)
	rebuild(t, store, log, quietly())
	cut.mu.Lock()
	commit = cut.seen
	cut.mu.Unlock()
	for i, tc := range []struct {
		at      int
		applied bool
	}{{1, false}, {commit / 2, true}, {commit, false}, {commit, true}} {
		statement := ""
		cut.arm(tc.at, tc.applied, func(sql string) { statement = sql })
		r := rebuild(t, store, log, quietly())
		if statement == "" || r.Generation != 3+i || tc.at == commit && statement != "commit" {
			t.Errorf("cut at %d, %q: %+v", tc.at, statement, r)
		}
		wantStates(t, pool, schemaOf(3+i)+" live")
		mustAgree(t, log, store, pool, workflows)
	}
}
