package eventstest

import (
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/pkg/events"
)

func chainCases() []testCase {
	return named(continueAsNewChain, retryChain, cronChain)
}

// chain is runs that follow each other as Temporal writes it: the end of each
// names the next, and the start of the next, in the same commit, names the one
// before and the first.
type chain struct {
	*scene
	w    events.Workflow
	at   events.Result
	runs []events.RunID
	want [][]*events.Event // what each run must hold
}

func newChain(c *scene, first *historypb.WorkflowExecutionStartedEventAttributes) *chain {
	ch := &chain{scene: c, w: c.workflow("w")}
	start := ch.begin(first)
	ch.at = c.append(events.Request{Workflow: ch.w, Events: list(start)})
	ch.keep(start)
	ch.signal()
	return ch
}

// begin is the start of the next run.
func (ch *chain) begin(a *historypb.WorkflowExecutionStartedEventAttributes) *events.Event {
	run := events.RunID(fmt.Sprintf("5d1bd3c0-0000-7000-8000-%012d", len(ch.runs)+1))
	a.WorkflowType, a.TaskQueue = &commonpb.WorkflowType{Name: "Report"}, &taskqueuepb.TaskQueue{Name: "reports", Kind: enumspb.TASK_QUEUE_KIND_NORMAL}
	a.WorkflowId, a.OriginalExecutionRunId, a.FirstExecutionRunId = ch.w.ID, string(run), string(run)
	if n := len(ch.runs); n > 0 {
		a.ContinuedExecutionRunId, a.FirstExecutionRunId = string(ch.runs[n-1]), string(ch.runs[0])
	}
	ch.runs, ch.want = append(ch.runs, run), append(ch.want, nil)
	return numbered(1, list(&events.Event{
		EventType:  enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{WorkflowExecutionStartedEventAttributes: a},
	}))[0]
}

func (ch *chain) keep(e *events.Event) {
	i := len(ch.runs) - 1
	ch.want[i] = append(ch.want[i], e)
}

func (ch *chain) signal() {
	ch.Helper()
	e := numbered(ch.at.LastEventID+1, signals(1, "s"))[0]
	ch.at = ch.append(events.Request{Workflow: ch.w, Expect: events.After(ch.at.Cursor), Events: list(e)})
	ch.keep(e)
}

// next ends the run with an event that names the next one, and begins that.
func (ch *chain) next(end func(next string) *events.Event, a *historypb.WorkflowExecutionStartedEventAttributes) {
	ch.Helper()
	last := len(ch.runs) - 1
	start := ch.begin(a)
	closing := numbered(ch.at.LastEventID+1, list(end(string(ch.runs[last+1]))))[0]
	before := ch.at
	// The request names no run: the events do.
	ch.at = ch.append(events.Request{Workflow: ch.w, Expect: events.After(before.Cursor), Events: list(closing, start)})
	if ch.at.RunID != ch.runs[last+1] || ch.at.FirstEventID != 1 || ch.at.Cursor.PrevRunFirst() != before.Cursor.RunFirst() {
		ch.Fatalf("run %d is %+v, want %s", last+2, ch.at, ch.runs[last+1])
	}
	ch.want[last] = append(ch.want[last], closing)
	ch.keep(start)
	ch.signal()
}

// check follows the chain from its first run to the last by what each end says,
// and back by what each start says, and reads every run on the way.
func (ch *chain) check() {
	ch.Helper()
	ch.at = ch.append(events.Request{Workflow: ch.w, Expect: events.After(ch.at.Cursor), Events: list(numbered(ch.at.LastEventID+1, list(completed()))[0])})
	ch.keep(numbered(ch.at.LastEventID, list(completed()))[0])
	var forward []events.RunID
	for run := ch.runs[0]; run != ""; {
		got := ch.history(ch.w, run)
		ch.same("run "+string(run), ch.want[len(forward)], got)
		forward = append(forward, run)
		run = events.RunID(nextRun(got[len(got)-1]))
	}
	if !slices.Equal(forward, ch.runs) {
		ch.Errorf("the ends lead through %q, want %q", forward, ch.runs)
	}
	var backward []events.RunID
	for run := ch.runs[len(ch.runs)-1]; run != ""; {
		a := ch.read(ch.w, events.ReadOptions{Run: run, Limit: 1})[0].GetWorkflowExecutionStartedEventAttributes()
		if a.GetFirstExecutionRunId() != string(ch.runs[0]) || a.GetOriginalExecutionRunId() != string(run) {
			ch.Errorf("run %s says that the first is %q, and that it is %q", run, a.GetFirstExecutionRunId(), a.GetOriginalExecutionRunId())
		}
		backward = append(backward, run)
		run = events.RunID(a.GetContinuedExecutionRunId())
	}
	slices.Reverse(backward)
	if !slices.Equal(backward, ch.runs) {
		ch.Errorf("the starts lead through %q, want %q", backward, ch.runs)
	}
	closed := 0
	for _, commit := range ch.commits(ch.w) {
		if commit.Closed == nil {
			continue
		}
		if closed++; commit.Closed.Run != ch.runs[closed-1] || commit.Run.Run != ch.runs[closed] || events.IsOpen(commit.Closed.After) {
			ch.Errorf("commit at %s closes %+v and opens %+v", commit.Position, commit.Closed, commit.Run)
		}
	}
	if closed != len(ch.runs)-1 {
		ch.Errorf("%d commits go from run to run, want %d", closed, len(ch.runs)-1)
	}
}

