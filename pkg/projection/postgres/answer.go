package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNoAnswer: the database has not answered for as long as an answer may take. What
// was asked of it may be stored all the same.
var ErrNoAnswer = errors.New("the database does not answer")

// defaultAnswerTimeout is for whoever does not say how long an answer may take.
const defaultAnswerTimeout = time.Minute

// BoundAnswer is ctx for as long as an answer may take.
func BoundAnswer(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %s", ErrNoAnswer, timeout.Round(time.Millisecond)))
}

// AnswerError makes the most of an error, nil of none: it has the pool leave a
// server that takes no writes, and says of an answer that did not come within
// BoundAnswer's ctx why it was waited for no longer.
func AnswerError(ctx context.Context, pool *pgxpool.Pool, err error) error {
	if err == nil {
		return nil
	}
	LeaveReadOnly(pool, err)
	if cause := context.Cause(ctx); errors.Is(cause, ErrNoAnswer) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
