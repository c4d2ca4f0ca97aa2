package subjectlog

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Delays are the pauses between the attempts to store a message.
func Delays() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(2*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
}

// Within ends a context that has no deadline d from now. Cancel must be called.
// The deadline is one that ends the context itself: a context that only says
// when it ends keeps what is derived from it, with a later deadline of its own,
// waiting for ever.
func Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// Sleep waits, or says that the context ended.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