// nextRun is the run that an end says comes next.
func nextRun(e *events.Event) string {
	return e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId() +
		e.GetWorkflowExecutionCompletedEventAttributes().GetNewExecutionRunId() +
		e.GetWorkflowExecutionFailedEventAttributes().GetNewExecutionRunId() +
		e.GetWorkflowExecutionTimedOutEventAttributes().GetNewExecutionRunId()
}

func continueAsNewChain(c *scene) {
	ch := newChain(c, &historypb.WorkflowExecutionStartedEventAttributes{Attempt: 1})
	for range 4 {
		ch.next(func(next string) *events.Event {
			e := continuedAs(events.RunID(next))
			a := e.GetWorkflowExecutionContinuedAsNewEventAttributes()
			a.WorkflowType, a.Initiator = &commonpb.WorkflowType{Name: "Report"}, enumspb.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
			return e
		}, &historypb.WorkflowExecutionStartedEventAttributes{Attempt: 1, Initiator: enumspb.CONTINUE_AS_NEW_INITIATOR_WORKFLOW})
	}
	ch.check()
}

// retryChain: attempts that fail and time out, each a run of its own, until one
// completes.
func retryChain(c *scene) {
	policy := &commonpb.RetryPolicy{InitialInterval: durationpb.New(time.Second), BackoffCoefficient: 2, MaximumAttempts: 5}
	ch := newChain(c, &historypb.WorkflowExecutionStartedEventAttributes{Attempt: 1, RetryPolicy: policy})
	for attempt := int32(2); attempt <= 5; attempt++ {
		failure := &failurepb.Failure{Message: fmt.Sprint("attempt ", attempt-1)}
		ch.next(func(next string) *events.Event {
			if attempt%2 == 1 {
				return timedOutBefore(next)
			}
			e := failedBy(failure)
			a := e.GetWorkflowExecutionFailedEventAttributes()
			a.RetryState, a.NewExecutionRunId = enumspb.RETRY_STATE_IN_PROGRESS, next
			return e
		}, &historypb.WorkflowExecutionStartedEventAttributes{
			Attempt: attempt, RetryPolicy: policy, Initiator: enumspb.CONTINUE_AS_NEW_INITIATOR_RETRY, ContinuedFailure: failure,
			FirstWorkflowTaskBackoff: durationpb.New(time.Second << (attempt - 2)),
		})
	}
	ch.check()
}

func timedOutBefore(next string) *events.Event {
	return &events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionTimedOutEventAttributes{
			WorkflowExecutionTimedOutEventAttributes: &historypb.WorkflowExecutionTimedOutEventAttributes{
				RetryState: enumspb.RETRY_STATE_IN_PROGRESS, NewExecutionRunId: next,
			},
		},
	}
}

// cronChain: runs by a schedule, of which some fail, each of which waits for its
// time and knows what the last one that completed gave.
func cronChain(c *scene) {
	const schedule = "*/5 * * * *"
	ch := newChain(c, &historypb.WorkflowExecutionStartedEventAttributes{Attempt: 1, CronSchedule: schedule, FirstWorkflowTaskBackoff: durationpb.New(time.Minute)})
	var last *commonpb.Payloads
	for i := range 5 {
		var failure *failurepb.Failure
		result := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: fmt.Append(nil, i)}}}
		end := func(next string) *events.Event {
			e := completed()
			a := e.GetWorkflowExecutionCompletedEventAttributes()
			a.Result, a.NewExecutionRunId = result, next
			return e
		}
		if i == 2 {
			failure = &failurepb.Failure{Message: "no report"}
			end = func(next string) *events.Event {
				e := failedBy(failure)
				a := e.GetWorkflowExecutionFailedEventAttributes()
				a.RetryState, a.NewExecutionRunId = enumspb.RETRY_STATE_RETRY_POLICY_NOT_SET, next
				return e
			}
		} else {
			last = result
		}
		ch.next(end, &historypb.WorkflowExecutionStartedEventAttributes{
			Attempt: 1, CronSchedule: schedule, Initiator: enumspb.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE, LastCompletionResult: last,
			ContinuedFailure: failure, FirstWorkflowTaskBackoff: durationpb.New(5 * time.Minute),
		})
	}
	ch.check()
}
