package projectiontest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/projection/projectiontest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.OpenPool(t.Context(), testenv.Postgres(t), postgres.PoolConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// cups counts the coffees and teas of each workflow.
var cups = postgres.Definition{
	Name: "cups", Version: 3, Schema: "kitchen", Views: []string{"cups"},
	Tables: `CREATE TABLE cups (
		namespace text, workflow_id text, coffees bigint NOT NULL DEFAULT 0, teas bigint NOT NULL DEFAULT 0, last bigint NOT NULL, note text NOT NULL DEFAULT '',
		PRIMARY KEY (namespace, workflow_id))`,
	Indexes: []string{`CREATE INDEX cups_by_coffees ON cups (coffees)`},
}

var histories = []projectiontest.History{
	{
		{events.WorkflowStarted("Breakfast", "kitchen"), events.Custom("Coffee", 1)},
		{events.Custom("Tea", 1), events.Custom("Coffee", 1)},
		{events.WorkflowCompleted()},
	},
	{{events.WorkflowStarted("Breakfast", "kitchen")}, {events.Custom("Tea", 1)}},
}

// drink writes a cup.
func drink(ctx context.Context, tx pgx.Tx, c projection.Commit, coffees, teas int, note string) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO cups AS c (namespace, workflow_id, coffees, teas, last, note) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (namespace, workflow_id) DO UPDATE SET coffees = c.coffees + $3, teas = c.teas + $4, last = $5, note = $6`,
		c.Workflow.Namespace, c.Workflow.ID, coffees, teas, int64(c.Position.Sequence), note)
	return err
}

// count is how many custom events of a name a commit has.
func count(c projection.Commit, name string) (n int) {
	for _, run := range c.Runs() {
		for _, e := range run.Events {
			if e.GetMarkerRecordedEventAttributes().GetMarkerName() == name {
				n++
			}
		}
	}
	return n
}

// waiter is a handler as it should be.
type waiter struct{}

func (waiter) Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	for _, c := range commits {
		if coffees, teas := count(c, "Coffee"), count(c, "Tea"); coffees+teas > 0 {
			if err := drink(ctx, tx, c, coffees, teas, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

func (waiter) Forget(ctx context.Context, tx pgx.Tx, w events.Workflow) error {
	_, err := tx.Exec(ctx, `DELETE FROM cups WHERE (namespace, workflow_id) = ($1, $2)`, w.Namespace, w.ID)
	return err
}

func TestAHandlerThatIsRightPasses(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, projectiontest.Subject{Open: projectiontest.OnPostgres(database, cups, waiter{}), Histories: histories})
}

// An earlier version may have had other tables, and another handler.
func TestAnEarlierVersionIsReplaced(t *testing.T) {
	t.Parallel()
	before := cups
	before.Version, before.Views = 2, nil
	before.Tables, before.Indexes = `CREATE TABLE glasses (id bigint)`, nil
	empty := postgres.HandlerFunc(func(ctx context.Context, tx pgx.Tx, _ []projection.Commit) error {
		_, err := tx.Exec(ctx, `INSERT INTO glasses VALUES (1)`)
		return err
	})
	open := projectiontest.OnPostgres(database, cups, waiter{}, projectiontest.Earlier{Definition: before, Handler: empty})
	if name, err := projectiontest.Check(t, projectiontest.Subject{Open: open, Histories: histories, Rounds: 1}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// wrong is a handler that does what no handler may.
type wrong struct {
	waiter
	apply func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error
}

func (w wrong) Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	return w.apply(ctx, tx, commits)
}

// each is a handler of one commit at a time.
func each(f func(ctx context.Context, tx pgx.Tx, c projection.Commit, coffees, teas int) error) func() postgres.Handler {
	return func() postgres.Handler {
		return wrong{apply: func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
			for _, c := range commits {
				if coffees, teas := count(c, "Coffee"), count(c, "Tea"); coffees+teas > 0 {
					if err := f(ctx, tx, c, coffees, teas); err != nil {
						return err
					}
				}
			}
			return nil
		}}
	}
}

// forgetful is a handler that is right but for its Forget.
type forgetful struct {
	waiter
	sql string
}

func (f forgetful) Forget(ctx context.Context, tx pgx.Tx, w events.Workflow) error {
	_, err := tx.Exec(ctx, f.sql, w.Namespace, w.ID)
	return err
}

func TestAHandlerThatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		handler func() postgres.Handler
		by      []string // cases, one of which finds it
	}{
		{"it reads a clock", each(func(ctx context.Context, tx pgx.Tx, c projection.Commit, coffees, teas int) error {
			var now string
			if err := tx.QueryRow(ctx, `SELECT clock_timestamp()::text`).Scan(&now); err != nil {
				return err
			}
			return drink(ctx, tx, c, coffees, teas, now)
		}), []string{"the same again"}},
		{"it counts in memory", func() postgres.Handler {
			var mu sync.Mutex
			total := map[string]int{}
			return each(func(ctx context.Context, tx pgx.Tx, c projection.Commit, coffees, teas int) error {
				mu.Lock()
				defer mu.Unlock()
				var schema string
				if err := tx.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
					return err
				}
				key := schema + c.Workflow.String()
				total[key] += coffees
				return drink(ctx, tx, c, coffees, teas, fmt.Sprint(total[key]))
			})()
		}, []string{"a batch that is rolled back"}},
		{"it writes past the transaction", func() postgres.Handler {
			return each(func(ctx context.Context, tx pgx.Tx, c projection.Commit, coffees, teas int) error {
				var schema string
				if err := tx.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
					return err
				}
				other, err := pgx.ConnectConfig(ctx, tx.Conn().Config())
				if err != nil {
					return err
				}
				defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
				own, err := other.Begin(ctx)
				if err != nil {
					return err
				}
				if _, err := own.Exec(ctx, "SET LOCAL search_path = "+schema); err != nil {
					return err
				}
				if err := drink(ctx, own, c, coffees, teas, ""); err != nil {
					return err
				}
				return own.Commit(ctx)
			})()
		}, []string{"a batch that is rolled back"}},
		{"it takes a batch for a whole", func() postgres.Handler {
			return wrong{apply: func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
				for _, c := range commits {
					if coffees, teas := count(c, "Coffee"), count(c, "Tea"); coffees+teas > 0 {
						return drink(ctx, tx, c, coffees, teas, "") // the first is enough
					}
				}
				return nil
			}}
		}, []string{"any batches"}},
		{"a row depends on the order of partitions", each(func(ctx context.Context, tx pgx.Tx, c projection.Commit, coffees, teas int) error {
			var others int
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM cups`).Scan(&others); err != nil {
				return err
			}
			return drink(ctx, tx, c, coffees, teas, fmt.Sprint(others))
		}), []string{"any order of partitions"}},
		{"it does not take a reset", each(func(ctx context.Context, tx pgx.Tx, c projection.Commit, coffees, teas int) error {
			if c.Base != nil {
				return postgres.Refuse(c, errors.New("a reset"))
			}
			return drink(ctx, tx, c, coffees, teas, "")
		}), []string{"begin"}},
		{"it panics", each(func(_ context.Context, _ pgx.Tx, c projection.Commit, _, teas int) error {
			if teas == 1 {
				panic("no tea")
			}
			return nil
		}), []string{"begin"}},
		{"Forget leaves everything", func() postgres.Handler { return forgetful{sql: `SELECT $1::text, $2::text`} }, []string{"healed"}},
		{"Forget takes ids for patterns", func() postgres.Handler {
			return forgetful{sql: `DELETE FROM cups WHERE namespace = $1 AND workflow_id LIKE left($2, 1) || '%'`}
		}, []string{"healed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name, err := projectiontest.Check(t, projectiontest.Subject{Open: projectiontest.OnPostgres(database, cups, tt.handler()), Histories: histories, Rounds: 1})
			found := false
			for _, by := range tt.by {
				found = found || name == by
			}
			if err == nil || !found {
				t.Fatalf("found by %q: %v; want one of %q", name, err, tt.by)
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			t.Logf("%s: %s", name, first)
		})
	}
}
