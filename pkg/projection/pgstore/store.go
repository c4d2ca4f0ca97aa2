package pgstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Name is the projection's.
const Name = "executions"

// Version is that of the tables: of their shape and of what the fold makes of
// an event. Tables of another version must be rebuilt.
const Version = 3

// schema is where readers see the tables.
const schema = "annals"

//go:embed sql/tables.sql
var tablesSQL string

//go:embed sql/indexes.sql
var indexesSQL string

// Definition is what the tables are.
func Definition() postgres.Definition {
	d := postgres.Definition{Name: Name, Version: Version, Tables: tablesSQL, Schema: schema}
	for sql := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(indexesSQL), ";"), ";\n") {
		d.Indexes = append(d.Indexes, sql)
	}
	for _, t := range tables {
		d.Views = append(d.Views, t.name)
	}
	d.Views = append(d.Views, eventsView)
	return d
}

// Config is how a store works. Zero fields mean the default.
type Config struct {
	// CacheRuns is how many workflows a partition keeps in memory to go on
	// folding without reading them back; 10,000. A workflow takes about 1 KiB,
	// more if much of it is pending.
	CacheRuns int
	// AnswerTimeout bounds what the projector asks of the database, each
	// transaction and each reading; 1 min. A server that vanishes without a word (its
	// machine, its network) is given up then (postgres.ErrNoAnswer), and asked for anew. A batch that takes longer is tried again
	// in smaller ones.
	AnswerTimeout time.Duration
	// MaxWaits is how many may wait for the tables at a time; 10,000. One more
	// fails with projection.ErrTooManyWaits.
	MaxWaits int
}

func (c Config) withDefaults() Config {
	if c.CacheRuns == 0 {
		c.CacheRuns = 10_000
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = time.Minute
	}
	return c
}

// Store is the tables and the queries on them. It is safe for concurrent use
// and does not own the pool.
type Store struct {
	pool       *pgxpool.Pool
	projection *postgres.Projection
	config     Config
	waits      *projection.Waits
	statements sync.Map // *statements by generation
	vocabulary *vocabulary
	current    atomic.Bool            // the live tables were found to be of this program's version
	known      *sync.Map              // searchattribute.Type by knownKey: types that the tables were found to have
	many       int                    // manyRows, but in tests
	fault      func(crashPoint) error // set by tests
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
	if c.AnswerTimeout < 0 {
		return nil, fmt.Errorf("pgstore: AnswerTimeout is %s", c.AnswerTimeout)
	}
	p, err := postgres.Open(pool, Definition())
	if err != nil {
		return nil, err
	}
	if p, err = p.WithWaits(projection.WaitsConfig{Max: c.MaxWaits}); err != nil {
		return nil, fmt.Errorf("pgstore: MaxWaits: %w", err)
	}
	return &Store{pool: pool, projection: p, config: c.withDefaults(), waits: p.Waits(), known: new(sync.Map), vocabulary: &vocabulary{}, many: manyRows}, nil
}

// At is the store of one generation of the tables, whatever state that is in: for
// a projector that fills it. Queries read the live one all the same.
func (s *Store) At(generation int) *Store {
	return s.on(s.projection.At(generation))
}

// on is the store of what a projection is at, by its connections.
func (s *Store) on(p *postgres.Projection) *Store {
	return &Store{pool: p.Pool(), projection: p, config: s.config, waits: s.waits, known: s.known, vocabulary: s.vocabulary, many: s.many, fault: s.fault}
}

// Rebuild makes the tables anew beside the live ones; see postgres.Projection.Rebuild.
func (s *Store) Rebuild(ctx context.Context, log events.Source, o postgres.RebuildOptions) (postgres.Rebuilt, error) {
	return s.projection.Rebuild(ctx, log, func(at *postgres.Projection) projection.Target { return s.on(at) }, o)
}

// Projection is what is the same for every projection: generations, checkpoints.
func (s *Store) Projection() *postgres.Projection { return s.projection }

// Migrate brings the database to what this program needs: the bookkeeping by
// numbered migrations, and the projection's tables if there are none. It is
// idempotent, and safe when several processes do it at once. It fails with
// projection.ErrVersion if the tables are of another version.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	p, err := postgres.Open(pool, Definition())
	if err != nil {
		return err
	}
	return p.Migrate(ctx)
}

// CheckVersion fails with projection.ErrVersion if the tables are not this
// program's, or not there, or if a migration has not been made yet.
func (s *Store) CheckVersion(ctx context.Context) error { return s.projection.CheckVersion(ctx) }

// Checkpoint is projection.Target's.
func (s *Store) Checkpoint(ctx context.Context, id events.Identity, p events.Partition) (projection.Checkpoint, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	c, err := s.projection.Checkpoint(ctx, id, p)
	return c, s.failed(ctx, err)
}

// Aside is projection.Target's.
func (s *Store) Aside(ctx context.Context, c projection.Checkpoint) ([]projection.Quarantined, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	list, err := s.projection.Aside(ctx, c)
	return list, s.failed(ctx, err)
}

// SetAside is projection.Target's.
func (s *Store) SetAside(ctx context.Context, from projection.Checkpoint, to projection.Mark, q projection.Quarantined) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.projection.SetAside(ctx, from, to, q); err != nil {
		return s.failed(ctx, err)
	}
	return s.crash(afterCommit)
}

// Quarantined is what the tables lack since it could not be applied.
func (s *Store) Quarantined(ctx context.Context, q postgres.QuarantineQuery) (postgres.QuarantinePage, error) {
	return s.projection.Quarantined(ctx, q)
}

// Checkpoints are those of all partitions that have one, in order.
func (s *Store) Checkpoints(ctx context.Context) ([]projection.Checkpoint, error) {
	return s.projection.Checkpoints(ctx)
}

// Sharing is who projects what.
func (s *Store) Sharing(ctx context.Context) (projection.Sharing, error) {
	return s.projection.Sharing(ctx)
}
