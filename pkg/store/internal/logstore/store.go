// Package logstore is what a store does with a log alone: everything but
// queries. Both implementations of store.Store are built on it, and so answer
// the same.
package logstore

import (
	"context"
	"iter"
	"sync"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

// Store is store.Writer and store.Reader over a log. It is safe for concurrent
// use.
type Store struct {
	log events.Log

	mu     sync.Mutex // guards newest: each call touches it for a moment
	newest events.Vector
}

var (
	_ store.Writer = (*Store)(nil)
	_ store.Reader = (*Store)(nil)
)

// New is a store over a log.
func New(log events.Log) *Store {
	return &Store{log: log}
}

// Identity says which log the store is over.
func (s *Store) Identity() events.Identity { return s.log.Identity() }

// Wanted is what a query must include: what this handle wrote or found written,
// and more, which must be of this log. It is bound to the log.
func (s *Store) Wanted(more events.Vector) (events.Vector, error) {
	s.mu.Lock()
	newest := s.newest
	s.mu.Unlock()
	wanted, err := newest.Merge(more)
	if err != nil {
		return events.Vector{}, err
	}
	return wanted.Bind(s.log.Identity())
}

func (s *Store) wrote(p events.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest.At(p.Partition) < p.Sequence {
		s.newest = s.newest.With(p)
	}
}

// append is the log's, and remembers where the commit lies.
func (s *Store) append(ctx context.Context, r events.Request) (events.Result, error) {
	res, err := s.log.Append(ctx, r)
	if err != nil {
		return events.Result{}, err
	}
	s.wrote(res.Position)
	return res, nil
}

// AppendEvents is store.Writer's.
func (s *Store) AppendEvents(ctx context.Context, r events.Request) (events.Result, error) {
	return s.append(ctx, r)
}

// History is store.Reader's.
func (s *Store) History(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		if err := checkRun(w, o.Run); err != nil {
			yield(nil, err)
			return
		}
		for e, err := range s.log.Read(ctx, w, o) {
			if !yield(e, err) {
				return
			}
		}
	}
}

func checkRun(w events.Workflow, run events.RunID) error {
	if err := w.Validate(); err != nil {
		return err
	}
	if run == "" {
		return nil
	}
	return events.CheckID("runId", string(run), events.MaxRunIDBytes)
}
