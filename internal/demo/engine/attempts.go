package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// attempts is an activity under way: attempt after attempt, until one succeeds
// or there is to be no other. Only the outcome goes into the history.
type attempts struct {
	*Worker
	workflow events.Workflow
	run      events.RunID
	activity execution.Activity
	input    *commonpb.Payloads
	attempt  int32
	failure  *failurepb.Failure // of the attempt before
	progress *commonpb.Payloads // of its last heartbeat
	beat     time.Time          // when that was
	// overtaken says that a newer attempt has recorded a heartbeat.
	overtaken bool
}

// do returns the events of the outcome; nil if the context ended before, or the
// outcome is that of another worker, which records it.
func (a *attempts) do(ctx context.Context) func(*running) []*events.Event {
	a.attempt = 1
	exhausted, err := a.takeOver(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		a.give(ctx, a.workflow, err)
		return nil
	case exhausted != nil:
		return exhausted
	}
	for ; ; a.attempt++ {
		result, err := a.once(ctx)
		if ctx.Err() != nil || a.overtaken {
			return nil
		}
		if err == nil {
			return a.completed(result)
		}
		f := events.Failure(err)
		if errors.Is(err, context.DeadlineExceeded) {
			f = timeoutFailure(enumspb.TIMEOUT_TYPE_START_TO_CLOSE)
		}
		if state, final := a.final(f, err); final {
			return a.failed(f, state)
		}
		a.failure = f
		if !pause(ctx, interval(a.activity.RetryPolicy, a.attempt)) {
			return nil
		}
	}
}

// once is one attempt.
func (a *attempts) once(ctx context.Context) (result *commonpb.Payload, err error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	code, ok := a.config.Registry.activities[a.activity.Type]
	if !ok {
		return nil, &UnknownTypeError{Kind: "activity", Name: a.activity.Type}
	}
	ctx, cancel := context.WithTimeout(ctx, a.activity.StartToClose)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("activity panicked: %v", p)
		}
	}()
	value, err := code(context.WithValue(ctx, attemptKey{}, a), a.input)
	if err != nil {
		return nil, err
	}
	return events.Payload(value)
}

// final reports whether there is no attempt after this one, and why.
func (a *attempts) final(f *failurepb.Failure, err error) (enumspb.RetryState, bool) {
	policy := a.activity.RetryPolicy
	var unknown *UnknownTypeError
	switch {
	case slices.Contains(policy.GetNonRetryableErrorTypes(), f.GetApplicationFailureInfo().GetType()), errors.As(err, &unknown):
		return enumspb.RETRY_STATE_NON_RETRYABLE_FAILURE, true
	case policy == nil:
		return enumspb.RETRY_STATE_RETRY_POLICY_NOT_SET, true
	case policy.GetMaximumAttempts() > 0 && a.attempt >= policy.GetMaximumAttempts():
		return enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, true
	}
	return 0, false
}

// started is the event of the attempt that counts.
func (a *attempts) started() *events.Event {
	e := events.ActivityStarted(a.activity.ScheduledEventID, a.attempt, a.config.Identity)
	e.GetActivityTaskStartedEventAttributes().LastFailure = a.failure
	return e
}

func (a *attempts) completed(result *commonpb.Payload) func(*running) []*events.Event {
	return func(r *running) []*events.Event {
		e := events.ActivityCompleted(a.activity.ScheduledEventID, r.next(), result)
		e.GetActivityTaskCompletedEventAttributes().Identity = a.config.Identity
		return []*events.Event{a.started(), e}
	}
}

func (a *attempts) failed(f *failurepb.Failure, state enumspb.RetryState) func(*running) []*events.Event {
	return func(r *running) []*events.Event {
		scheduled := a.activity.ScheduledEventID
		if timeout := f.GetTimeoutFailureInfo(); timeout != nil {
			e := events.ActivityTimedOut(scheduled, r.next(), timeout.GetTimeoutType())
			attributes := e.GetActivityTaskTimedOutEventAttributes()
			attributes.Failure, attributes.RetryState = f, state
			return []*events.Event{a.started(), e}
		}
		e := events.ActivityFailed(scheduled, r.next(), nil)
		attributes := e.GetActivityTaskFailedEventAttributes()
		attributes.Failure, attributes.RetryState, attributes.Identity = f, state, a.config.Identity
		return []*events.Event{a.started(), e}
	}
}

// pause waits, and reports false if the context ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Attempt is what an activity's function may know of itself.
type Attempt struct {
	Workflow   events.Workflow
	RunID      events.RunID
	ActivityID string
	Number     int32 // from 1
}

type attemptKey struct{}

// AttemptOf is the attempt that the context was given to; zero if none.
func AttemptOf(ctx context.Context) Attempt {
	a, ok := ctx.Value(attemptKey{}).(*attempts)
	if !ok {
		return Attempt{}
	}
	return Attempt{Workflow: a.workflow, RunID: a.run, ActivityID: a.activity.ActivityID, Number: a.attempt}
}
