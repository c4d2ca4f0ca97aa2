package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
)

// checkWait refuses a --wait that would end before the first attempt, or never.
func checkWait(wait time.Duration) error {
	if wait <= 0 {
		return usagef("--wait is %s, it is more than 0s", wait)
	}
	return nil
}

// checkTimeout refuses a --timeout that leaves no time to try.
func checkTimeout(timeout time.Duration) error {
	if timeout <= 0 {
		return usagef("--timeout is %s, it is more than 0s", timeout)
	}
	return nil
}

// await connects to both servers, which may start at the same time as this
// program, and opens the log.
func (a *app) await(ctx context.Context, wait time.Duration) (*wiring.Log, *pgxpool.Pool, error) {
	pool, err := a.postgres(ctx)
	if err != nil {
		return nil, nil, err
	}
	var log *wiring.Log
	err = retry(ctx, wait, func() (err error) {
		if log == nil {
			if log, err = a.log(ctx); err != nil {
				return err
			}
		}
		return a.servers.Ping(ctx, pool)
	}, nil)
	return log, pool, err
}

// awaitLog opens the log, which may be made at the same time as this program
// starts. Why an attempt failed goes to failed.
func (a *app) awaitLog(ctx context.Context, wait time.Duration, failed func(error)) (log *wiring.Log, err error) {
	err = retry(ctx, wait, func() (err error) {
		log, err = a.log(ctx)
		return err
	}, failed)
	return log, err
}

// retry attempts until it succeeds, fails for good, or has done so for as long as
// wait. Why an attempt failed that is not the last goes to failed, if there is
// such a function.
func retry(ctx context.Context, wait time.Duration, attempt func() error, failed func(error)) error {
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(wait))
	return backoff.RetryNotify(func() error { return final(attempt()) }, backoff.WithContext(delays, ctx), func(err error, next time.Duration) {
		slog.Warn("waiting for the servers", slog.Any("error", err), slog.String("again_in", next.Round(time.Millisecond).String()))
		if failed != nil {
			failed(err)
		}
	})
}

// final marks what waiting does not change. A log that is not there yet may be
// made in a moment.
func final(err error) error {
	var refused *wiring.ConnectError
	var wrong *events.WrongLogError
	switch {
	case errors.As(err, &refused) && refused.Setting:
		return backoff.Permanent(err)
	case err == nil, refused != nil, errors.Is(err, events.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &wrong) && wrong.Want == "there":
		return err
	}
	return backoff.Permanent(err)
}
