package ingest

import (
	"encoding/json"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	runs "github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// execution is a row as the API has it.
func execution(e pgstore.Execution) (*annalsv1.Execution, error) {
	x := &annalsv1.Execution{
		Namespace: e.Namespace, WorkflowId: e.WorkflowID, RunId: e.RunID, WorkflowType: e.WorkflowType,
		Status: e.Status, TaskQueue: e.TaskQueue,
		StartTime: timestamp(e.StartTime), ExecutionTime: timestamp(e.ExecutionTime),
		CloseTime: timestamp(e.CloseTime), UpdatedAt: timestamp(e.UpdatedAt),
		HistoryLength: e.HistoryLength, HistorySizeBytes: e.HistorySizeBytes, Attempt: e.Attempt, Identity: e.Identity,
		ExecutionTimeout: duration(e.ExecutionTimeout), RunTimeout: duration(e.RunTimeout), TaskTimeout: duration(e.TaskTimeout),
		CronSchedule:    e.CronSchedule,
		ParentNamespace: e.ParentNamespace, ParentWorkflowId: e.ParentWorkflowID, ParentRunId: e.ParentRunID,
		RootWorkflowId: e.RootWorkflowID, RootRunId: e.RootRunID, FirstRunId: e.FirstRunID, OriginalRunId: e.OriginalRunID,
		ContinuedFromRunId: e.ContinuedFromRunID, ContinuedToRunId: e.ContinuedToRunID, ResetFromRunId: e.ResetFromRunID,
		CancelRequested: e.CancelRequested, LastFailure: optional(e.LastFailure), LastFailureCauses: e.LastFailureCauses,
		WorkflowTaskFailures: e.WorkflowTaskFailures,
		PendingActivities:    e.PendingActivities, PendingTimers: e.PendingTimers, PendingChildren: e.PendingChildren,
		PendingNexusOperations: e.PendingNexusOperations, PendingUpdates: e.PendingUpdates, Signals: e.Signals,
		ChangeVersions: e.ChangeVersions, BuildIds: e.BuildIDs,
		UnknownEvents: e.UnknownEvents, MissingReferences: e.MissingReferences, Position: e.Position, Quarantined: e.Quarantined,
	}
	var err error
	if x.RetryPolicy, err = message[commonpb.RetryPolicy](e.RetryPolicy); err != nil {
		return nil, fmt.Errorf("retry policy of %s/%s: %w", e.Namespace, e.WorkflowID, err)
	}
	if x.Priority, err = message[commonpb.Priority](e.Priority); err != nil {
		return nil, fmt.Errorf("priority of %s/%s: %w", e.Namespace, e.WorkflowID, err)
	}
	if x.Memo, err = payloads(e.Memo); err != nil {
		return nil, fmt.Errorf("memo of %s/%s: %w", e.Namespace, e.WorkflowID, err)
	}
	if x.SearchAttributes, err = payloads(e.SearchAttributes); err != nil {
		return nil, fmt.Errorf("search attributes of %s/%s: %w", e.Namespace, e.WorkflowID, err)
	}
	x.UntypedAttributes, x.ExpirationTime, x.CloseReason = e.UntypedAttributes, timestamp(e.ExpirationTime), e.CloseReason
	x.BuildId, x.Deployment, x.VersioningBehavior, x.SdkName, x.SdkVersion = e.BuildID, e.Deployment, e.VersioningBehavior, e.SDKName, e.SDKVersion
	if e.ExecutionDuration != nil {
		x.ExecutionDuration = durationpb.New(time.Duration(*e.ExecutionDuration))
	}
	if x.SearchValues, err = message[structpb.Struct](e.SearchValues); err != nil {
		return nil, fmt.Errorf("search values of %s/%s: %w", e.Namespace, e.WorkflowID, err)
	}
	if x.Pause, err = pause(e.Pause); err != nil {
		return nil, fmt.Errorf("pause of %s/%s: %w", e.Namespace, e.WorkflowID, err)
	}
	return x, nil
}

func description(d pgstore.Description) (*annalsv1.DescribeExecutionResponse, error) {
	x, err := execution(d.Execution)
	if err != nil {
		return nil, err
	}
	answer := &annalsv1.DescribeExecutionResponse{
		Execution: x,
		Workflow:  &annalsv1.WorkflowRuns{NewestRunId: d.Workflow.NewestRunID, Runs: d.Workflow.Runs},
	}
	answer.Quarantine = quarantine(d.Quarantine)
	for i := range d.Gaps {
		answer.Gaps = append(answer.Gaps, quarantine(&d.Gaps[i]))
	}
	for _, a := range d.PendingActivities {
		beat, err := heartbeat(a.LastHeartbeat)
		if err != nil {
			return nil, fmt.Errorf("heartbeat of activity %q: %w", a.ActivityID, err)
		}
		answer.PendingActivities = append(answer.PendingActivities, &annalsv1.PendingActivity{
			ScheduledEventId: a.ScheduledEventID, ActivityId: a.ActivityID, ActivityType: a.ActivityType, TaskQueue: a.TaskQueue,
			Status: a.Status, ScheduledTime: timestamp(a.ScheduledTime), StartedEventId: a.StartedEventID, StartedTime: timestamp(a.StartedTime),
			Attempt: a.Attempt, CancelRequested: a.CancelRequested, WorkerIdentity: a.WorkerIdentity,
			ScheduleToCloseTimeout: duration(a.ScheduleToCloseTimeout), ScheduleToStartTimeout: duration(a.ScheduleToStartTimeout),
			StartToCloseTimeout: duration(a.StartToCloseTimeout), HeartbeatTimeout: duration(a.HeartbeatTimeout),
			LastFailure: optional(a.LastFailure), LastFailureCauses: a.LastFailureCauses, MaximumAttempts: a.MaximumAttempts, LastHeartbeat: beat,
		})
	}
	for _, t := range d.PendingTimers {
		answer.PendingTimers = append(answer.PendingTimers, &annalsv1.PendingTimer{
			StartedEventId: t.StartedEventID, TimerId: t.TimerID, StartedTime: timestamp(t.StartedTime), FireTime: timestamp(t.FireTime),
		})
	}
	for _, c := range d.PendingChildren {
		answer.PendingChildren = append(answer.PendingChildren, &annalsv1.PendingChild{
			InitiatedEventId: c.InitiatedEventID, Namespace: c.Namespace, WorkflowId: c.WorkflowID, RunId: c.RunID,
			WorkflowType: c.WorkflowType, TaskQueue: c.TaskQueue, ParentClosePolicy: c.ParentClosePolicy, Status: c.Status,
			InitiatedTime: timestamp(c.InitiatedTime), StartedEventId: c.StartedEventID, StartedTime: timestamp(c.StartedTime),
		})
	}
	for _, o := range d.PendingNexusOperations {
		answer.PendingNexusOperations = append(answer.PendingNexusOperations, &annalsv1.PendingNexusOperation{
			ScheduledEventId: o.ScheduledEventID, Endpoint: o.Endpoint, Service: o.Service, Operation: o.Operation, RequestId: o.RequestID,
			OperationToken: o.OperationToken, Status: o.Status, ScheduledTime: timestamp(o.ScheduledTime),
			StartedEventId: o.StartedEventID, StartedTime: timestamp(o.StartedTime),
			ScheduleToCloseTimeout: duration(o.ScheduleToCloseTimeout), ScheduleToStartTimeout: duration(o.ScheduleToStartTimeout),
			StartToCloseTimeout: duration(o.StartToCloseTimeout),
			CancelRequested:     o.CancelRequested, CancelRequestedTime: timestamp(o.CancelRequestedTime),
			CancelDelivered: o.CancelDelivered, CancelFailure: optional(o.CancelFailure),
		})
	}
	for _, u := range d.PendingUpdates {
		answer.PendingUpdates = append(answer.PendingUpdates, &annalsv1.PendingUpdate{
			EventId: u.EventID, UpdateId: u.UpdateID, UpdateName: u.UpdateName, Status: u.Status, Identity: u.Identity,
			AdmittedTime: timestamp(u.AdmittedTime), AcceptedEventId: u.AcceptedEventID, AcceptedTime: timestamp(u.AcceptedTime), RequestIds: u.RequestIDs,
		})
	}
	for _, r := range d.PendingExternalRequests {
		answer.PendingExternalRequests = append(answer.PendingExternalRequests, &annalsv1.PendingExternalRequest{
			InitiatedEventId: r.InitiatedEventID, Kind: r.Kind, Namespace: r.Namespace, WorkflowId: r.WorkflowID, RunId: r.RunID,
			SignalName: r.SignalName, Reason: r.Reason, ChildWorkflowOnly: r.ChildWorkflowOnly, InitiatedTime: timestamp(r.InitiatedTime),
		})
	}
	answer.AsOf = &annalsv1.AsOf{Position: d.AsOf.Position, Time: timestamp(d.AsOf.Time)}
	if d.Lag != nil {
		answer.Lag = &annalsv1.AnswerLag{Commits: int64(d.Lag.Commits), Age: durationpb.New(time.Duration(d.Lag.Seconds * float64(time.Second)))}
	}
	return answer, nil
}

// heartbeat is nil where there is none.
func heartbeat(h *pgstore.ActivityHeartbeat) (*annalsv1.ActivityHeartbeat, error) {
	if h == nil {
		return nil, nil
	}
	details, err := message[commonpb.Payloads](h.Details)
	if err != nil {
		return nil, err
	}
	failure, err := message[failurepb.Failure](h.Failure)
	if err != nil {
		return nil, err
	}
	return &annalsv1.ActivityHeartbeat{
		Attempt: h.Attempt, Time: timestamppb.New(h.Time), Details: details, LastFailure: failure, Identity: h.Identity,
	}, nil
}

func timestamp(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

func duration(t pgstore.Timeout) *durationpb.Duration { return durationpb.New(time.Duration(t)) }

func optional(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// message decodes a column that holds one as JSON; nil if there is none.
func message[T any, M interface {
	*T
	proto.Message
}](raw json.RawMessage) (M, error) {
	if raw == nil {
		return nil, nil
	}
	m := M(new(T))
	return m, protojson.Unmarshal(raw, m)
}

// payloads decodes a column that holds a payload for each key.
func payloads(raw json.RawMessage) (map[string]*commonpb.Payload, error) {
	if raw == nil {
		return nil, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, err
	}
	out := make(map[string]*commonpb.Payload, len(values))
	for key, value := range values {
		p := new(commonpb.Payload)
		if err := protojson.Unmarshal(value, p); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		out[key] = p
	}
	return out, nil
}

func pause(raw json.RawMessage) (*annalsv1.Pause, error) {
	if raw == nil {
		return nil, nil
	}
	var p runs.Pause
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, err
	}
	return &annalsv1.Pause{
		EventId: int64(p.EventID), Time: timestamppb.New(p.Time), Identity: p.Identity, Reason: p.Reason, RequestId: p.RequestID,
	}, nil
}

// quarantine is nil where nothing is quarantined.
func quarantine(q *pgstore.Quarantine) *annalsv1.Quarantine {
	if q == nil {
		return nil
	}
	return &annalsv1.Quarantine{
		Kind: q.Kind, Reason: q.Reason, Position: q.Position, LastGoodPosition: q.LastGoodPosition, Waiting: q.Waiting, Since: timestamp(&q.Since),
	}
}

// lacking is nil where nothing is lacking.
func lacking(l *pgstore.Lacking) *annalsv1.Lacking {
	if l == nil {
		return nil
	}
	answer := &annalsv1.Lacking{Total: l.Total}
	for _, w := range l.Workflows {
		answer.Workflows = append(answer.Workflows, &annalsv1.LackingWorkflow{WorkflowId: w.WorkflowID, Quarantine: quarantine(&w.Quarantine)})
	}
	return answer
}
