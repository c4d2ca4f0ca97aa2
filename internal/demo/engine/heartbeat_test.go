package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// An attempt goes on from the heartbeat of the attempt before, of this worker
// or of one that is gone.
func TestHeartbeats(t *testing.T) {
	for _, tc := range []struct {
		name    string
		crashes bool
		attempt int32
		last    string
	}{
		{"in the same worker", false, 2, "the pipe is broken"},
		{"in the next worker", true, 2, "activity Heartbeat timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, log *memlog.Log) {
				var steps []string
				reached := make(chan struct{})
				a := engine.Activity[int, int]{Name: "Do", Heartbeat: time.Minute, Run: func(ctx context.Context, n int) (int, error) {
					attempt := engine.AttemptOf(ctx)
					done, _, err := engine.Progress[int](ctx)
					if err != nil {
						return 0, err
					}
					for ; done < n; done++ {
						if done == 3 && attempt.Number == 1 {
							if !tc.crashes {
								return 0, brokenPipe{}
							}
							close(reached)
							<-ctx.Done()
							return 0, ctx.Err()
						}
						steps = append(steps, fmt.Sprintf("%d.%d", attempt.Number, done))
						if err := engine.RecordHeartbeat(ctx, done+1); err != nil {
							return 0, err
						}
					}
					return n, nil
				}}
				kind := once(a)
				begin(t, log, "w", kind, 5)
				dismiss := employ(t, engine.Config{Log: log}, kind, a)
				if tc.crashes {
					<-reached
					dismiss()
					dismiss = employ(t, engine.Config{Log: log}, kind, a)
				}
				all := finish(t, log, "w")
				dismiss()
				if got, want := strings.Join(steps, " "), "1.0 1.1 1.2 2.3 2.4"; got != want {
					t.Errorf("steps %s, want %s", got, want)
				}
				started := all[5].GetActivityTaskStartedEventAttributes()
				if started.GetAttempt() != tc.attempt || started.GetLastFailure().GetMessage() != tc.last {
					t.Errorf("attempt %d after %q, want %d after %q", started.GetAttempt(), started.GetLastFailure().GetMessage(), tc.attempt, tc.last)
				}
			})
		})
	}
}

// An attempt that was given up for dead is told so by its next heartbeat, and
// what it comes to then is not recorded: the newer attempt goes on.
func TestOvertaken(t *testing.T) {
	for _, tc := range []struct {
		name    string
		comesTo func(error) error
	}{
		{"it stops", func(err error) error { return err }},
		{"it fails in its own way", func(error) error { return brokenPipe{} }},
		{"it does not stop", func(error) error { return nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, log *memlog.Log) {
				var numbers []int32 // of the attempts
				var overtaken error
				alone, taken, told, release := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
				a := engine.Activity[int, int]{Name: "Do", StartToClose: time.Hour, Heartbeat: time.Minute, Retry: engine.Retry{MaximumAttempts: 3}, Run: func(ctx context.Context, n int) (int, error) {
					number := engine.AttemptOf(ctx).Number
					numbers = append(numbers, number)
					if err := engine.RecordHeartbeat(ctx, 1); err != nil {
						return 0, err
					}
					if number > 1 {
						close(taken)
						<-release
						return n, nil
					}
					close(alone)
					<-taken
					overtaken = engine.RecordHeartbeat(ctx, 2)
					close(told)
					return -1, tc.comesTo(overtaken)
				}}
				kind := once(a)
				begin(t, log, "w", kind, 5)
				dismissOne := employ(t, engine.Config{Log: log, Identity: "one"}, kind, a)
				<-alone
				dismissOther := employ(t, engine.Config{Log: log, Identity: "other"}, kind, a)
				<-told
				<-time.After(time.Minute) // on the bubble's clock: nothing comes of it
				wantOutline(t, history(t, log, "w", ""), "WorkflowExecutionStarted", task, "ActivityTaskScheduled")
				close(release)
				all := finish(t, log, "w")
				dismissOne()
				dismissOther()
				if !errors.Is(overtaken, engine.ErrOvertaken) {
					t.Errorf("got %v, want ErrOvertaken", overtaken)
				}
				if !slices.Equal(numbers, []int32{1, 2}) {
					t.Errorf("attempts %v, want 1 and 2", numbers)
				}
				wantOutline(t, all, "WorkflowExecutionStarted", task, "ActivityTaskScheduled", activity, task, "WorkflowExecutionCompleted")
				if started := all[5].GetActivityTaskStartedEventAttributes(); started.GetAttempt() != 2 || started.GetIdentity() != "other" {
					t.Errorf("the attempt that counts is %s", started)
				}
				if got := result[string](t, all); got != "5" {
					t.Errorf("the workflow got %q, want 5", got)
				}
			})
		})
	}
	if err := engine.RecordHeartbeat(t.Context(), 1); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("outside of an activity: %v, want ErrInvalid", err)
	}
}

