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

//go:embed sql/commits.sql
var commitsSQL string

//go:embed sql/commits_indexes.sql
var commitsIndexesSQL string

//go:embed sql/indexes.sql
var indexesSQL string

// Definition is what the tables are that keep events as EventsIndex says.
func Definition() postgres.Definition { return DefinitionOf(EventsIndex) }

// DefinitionOf is what the tables are that keep events in a mode; without one it is
// that of EventsIndex, for tables of any.
func DefinitionOf(mode EventsMode) postgres.Definition {
	d := postgres.Definition{Name: Name, Version: Version, Mode: string(mode), Tables: tablesSQL, Schema: schema}
	indexes := indexesSQL
	if mode == EventsFull {
		d.Tables += commitsSQL
		indexes += commitsIndexesSQL
	}
	for sql := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(indexes), ";"), ";\n") {
		if strings.HasPrefix(sql, "COMMENT") { // of the index before
			d.Indexes[len(d.Indexes)-1] += ";\n" + sql
			continue
		}
		d.Indexes = append(d.Indexes, sql)
	}
	for _, t := range tablesOf(mode) {
		d.Views = append(d.Views, t.name)
	}
	d.Views = append(d.Views, eventsView)
	if mode == EventsFull {
		d.Views = append(d.Views, eventJSONView)
	}
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
	// Events is what the tables are to keep of events: of those that Migrate and
	// Rebuild make, and what CheckVersion wants of those that there are. Empty: as the
	// live tables have it, EventsIndex where there are none. What is projected goes by
	// what its tables are made for.
	Events EventsMode
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
	define     func(EventsMode) postgres.Definition
	statements sync.Map // *statements by generation
	vocabulary *vocabulary
	current    atomic.Bool            // the live tables were found to be of this program's version
	known      *sync.Map              // searchattribute.Type by knownKey: types that the tables were found to have
	together   *together              // of the batches that this store writes
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
	if _, err := ParseEventsMode(string(c.Events)); err != nil {
		return nil, err
	}
	p, err := postgres.Open(pool, DefinitionOf(""))
	if err != nil {
		return nil, err
	}
	if p, err = p.WithWaits(projection.WaitsConfig{Max: c.MaxWaits}); err != nil {
		return nil, fmt.Errorf("pgstore: MaxWaits: %w", err)
	}
	return &Store{pool: pool, projection: p, define: DefinitionOf, config: c.withDefaults(), waits: p.Waits(), known: new(sync.Map), vocabulary: &vocabulary{}, together: newTogether(), many: manyRows}, nil
}

// At is the store of one generation of the tables, whatever state that is in: for
// a projector that fills it. Queries read the live one all the same.
func (s *Store) At(generation int) *Store {
	return s.on(s.projection.At(generation))
}

// on is the store of what a projection is at, by its connections.
func (s *Store) on(p *postgres.Projection) *Store {
	return &Store{pool: p.Pool(), projection: p, define: s.define, config: s.config, waits: s.waits, known: s.known, vocabulary: s.vocabulary, together: newTogether(), many: s.many, fault: s.fault}
}

// Rebuild makes the tables anew beside the live ones; see postgres.Projection.Rebuild.
// They keep events as Config.Events says.
func (s *Store) Rebuild(ctx context.Context, log events.Source, o postgres.RebuildOptions) (postgres.Rebuilt, error) {
	p, err := s.rebuilt(ctx)
	if err != nil {
		return postgres.Rebuilt{}, err
	}
	return p.Rebuild(ctx, log, func(at *postgres.Projection) projection.Target { return s.on(at) }, o)
}

// Projection is what is the same for every projection: generations, checkpoints.
func (s *Store) Projection() *postgres.Projection { return s.projection }

// Migrate is Store.Migrate of a store with the default Config.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	s, err := New(pool, Config{})
	if err != nil {
		return err
	}
	return s.Migrate(ctx)
}

// CheckVersion fails with projection.ErrVersion if the tables are not this
// program's, or not there, or if a migration has not been made yet; and if they
// keep events in another way than Config.Events says.
func (s *Store) CheckVersion(ctx context.Context) error {
	if err := s.projection.CheckVersion(ctx); err != nil {
		return err
	}
	return s.checkMode(ctx)
}

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
