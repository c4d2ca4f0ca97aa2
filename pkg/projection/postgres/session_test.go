package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// guards is what ends a session that holds locks for nobody. Keepalives are set with
// it, and cannot be seen on the sockets of the tests.
const guards = `SELECT current_setting('idle_in_transaction_session_timeout')`

// observed is a handler that notes which guards its transactions have.
type observed struct {
	mu      sync.Mutex
	applied map[string]bool
	forgot  string
}

func (o *observed) Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	var s string
	if err := tx.QueryRow(ctx, guards).Scan(&s); err != nil {
		return err
	}
	o.mu.Lock()
	o.applied[s] = true
	o.mu.Unlock()
	return takeSeats(ctx, tx, commits)
}

func (o *observed) Forget(ctx context.Context, tx pgx.Tx, w events.Workflow) error {
	if _, err := tx.Exec(ctx, `DELETE FROM seats WHERE workflow_id = $1`, w.ID); err != nil {
		return err
	}
	return tx.QueryRow(ctx, guards).Scan(&o.forgot)
}

// Sessions of a heal and of a rebuild end by themselves when the process that has
// them is stopped in a transaction, or its machine is gone; those of the pool are
// left as they were.
func TestSessionsOfAHealAndOfARebuild(t *testing.T) {
	t.Parallel()
	pool, log := newPool(t), paid(t, 2)
	p := openNotes(t, pool, seats(1))
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := project(t, log, p, postgres.HandlerFunc(takeSeats)); err != nil {
		t.Fatal(err)
	}
	var before string
	if err := pool.QueryRow(t.Context(), guards).Scan(&before); err != nil {
		t.Fatal(err)
	}

	h := &observed{applied: map[string]bool{}}
	target, err := postgres.NewTarget(p, h, postgres.TargetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := target.Heal(t.Context(), log, events.Workflow{Namespace: "default", ID: "w1"}); err != nil {
		t.Fatal(err)
	}
	if h.forgot != "30s" {
		t.Errorf("the transaction of a heal has %s", h.forgot)
	}
	var after string
	if err := pool.QueryRow(t.Context(), guards).Scan(&after); err != nil || after != before {
		t.Errorf("the pool's sessions had %s, and have %s, %v", before, after, err)
	}

	h.applied = map[string]bool{}
	if _, err := p.Rebuild(t.Context(), log, func(at *postgres.Projection) projection.Target {
		target, err := postgres.NewTarget(at, h, postgres.TargetConfig{})
		if err != nil {
			t.Error(err)
		}
		return target
	}, postgres.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"5s": true}, h.applied); diff != "" {
		t.Errorf("the transactions of a rebuild: wanted (-) and found (+):\n%s", diff)
	}
}
