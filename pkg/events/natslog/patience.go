package natslog

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"
)

// longer is how long an attempt waits for its answer after so many that got
// none: twice as long each time, up to eight times.
func longer(attempt time.Duration, unanswered int) time.Duration {
	return attempt << min(unanswered, 3)
}

// retry are the pauses between attempts at a request.
func retry(ctx context.Context) backoff.BackOff {
	return backoff.WithContext(backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(5*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0)), ctx)
}

// asking looks up a stream as it is.
type asking func(ctx context.Context, stream string) (jetstream.Stream, error)

// patient asks again where no answer comes, for so long in all: a cluster
// answers nothing for a stream that has no leader at the moment, and one that has
// too much to do may take its time. Any answer is the end of it.
func patient(js jetstream.JetStream, attempt, patience time.Duration) asking {
	return func(ctx context.Context, stream string) (jetstream.Stream, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		unanswered := 0
		return backoff.RetryWithData(func() (jetstream.Stream, error) {
			try, cancel := context.WithTimeout(ctx, longer(attempt, unanswered))
			defer cancel()
			unanswered++
			s, err := js.Stream(try, stream)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				err = backoff.Permanent(err)
			}
			return s, err
		}, retry(ctx))
	}
}

func (s *store) patient() asking {
	return patient(s.js, s.config.AttemptTimeout, s.config.ReadTimeout)
}
