package temporal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"
)

// scenario is a workflow, and what happens to it. Its name is the workflow's id; of
// those that it starts the name and a slash are the beginning.
type scenario struct {
	name    string
	kind    string // type of workflow
	options client.StartWorkflowOptions
	args    []any
	play    func(p *play) // after its start; nil: nothing
	// runs are the statuses in the end of all runs, by the order of their start.
	runs []enumspb.WorkflowExecutionStatus
}

const (
	running    = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	completed  = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	failed     = enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	canceled   = enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED
	terminated = enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED
	continued  = enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
	timedOut   = enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT
	paused     = enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED
)

type statuses = []enumspb.WorkflowExecutionStatus

func attributes(updates ...sdk.SearchAttributeUpdate) sdk.SearchAttributes {
	return sdk.NewSearchAttributes(updates...)
}

var moment = time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)

// someOfEach are the values of attributes of every type.
func someOfEach(id string, n int64, x float64, yes bool, list ...string) sdk.SearchAttributes {
	return attributes(customer.ValueSet(id), note.ValueSet("Payment re-tried, twice "+id), labels.ValueSet(list), amount.ValueSet(n),
		ratio.ValueSet(x), flagged.ValueSet(yes), due.ValueSet(moment.Add(time.Duration(n)*time.Hour)))
}

