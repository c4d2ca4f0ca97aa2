package wiring

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Postgres is a pool of connections to the database; see the package's doc for
// which. It connects when it is used first. The caller closes it. It fails with
// ErrNoDatabase, or with the parser's error if a URL or variable is malformed.
func (c Config) Postgres(ctx context.Context) (*pgxpool.Pool, error) {
	url, ok := c.databaseGiven()
	if !ok {
		running, err := c.Running()
		if err != nil {
			return nil, err
		}
		if running == nil {
			return nil, ErrNoDatabase
		}
		url = running.DatabaseURL
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = c.Name
	}
	config.ConnConfig.Tracer = queryTracer()
	postgres.BoundConnecting(config)
	postgres.WithoutJIT(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return pool, nil
}

// Ping connects once, and fails with *ConnectError.
func (c Config) Ping(ctx context.Context, pool *pgxpool.Pool) error {
	err := pool.Ping(ctx)
	// The cause of a context that a signal ended is not context.Canceled.
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	to := pool.Config().ConnConfig
	e := &ConnectError{Server: "Postgres", Where: fmt.Sprintf("%s:%d, database %s", to.Host, to.Port, to.Database), Cause: err}
	switch {
	case c.DatabaseURL != "":
		e.Source = "--database-url"
	case pgVariable() != "":
		e.Source = pgVariable()
	}
	var refused *pgconn.ConnectError
	if errors.As(err, &refused) && refused.Unwrap() != nil {
		e.Cause = refused.Unwrap()
	}
	return e
}
