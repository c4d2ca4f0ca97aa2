// Package pipeline is a store.Store on the log and the tables in Postgres that a
// projector keeps up to date with it.
//
// What it writes goes into the log. What it loads comes from the log. Queries
// are answered by the tables, once those include what this handle wrote: a
// projector must be running somewhere.
package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/internal/logstore"
)

// Config is how a store is opened. Zero fields mean the default, where there is
// one.
type Config struct {
	// Log is where everything is written. The caller opened it.
	Log events.Log
	// DatabaseURL leads to the tables that are made from that log: a URL or
	// libpq's keywords, as pgx takes them.
	DatabaseURL string
	// Pool are the settings of the pool of connections.
	Pool postgres.PoolConfig
	// Wait is how long a query waits for the tables to include what it must;
	// 10 s.
	Wait time.Duration
}

// DefaultWait is Config.Wait's default.
const DefaultWait = 10 * time.Second

// Store is a store on the pipeline. It is safe for concurrent use.
type Store struct {
	writerReader
	log    *logstore.Store
	tables *pgstore.Store
	wait   time.Duration
	close  func()
}

// writerReader is what the log alone can do.
type writerReader interface {
	store.Writer
	store.Reader
}

var _ store.Store = (*Store)(nil)

// Open connects to the tables; Close ends that. It fails with events.ErrInvalid
// (*events.InvalidError) on a setting that is out of range,
// projection.ErrVersion if there are no tables of this program's version,
// events.ErrWrongLog if they are made from another log, and with what the
// database or its driver says.
func Open(ctx context.Context, c Config) (*Store, error) {
	pool, err := postgres.OpenPool(ctx, c.DatabaseURL, c.Pool)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, c, func() (*pgstore.Store, error) { return pgstore.New(pool, pgstore.Config{}) })
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.close = pool.Close
	return s, nil
}

// New is Open with tables that the caller has already, and closes. DatabaseURL
// and Pool are not looked at.
func New(ctx context.Context, tables *pgstore.Store, c Config) (*Store, error) {
	if tables == nil {
		return nil, &events.InvalidError{Field: "tables", Reason: "are nil"}
	}
	return open(ctx, c, func() (*pgstore.Store, error) { return tables, nil })
}

func open(ctx context.Context, c Config, tables func() (*pgstore.Store, error)) (*Store, error) {
	switch {
	case c.Log == nil:
		return nil, &events.InvalidError{Field: "log", Reason: "is nil"}
	case c.Wait < 0:
		return nil, &events.InvalidError{Field: "wait", Reason: fmt.Sprintf("is %s, less than nothing", c.Wait)}
	case c.Wait == 0:
		c.Wait = DefaultWait
	}
	t, err := tables()
	if err != nil {
		return nil, err
	}
	log := logstore.New(c.Log)
	s := &Store{writerReader: log, log: log, tables: t, wait: c.Wait, close: func() {}}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends what Open opened, and waits for the queries that are under way. The
// log stays open.
func (s *Store) Close() { s.close() }

// check holds the tables against the log: another one's positions mean nothing
// here.
func (s *Store) check(ctx context.Context) error {
	if err := s.tables.CheckVersion(ctx); err != nil {
		return fmt.Errorf("open the tables: %w", err)
	}
	checkpoints, err := s.tables.Checkpoints(ctx)
	if err != nil {
		return fmt.Errorf("open the tables: %w", err)
	}
	id := s.log.Identity()
	for _, c := range checkpoints {
		if c.LogID != id.LogID {
			return fmt.Errorf("the tables are of another log: %w", &events.WrongLogError{What: "log id", Want: c.LogID, Got: id.LogID})
		}
		if c.LogEpoch != id.Epoch {
			return fmt.Errorf("the tables are of another log: %w", &events.WrongLogError{What: "epoch", Want: fmt.Sprint(c.LogEpoch), Got: fmt.Sprint(id.Epoch)})
		}
	}
	return nil
}