var scenarios = []scenario{
	{name: "complete", kind: "Simple", options: client.StartWorkflowOptions{
		TypedSearchAttributes: someOfEach("c-1", 1, 0.5, true, "vip", "new"), Memo: map[string]any{"note": "gift", "n": 7},
		WorkflowExecutionTimeout: time.Hour, WorkflowRunTimeout: 30 * time.Minute, WorkflowTaskTimeout: 9 * time.Second,
	}, runs: statuses{completed}},
	{name: "it's 100% \"odd\" → ä", kind: "Simple", options: client.StartWorkflowOptions{TypedSearchAttributes: someOfEach("c-2", 2, -7.25, false, "new")}, runs: statuses{completed}},
	{name: "few attributes", kind: "Simple", options: client.StartWorkflowOptions{TypedSearchAttributes: attributes(customer.ValueSet("c-1"), amount.ValueSet(0))}, runs: statuses{completed}},
	{name: "terminate", kind: "Wait", args: []any{""}, options: client.StartWorkflowOptions{TypedSearchAttributes: someOfEach("c-3", 3, 1e6, true, "late")}, play: func(p *play) {
		p.firstTask()
		p.check(p.TerminateWorkflow(p.ctx, p.id, "", "it was a mistake", "by hand"))
	}, runs: statuses{terminated}},
	{name: "workflow timeout", kind: "Wait", args: []any{""}, options: client.StartWorkflowOptions{WorkflowRunTimeout: time.Second}, runs: statuses{timedOut}},
	{name: "no worker", kind: "Wait", args: []any{""}, options: client.StartWorkflowOptions{TaskQueue: nobody, WorkflowExecutionTimeout: 24 * time.Hour}, runs: statuses{running}},
	{name: "activity timeouts", kind: "Timeouts", runs: statuses{completed}},
	{name: "cancel", kind: "CancelAll", play: func(p *play) {
		p.eventOf(enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED)
		p.firstTaskOf("cancel/child")
		p.check(p.CancelWorkflow(p.ctx, p.id, ""))
	}, runs: statuses{canceled, canceled}},
	{name: "pause", kind: "Wait", args: []any{""}, options: client.StartWorkflowOptions{TypedSearchAttributes: someOfEach("c-4", 4, 2, false)}, play: func(p *play) {
		p.firstTask()
		p.pause()
	}, runs: statuses{paused}},
	{name: "pause and unpause", kind: "Wait", args: []any{""}, play: func(p *play) {
		p.firstTask()
		p.pause()
		_, err := p.WorkflowService().UnpauseWorkflowExecution(p.ctx, &workflowservice.UnpauseWorkflowExecutionRequest{
			Namespace: p.namespace, WorkflowId: p.id, Identity: "client", Reason: "looked at", RequestId: "unpause",
		})
		p.check(err)
		p.eventOf(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED)
		p.lastTaskOver()
		p.end("done")
	}, runs: statuses{completed}},
	{name: "cron", kind: "Cron", options: client.StartWorkflowOptions{CronSchedule: "@every 1s", Memo: map[string]any{"kept": true}, TypedSearchAttributes: attributes(customer.ValueSet("c-5"))}, play: func(p *play) {
		p.runsAre(2)
		p.firstTask()
	}, runs: statuses{completed, running}},
	{name: "retry", kind: "Retrying", options: client.StartWorkflowOptions{RetryPolicy: &sdk.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 2}}, play: func(p *play) { p.runsAre(2) }, runs: statuses{failed, failed}},
	{name: "fail", kind: "Fail", options: client.StartWorkflowOptions{TypedSearchAttributes: someOfEach("c-6", 6, 0.1, true, "late", "vip")}, runs: statuses{failed}},
	{name: "continue as new", kind: "Again", args: []any{3}, options: client.StartWorkflowOptions{Memo: map[string]any{"kept": "yes"}, TypedSearchAttributes: attributes(customer.ValueSet("c-7"), labels.ValueSet([]string{"again"}))}, play: func(p *play) { p.runsAre(3) }, runs: statuses{continued, continued, completed}},
	{name: "parent", kind: "Parent", play: func(p *play) {
		p.eventually("the children are told that the parent is gone", func() bool {
			return p.statusOf("parent/parent-terminates") == terminated && p.statusOf("parent/parent-cancels") == canceled
		})
	}, runs: statuses{completed, completed, failed, timedOut, canceled, terminated, canceled, running}},
	{name: "updates", kind: "Updatable", play: func(p *play) {
		for _, n := range []int{4, -1, 0} {
			p.update("add", client.WorkflowUpdateStageCompleted, n)
		}
		p.end("done")
	}, runs: statuses{completed}},
	{name: "update under way", kind: "Updatable", play: func(p *play) { p.update("ponder", client.WorkflowUpdateStageAccepted) }, runs: statuses{running}},
	{name: "signals", kind: "Wait", args: []any{""}, play: func(p *play) {
		p.firstTask()
		p.check(p.SignalWorkflow(p.ctx, p.id, "", "noise", map[string]int{"n": 1}))
		p.eventOf(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
		p.lastTaskOver()
		p.end("fail")
	}, runs: statuses{failed}},
	{name: "receiver", kind: "Wait", args: []any{""}, play: func(p *play) { p.firstTask() }, runs: statuses{canceled}},
	{name: "external", kind: "External", args: []any{"receiver"}, play: func(p *play) {
		p.firstTask()
		p.firstTaskOf("receiver")
		p.end("go on")
	}, runs: statuses{completed}},
	{name: "markers", kind: "Markers", runs: statuses{completed}},
	{name: "upserts", kind: "Upserts", options: client.StartWorkflowOptions{TypedSearchAttributes: someOfEach("c-8", 8, 8, true, "old"), Memo: map[string]any{"stage": 1, "gone": "soon"}}, runs: statuses{completed}},
	{name: "pending", kind: "Pending", options: client.StartWorkflowOptions{
		Priority: sdk.Priority{PriorityKey: 2}, TypedSearchAttributes: someOfEach("c-9", 9, 9, false, "late", "late"),
		StaticSummary: "all that can be under way", StaticDetails: "in one run",
	}, play: func(p *play) {
		p.firstTask()
		p.eventually("the activity is tried again", func() bool {
			d, err := p.DescribeWorkflowExecution(p.ctx, p.id, "")
			p.check(err)
			for _, a := range d.PendingActivities {
				if a.ActivityId == "retrying" {
					return a.Attempt == 2 && a.LastFailure != nil
				}
			}
			return false
		})
		p.lastTaskOver()
	}, runs: statuses{running, running}},
	{name: "workflow task failed", kind: "Stumble", options: client.StartWorkflowOptions{TaskQueue: queue + "-patient"}, runs: statuses{completed}},
	{name: "delayed", kind: "Simple", options: client.StartWorkflowOptions{StartDelay: time.Hour, TypedSearchAttributes: attributes(due.ValueSet(moment))}, runs: statuses{running}},
	{name: "signal with start", kind: "Wait", runs: statuses{completed}},
	{name: "reset", kind: "Simple", play: func(p *play) {
		r, err := p.ResetWorkflowExecution(p.ctx, &workflowservice.ResetWorkflowExecutionRequest{
			Namespace: p.namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: p.id, RunId: p.run}, Reason: "once more", WorkflowTaskFinishEventId: 4, RequestId: "reset",
		})
		p.check(err)
		p.run = r.RunId
		p.runsAre(2)
	}, runs: statuses{completed, completed}},
	{name: "nexus", kind: "Nexus", runs: statuses{completed, completed, canceled}},
	{name: "nexus-pending", kind: "NexusPending", play: func(p *play) {
		p.eventually("two operations are scheduled", func() bool {
			n := 0
			for _, e := range p.history() {
				if e.EventType == enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED {
					n++
				}
			}
			return n == 2
		})
		p.lastTaskOver()
	}, runs: statuses{running, running}},
}

