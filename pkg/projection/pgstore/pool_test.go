package pgstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func openPool(t *testing.T, url string, c pgstore.PoolConfig) *pgxpool.Pool {
	t.Helper()
	pool, err := pgstore.OpenPool(t.Context(), url, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestOpenPoolSettings(t *testing.T) {
	type settings struct {
		Max, Min       int32
		Lifetime, Idle time.Duration
	}
	byDefault, err := pgxpool.ParseConfig("postgres://localhost/x")
	if err != nil {
		t.Fatal(err)
	}
	const own = "postgres://localhost/x?pool_max_conns=7&pool_min_conns=2&pool_max_conn_lifetime=3m&pool_max_conn_idle_time=4m"
	for _, tt := range []struct {
		name, url string
		config    pgstore.PoolConfig
		want      settings
	}{
		{
			"nothing is set", "postgres://localhost/x",
			pgstore.PoolConfig{},
			settings{byDefault.MaxConns, byDefault.MinConns, byDefault.MaxConnLifetime, byDefault.MaxConnIdleTime},
		},
		{"the URL says it", own, pgstore.PoolConfig{}, settings{7, 2, 3 * time.Minute, 4 * time.Minute}},
		{
			"the URL says it, and the config says otherwise", own,
			pgstore.PoolConfig{MaxConns: 9, MinConns: 1, MaxConnLifetime: time.Second, MaxConnIdleTime: 2 * time.Second},
			settings{9, 1, time.Second, 2 * time.Second},
		},
		{"one of them", own, pgstore.PoolConfig{MaxConns: 2}, settings{2, 2, 3 * time.Minute, 4 * time.Minute}},
		{"keywords", "host=localhost dbname=x pool_max_conns=5", pgstore.PoolConfig{MinConns: 5}, settings{5, 5, byDefault.MaxConnLifetime, byDefault.MaxConnIdleTime}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // so that it does not connect to keep some open
			pool, err := pgstore.OpenPool(ctx, tt.url, tt.config)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			c := pool.Config()
			if diff := cmp.Diff(tt.want, settings{c.MaxConns, c.MinConns, c.MaxConnLifetime, c.MaxConnIdleTime}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOpenPoolRefuses(t *testing.T) {
	const url = "postgres://localhost/x?pool_max_conns=3"
	for _, tt := range []struct {
		field, url string
		config     pgstore.PoolConfig
	}{
		{"databaseUrl", "", pgstore.PoolConfig{}},
		{"pool.maxConns", url, pgstore.PoolConfig{MaxConns: -1}},
		{"pool.minConns", url, pgstore.PoolConfig{MinConns: -1}},
		{"pool.minConns", url, pgstore.PoolConfig{MinConns: 4}},
		{"pool.minConns", url, pgstore.PoolConfig{MinConns: 2, MaxConns: 1}},
		{"pool.minConns", url + "&pool_min_conns=2", pgstore.PoolConfig{MaxConns: 1}},
		{"pool.maxConnLifetime", url, pgstore.PoolConfig{MaxConnLifetime: -1}},
		{"pool.maxConnIdleTime", url, pgstore.PoolConfig{MaxConnIdleTime: -1}},
		{"pool.acquireTimeout", url, pgstore.PoolConfig{AcquireTimeout: -1}},
	} {
		t.Run(tt.field, func(t *testing.T) {
			_, err := pgstore.OpenPool(t.Context(), tt.url, tt.config)
			var e *events.InvalidError
			if !errors.As(err, &e) || e.Field != tt.field {
				t.Errorf("got %v, want an *events.InvalidError of %s", err, tt.field)
			}
		})
	}
	_, err := pgstore.OpenPool(t.Context(), "postgres://annals:secret@localhost/x?pool_max_conns=none", pgstore.PoolConfig{})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "pool_max_conns") {
		t.Errorf("a malformed URL gives %v", err)
	}
}

// TestAcquireTimeout: with every connection in use, all that needs one ends in
// time and says why; a call whose own context ends first says that.
func TestAcquireTimeout(t *testing.T) {
	url := testenv.Postgres(t, emptyTables)
	const limit = 60 * time.Millisecond
	pool := openPool(t, url, pgstore.PoolConfig{MaxConns: 1, AcquireTimeout: limit})
	store := storeOn(t, pool, pgstore.Config{})
	ctx := t.Context()
	asks := map[string]func(context.Context) error{
		"list": func(ctx context.Context) error {
			_, err := store.List(ctx, pgstore.ListQuery{Namespace: "n"})
			return err
		},
		"describe": func(ctx context.Context) error {
			_, err := store.Describe(ctx, events.Workflow{Namespace: "n", ID: "w"}, "")
			return err
		},
		"wait": func(ctx context.Context) error {
			return store.WaitFor(ctx, []events.Position{{Sequence: 1}})
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
	for errors.Is(err, pgstore.ErrAcquireTimeout) {
		held, err = pool.Acquire(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range asks {
		err := ask(ctx)
		var e *pgstore.AcquireTimeoutError
		if !errors.Is(err, pgstore.ErrAcquireTimeout) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Timeout != limit {
			t.Errorf("%s with no connection left: %v", name, err)
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if err := ask(canceled); !errors.Is(err, context.Canceled) || errors.Is(err, pgstore.ErrAcquireTimeout) {
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
