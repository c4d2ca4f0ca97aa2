package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/projection/postgres"
)

// ErrNoAnswer: the database has not answered within Config.AnswerTimeout. What was
// asked of it may be stored all the same.
var ErrNoAnswer = errors.New("the database does not answer")

// bounded is ctx for as long as an answer may take.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.config.AnswerTimeout, fmt.Errorf("%w within %s", ErrNoAnswer, s.config.AnswerTimeout.Round(time.Millisecond)))
}

// failed makes the most of an error: it has the pool leave a server that takes no
// writes, and says of an answer that did not come why it was waited for no longer.
func (s *Store) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	postgres.LeaveReadOnly(s.pool, err)
	if cause := context.Cause(ctx); errors.Is(cause, ErrNoAnswer) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
