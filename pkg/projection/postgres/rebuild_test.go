package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// seats are tables of which nothing but what is made afterwards says that a seat is
// taken once, or that there is no such seat.
func seats(version int, indexes ...string) postgres.Definition {
	return postgres.Definition{
		Name: "seats", Version: version, Schema: "hall", Views: []string{"seats"}, Indexes: indexes,
		Tables: `CREATE TABLE seats (workflow_id text PRIMARY KEY, seat int NOT NULL)`,
	}
}

// takeSeats gives w0 the seat 0, w1 the seat 1, w2 the seat 0 again, and so on.
func takeSeats(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	for _, c := range commits {
		var n int
		if _, err := fmt.Sscanf(c.Workflow.ID, "w%d", &n); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO seats VALUES ($1, $2)`, c.Workflow.ID, n%2); err != nil {
			return err
		}
	}
	return nil
}

func rebuildSeats(ctx context.Context, t *testing.T, p *postgres.Projection, log *memlog.Log, o postgres.RebuildOptions) (postgres.Rebuilt, error) {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	return p.Rebuild(ctx, log, func(at *postgres.Projection) projection.Target {
		target, err := postgres.NewTarget(at, postgres.HandlerFunc(takeSeats), postgres.TargetConfig{})
		if err != nil {
			t.Error(err)
		}
		return target
	}, o)
}

// hall is what readers see, what waits, and which generations there are.
func hall(t *testing.T, pool *pgxpool.Pool, p *postgres.Projection) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT workflow_id || ' has ' || seat FROM hall.seats ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	page, err := p.Quarantined(t.Context(), postgres.QuarantineQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range page.Entries {
		list = append(list, fmt.Sprintf("%s waits (%s)", q.Workflow.ID, q.Kind))
	}
	return append(list, generations(t, pool)...)
}

// generations are those of seats, with the schemas that there are.
func generations(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT format('%s is %s', coalesce(n.nspname, 'none'), coalesce(g.state, 'nobody''s'))
		FROM (SELECT * FROM annals.generations WHERE projection = 'seats') AS g
		FULL JOIN (SELECT nspname FROM pg_namespace WHERE nspname LIKE 'annals\_seats\_%') AS n ON n.nspname = 'annals_seats_' || g.generation
		ORDER BY g.generation`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What the live tables refuse by an index or a constraint that a rebuild makes after
// it has filled the tables, the rebuilt ones refuse as well: the same workflows wait.
func TestWhatIsMadeAfterwardsRefusesTheSame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, index string
		want        []string
	}{
		{"a unique index", `CREATE UNIQUE INDEX seats_once ON seats (seat)`, []string{"w0 has 0", "w1 has 1", "w2 waits (refused)", "w3 waits (refused)"}},
		{"a unique constraint", `ALTER TABLE seats ADD CONSTRAINT seats_once UNIQUE (seat)`, []string{"w0 has 0", "w1 has 1", "w2 waits (refused)", "w3 waits (refused)"}},
		{"a check", `ALTER TABLE seats ADD CONSTRAINT seats_there CHECK (seat < 1)`, []string{"w0 has 0", "w2 has 0", "w1 waits (refused)", "w3 waits (refused)"}},
		{"an index of what cannot be computed", `CREATE INDEX seats_inverse ON seats ((1 / seat))`, []string{"w1 has 1", "w3 has 1", "w0 waits (refused)", "w2 waits (refused)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool, log := newPool(t), paid(t, 4)
			p := openNotes(t, pool, seats(1, tt.index))
			if err := p.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := project(t, log, p, postgres.HandlerFunc(takeSeats)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(tt.want, "annals_seats_1 is live"), hall(t, pool, p)); diff != "" {
				t.Fatalf("before: wanted (-) and there (+):\n%s", diff)
			}
			// It is stopped while it fills the tables that have their indexes, and goes on.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := rebuildSeats(ctx, t, p, log, postgres.RebuildOptions{Progress: func(p postgres.RebuildProgress) {
				if p.Generation == 3 {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped: %v", err)
			}
			if diff := cmp.Diff([]string{"annals_seats_1 is live", "annals_seats_3 is building"}, generations(t, pool)); diff != "" {
				t.Fatalf("stopped: wanted (-) and there (+):\n%s", diff)
			}
			r, err := rebuildSeats(t.Context(), t, p, log, postgres.RebuildOptions{})
			if err != nil || !r.Resumed || r.Generation != 3 {
				t.Fatalf("gave %+v, %v", r, err)
			}
			if diff := cmp.Diff(append(tt.want, "annals_seats_3 is live"), hall(t, pool, p)); diff != "" {
				t.Errorf("rebuilt: wanted (-) and there (+):\n%s", diff)
			}
		})
	}
}

