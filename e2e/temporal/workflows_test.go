package temporal

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// queue is where the workers look for tasks, nobody where none does.
const (
	queue  = "judge"
	nobody = "nobody"
)

// The search attributes that are registered, one of each type.
var (
	customer = sdk.NewSearchAttributeKeyKeyword("Customer")
	note     = sdk.NewSearchAttributeKeyString("Note")
	labels   = sdk.NewSearchAttributeKeyKeywordList("Labels")
	amount   = sdk.NewSearchAttributeKeyInt64("Amount")
	ratio    = sdk.NewSearchAttributeKeyFloat64("Ratio")
	flagged  = sdk.NewSearchAttributeKeyBool("Flag")
	due      = sdk.NewSearchAttributeKeyTime("Due")
)

// code is the workflows, by type.
var code = map[string]any{
	"Simple": simple, "Wait": wait, "Fail": fail, "Timeouts": activityTimeouts, "CancelAll": cancelAll, "Cron": cronOnce,
	"Again": again, "Parent": parent, "Updatable": updatable, "External": external, "Markers": markers,
	"Upserts": upserts, "Pending": pendingOfAll, "Stumble": stumble, "Retrying": retrying,
	"Nexus": overNexus, "NexusPending": pendingOverNexus, "Handled": handled,
}

func register(r worker.Registry) {
	for name, w := range code {
		r.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
	}
	for name, a := range map[string]any{"Charge": charge, "Decline": decline, "Hang": hang, "Silent": silent} {
		r.RegisterActivityWithOptions(a, activity.RegisterOptions{Name: name})
	}
}

func charge(_ context.Context, n int) (int, error) { return n + 1, nil }

func decline(context.Context) error {
	return sdk.NewNonRetryableApplicationError("card declined", "Declined", errors.New("no funds"))
}

// hang ends when it is canceled or out of time; it says that it is alive.
func hang(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		activity.RecordHeartbeat(ctx, "alive")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// silent ends when it is out of time; it says nothing.
func silent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func once(ctx workflow.Context, o workflow.ActivityOptions) workflow.Context {
	if o.StartToCloseTimeout == 0 && o.ScheduleToCloseTimeout == 0 {
		o.StartToCloseTimeout = time.Minute
	}
	if o.RetryPolicy == nil {
		o.RetryPolicy = &sdk.RetryPolicy{MaximumAttempts: 1}
	}
	return workflow.WithActivityOptions(ctx, o)
}

func simple(ctx workflow.Context) (int, error) {
	var n int
	err := workflow.ExecuteActivity(once(ctx, workflow.ActivityOptions{}), "Charge", 6).Get(ctx, &n)
	return n, err
}

// wait ends on a signal that says how.
func wait(ctx workflow.Context, _ string) (string, error) {
	var how string
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(workflow.GetSignalChannel(ctx, "end"), func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, &how) })
	selector.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	selector.Select(ctx)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if how == "fail" {
		return "", sdk.NewApplicationError("told to fail", "Told")
	}
	return how, nil
}

func fail(ctx workflow.Context) error {
	err := workflow.ExecuteActivity(once(ctx, workflow.ActivityOptions{}), "Decline").Get(ctx, nil)
	return sdk.NewApplicationErrorWithCause("order not paid", "Unpaid", err)
}

func retrying(workflow.Context) error { return sdk.NewApplicationError("not yet", "Early") }

func activityTimeouts(ctx workflow.Context) (int, error) {
	timedOut := 0
	for _, a := range []struct {
		name string
		o    workflow.ActivityOptions
	}{
		{"Silent", workflow.ActivityOptions{StartToCloseTimeout: time.Second}},
		{"Silent", workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: time.Second}},
		{"Charge", workflow.ActivityOptions{TaskQueue: nobody, ScheduleToStartTimeout: time.Second, StartToCloseTimeout: time.Minute}},
		{"Charge", workflow.ActivityOptions{TaskQueue: nobody, ScheduleToCloseTimeout: time.Second}},
	} {
		err := workflow.ExecuteActivity(once(ctx, a.o), a.name, 1).Get(ctx, nil)
		var timeout *sdk.TimeoutError
		if errors.As(err, &timeout) {
			timedOut++
		}
	}
	return timedOut, nil
}

// cancelAll has a timer, an activity and a child canceled with it.
func cancelAll(ctx workflow.Context) error {
	timer := workflow.NewTimer(ctx, time.Hour)
	act := workflow.ExecuteActivity(once(ctx, workflow.ActivityOptions{TaskQueue: nobody, StartToCloseTimeout: time.Hour}), "Charge", 1)
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID + "/child", WaitForCancellation: true}), "Wait", "")
	if err := child.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		return err
	}
	_ = workflow.UpsertMemo(ctx, map[string]any{"stage": "all under way"})
	_ = timer.Get(ctx, nil)
	_ = act.Get(ctx, nil)
	return child.Get(ctx, nil)
}

// cronOnce ends its first run and waits in its second.
func cronOnce(ctx workflow.Context) (string, error) {
	if workflow.HasLastCompletionResult(ctx) {
		return wait(ctx, "")
	}
	return "first", nil
}

func again(ctx workflow.Context, n int) (int, error) {
	if n > 1 {
		return 0, workflow.NewContinueAsNewError(ctx, "Again", n-1)
	}
	return n, nil
}

