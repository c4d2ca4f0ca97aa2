package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// RecordHeartbeat says that an attempt is alive, and with what the next one goes
// on if this one dies. It is for activities that have a Heartbeat. It fails with
// ErrOvertaken if another worker attempts the same, which this one then must
// stop doing, and as events.Heartbeats does.
func RecordHeartbeat(ctx context.Context, progress any) error {
	a, ok := ctx.Value(attemptKey{}).(*attempts)
	if !ok {
		return &events.InvalidError{Field: "ctx", Reason: "is not that of an activity"}
	}
	details, err := events.Payloads(progress)
	if err != nil {
		return err
	}
	a.progress = details
	now := events.HeartbeatTime(time.Now())
	if !now.After(a.beat) { // of two at the same time the first would be kept
		now = a.beat.Add(time.Microsecond)
	}
	a.beat = now
	return persist(ctx, func() error {
		newest, err := a.config.Log.RecordHeartbeat(ctx, events.Heartbeat{
			Activity: a.name(), Attempt: a.attempt, Time: a.beat, Details: details, LastFailure: a.failure, Identity: a.config.Identity,
		})
		if err == nil && !newest {
			err = ErrOvertaken
		}
		return err
	})
}

// Progress is what the attempt before recorded last; ok is false if it recorded
// nothing, or this is the first one. It fails if that does not fit T.
func Progress[T any](ctx context.Context) (progress T, ok bool, err error) {
	a, is := ctx.Value(attemptKey{}).(*attempts)
	if !is || len(a.progress.GetPayloads()) == 0 {
		return progress, false, nil
	}
	progress, err = decode[T](a.progress)
	return progress, err == nil, err
}

func (a *attempts) name() events.Activity {
	return events.Activity{Workflow: a.workflow, RunID: a.run, ID: a.activity.ActivityID}
}

// takeOver goes on after the attempts of a worker that is gone, as far as
// heartbeats tell of them.
func (a *attempts) takeOver(ctx context.Context) error {
	if a.activity.Heartbeat == 0 {
		return nil
	}
	return persist(ctx, func() error {
		last, err := a.config.Log.LastHeartbeat(ctx, a.name())
		switch {
		case errors.Is(err, events.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("heartbeat of activity %s: %w", a.activity.ActivityID, err)
		}
		a.attempt, a.progress = last.Attempt+1, last.Details
		a.failure = timeoutFailure(enumspb.TIMEOUT_TYPE_HEARTBEAT)
		a.failure.GetTimeoutFailureInfo().LastHeartbeatDetails = last.Details
		return nil
	})
}
