package pgstore

import (
	"context"

	"github.com/annals-io/annals/pkg/projection/postgres"
)

// bounded is ctx for as long as an answer may take.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return postgres.BoundAnswer(ctx, s.config.AnswerTimeout)
}

// failed makes the most of an error: see postgres.AnswerError.
func (s *Store) failed(ctx context.Context, err error) error {
	return postgres.AnswerError(ctx, s.pool, err)
}
