package temporal

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// answerTime is how long the server may take to answer one attempt.
const answerTime = 30 * time.Second

// call asks until the server can answer.
func (s *Server) call(ctx context.Context, name string, a about, patience time.Duration, ask func(context.Context) error) error {
	delays := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(patience))
	var last *Error
	err := backoff.Retry(func() error {
		attempt, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		err := ask(attempt)
		if err == nil {
			s.state.answered(s.config.Logger)
			return nil
		}
		if ctx.Err() != nil {
			return backoff.Permanent(context.Cause(ctx))
		}
		if errors.Is(err, errLate) {
			return backoff.Permanent(err) // which says nothing of the server
		}
		last = explain(name, a, err)
		if !MayAnswerLater(last) {
			s.state.answered(s.config.Logger)
			return backoff.Permanent(last)
		}
		s.state.failed(s.config.Logger, last)
		return last
	}, backoff.WithContext(delays, ctx))
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// standing is whether the server answers, so that it is logged once when it does
// not, and once when it does again.
type standing struct {
	mu    sync.Mutex // guards since
	since time.Time  // when it did not answer first; zero: it does
}

func (s *standing) failed(log *slog.Logger, err *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		s.since = time.Now()
		log.Warn("the Temporal server cannot answer now: it is asked again until it can", slog.String("call", err.Call), slog.String("reason", err.Message))
	}
}

func (s *standing) answered(log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.since.IsZero() {
		log.Info("the Temporal server answers again", slog.Duration("after", time.Since(s.since).Round(time.Millisecond)))
		s.since = time.Time{}
	}
}
