package projection

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// delays are the waits between attempts, each longer than the one before.
type delays struct{ *backoff.ExponentialBackOff }

func newDelays(longest time.Duration) delays {
	return delays{backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(longest), backoff.WithMaxElapsedTime(0))}
}

// wait waits for the next attempt; false if the context ends first.
func (d delays) wait(ctx context.Context) bool {
	t := time.NewTimer(d.NextBackOff())
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