// parent starts a child for each fate of children.
func parent(ctx workflow.Context) (int, error) {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	start := func(ctx workflow.Context, name, kind string, o workflow.ChildWorkflowOptions, args ...any) workflow.ChildWorkflowFuture {
		o.WorkflowID = id + "/" + name
		f := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, o), kind, args...)
		_ = f.GetChildWorkflowExecution().Get(ctx, nil)
		return f
	}
	failures := 0
	count := func(f workflow.Future) {
		if f.Get(ctx, nil) != nil {
			failures++
		}
	}
	count(start(ctx, "completed", "Simple", workflow.ChildWorkflowOptions{Memo: map[string]any{"of": "parent"}}))
	count(start(ctx, "failed", "Fail", workflow.ChildWorkflowOptions{}))
	count(start(ctx, "timed-out", "Wait", workflow.ChildWorkflowOptions{WorkflowRunTimeout: time.Second}, ""))
	cancelable, cancel := workflow.WithCancel(ctx)
	canceled := start(cancelable, "canceled", "Wait", workflow.ChildWorkflowOptions{WaitForCancellation: true}, "")
	start(ctx, "parent-terminates", "Wait", workflow.ChildWorkflowOptions{}, "")
	start(ctx, "parent-cancels", "Wait", workflow.ChildWorkflowOptions{ParentClosePolicy: 3}, "")
	start(ctx, "abandoned", "Parentless", workflow.ChildWorkflowOptions{ParentClosePolicy: 2, TaskQueue: nobody}, "")
	count(start(ctx, "abandoned", "Wait", workflow.ChildWorkflowOptions{}, "")) // is there already
	_ = workflow.Sleep(ctx, time.Second)                                        // they have their first task by then
	cancel()
	count(canceled)
	return failures, nil
}

func updatable(ctx workflow.Context) (int, error) {
	total := 0
	validate := func(n int) error {
		if n < 0 {
			return errors.New("less than nothing")
		}
		return nil
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, "add", func(ctx workflow.Context, n int) (int, error) {
		if n == 0 {
			return 0, sdk.NewApplicationError("nothing to add", "Nothing")
		}
		total += n
		return total, nil
	}, workflow.UpdateHandlerOptions{Validator: validate}); err != nil {
		return 0, err
	}
	if err := workflow.SetUpdateHandler(ctx, "ponder", func(ctx workflow.Context) error {
		return workflow.Await(ctx, func() bool { return false })
	}); err != nil {
		return 0, err
	}
	_, err := wait(ctx, "")
	return total, err
}

func external(ctx workflow.Context, other string) (int, error) {
	failures := 0
	if _, err := wait(ctx, ""); err != nil {
		return 0, err
	}
	for _, id := range []string{other, "nobody"} {
		if workflow.SignalExternalWorkflow(ctx, id, "", "hello", "you").Get(ctx, nil) != nil {
			failures++
		}
		if workflow.RequestCancelExternalWorkflow(ctx, id, "").Get(ctx, nil) != nil {
			failures++
		}
	}
	return failures, nil
}

func markers(ctx workflow.Context) (int, error) {
	n := int(workflow.GetVersion(ctx, "charge-twice", workflow.DefaultVersion, 2))
	n += int(workflow.GetVersion(ctx, "no-fee", workflow.DefaultVersion, 1))
	var side int
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return 7 }).Get(&side); err != nil {
		return 0, err
	}
	if err := workflow.MutableSideEffect(ctx, "mutable", func(workflow.Context) any { return 8 }, func(a, b any) bool { return a == b }).Get(&side); err != nil {
		return 0, err
	}
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: &sdk.RetryPolicy{MaximumAttempts: 1}})
	var m int
	if err := workflow.ExecuteLocalActivity(local, "Charge", n).Get(ctx, &m); err != nil {
		return 0, err
	}
	_ = workflow.ExecuteLocalActivity(local, "Decline").Get(ctx, nil)
	return m, workflow.Sleep(ctx, time.Millisecond)
}

func upserts(ctx workflow.Context) error {
	if err := workflow.UpsertTypedSearchAttributes(ctx, customer.ValueSet("c-upserted"), labels.ValueSet([]string{"late", "vip"}), flagged.ValueUnset(), amount.ValueSet(-5)); err != nil {
		return err
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{"stage": 2, "gone": nil, "new": []string{"a"}}); err != nil {
		return err
	}
	return workflow.Sleep(ctx, time.Millisecond)
}

// pendingOfAll has one of everything under way until it is told to end.
func pendingOfAll(ctx workflow.Context) error {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	workflow.NewTimer(ctx, time.Hour)
	workflow.ExecuteActivity(once(ctx, workflow.ActivityOptions{ActivityID: "scheduled", TaskQueue: nobody, StartToCloseTimeout: time.Hour}), "Charge", 1)
	workflow.ExecuteActivity(once(ctx, workflow.ActivityOptions{ActivityID: "retrying", RetryPolicy: &sdk.RetryPolicy{InitialInterval: time.Hour, MaximumAttempts: 3}}), "Unregistered")
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id + "/child", ParentClosePolicy: 2}), "Wait", "")
	if err := child.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		return err
	}
	_, err := wait(ctx, "")
	return err
}

// fixed says whether stumble's code is mended.
var fixed atomic.Bool

// stumble fails its first workflow task: its worker has a policy that lets it.
func stumble(workflow.Context) error {
	if !fixed.Swap(true) {
		panic("a mistake in the code")
	}
	return nil
}
