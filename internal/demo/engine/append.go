package engine

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/annals-io/annals/pkg/events"
)

// The pauses before what the log could not do is tried again.
const (
	firstPause   = 20 * time.Millisecond
	longestPause = 2 * time.Second
)

// persist repeats what fails only because the log is not there, until the
// context ends.
func persist(ctx context.Context, do func() error) error {
	pause := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstPause), backoff.WithMaxInterval(longestPause), backoff.WithMaxElapsedTime(0))
	return backoff.Retry(func() error {
		err := do()
		if err == nil || events.SafeToRetry(err) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(pause, ctx))
}

// appendSettled appends until it is known what has become of it: an unknown
// outcome is settled by sending the same again with the expectation that was
// tried.
func appendSettled(ctx context.Context, log events.Appender, r events.Request) (res events.Result, err error) {
	err = persist(ctx, func() (err error) {
		res, err = log.Append(ctx, r)
		var unknown *events.OutcomeUnknownError
		if errors.As(err, &unknown) {
			r.CommitID, r.Expect = unknown.CommitID, unknown.Expectation
		}
		return err
	})
	return res, err
}
