package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

//go:embed sql/projections.sql
var projectionsSQL string

// Books is the bookkeeping of a projection of which only the name is known: how far its
// tables are, what is quarantined, who works on it. What needs its definition or its
// handler, as healing and rebuilding do, is for the program that has them. Safe for
// concurrent use.
type Books struct {
	of      *Projection
	version int
}

// OpenBooks looks a projection up by its name. It fails with events.ErrNotFound
// (*NoProjectionError) if the database has none, with projection.ErrVersion if it was
// not prepared.
func OpenBooks(ctx context.Context, pool *pgxpool.Pool, name string) (*Books, error) {
	rows, err := pool.Query(ctx, projectionsSQL)
	if err != nil {
		return nil, err
	}
	versions := map[string]int{}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (name string, err error) {
		var version int
		err = row.Scan(&name, &version)
		versions[name] = version
		return name, err
	})
	switch {
	case IsMissing(err):
		return nil, fmt.Errorf("%w: %w", projection.ErrVersion, errNoTables)
	case err != nil:
		return nil, err
	case !slices.Contains(names, name):
		return nil, &NoProjectionError{Name: name, There: names}
	}
	if err := checkMigrations(ctx, pool); err != nil {
		return nil, err
	}
	p := &Projection{pool: pool, definition: Definition{Name: name, Version: versions[name]}}
	return &Books{of: p.At(0), version: versions[name]}, nil
}

// Name is the projection's.
func (b *Books) Name() string { return b.of.Name() }

// Version is that of the live tables; 0: there are none.
func (b *Books) Version() int { return b.version }

// Checkpoints is Projection.Checkpoints.
func (b *Books) Checkpoints(ctx context.Context) ([]projection.Checkpoint, error) {
	return b.of.Checkpoints(ctx)
}

// Sharing is Projection.Sharing.
func (b *Books) Sharing(ctx context.Context) (projection.Sharing, error) { return b.of.Sharing(ctx) }

// Quarantined is Projection.Quarantined.
func (b *Books) Quarantined(ctx context.Context, q QuarantineQuery) (QuarantinePage, error) {
	return b.of.Quarantined(ctx, q)
}

// Acknowledge is Projection.Acknowledge.
func (b *Books) Acknowledge(ctx context.Context, at events.Position) (projection.Quarantined, error) {
	return b.of.Acknowledge(ctx, at)
}

// Drop is Projection.Drop.
func (b *Books) Drop(ctx context.Context, generation int, lockTimeout time.Duration) error {
	return b.of.Drop(ctx, generation, lockTimeout)
}

// CancelRebuild is Projection.CancelRebuild.
func (b *Books) CancelRebuild(ctx context.Context, lockTimeout time.Duration) (generation int, err error) {
	return b.of.CancelRebuild(ctx, lockTimeout)
}
