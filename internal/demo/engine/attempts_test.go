package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events/memlog"
)

type brokenPipe struct{}

func (brokenPipe) Error() string { return "the pipe is broken" }

// once is a workflow of one activity, which reports the type of its failure.
func once(a engine.Activity[int, int]) engine.Workflow[int, string] {
	return engine.Workflow[int, string]{Name: "Once", Run: func(ctx *engine.Context, n int) (string, error) {
		got, err := engine.ExecuteActivity(ctx, a, n).Get(ctx)
		if err != nil {
			return fmt.Sprintf("%s: %v", engine.FailureType(err), err), nil
		}
		return fmt.Sprint(got), nil
	}}
}

func TestAttempts(t *testing.T) {
	flaky := func(failures int32) func(context.Context, int) (int, error) {
		return func(ctx context.Context, n int) (int, error) {
			if engine.AttemptOf(ctx).Number <= failures {
				return 0, brokenPipe{}
			}
			return n, nil
		}
	}
	for _, tc := range []struct {
		name     string
		activity engine.Activity[int, int]
		outcome  string
		attempt  int32
		last     string // the failure of the attempt before
		state    enumspb.RetryState
		result   string
	}{
		{"the first", engine.Activity[int, int]{Run: flaky(0)}, "ActivityTaskCompleted", 1, "", 0, "7"},
		{"the third", engine.Activity[int, int]{Run: flaky(2)}, "ActivityTaskCompleted", 3, "the pipe is broken", 0, "7"},
		{"no more of them", engine.Activity[int, int]{Run: flaky(9), Retry: engine.Retry{MaximumAttempts: 3}}, "ActivityTaskFailed", 3, "the pipe is broken", enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, "brokenPipe: activity Do: the pipe is broken"},
		{"a final failure", engine.Activity[int, int]{Run: flaky(9), Retry: engine.Retry{Final: []string{"brokenPipe"}}}, "ActivityTaskFailed", 1, "", enumspb.RETRY_STATE_NON_RETRYABLE_FAILURE, "brokenPipe: activity Do: the pipe is broken"},
		{"a panic", engine.Activity[int, int]{Retry: engine.Retry{MaximumAttempts: 1}, Run: func(context.Context, int) (int, error) { panic("ouch") }}, "ActivityTaskFailed", 1, "", enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, "errorString: activity Do: activity panicked: ouch"},
		{"too slow", engine.Activity[int, int]{StartToClose: time.Second, Retry: engine.Retry{MaximumAttempts: 2}, Run: func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}, "ActivityTaskTimedOut", 2, "activity StartToClose timeout", enumspb.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, ": activity Do: activity StartToClose timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, log *memlog.Log) {
				tc.activity.Name = "Do"
				kind := once(tc.activity)
				begin(t, log, "w", kind, 7)
				dismiss := employ(t, engine.Config{Log: log}, kind, tc.activity)
				all := finish(t, log, "w")
				dismiss()
				wantOutline(t, all, "WorkflowExecutionStarted", task, "ActivityTaskScheduled ActivityTaskStarted", tc.outcome, task, "WorkflowExecutionCompleted")
				started := all[5].GetActivityTaskStartedEventAttributes()
				if started.GetAttempt() != tc.attempt || started.GetLastFailure().GetMessage() != tc.last {
					t.Errorf("attempt %d after %q, want %d after %q", started.GetAttempt(), started.GetLastFailure().GetMessage(), tc.attempt, tc.last)
				}
				state := all[6].GetActivityTaskFailedEventAttributes().GetRetryState()
				if tc.outcome == "ActivityTaskTimedOut" {
					state = all[6].GetActivityTaskTimedOutEventAttributes().GetRetryState()
				}
				if state != tc.state {
					t.Errorf("retry state %s, want %s", state, tc.state)
				}
				if got := result[string](t, all); got != tc.result {
					t.Errorf("the workflow got %q, want %q", got, tc.result)
				}
			})
		})
	}
}

// Attempts are apart as the history's retry policy says, whatever the code says.
func TestIntervals(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		var at []time.Time
		a := engine.Activity[int, int]{Name: "Do", Retry: engine.Retry{InitialInterval: time.Second, Coefficient: 3, MaximumInterval: 5 * time.Second, MaximumAttempts: 4}}
		a.Run = func(context.Context, int) (int, error) {
			at = append(at, time.Now())
			return 0, brokenPipe{}
		}
		kind := once(a)
		begin(t, log, "w", kind, 1)
		dismiss := employ(t, engine.Config{Log: log}, kind, a)
		finish(t, log, "w")
		dismiss()
		var apart []time.Duration
		for i := 1; i < len(at); i++ {
			apart = append(apart, at[i].Sub(at[i-1]))
		}
		if got, want := fmt.Sprint(apart), "[1s 3s 5s]"; got != want {
			t.Errorf("attempts are apart %s, want %s", got, want)
		}
	})
}

// A worker does not attempt more at a time than it was told.
func TestAttemptsAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, log *memlog.Log) {
		var running, most atomic.Int64
		a := engine.Activity[int, int]{Name: "Do", StartToClose: time.Second, Run: func(context.Context, int) (int, error) {
			now := running.Add(1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			<-time.After(time.Second / 2) // on the bubble's clock
			running.Add(-1)
			return 0, nil
		}}
		kind := engine.Workflow[int, int]{Name: "Many", Run: func(ctx *engine.Context, n int) (int, error) {
			all := make([]*engine.Future[int], n)
			for i := range all {
				all[i] = engine.ExecuteActivity(ctx, a, i)
			}
			for _, one := range all {
				if _, err := one.Get(ctx); err != nil {
					return 0, err
				}
			}
			return n, nil
		}}
		begin(t, log, "w", kind, 9)
		dismiss := employ(t, engine.Config{Log: log, Attempts: 3}, kind, a)
		finish(t, log, "w")
		dismiss()
		if n := most.Load(); n != 3 {
			t.Errorf("%d attempts at a time, want 3", n)
		}
	})
}
