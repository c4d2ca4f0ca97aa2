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

// Within gives a context without a deadline one: d from now.
func Within(ctx context.Context, d time.Duration) context.Context {
	if _, ok := ctx.Deadline(); ok {
		return ctx
	}
	return until{ctx, time.Now().Add(d)}
}

// until is a context with a deadline and without a timer: what is derived from
// it ends at the deadline, and so does Sleep. An append that needs one attempt
// needs one timer.
type until struct {
	context.Context
	at time.Time
}

func (u until) Deadline() (time.Time, bool) { return u.at, true }

// Sleep waits, or says that the context ended.
func Sleep(ctx context.Context, d time.Duration) error {
	if at, ok := ctx.Deadline(); ok && time.Until(at) < d {
		c, cancel := context.WithDeadline(ctx, at)
		defer cancel()
		ctx, d = c, time.Hour
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
