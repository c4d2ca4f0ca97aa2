package logstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

// SaveExecution is store.Writer's.
func (s *Store) SaveExecution(ctx context.Context, n store.NewExecution) (events.Result, error) {
	if err := n.Validate(); err != nil {
		return events.Result{}, err
	}
	start := startEvent(n)
	if err := events.ValueError(start); err != nil {
		return events.Result{}, err
	}
	res, err := s.append(ctx, events.Request{
		Workflow: n.Workflow, CommitID: n.CommitID,
		Events: append([]*events.Event{start}, n.Events...),
	})
	return res, shifted(err, 1, "input")
}

// startEvent is the event that begins the run. It names its workflow and run, as
// Temporal's do: an exported history says whose it is. A request's run id would
// not do: it is that of the last run of its commit, and the events that follow
// may begin another.
func startEvent(n store.NewExecution) *events.Event {
	e := events.WorkflowStarted(n.Type, n.TaskQueue, n.Input...)
	a := e.GetWorkflowExecutionStartedEventAttributes()
	a.WorkflowExecutionTimeout = duration(n.ExecutionTimeout)
	a.WorkflowRunTimeout = duration(n.RunTimeout)
	a.WorkflowTaskTimeout = duration(n.TaskTimeout)
	a.Identity = n.Identity
	a.WorkflowId, a.OriginalExecutionRunId = n.Workflow.ID, string(n.RunID)
	a.Memo = memo(n.Tags)
	return at(n.StartedAt, e)
}

// at gives an event a time, unless that is zero: then the log does.
func at(t time.Time, e *events.Event) *events.Event {
	if !t.IsZero() {
		e.EventTime = timestamppb.New(t)
	}
	return e
}

func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func memo(tags map[string]string) *commonpb.Memo {
	if len(tags) == 0 {
		return nil
	}
	return &commonpb.Memo{Fields: TagFields(tags)}
}

// shifted names the caller's events in an error about a commit that has some of
// the store's before them. An error about one of those names the field of it
// that is wrong, else own.
func shifted(err error, before int, own string) error {
	var e *events.InvalidError
	if !errors.As(err, &e) {
		return err
	}
	var i int
	if n, scanErr := fmt.Sscanf(e.Field, "events[%d]", &i); n != 1 || scanErr != nil {
		return err
	}
	_, rest, _ := strings.Cut(e.Field, "]")
	switch {
	case i >= before:
		return &events.InvalidError{Field: fmt.Sprintf("events[%d]%s", i-before, rest), Reason: e.Reason}
	case rest == "":
		return &events.InvalidError{Field: own, Reason: e.Reason}
	default:
		return &events.InvalidError{Field: strings.TrimPrefix(rest, "."), Reason: e.Reason}
	}
}
