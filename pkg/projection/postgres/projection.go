package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection"
)

// Projection is a definition on a database. It is safe for concurrent use and
// does not own the pool.
type Projection struct {
	pool       *pgxpool.Pool
	definition Definition
	generation int // 0: the live one
	waits      *projection.Waits
}

// Open is a projection on a database, which need not be prepared yet. It fails
// with events.ErrInvalid on a definition that cannot be.
func Open(pool *pgxpool.Pool, d Definition) (*Projection, error) {
	if pool == nil {
		return nil, errors.New("postgres: no pool")
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	p := &Projection{pool: pool, definition: d}
	return p.At(0), nil
}

// At is the projection's generation n, whatever state it is in.
func (p *Projection) At(n int) *Projection {
	at := *p
	at.generation = n
	at.waits = newWaits(&at)
	return &at
}

// WithWaits is the projection with a config for those who wait for its tables. It
// fails on one that cannot work.
func (p *Projection) WithWaits(c projection.WaitsConfig) (*Projection, error) {
	own := *p
	var err error
	own.waits, err = projection.NewWaits(own.Checkpoints, c)
	return &own, err
}

// Waits are those that wait for the projection's tables.
func (p *Projection) Waits() *projection.Waits { return p.waits }

// Name is the projection's.
func (p *Projection) Name() string { return p.definition.Name }

// Pool is the database that it is on.
func (p *Projection) Pool() *pgxpool.Pool { return p.pool }

// CheckVersion fails with projection.ErrVersion if the tables of its generation
// are not this program's, or not there, or kept in another mode, or if a migration
// has not been made yet.
func (p *Projection) CheckVersion(ctx context.Context) error {
	_, err := p.fitting(ctx)
	return err
}

// fitting is the generation, once it is found to be as CheckVersion wants it.
func (p *Projection) fitting(ctx context.Context) (int, error) {
	generation, err := p.checked(ctx)
	if err != nil {
		return 0, err
	}
	if err := checkMigrations(ctx, p.pool); err != nil {
		return 0, err
	}
	return generation, p.At(generation).checkMode(ctx, p.pool)
}

// checkMode fails with *projection.ModeError if the generation's tables are kept in
// another way than the definition says.
func (p *Projection) checkMode(ctx context.Context, q Querier) error {
	if p.definition.Mode == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	mode, ok, err := p.ModeIn(ctx, q)
	switch {
	case err != nil:
		return fmt.Errorf("read the mode of the tables: %w", err)
	case ok && mode != p.definition.Mode:
		return &projection.ModeError{Projection: p.definition.Name, Tables: mode, Wanted: p.definition.Mode}
	}
	return nil
}

// errNoTables: the database was not prepared.
var errNoTables = errors.New("the database has no tables of Annals: migrate it first (projector migrate)")

// checked is the generation, once it is found to be of the program's version.
func (p *Projection) checked(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var generation, version int
	err := p.pool.QueryRow(ctx, `
		SELECT generation, version FROM annals.generations
		WHERE projection = $1 AND CASE WHEN $2 > 0 THEN generation = $2 ELSE state = 'live' END`,
		p.definition.Name, p.generation).Scan(&generation, &version)
	switch {
	case errors.Is(err, pgx.ErrNoRows), IsMissing(err):
		return 0, fmt.Errorf("%w: %w", projection.ErrVersion, errNoTables)
	case err != nil:
		return 0, fmt.Errorf("read the version of the tables: %w", err)
	case version != p.definition.Version:
		return 0, &projection.VersionError{Projection: p.definition.Name, Tables: version, Program: p.definition.Version}
	}
	return generation, nil
}

// IsMissing reports whether an error says that a table or a schema is not there.
func IsMissing(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "42P01" || pgErr.Code == "3F000")
}
