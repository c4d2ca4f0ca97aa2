package postgres_test

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
	"github.com/annals-io/annals/pkg/projection/postgres"
)

func openPool(t *testing.T, url string, c postgres.PoolConfig) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.OpenPool(t.Context(), url, c)
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
		config    postgres.PoolConfig
		want      settings
	}{
		{
			"nothing is set", "postgres://localhost/x",
			postgres.PoolConfig{},
			settings{byDefault.MaxConns, byDefault.MinConns, byDefault.MaxConnLifetime, byDefault.MaxConnIdleTime},
		},
		{"the URL says it", own, postgres.PoolConfig{}, settings{7, 2, 3 * time.Minute, 4 * time.Minute}},
		{
			"the URL says it, and the config says otherwise", own,
			postgres.PoolConfig{MaxConns: 9, MinConns: 1, MaxConnLifetime: time.Second, MaxConnIdleTime: 2 * time.Second},
			settings{9, 1, time.Second, 2 * time.Second},
		},
		{"one of them", own, postgres.PoolConfig{MaxConns: 2}, settings{2, 2, 3 * time.Minute, 4 * time.Minute}},
		{"keywords", "host=localhost dbname=x pool_max_conns=5", postgres.PoolConfig{MinConns: 5}, settings{5, 5, byDefault.MaxConnLifetime, byDefault.MaxConnIdleTime}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // so that it does not connect to keep some open
			pool, err := postgres.OpenPool(ctx, tt.url, tt.config)
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
		config     postgres.PoolConfig
	}{
		{"databaseUrl", "", postgres.PoolConfig{}},
		{"pool.maxConns", url, postgres.PoolConfig{MaxConns: -1}},
		{"pool.minConns", url, postgres.PoolConfig{MinConns: -1}},
		{"pool.minConns", url, postgres.PoolConfig{MinConns: 4}},
		{"pool.minConns", url, postgres.PoolConfig{MinConns: 2, MaxConns: 1}},
		{"pool.minConns", url + "&pool_min_conns=2", postgres.PoolConfig{MaxConns: 1}},
		{"pool.maxConnLifetime", url, postgres.PoolConfig{MaxConnLifetime: -1}},
		{"pool.maxConnIdleTime", url, postgres.PoolConfig{MaxConnIdleTime: -1}},
		{"pool.acquireTimeout", url, postgres.PoolConfig{AcquireTimeout: -1}},
	} {
		t.Run(tt.field, func(t *testing.T) {
			_, err := postgres.OpenPool(t.Context(), tt.url, tt.config)
			var e *events.InvalidError
			if !errors.As(err, &e) || e.Field != tt.field {
				t.Errorf("got %v, want an *events.InvalidError of %s", err, tt.field)
			}
		})
	}
	_, err := postgres.OpenPool(t.Context(), "postgres://annals:secret@localhost/x?pool_max_conns=none", postgres.PoolConfig{})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "pool_max_conns") {
		t.Errorf("a malformed URL gives %v", err)
	}
}

// Statements are not compiled, on a pool's connections and on the sessions of a lease's holder, unless the URL says so.
func TestPoolsHaveNoJIT(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	for _, tc := range []struct{ more, want string }{{"", "off"}, {"jit=on", "on"}, {"options=-c%20jit%3Don", "on"}, {"options=-c%20work_mem%3D8MB", "off"}} {
		of := url
		if tc.more != "" {
			sep := "?"
			if strings.Contains(url, "?") {
				sep = "&"
			}
			of += sep + tc.more
		}
		pool := openPool(t, of, postgres.PoolConfig{})
		leases, err := postgres.OpenLeases(t.Context(), pool.Config(), "notes", postgres.LeaseConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(leases.Close)
		sessions, err := pgxpool.NewWithConfig(t.Context(), leases.Sessions(pool.Config()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sessions.Close)
		for what, p := range map[string]*pgxpool.Pool{"the pool": pool, "the holder's": sessions} {
			var got string
			if err := p.QueryRow(t.Context(), "SHOW jit").Scan(&got); err != nil || got != tc.want {
				t.Errorf("%s, the URL with %q: jit is %q, want %q (%v)", what, tc.more, got, tc.want, err)
			}
		}
	}
}
