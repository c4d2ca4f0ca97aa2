package engine

import (
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/pkg/events"
)

// Future is what becomes of an activity or a child.
type Future[T any] struct {
	outcome  *outcome
	describe func(err error) // adds to an error what the command knew
}

// Ready reports whether there is an outcome.
func (f *Future[T]) Ready() bool { return f.outcome.done }

// Get waits for the outcome. The error is *ActivityError or *ChildError, or
// that of a result that does not fit T.
func (f *Future[T]) Get(ctx *Context) (T, error) {
	Await(ctx, f)
	if err := f.outcome.err; err != nil {
		f.describe(err)
		var zero T
		return zero, err
	}
	return decode[T](f.outcome.result)
}

// ExecuteActivity schedules an activity.
func ExecuteActivity[In, Out any](ctx *Context, a Activity[In, Out], in In) *Future[Out] {
	id := ctx.next
	e := events.ActivityScheduled(idOf(id), a.Name, in)
	attributes := e.GetActivityTaskScheduledEventAttributes()
	if attributes != nil {
		timeout := a.StartToClose
		if timeout == 0 {
			timeout = 10 * time.Second
		}
		attributes.StartToCloseTimeout = durationpb.New(timeout)
		if a.Heartbeat > 0 {
			attributes.HeartbeatTimeout = durationpb.New(a.Heartbeat)
		}
		attributes.RetryPolicy = a.Retry.policy()
		attributes.TaskQueue = taskQueue(ctx.queue)
	}
	return &Future[Out]{outcome: ctx.expect(ctx.command(e)), describe: func(err error) {
		if failed, ok := err.(*ActivityError); ok { //nolint:errorlint // it is what outcomeOf made
			failed.Activity, failed.Scheduled = a.Name, id
		}
	}}
}

// ExecuteChildWorkflow starts a workflow of its own under an id of this
// namespace. It lives on if this run closes first.
func ExecuteChildWorkflow[In, Out any](ctx *Context, w Workflow[In, Out], id string, in In) *Future[Out] {
	child := events.Child{Workflow: events.Workflow{Namespace: ctx.workflow.Namespace, ID: id}, Type: w.Name}
	e := events.ChildInitiated(child, in)
	if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil {
		a.TaskQueue = taskQueue(ctx.queue)
		a.ParentClosePolicy = enumspb.PARENT_CLOSE_POLICY_ABANDON
	}
	initiated := ctx.command(e)
	return &Future[Out]{outcome: ctx.expect(initiated), describe: func(err error) {
		if failed, ok := err.(*ChildError); ok { //nolint:errorlint // it is what outcomeOf made
			failed.Child, failed.Type, failed.Initiated = child.Workflow, w.Name, initiated
		}
	}}
}

// Timer is ready when its time has come.
type Timer struct {
	id      events.EventID
	outcome *outcome
}

// NewTimer sets a timer.
func NewTimer(ctx *Context, d time.Duration) *Timer {
	id := ctx.command(events.TimerStarted(idOf(ctx.next), d))
	return &Timer{id: id, outcome: ctx.expect(id)}
}

// Ready reports whether it has fired.
func (t *Timer) Ready() bool { return t.outcome.done }

// Cancel has it never fire; one that has fired stays as it is.
func (t *Timer) Cancel(ctx *Context) {
	if !t.outcome.done {
		t.outcome.done = true
		ctx.command(events.TimerCanceled(idOf(t.id), t.id))
	}
}

// Sleep waits for a time.
func Sleep(ctx *Context, d time.Duration) { Await(ctx, NewTimer(ctx, d)) }

// Signals are those of one name, in the order in which they came.
type Signals[T any] struct{ box *inbox }

// SignalsNamed gives the run's signals of that name.
func SignalsNamed[T any](ctx *Context, name string) Signals[T] { return Signals[T]{ctx.inbox(name)} }

// Ready reports whether there is one to receive.
func (s Signals[T]) Ready() bool { return len(s.box.waiting) > 0 }

// Receive waits for the next one. It fails if that does not fit T.
func (s Signals[T]) Receive(ctx *Context) (T, error) {
	Await(ctx, s)
	input := s.box.waiting[0]
	s.box.waiting = s.box.waiting[1:]
	return decode[T](input)
}

// SetSearchAttributes sets what the run is found, listed and counted by; see
// events.SearchAttributesUpserted. There are no markers: Temporal's SDKs replay
// only those that they write themselves.
func SetSearchAttributes(ctx *Context, attributes map[string]any) {
	ctx.command(events.SearchAttributesUpserted(attributes))
}

// SetMemo sets what is shown beside the run.
func SetMemo(ctx *Context, memo map[string]any) { ctx.command(events.MemoUpserted(memo)) }

// ContinueAsNew is the error by which a workflow function goes on as a new run
// with another input, in the same commit that closes this one.
func ContinueAsNew[In, Out any](w Workflow[In, Out], in In) error {
	return &continuation{workflowType: w.Name, input: in}
}

type continuation struct {
	workflowType string
	input        any
}

func (c *continuation) Error() string { return "continue as new " + c.workflowType }

// closing is the command that a function ends with.
func closing(ctx *Context, result any, err error) *events.Event {
	switch end := err.(type) { //nolint:errorlint // a wrapped continuation is none: it would be lost in a failure
	case nil:
		return events.WorkflowCompleted(result)
	case *continuation:
		return events.ContinuedAsNew(end.workflowType, ctx.queue, end.input)
	}
	if errors.Is(err, ErrCanceled) {
		return events.WorkflowCanceled(err.Error())
	}
	e := events.WorkflowFailed(err)
	a := e.GetWorkflowExecutionFailedEventAttributes()
	a.Failure, a.RetryState = failureOf(err), enumspb.RETRY_STATE_RETRY_POLICY_NOT_SET
	return e
}
