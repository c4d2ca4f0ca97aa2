package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection"
)

// Name is the projection's, in annals.projections and annals.checkpoints.
const Name = "executions"

// Version is that of the tables: of their shape and of what the fold makes of
// an event. Tables of another version must be rebuilt.
const Version = 1

// Config is how a store works. Zero fields mean the default.
type Config struct {
	// CacheRuns is how many workflows a partition keeps in memory to go on
	// folding without reading them back; 10,000. A workflow takes about 1 KiB,
	// more if much of it is pending.
	CacheRuns int
}

func (c Config) withDefaults() Config {
	if c.CacheRuns == 0 {
		c.CacheRuns = 10_000
	}
	return c
}

// Store is the tables and the queries on them. It is safe for concurrent use
// and does not own the pool.
type Store struct {
	pool   *pgxpool.Pool
	config Config
	many   int                    // manyRows, but in tests
	fault  func(crashPoint) error // set by tests
}

var (
	_ projection.Target          = (*Store)(nil)
	_ projection.HeartbeatTarget = (*Store)(nil)
)

// New is a store on a database that Migrate has prepared.
func New(pool *pgxpool.Pool, c Config) (*Store, error) {
	if pool == nil {
		return nil, errors.New("pgstore: no pool")
	}
	if c.CacheRuns < 0 {
		return nil, fmt.Errorf("pgstore: CacheRuns is %d", c.CacheRuns)
	}
	return &Store{pool: pool, config: c.withDefaults(), many: manyRows}, nil
}

// CheckVersion fails with projection.ErrVersion if the tables are not this
// program's, or not there, or if a migration has not been made yet.
func (s *Store) CheckVersion(ctx context.Context) error {
	if err := checkVersion(ctx, s.pool); err != nil {
		return err
	}
	return checkMigrations(ctx, s.pool)
}