// A rebuild that fails, and would again, leaves nothing behind.
func TestARebuildThatCannotSucceedLeavesNothing(t *testing.T) {
	t.Parallel()
	pool, log := newPool(t), paid(t, 4)
	p := openNotes(t, pool, seats(1, `ALTER TABLE seats ADD CONSTRAINT seats_once UNIQUE (seat)`))
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := project(t, log, p, postgres.HandlerFunc(takeSeats)); err != nil {
		t.Fatal(err)
	}
	before := hall(t, pool, p)
	left := func() {
		t.Helper()
		if diff := cmp.Diff(before, hall(t, pool, p)); diff != "" {
			t.Errorf("before (-) and afterwards (+):\n%s", diff)
		}
	}

	var pgErr *pgconn.PgError
	wrong := openNotes(t, pool, seats(2, `CREATE INDEX seats_nowhere ON seats (rank)`))
	if _, err := rebuildSeats(t.Context(), t, wrong, log, postgres.RebuildOptions{}); !errors.As(err, &pgErr) || pgErr.Code != "42703" {
		t.Errorf("an index of a column that is not there: %v", err)
	}
	left()

	var stuck *postgres.StuckError
	few := postgres.RebuildOptions{Projector: projection.Config{MaxQuarantined: 1}}
	if _, err := rebuildSeats(t.Context(), t, p, log, few); !errors.As(err, &stuck) {
		t.Errorf("more is quarantined than may be: %v", err)
	}
	left()

	exec(t, pool, `CREATE VIEW hall.mine AS SELECT seat FROM hall.seats`)
	other := seats(2)
	other.Tables = `CREATE TABLE seats (workflow_id text PRIMARY KEY, seat bigint NOT NULL)`
	var dependents *postgres.DependentsError
	if _, err := rebuildSeats(t.Context(), t, openNotes(t, pool, other), log, postgres.RebuildOptions{}); !errors.As(err, &dependents) {
		t.Errorf("somebody's view depends on what would be dropped: %v", err)
	}
	left()
}

// Whoever uses all connections of the pool, as projectors do that stand before a
// swap, does not keep a rebuild from its own.
func TestARebuildNeedsNoConnectionOfThePool(t *testing.T) {
	t.Parallel()
	pool, log := openPool(t, testenv.Postgres(t), postgres.PoolConfig{MaxConns: 2}), paid(t, 2)
	p := openNotes(t, pool, seats(1))
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Release()
	}
	r, err := rebuildSeats(t.Context(), t, p, log, postgres.RebuildOptions{})
	if err != nil || r.Generation != 2 || !r.Dropped {
		t.Errorf("gave %+v, %v", r, err)
	}
}

// A rebuild that is canceled while it makes an index, however long that takes, ends,
// and says that it was canceled.
func TestAnIndexInTheMakingIsCanceled(t *testing.T) {
	t.Parallel()
	pool, log := newPool(t), paid(t, 4)
	p := openNotes(t, pool, seats(1))
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, pool, `CREATE FUNCTION public.ponder(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN n; END'`)
	next := openNotes(t, pool, seats(2, `CREATE INDEX seats_pondered ON seats ((public.ponder(seat)))`))
	ended := make(chan error, 1)
	go func() {
		_, err := rebuildSeats(t.Context(), t, next, log, postgres.RebuildOptions{})
		ended <- err
	}()
	for making := false; !making; {
		err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX seats_pondered%' AND wait_event = 'PgSleep')`).Scan(&making)
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := next.CancelRebuild(t.Context(), 0); err != nil || n != 2 {
		t.Fatalf("canceled %d, %v", n, err)
	}
	if err := <-ended; !errors.Is(err, postgres.ErrCanceled) {
		t.Errorf("the rebuild ended with %v", err)
	}
	if diff := cmp.Diff([]string{"annals_seats_1 is live"}, generations(t, pool)); diff != "" {
		t.Errorf("wanted (-) and there (+):\n%s", diff)
	}
}

// Whoever reads the tables of a rebuild, as a dump does, is not ended for its
// cancellation, which says who it is.
func TestACancellationEndsNoReader(t *testing.T) {
	t.Parallel()
	pool, log := newPool(t), paid(t, 4)
	p := openNotes(t, pool, seats(1))
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := rebuildSeats(ctx, t, p, log, postgres.RebuildOptions{Progress: func(postgres.RebuildProgress) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	reader, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback(context.Background()) }()
	reads := func() error {
		return reader.QueryRow(t.Context(), `SELECT count(*) FROM annals_seats_2.seats`).Scan(new(int))
	}
	if err := reads(); err != nil {
		t.Fatal(err)
	}
	var inUse *postgres.InUseError
	if _, err := p.CancelRebuild(t.Context(), 10*time.Millisecond); !errors.As(err, &inUse) || len(inUse.Holders) != 1 || uint32(inUse.Holders[0].PID) != reader.Conn().PgConn().PID() {
		t.Errorf("while somebody reads: %v", err)
	}
	if err := reads(); err != nil {
		t.Errorf("who reads was ended: %v", err)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.CancelRebuild(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