// Attempts of workers that died count: after the last one there is none, and
// the activity times out when that one's next heartbeat is overdue.
func TestMaximumAttemptsOverCrashes(t *testing.T) {
	for _, most := range []int32{1, 3} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			inBubble(t, func(t *testing.T, log *memlog.Log) {
				var attempts atomic.Int32
				reached := make(chan struct{})
				a := engine.Activity[int, int]{Name: "Do", Heartbeat: time.Minute, Retry: engine.Retry{MaximumAttempts: most}, Run: func(ctx context.Context, _ int) (int, error) {
					attempts.Add(1)
					if err := engine.RecordHeartbeat(ctx, engine.AttemptOf(ctx).Number); err != nil {
						return 0, err
					}
					reached <- struct{}{}
					<-ctx.Done()
					return 0, ctx.Err()
				}}
				kind := once(a)
				begin(t, log, "w", kind, 5)
				for range most {
					dismiss := employ(t, engine.Config{Log: log}, kind, a)
					<-reached
					dismiss()
				}
				overdue := time.Now().Add(a.Heartbeat)
				for range 2 { // that are too early
					dismiss := employ(t, engine.Config{Log: log}, kind, a)
					synctest.Wait()
					dismiss()
				}
				dismiss := employ(t, engine.Config{Log: log}, kind, a)
				all := finish(t, log, "w")
				dismiss()
				if n := attempts.Load(); n != most {
					t.Errorf("%d attempts, want %d", n, most)
				}
				wantOutline(t, all, "WorkflowExecutionStarted", task, "ActivityTaskScheduled ActivityTaskStarted ActivityTaskTimedOut", task, "WorkflowExecutionCompleted")
				if n := all[5].GetActivityTaskStartedEventAttributes().GetAttempt(); n != most {
					t.Errorf("the attempt that counts is %d, want %d", n, most)
				}
				out := all[6].GetActivityTaskTimedOutEventAttributes()
				timeout := out.GetFailure().GetTimeoutFailureInfo()
				if timeout.GetTimeoutType() != enumspb.TIMEOUT_TYPE_HEARTBEAT || out.GetRetryState() != enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED {
					t.Errorf("timed out by %s", out)
				}
				var progress int32
				if err := events.Value(timeout.GetLastHeartbeatDetails().GetPayloads()[0], &progress); err != nil || progress != most {
					t.Errorf("the last heartbeat's details are %d, %v; want %d", progress, err, most)
				}
				if at := all[6].GetEventTime().AsTime(); at.Before(overdue) || at.After(overdue.Add(time.Second)) {
					t.Errorf("timed out at %s, want %s", at, overdue)
				}
				if got := result[string](t, all); got != ": activity Do: activity Heartbeat timeout" {
					t.Errorf("the workflow got %q", got)
				}
			})
		})
	}
}

// The last attempt there may be is left alone as long as it records heartbeats.
func TestLastAttemptIsAlive(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		begun := make(chan struct{})
		a := engine.Activity[int, int]{Name: "Do", StartToClose: time.Hour, Heartbeat: time.Minute, Retry: engine.Retry{MaximumAttempts: 1}, Run: func(ctx context.Context, n int) (int, error) {
			for i := range n {
				if err := engine.RecordHeartbeat(ctx, i); err != nil {
					return 0, err
				}
				if i == 0 {
					close(begun)
				}
				<-time.After(45 * time.Second) // on the bubble's clock
			}
			return n, nil
		}}
		kind := once(a)
		begin(t, log, "w", kind, 5)
		dismissOne := employ(t, engine.Config{Log: log, Identity: "one"}, kind, a)
		<-begun
		dismissOther := employ(t, engine.Config{Log: log, Identity: "other"}, kind, a)
		all := finish(t, log, "w")
		dismissOne()
		dismissOther()
		wantOutline(t, all, "WorkflowExecutionStarted", task, "ActivityTaskScheduled", activity, task, "WorkflowExecutionCompleted")
		if by := all[5].GetActivityTaskStartedEventAttributes().GetIdentity(); by != "one" {
			t.Errorf("it was done by %q", by)
		}
	})
}
