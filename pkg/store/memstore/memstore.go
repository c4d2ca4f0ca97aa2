// Package memstore is a store.Store in memory: for tests, examples and engines
// that need no durability. It runs what the store on the pipeline runs over the
// log in memory, and makes its rows by the same fold, so it answers the same.
package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/internal/logstore"
)

// Config is how a store works. Zero fields mean the default.
type Config struct {
	// Log holds what is written; a new memlog.Log. Stores that are given the
	// same log, or handles on it, see each other's writes at once.
	Log events.Log
	// Wait is how long a query waits for positions that the log does not have
	// yet; 10 s.
	Wait time.Duration
}

// DefaultWait is Config.Wait's default.
const DefaultWait = 10 * time.Second

// Store is a store in memory. It is safe for concurrent use.
type Store struct {
	writerReader
	log   *logstore.Store
	wait  time.Duration
	table *table
}

// writerReader is what the log alone can do.
type writerReader interface {
	store.Writer
	store.Reader
}

var _ store.Store = (*Store)(nil)

// New is a store with what the config's log holds. It fails with
// events.ErrInvalid on a setting that is out of range.
func New(c Config) (*Store, error) {
	switch {
	case c.Wait < 0:
		return nil, &events.InvalidError{Field: "wait", Reason: fmt.Sprintf("is %s, less than nothing", c.Wait)}
	case c.Wait == 0:
		c.Wait = DefaultWait
	}
	if c.Log == nil {
		log, err := memlog.New(memlog.Config{})
		if err != nil {
			return nil, err
		}
		c.Log = log
	}
	log := logstore.New(c.Log)
	return &Store{writerReader: log, log: log, wait: c.Wait, table: newTable(c.Log)}, nil
}

// Query is store.Querier's.
func (s *Store) Query(ctx context.Context, q store.Query) ([]store.Execution, error) {
	if err := q.Validate(s.log.Identity()); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("query executions: %w", ctx.Err())
	}
	wanted, err := s.log.Wanted(q.After)
	if err != nil {
		return nil, err
	}
	if err := s.table.include(ctx, wanted.Positions(), s.wait); err != nil {
		return nil, err
	}
	return s.table.list(q), nil
}
