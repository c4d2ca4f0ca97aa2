package logstore

import (
	"context"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/replay"
	"github.com/annals-io/annals/pkg/store"
)

// continuationEvents are the store's own events of a continuation, before those
// that the caller adds.
const continuationEvents = 2

// continuation is the end of a run after an event, and the start of the next
// one with what the caller adds. The next run's id is the one that the caller
// chose, else the given one, else a new one.
func (r *updating) continuation(ctx context.Context, last events.EventID, next events.RunID) ([]*events.Event, error) {
	ending, err := replay.State(ctx, r.log, r.u.Workflow, r.u.RunID, replay.AtEvent(last))
	if err != nil {
		return nil, err
	}
	var n store.NewExecution
	if r.u.Next != nil {
		n = *r.u.Next
	}
	switch {
	case n.RunID != "":
	case next != "":
		n.RunID = next
	default:
		n.RunID = events.RunID(uuid.Must(uuid.NewV7()).String())
	}
	n.Workflow = r.u.Workflow
	inherit(&n, ending)
	if n.StartedAt.IsZero() {
		n.StartedAt = r.u.At
	}

	start := startEvent(n)
	if err := events.ValueError(start); err != nil {
		return nil, r.named(err)
	}
	a := start.GetWorkflowExecutionStartedEventAttributes()
	a.ContinuedExecutionRunId = string(ending.RunID)
	a.FirstExecutionRunId = string(Describe(ending).FirstRunID)
	a.Initiator = enumspb.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
	if n.Tags == nil {
		a.Memo, a.SearchAttributes = inherited(ending)
	}

	end := at(r.u.At, events.ContinuedAsNew(n.Type, n.TaskQueue))
	b := end.GetWorkflowExecutionContinuedAsNewEventAttributes()
	b.NewExecutionRunId = string(n.RunID)
	b.Input = a.Input
	b.WorkflowRunTimeout, b.WorkflowTaskTimeout = a.WorkflowRunTimeout, a.WorkflowTaskTimeout
	b.Memo, b.SearchAttributes = a.Memo, a.SearchAttributes
	return append([]*events.Event{end, start}, n.Events...), nil
}

// inherit fills in what the next run has from the one that ends.
func inherit(n *store.NewExecution, ending *execution.State) {
	if n.Type == "" {
		n.Type = ending.Type
	}
	if n.TaskQueue == "" {
		n.TaskQueue = ending.TaskQueue
	}
	if n.ExecutionTimeout == 0 {
		n.ExecutionTimeout = ending.ExecutionTimeout
	}
	if n.RunTimeout == 0 {
		n.RunTimeout = ending.RunTimeout
	}
	if n.TaskTimeout == 0 {
		n.TaskTimeout = ending.TaskTimeout
	}
}

func inherited(ending *execution.State) (*commonpb.Memo, *commonpb.SearchAttributes) {
	var m *commonpb.Memo
	var a *commonpb.SearchAttributes
	if len(ending.Memo) > 0 {
		m = &commonpb.Memo{Fields: ending.Memo}
	}
	if len(ending.SearchAttributes) > 0 {
		a = &commonpb.SearchAttributes{IndexedFields: ending.SearchAttributes}
	}
	return m, a
}

// recognise says whether the commit that has the update's commit id is the
// update itself. The log compares requests; those of a continuation differ at
// each attempt, by what they take from the run and by the next run's id.
func (r *updating) recognise(ctx context.Context, reused *events.CommitIDReusedError) (*events.Result, error) {
	if r.u.To != enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW {
		return nil, reused
	}
	m, err := r.log.Message(ctx, reused.Position)
	if err != nil {
		return nil, err
	}
	c, err := events.Decode(m)
	if err != nil {
		return nil, err
	}
	segments, err := c.Segments()
	if err != nil {
		return nil, err
	}
	ended := c.Closed
	if ended == nil || ended.Opens() || r.u.RunID != "" && r.u.RunID != ended.Run {
		return nil, reused
	}
	again := updating{Store: r.Store, u: r.u, given: true}
	again.u.RunID = ended.Run
	want, err := again.continuation(ctx, ended.First-1, c.Run.Run)
	if err != nil {
		return nil, err
	}
	var stored []*events.Event
	for _, part := range segments {
		stored = append(stored, part.Events...)
	}
	if !sameEvents(want, stored) {
		return nil, reused
	}
	return &events.Result{
		RunID: c.Run.Run, FirstEventID: c.Run.First, LastEventID: c.Run.Last, Position: c.Position, CommitID: c.ID,
		Cursor: c.Cursor(r.log.Identity()), Existed: true,
	}, nil
}

// sameEvents reports whether the events are those that were stored, but for ids
// and times that the log assigned.
func sameEvents(given, stored []*events.Event) bool {
	if len(given) != len(stored) {
		return false
	}
	for i, e := range given {
		e = proto.CloneOf(e)
		if e.GetEventId() == 0 {
			e.EventId = stored[i].GetEventId()
		}
		if e.GetEventTime() == nil {
			e.EventTime = stored[i].GetEventTime()
		}
		if !proto.Equal(e, stored[i]) {
			return false
		}
	}
	return true
}
