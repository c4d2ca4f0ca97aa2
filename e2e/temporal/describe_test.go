package temporal

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// described is what both say of a run.
type described struct {
	Type, Status, TaskQueue string
	Start, Execution, Close string
	Length                  int64
	Parent, ParentRun       string
	Root, RootRun, First    string
	Memo, Attributes        map[string]string // as JSON
	ExecutionTimeout        time.Duration
	RunTimeout, TaskTimeout time.Duration
	Priority                int32
	Activities, Children    []string
	Nexus                   []string
	CancelRequested         bool
}

func stamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

func stampOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

func byTemporal(r *recorded) described {
	i, c := r.detail.WorkflowExecutionInfo, r.detail.ExecutionConfig
	d := described{
		Type: i.Type.Name, Status: i.Status.String(), TaskQueue: i.TaskQueue,
		Start: stamp(i.StartTime), Execution: stamp(i.ExecutionTime), Close: stamp(i.CloseTime), Length: i.HistoryLength,
		Parent: i.ParentExecution.GetWorkflowId(), ParentRun: i.ParentExecution.GetRunId(),
		Root: i.RootExecution.GetWorkflowId(), RootRun: i.RootExecution.GetRunId(), First: i.FirstRunId,
		Memo: map[string]string{}, Attributes: map[string]string{},
		ExecutionTimeout: duration(c.WorkflowExecutionTimeout), RunTimeout: duration(c.WorkflowRunTimeout), TaskTimeout: duration(c.DefaultWorkflowTaskTimeout),
		Priority: i.Priority.GetPriorityKey(), CancelRequested: r.detail.WorkflowExtendedInfo.CancelRequested,
	}
	for k, p := range i.Memo.GetFields() {
		d.Memo[k] = string(p.Data)
	}
	for k, p := range i.SearchAttributes.GetIndexedFields() {
		d.Attributes[k] = normal(p.Data)
	}
	for _, a := range r.detail.PendingActivities {
		d.Activities = append(d.Activities, pendingActivity(a.ActivityId, a.ActivityType.Name, stamp(a.ScheduledTime)))
	}
	for _, c := range r.detail.PendingChildren {
		d.Children = append(d.Children, fmt.Sprintf("%d %s %s %s", c.InitiatedId, c.WorkflowId, c.RunId, c.WorkflowTypeName))
	}
	for _, o := range r.detail.PendingNexusOperations {
		status := "Scheduled" // as often as it was tried: no event holds that
		if o.State == enumspb.PENDING_NEXUS_OPERATION_STATE_STARTED {
			status = "Started"
		}
		d.Nexus = append(d.Nexus, fmt.Sprintf("%d %s %s %s %s %s %q %s %s", o.ScheduledEventId, o.Endpoint, o.Service, o.Operation, status, stamp(o.ScheduledTime), o.OperationToken,
			duration(o.ScheduleToCloseTimeout), duration(o.StartToCloseTimeout)))
	}
	slices.Sort(d.Activities)
	slices.Sort(d.Children)
	slices.Sort(d.Nexus)
	return d
}

// pendingActivity leaves out when an activity is tried again, which is Temporal's
// scheduled time between two attempts: no event holds it.
func pendingActivity(id, kind, scheduled string) string {
	if id == "retrying" {
		scheduled = "tried again"
	}
	return id + " " + kind + " " + scheduled
}

// startOfReset is when a run that a reset began starts: for Annals as its start event
// says, for Temporal when it was reset.
func startOfReset(r *recorded, d *described) {
	for _, e := range r.events {
		if e.GetWorkflowTaskFailedEventAttributes().GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW {
			d.Start = stamp(r.events[0].EventTime)
			d.Execution = d.Start
		}
	}
}

func duration(d *durationpb.Duration) time.Duration { return d.AsDuration() }

// normal is a JSON value written one way; a time is one to the microsecond.
func normal(data []byte) string {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return string(data)
	}
	if s, ok := v.(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
			v = at.UTC().Format(time.RFC3339Nano)
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func (a annals) described(t *testing.T, r *recorded) described {
	t.Helper()
	full, err := a.tables.Describe(t.Context(), pgstore.DescribeQuery{
		Workflow: events.Workflow{Namespace: a.namespace, ID: r.listed.Execution.WorkflowId}, Run: events.RunID(r.listed.Execution.RunId),
	})
	if err != nil {
		t.Fatal(err)
	}
	e := full.Execution
	d := described{
		Type: e.WorkflowType, Status: e.Status, TaskQueue: e.TaskQueue,
		Start: stampOf(e.StartTime), Execution: stampOf(e.ExecutionTime), Close: stampOf(e.CloseTime), Length: e.HistoryLength,
		Parent: e.ParentWorkflowID, ParentRun: e.ParentRunID, Root: e.RootWorkflowID, RootRun: e.RootRunID, First: e.FirstRunID,
		Memo: map[string]string{}, Attributes: map[string]string{},
		ExecutionTimeout: time.Duration(e.ExecutionTimeout), RunTimeout: time.Duration(e.RunTimeout), TaskTimeout: time.Duration(e.TaskTimeout),
		CancelRequested: e.CancelRequested,
	}
	var memo map[string]struct{ Data []byte }
	var values map[string]json.RawMessage
	var priority struct{ PriorityKey int32 }
	for _, part := range []struct {
		from json.RawMessage
		to   any
	}{{e.Memo, &memo}, {e.SearchValues, &values}, {e.Priority, &priority}} {
		if part.from == nil {
			continue
		}
		if err := json.Unmarshal(part.from, part.to); err != nil {
			t.Fatalf("%s: %v", part.from, err)
		}
	}
	d.Priority = priority.PriorityKey
	for k, p := range memo {
		d.Memo[k] = string(p.Data)
	}
	for k, v := range values {
		d.Attributes[k] = normal(v)
	}
	for _, p := range full.PendingActivities {
		d.Activities = append(d.Activities, pendingActivity(p.ActivityID, p.ActivityType, stampOf(p.ScheduledTime)))
	}
	for _, c := range full.PendingChildren {
		d.Children = append(d.Children, fmt.Sprintf("%d %s %s %s", c.InitiatedEventID, c.WorkflowID, c.RunID, c.WorkflowType))
	}
	for _, o := range full.PendingNexusOperations {
		d.Nexus = append(d.Nexus, fmt.Sprintf("%d %s %s %s %s %s %q %s %s", o.ScheduledEventID, o.Endpoint, o.Service, o.Operation, o.Status, stampOf(o.ScheduledTime), o.OperationToken,
			time.Duration(o.ScheduleToCloseTimeout), time.Duration(o.StartToCloseTimeout)))
	}
	slices.Sort(d.Activities)
	slices.Sort(d.Children)
	slices.Sort(d.Nexus)
	return d
}

// describeAll holds what both say of each run against each other.
func (a annals) describeAll(t *testing.T, all map[string][]*recorded) {
	t.Helper()
	for _, runs := range all {
		for _, r := range runs {
			want := byTemporal(r)
			startOfReset(r, &want)
			if diff := cmp.Diff(want, a.described(t, r)); diff != "" {
				t.Errorf("%s (-Temporal +Annals):\n%s", r.id(), diff)
			}
		}
	}
}
