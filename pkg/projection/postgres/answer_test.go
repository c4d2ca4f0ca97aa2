package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Whatever a target asks is given up when the answer takes too long.
func TestATargetThatGetsNoAnswer(t *testing.T) {
	t.Parallel()
	pool, log := newPool(t), paid(t, 1)
	p := openNotes(t, pool, payments)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	target, err := postgres.NewTarget(p, postgres.HandlerFunc(countPayments), postgres.TargetConfig{AnswerTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	patient, err := postgres.NewTarget(p, postgres.HandlerFunc(countPayments), postgres.TargetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := patient.Checkpoint(t.Context(), log.Identity(), 0)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(context.Background()) }()
	if _, err := holder.Exec(t.Context(), `LOCK TABLE annals.checkpoints, annals.quarantine IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		ask  func(context.Context) error
	}{
		{"Checkpoint", func(ctx context.Context) error { _, err := target.Checkpoint(ctx, log.Identity(), 0); return err }},
		{"Aside", func(ctx context.Context) error { _, err := target.Aside(ctx, at); return err }},
		{"SetAside", func(ctx context.Context) error {
			return target.SetAside(ctx, at, projection.Mark{}, projection.Quarantined{Subject: "x", Kind: projection.KindForeign, First: 1, Last: 1, Waiting: 1})
		}},
		{"Write", func(ctx context.Context) error {
			b, err := target.Folder(at).FoldPast(ctx, nil, projection.Passed{Last: projection.Mark{Sequence: 1}})
			if err != nil {
				return err
			}
			return b.Write(ctx)
		}},
	} {
		if err := tt.ask(t.Context()); !errors.Is(err, postgres.ErrNoAnswer) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// What a handler makes of a statement that took too long is not held against the
// commit: it is called again.
func TestAHandlerThatGetsNoAnswerIsCalledAgain(t *testing.T) {
	t.Parallel()
	pool, log := newPool(t), paid(t, 2)
	p := openNotes(t, pool, payments)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls := atomic.Int32{}
	target, err := postgres.NewTarget(p, postgres.HandlerFunc(func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
		switch calls.Add(1) {
		case 1:
			if _, err := tx.Exec(ctx, `SELECT pg_sleep(3600)`); err != nil {
				panic(err)
			}
		case 2:
			_, err := tx.Exec(ctx, `SELECT pg_sleep(3600)`)
			return postgres.Refuse(commits[0], err)
		}
		return countPayments(ctx, tx, commits)
	}), postgres.TargetConfig{AnswerTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := projectOn(t, log, p, target); err != nil {
		t.Fatal(err)
	}
	if got, want := rowsOf(t, pool), "w0 1, w1 2"; got != want || calls.Load() < 3 {
		t.Errorf("after %d calls: %s, want %s", calls.Load(), got, want)
	}
}
