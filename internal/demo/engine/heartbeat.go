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
// on if this one dies. It is for activities that have a Heartbeat, and for one
// goroutine at a time, the activity's own or one that it waits for. It fails
// with ErrOvertaken if another worker attempts the same, which this one then
// must stop doing (what it comes to is not recorded), and as events.Heartbeats
// does.
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
			a.overtaken, err = true, ErrOvertaken
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
// heartbeats tell of them. If there is to be no attempt after the last of them
// it returns the events of that, once the heartbeat after the last is overdue:
// until then its worker may be alive.
func (a *attempts) takeOver(ctx context.Context) (exhausted func(*running) []*events.Event, err error) {
	if a.activity.Heartbeat == 0 {
		return nil, nil
	}
	for {
		last, err := a.lastHeartbeat(ctx)
		if last == nil || err != nil {
			return nil, err
		}
		a.attempt = last.Attempt
		timeout := timeoutFailure(enumspb.TIMEOUT_TYPE_HEARTBEAT)
		timeout.GetTimeoutFailureInfo().LastHeartbeatDetails = last.Details
		state, final := a.final(timeout, nil)
		if !final {
			a.attempt, a.progress, a.failure = last.Attempt+1, last.Details, timeout
			return nil, nil
		}
		overdue := time.Until(last.Time.Add(a.activity.Heartbeat))
		if overdue <= 0 {
			a.failure = last.LastFailure
			return a.failed(timeout, state), nil
		}
		if !pause(ctx, overdue) {
			return nil, context.Cause(ctx)
		}
	}
}

// lastHeartbeat is nil if there is none.
func (a *attempts) lastHeartbeat(ctx context.Context) (last *events.Heartbeat, err error) {
	err = persist(ctx, func() error {
		h, err := a.config.Log.LastHeartbeat(ctx, a.name())
		switch {
		case errors.Is(err, events.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("heartbeat of activity %s: %w", a.activity.ActivityID, err)
		}
		last = &h
		return nil
	})
	return last, err
}
