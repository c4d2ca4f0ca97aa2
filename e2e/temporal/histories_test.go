package temporal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"
)

// recorded is a run as Temporal has it.
type recorded struct {
	scenario string
	listed   *workflowpb.WorkflowExecutionInfo
	detail   *workflowservice.DescribeWorkflowExecutionResponse
	events   []*historypb.HistoryEvent
}

func (r *recorded) id() string {
	return r.listed.Execution.WorkflowId + "/" + r.listed.Execution.RunId
}

func (s server) historyOf(t *testing.T, id, run string) []*historypb.HistoryEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all, err := s.fetch(ctx, id, run)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (s server) fetch(ctx context.Context, id, run string) (all []*historypb.HistoryEvent, err error) {
	for it := s.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
		e, err := it.Next()
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", id, run, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// fetchAll gives the histories of the runs, in their order.
func (s server) fetchAll(t *testing.T, runs []*workflowpb.WorkflowExecutionInfo) [][]*historypb.HistoryEvent {
	t.Helper()
	all := make([][]*historypb.HistoryEvent, len(runs))
	sideBySide(t, len(runs), func(ctx context.Context, i int) (err error) {
		all[i], err = s.fetch(ctx, runs[i].Execution.WorkflowId, runs[i].Execution.RunId)
		return err
	})
	return all
}

// list lists all that a filter is true of.
func (s server) list(ctx context.Context, query string) ([]*workflowpb.WorkflowExecutionInfo, error) {
	var all []*workflowpb.WorkflowExecutionInfo
	var token []byte
	for {
		// The servers read twice for each run of a page, of which one allows 2,000 a second.
		r, err := s.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 100, NextPageToken: token})
		if err != nil {
			return nil, err
		}
		all = append(all, r.Executions...)
		if token = r.NextPageToken; len(token) == 0 {
			return all, nil
		}
	}
}

// record waits until Temporal's lists say what its executions say, and every run is
// where its scenario leaves it, and takes them all: by scenario, in the order in
// which they began.
func (s server) record(t *testing.T) map[string][]*recorded {
	t.Helper()
	var all map[string][]*recorded
	var why string
	defer func() {
		if t.Failed() {
			t.Log(why)
		}
	}()
	until(t, "Temporal's lists are up to date", func(ctx context.Context) (bool, error) {
		listed, err := s.list(ctx, "")
		if err != nil {
			return false, err
		}
		all = map[string][]*recorded{}
		for _, l := range listed {
			d, err := s.DescribeWorkflowExecution(ctx, l.Execution.WorkflowId, l.Execution.RunId)
			if err != nil {
				return false, err
			}
			if i := d.WorkflowExecutionInfo; i.Status != l.Status || d.PendingWorkflowTask != nil && i.TaskQueue != nobody && i.Status == running && l.ExecutionTime.AsTime().Before(l.StartTime.AsTime().Add(1)) ||
				!proto.Equal(i.SearchAttributes, l.SearchAttributes) || !proto.Equal(i.Memo, l.Memo) {
				why = "the list says " + l.String() + ", the execution " + i.String()
				return false, nil
			}
			name, _, _ := strings.Cut(l.Execution.WorkflowId, "/")
			all[name] = append(all[name], &recorded{scenario: name, listed: l, detail: d})
		}
		for _, scenario := range scenarios {
			runs := all[scenario.name]
			slices.SortFunc(runs, func(a, b *recorded) int {
				return cmp.Or(a.listed.StartTime.AsTime().Compare(b.listed.StartTime.AsTime()), a.listed.CloseTime.AsTime().Compare(b.listed.CloseTime.AsTime()), cmp.Compare(a.id(), b.id()))
			})
			var got statuses
			for _, r := range runs {
				got = append(got, r.listed.Status)
			}
			if !slices.Equal(got, scenario.runs) {
				why = scenario.name + ": " + strings.Join(names(got), ", ")
				return false, nil
			}
		}
		return true, nil
	})
	for _, runs := range all {
		for _, r := range runs {
			r.events = s.historyOf(t, r.listed.Execution.WorkflowId, r.listed.Execution.RunId)
		}
	}
	return all
}

func names(list statuses) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.String()
	}
	return out
}
