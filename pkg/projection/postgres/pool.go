package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
)

// PoolConfig are the settings of a pool. A zero field leaves what the URL says
// (pool_max_conns and so on), else pgxpool's default.
type PoolConfig struct {
	MaxConns        int32         // at least 1; pgxpool: 4, or the number of CPUs if that is more
	MinConns        int32         // kept open, at most MaxConns; pgxpool: 0
	MaxConnLifetime time.Duration // pgxpool: 1 h
	MaxConnIdleTime time.Duration // pgxpool: 30 min
	// AcquireTimeout bounds how long anything that needs a connection waits for
	// one, a new connection's being made included; zero: as long as the call's
	// context. Then it fails with ErrAcquireTimeout.
	AcquireTimeout time.Duration
}

// OpenPool is a pool of connections to a database, given as a URL or in libpq's
// keywords. It connects when it is used first, or at once in the background if
// it keeps connections open. The caller closes it. It fails with
// events.ErrInvalid (*events.InvalidError) on a setting that is out of range, and
// with pgx's error, which shows no password, on a URL that is malformed.
func OpenPool(ctx context.Context, url string, c PoolConfig) (*pgxpool.Pool, error) {
	if url == "" {
		return nil, &events.InvalidError{Field: "databaseUrl", Reason: `is empty; "postgres://" stands for what the variables of psql say`}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	c.apply(config)
	BoundConnecting(config)
	WithoutJIT(config)
	if config.MinConns > config.MaxConns {
		return nil, &events.InvalidError{Field: "pool.minConns", Reason: fmt.Sprintf("is %d, and the pool has at most %d connections", config.MinConns, config.MaxConns)}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return pool, nil
}

// connectTimeout is for each host of a URL that does not say connect_timeout.
const connectTimeout = 10 * time.Second

// BoundConnecting has a pool give up a host that does not answer after 10 seconds
// and go on to the next one of its URL, unless the URL says after how many.
func BoundConnecting(c *pgxpool.Config) {
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectTimeout
	}
}

// WithoutJIT has the server not compile a pool's statements, unless the URL says jit, by
// itself or among its options. Compiling takes from 20 ms to a second, each time, of a
// query that Postgres believes to be expensive, and saves those on these tables nothing
// (docs/performance.md).
func WithoutJIT(c *pgxpool.Config) {
	said := c.ConnConfig.RuntimeParams
	if said["jit"] != "" || strings.Contains(said["options"], "jit=") {
		return
	}
	after := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// Not as a parameter of the connection, which poolers refuse.
		_, err := conn.Exec(ctx, "SET jit = off")
		if err == nil && after != nil {
			err = after(ctx, conn)
		}
		return err
	}
}

func (c PoolConfig) validate() error {
	for _, n := range []struct {
		field string
		value int32
	}{{"pool.maxConns", c.MaxConns}, {"pool.minConns", c.MinConns}} {
		if n.value < 0 {
			return &events.InvalidError{Field: n.field, Reason: fmt.Sprintf("is %d, less than nothing", n.value)}
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"pool.maxConnLifetime", c.MaxConnLifetime},
		{"pool.maxConnIdleTime", c.MaxConnIdleTime},
		{"pool.acquireTimeout", c.AcquireTimeout},
	} {
		if d.value < 0 {
			return &events.InvalidError{Field: d.field, Reason: fmt.Sprintf("is %s, less than nothing", d.value)}
		}
	}
	return nil
}

// apply puts the fields that are set over what the URL said.
func (c PoolConfig) apply(to *pgxpool.Config) {
	if c.MaxConns != 0 {
		to.MaxConns = c.MaxConns
	}
	if c.MinConns != 0 {
		to.MinConns = c.MinConns
	}
	if c.MaxConnLifetime != 0 {
		to.MaxConnLifetime = c.MaxConnLifetime
	}
	if c.MaxConnIdleTime != 0 {
		to.MaxConnIdleTime = c.MaxConnIdleTime
	}
	if c.AcquireTimeout != 0 {
		to.ConnConfig.Tracer = acquireLimit(c.AcquireTimeout)
	}
}

// acquireLimit bounds each acquire of a pool. pgxpool has no setting for that,
// but a tracer gives the context that an acquire goes on with; what is done
// with the connection has the caller's own.
type acquireLimit time.Duration

var (
	_ pgxpool.AcquireTracer = acquireLimit(0)
	_ pgx.QueryTracer       = acquireLimit(0)
)

// TraceAcquireStart is pgxpool.AcquireTracer's.
func (l acquireLimit) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	limited, cancel := context.WithTimeoutCause(ctx, time.Duration(l), &AcquireTimeoutError{Timeout: time.Duration(l)})
	return acquireContext{Context: limited, cancel: cancel}
}

// TraceAcquireEnd is pgxpool.AcquireTracer's.
func (l acquireLimit) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireEndData) {
	if c, ok := ctx.(acquireContext); ok {
		c.cancel()
	}
}

// TraceQueryStart is pgx.QueryTracer's, which every tracer has to be.
func (l acquireLimit) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd is pgx.QueryTracer's.
func (l acquireLimit) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// acquireContext says why it ended: pgxpool returns that and no more.
type acquireContext struct {
	context.Context
	cancel context.CancelFunc
}

// Err is *AcquireTimeoutError where the limit ended it, else as always.
func (c acquireContext) Err() error {
	var timeout *AcquireTimeoutError
	if errors.As(context.Cause(c.Context), &timeout) {
		return timeout
	}
	return c.Context.Err()
}
