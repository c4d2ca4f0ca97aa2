package engine

import (
	"context"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// StartOptions say how a workflow is started, beside its input.
type StartOptions struct {
	TaskQueue string
	// CommitID makes a repeated start recognisable; empty: none is.
	CommitID events.CommitID
	Identity string         // of the client
	Memo     map[string]any // shown beside the run
}

// Start opens a run of a workflow. It fails with events.ErrConflict if one is
// open, and as events.Appender does.
func Start[In, Out any](ctx context.Context, log events.Appender, w events.Workflow, kind Workflow[In, Out], in In, o StartOptions) (events.Result, error) {
	e := events.WorkflowStarted(kind.Name, o.TaskQueue, in)
	a := e.GetWorkflowExecutionStartedEventAttributes()
	if a == nil {
		return events.Result{}, events.ValueError(e)
	}
	a.Identity = o.Identity
	memo := events.MemoUpserted(o.Memo)
	if err := events.ValueError(memo); err != nil {
		return events.Result{}, err
	}
	if len(o.Memo) > 0 {
		a.Memo = memo.GetWorkflowPropertiesModifiedEventAttributes().GetUpsertedMemo()
	}
	run := uuid.Must(uuid.NewV7())
	if o.CommitID != "" {
		// Repeated, it must be the same request.
		run = uuid.NewSHA1(uuid.NameSpaceOID, []byte(w.String()+"\x00"+string(o.CommitID)))
	}
	identify(a, events.RunID(run.String()))
	return appendSettled(ctx, log, events.Request{Workflow: w, CommitID: o.CommitID, RunID: events.RunID(run.String()), Events: []*events.Event{e}})
}

// identify names the run in its start event.
func identify(a *historypb.WorkflowExecutionStartedEventAttributes, run events.RunID) {
	a.OriginalExecutionRunId = string(run)
	if a.FirstExecutionRunId == "" {
		a.FirstExecutionRunId = string(run)
	}
}

// startChild opens the run that an initiated child asks for, and says which it
// is. Everything in it derives from the parent's history, so that a start which
// an earlier worker has sent is found, not made again. It fails with
// events.ErrConflict if another run is open under the child's id.
func startChild(ctx context.Context, log events.Appender, parent *execution.State, initiated *events.Event) (events.RunID, error) {
	i := initiated.GetStartChildWorkflowExecutionInitiatedEventAttributes()
	start := events.WorkflowStarted(i.GetWorkflowType().GetName(), i.GetTaskQueue().GetName())
	a := start.GetWorkflowExecutionStartedEventAttributes()
	a.Input, a.Memo, a.SearchAttributes = i.GetInput(), i.GetMemo(), i.GetSearchAttributes()
	a.ParentWorkflowNamespace = parent.Workflow.Namespace
	a.ParentWorkflowExecution = executionOf(parent.Workflow, parent.RunID)
	a.ParentInitiatedEventId = initiated.GetEventId()
	a.RootWorkflowExecution = executionOf(parent.Workflow, parent.RunID)
	if parent.Root != nil {
		a.RootWorkflowExecution = &commonpb.WorkflowExecution{WorkflowId: parent.Root.WorkflowID, RunId: string(parent.Root.RunID)}
	}
	origin := "child " + idOf(events.EventID(initiated.GetEventId())) + " of " + string(parent.RunID)
	run := events.RunID(uuid.NewSHA1(uuid.NameSpaceOID, []byte(origin)).String())
	identify(a, run)
	res, err := appendSettled(ctx, log, events.Request{
		Workflow: events.Workflow{Namespace: i.GetNamespace(), ID: i.GetWorkflowId()},
		CommitID: events.CommitID(origin), RunID: run, Events: []*events.Event{start},
	})
	return res.RunID, err
}

// nextRun is the start of the run that a closing ContinuedAsNew asks for. It
// names the new run in both events.
func nextRun(s *execution.State, first, last *events.Event) *events.Event {
	can := last.GetWorkflowExecutionContinuedAsNewEventAttributes()
	run := events.RunID(uuid.Must(uuid.NewV7()).String())
	can.NewExecutionRunId = string(run)
	can.Memo, can.SearchAttributes = memoOf(s), searchAttributesOf(s)

	was := first.GetWorkflowExecutionStartedEventAttributes()
	start := events.WorkflowStarted(can.GetWorkflowType().GetName(), can.GetTaskQueue().GetName())
	start.Attributes = &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
		WorkflowExecutionStartedEventAttributes: proto.CloneOf(was),
	}
	a := start.GetWorkflowExecutionStartedEventAttributes()
	a.WorkflowType, a.Input = can.GetWorkflowType(), can.GetInput()
	a.Memo, a.SearchAttributes = can.Memo, can.SearchAttributes
	a.ContinuedExecutionRunId, a.Initiator = string(s.RunID), can.GetInitiator()
	identify(a, run)
	return start
}

func memoOf(s *execution.State) *commonpb.Memo {
	if len(s.Memo) == 0 {
		return nil
	}
	return &commonpb.Memo{Fields: s.Memo}
}

func searchAttributesOf(s *execution.State) *commonpb.SearchAttributes {
	if len(s.SearchAttributes) == 0 {
		return nil
	}
	return &commonpb.SearchAttributes{IndexedFields: s.SearchAttributes}
}
