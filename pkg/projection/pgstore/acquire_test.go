package pgstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// TestAcquireTimeout: with every connection in use, all that needs one ends in
// time and says why; a call whose own context ends first says that.
func TestAcquireTimeout(t *testing.T) {
	url := testenv.Postgres(t, pgtables.Empty)
	const limit = 60 * time.Millisecond
	pool, err := postgres.OpenPool(t.Context(), url, postgres.PoolConfig{MaxConns: 1, AcquireTimeout: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store := storeOn(t, pool, pgstore.Config{})
	ctx := t.Context()
	asks := map[string]func(context.Context) error{
		"list": func(ctx context.Context) error {
			_, err := store.List(ctx, pgstore.ListQuery{Namespace: "n"})
			return err
		},
		"describe": func(ctx context.Context) error {
			_, err := store.Describe(ctx, pgstore.DescribeQuery{Workflow: events.Workflow{Namespace: "n", ID: "w"}})
			return err
		},
		"wait": func(ctx context.Context) error {
			return store.WaitFor(ctx, events.VectorOf(events.Position{Sequence: 1}))
		},
		"acquire": func(ctx context.Context) error {
			c, err := pool.Acquire(ctx)
			if err == nil {
				c.Release()
			}
			return err
		},
	}
	// Connecting may take longer than the limit; it goes on behind it.
	held, err := pool.Acquire(ctx)
	for errors.Is(err, postgres.ErrAcquireTimeout) {
		held, err = pool.Acquire(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range asks {
		err := ask(ctx)
		var e *postgres.AcquireTimeoutError
		if !errors.Is(err, postgres.ErrAcquireTimeout) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Timeout != limit {
			t.Errorf("%s with no connection left: %v", name, err)
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if err := ask(canceled); !errors.Is(err, context.Canceled) || errors.Is(err, postgres.ErrAcquireTimeout) {
			t.Errorf("%s, canceled: %v", name, err)
		}
	}
	held.Release()
	if err := asks["list"](ctx); err != nil {
		t.Errorf("with a connection again: %v", err)
	}

	// The limit is for the connection alone, not for what is done with it.
	if _, err := pool.Exec(ctx, "SELECT pg_sleep($1)", (5 * limit).Seconds()); err != nil {
		t.Errorf("a statement longer than the limit: %v", err)
	}
}