// play is a scenario that is under way.
type play struct {
	t *testing.T
	server
	ctx     context.Context //nolint:containedctx // of the test, beside which there is no other
	id, run string
}

func (p *play) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s: %v", p.id, err)
	}
}

func (p *play) eventually(what string, so func() bool) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Log(p.history())
		}
	}()
	until(p.t, p.id+": "+what, func(context.Context) (bool, error) { return so(), nil })
}

func (p *play) history() []*historypb.HistoryEvent {
	p.t.Helper()
	return p.historyOf(p.t, p.id, p.run)
}

func (p *play) eventOf(kind enumspb.EventType) {
	p.t.Helper()
	p.eventually("an event "+kind.String(), func() bool {
		return slices.ContainsFunc(p.history(), func(e *historypb.HistoryEvent) bool { return e.EventType == kind })
	})
}

// firstTask waits for the first workflow task of the run to be completed.
func (p *play) firstTask() { p.eventOf(enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) }

// firstTaskOf waits for the same of another workflow, which may not be there yet.
func (p *play) firstTaskOf(id string) {
	p.eventually("the first task of "+id, func() bool {
		if p.statusOf(id) == 0 {
			return false
		}
		return slices.ContainsFunc(p.historyOf(p.t, id, ""), func(e *historypb.HistoryEvent) bool {
			return e.EventType == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
		})
	})
}

// lastTaskOver waits for all workflow tasks to be completed.
func (p *play) lastTaskOver() {
	p.eventually("no workflow task", func() bool {
		d, err := p.DescribeWorkflowExecution(p.ctx, p.id, p.run)
		p.check(err)
		return d.PendingWorkflowTask == nil
	})
}

// statusOf is the status of a workflow's newest run; 0 where there is none.
func (p *play) statusOf(id string) enumspb.WorkflowExecutionStatus {
	d, err := p.DescribeWorkflowExecution(p.ctx, id, "")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return 0
	}
	p.check(err)
	return d.WorkflowExecutionInfo.Status
}

// runsAre waits for the workflow to have as many runs; p.run is the last then.
func (p *play) runsAre(n int) {
	p.eventually("its runs", func() bool {
		r, err := p.ListWorkflow(p.ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowId = '" + p.id + "'"})
		p.check(err)
		return len(r.Executions) >= n
	})
	d, err := p.DescribeWorkflowExecution(p.ctx, p.id, "")
	p.check(err)
	p.run = d.WorkflowExecutionInfo.Execution.RunId
}

func (p *play) pause() {
	_, err := p.WorkflowService().PauseWorkflowExecution(p.ctx, &workflowservice.PauseWorkflowExecutionRequest{
		Namespace: p.namespace, WorkflowId: p.id, Identity: "client", Reason: "to be looked at", RequestId: "pause",
	})
	p.check(err)
}

func (p *play) end(how string) { p.check(p.SignalWorkflow(p.ctx, p.id, "", "end", how)) }

// update sends an update of the name and waits for a stage; that it is rejected or
// fails is what some of them are for.
func (p *play) update(name string, stage client.WorkflowUpdateStage, args ...any) {
	h, err := p.UpdateWorkflow(p.ctx, client.UpdateWorkflowOptions{
		WorkflowID: p.id, UpdateID: fmt.Sprint(name, args), UpdateName: name, Args: args, WaitForStage: stage,
	})
	p.check(err)
	if stage == client.WorkflowUpdateStageCompleted {
		_ = h.Get(p.ctx, nil)
	}
}

// start plays the scenario up to where it is to be left.
func (s scenario) start(t *testing.T, on server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o := s.options
	o.ID = s.name
	if o.TaskQueue == "" {
		o.TaskQueue = queue
	}
	p := &play{t: t, server: on, ctx: ctx, id: s.name}
	var r client.WorkflowRun
	var err error
	if s.name == "signal with start" {
		r, err = on.SignalWithStartWorkflow(ctx, s.name, "end", "at once", o, s.kind, "")
	} else {
		r, err = on.ExecuteWorkflow(ctx, o, s.kind, s.args...)
	}
	p.check(err)
	p.run = r.GetRunID()
	if closed := s.runs[0]; closed != running && closed != paused && s.play == nil {
		_ = r.GetWithOptions(ctx, nil, client.WorkflowRunGetOptions{DisableFollowingRuns: true}) // how it ends is compared later
	}
	if s.play == nil {
		return
	}
	if s.name == "reset" {
		_ = r.Get(ctx, nil)
	}
	s.play(p)
}
