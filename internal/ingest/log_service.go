package ingest

import (
	"context"

	"google.golang.org/protobuf/proto"

	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
)

// The events of an answer of GetHistory.
const (
	defaultHistoryLimit = 1_000
	maxHistoryLimit     = 10_000
	// maxHistoryBytes of events, in binary, unless the first alone has more: with
	// the largest event it stays under the 4 MiB that gRPC clients take.
	maxHistoryBytes = 2 << 20
)

// logService is LogService over a log.
type logService struct{ log events.Log }

// Append is LogService's.
func (s *logService) Append(ctx context.Context, r *annalsv1.AppendRequest) (*annalsv1.AppendResponse, error) {
	request, err := appendRequest(r)
	if err != nil {
		return nil, err
	}
	result, err := s.log.Append(ctx, request)
	if err != nil {
		return nil, renamed(err, appendFields(r))
	}
	return &annalsv1.AppendResponse{
		RunId: string(result.RunID), FirstEventId: int64(result.FirstEventID), LastEventId: int64(result.LastEventID),
		Position: result.Position.String(), Vector: result.Vector().String(), Existed: result.Existed, CommitId: string(result.CommitID), Warning: result.Warning,
	}, nil
}

// appendRequest is what the log is asked. What the log itself refuses is left
// to it.
func appendRequest(r *annalsv1.AppendRequest) (events.Request, error) {
	w, err := workflow(r.Workflow)
	if err != nil {
		return events.Request{}, err
	}
	request := events.Request{Workflow: w, CommitID: events.CommitID(r.CommitId), Events: r.Events}
	switch expect := r.Expect.(type) {
	case *annalsv1.AppendRequest_NewRun:
		request.Expect, request.RunID = events.NewRun(), events.RunID(expect.NewRun.RunId)
	case *annalsv1.AppendRequest_After:
		if err := events.CheckID("after.runId", expect.After.RunId, events.MaxRunIDBytes); err != nil {
			return events.Request{}, err
		}
		if expect.After.EventId < 1 {
			return events.Request{}, invalidf("after.eventId", "is %d, ids begin at 1", expect.After.EventId)
		}
		request.Expect = events.AfterEvent(events.RunID(expect.After.RunId), events.EventID(expect.After.EventId))
	case *annalsv1.AppendRequest_AtEnd:
		request.Expect = events.AtEnd()
		if run := expect.AtEnd.RunId; run != "" {
			if err := events.CheckID("atEnd.runId", run, events.MaxRunIDBytes); err != nil {
				return events.Request{}, err
			}
			request.Expect = events.AtEndOf(events.RunID(run))
		}
	case *annalsv1.AppendRequest_Expectation:
		if err := request.Expect.UnmarshalText([]byte(expect.Expectation)); err != nil {
			return events.Request{}, err
		}
		if r.CommitId == "" {
			return events.Request{}, invalidf("commitId", "is empty: an expectation goes with the commit id of the append that it comes from")
		}
	default:
		return events.Request{}, invalidf("expect", "is missing: one of newRun, after, atEnd and expectation says what the workflow is taken to be")
	}
	return request, nil
}

// appendFields are the log's names of fields that have others in the request.
func appendFields(r *annalsv1.AppendRequest) map[string]string {
	fields := map[string]string{"after": "expectation", "cursor": "expectation", "event": "after.eventId"}
	switch r.Expect.(type) {
	case *annalsv1.AppendRequest_NewRun:
		fields["runId"] = "newRun.runId"
	case *annalsv1.AppendRequest_After:
		fields["runId"], fields["after"] = "after.runId", "after"
	case *annalsv1.AppendRequest_AtEnd:
		fields["runId"] = "atEnd.runId"
	}
	return fields
}

// GetHistory is LogService's.
func (s *logService) GetHistory(ctx context.Context, r *annalsv1.GetHistoryRequest) (*annalsv1.GetHistoryResponse, error) {
	w, err := workflow(r.Workflow)
	if err != nil {
		return nil, err
	}
	options, err := s.readOptions(ctx, w, r)
	if err != nil {
		return nil, err
	}
	limit := options.Limit
	options.Limit++ // whether there are more
	answer := &annalsv1.GetHistoryResponse{RunId: string(options.Run)}
	size := 0
	for e, err := range s.log.Read(ctx, w, options) {
		if err != nil {
			return nil, renamed(err, map[string]string{"from": "fromEventId"})
		}
		size += proto.Size(e)
		if len(answer.Events) == limit || len(answer.Events) > 0 && size > maxHistoryBytes {
			answer.NextPageToken = historyToken{Run: options.Run, From: events.EventID(e.EventId)}.seal(w, r)
			break
		}
		answer.Events = append(answer.Events, e)
	}
	return answer, nil
}

// readOptions names the run, so that all pages are of one.
func (s *logService) readOptions(ctx context.Context, w events.Workflow, r *annalsv1.GetHistoryRequest) (events.ReadOptions, error) {
	o := events.ReadOptions{Run: events.RunID(r.RunId), From: events.EventID(r.FromEventId), Limit: int(r.Limit), Reverse: r.Reverse}
	switch {
	case r.FromEventId < 0:
		return o, invalidf("fromEventId", "is %d, ids begin at 1", r.FromEventId)
	case r.Limit < 0 || r.Limit > maxHistoryLimit:
		return o, invalidf("limit", "is %d, an answer has 1 to %d events", r.Limit, maxHistoryLimit)
	case r.Limit == 0:
		o.Limit = defaultHistoryLimit
	}
	if r.RunId != "" {
		if err := events.CheckID("runId", r.RunId, events.MaxRunIDBytes); err != nil {
			return o, err
		}
	}
	if r.PageToken != "" {
		t, err := openHistoryToken(w, r)
		o.Run, o.From = t.Run, t.From
		return o, err
	}
	if o.Run == "" {
		tail, err := s.log.Tail(ctx, w)
		if err != nil {
			return o, err
		}
		o.Run = tail.Run()
	}
	return o, nil
}

// RecordHeartbeat is LogService's.
func (s *logService) RecordHeartbeat(ctx context.Context, r *annalsv1.RecordHeartbeatRequest) (*annalsv1.RecordHeartbeatResponse, error) {
	w, err := workflow(r.Workflow)
	if err != nil {
		return nil, err
	}
	h := events.Heartbeat{
		Activity: events.Activity{Workflow: w, RunID: events.RunID(r.RunId), ID: r.ActivityId},
		Attempt:  r.Attempt, Details: r.Details, LastFailure: r.LastFailure, Identity: r.Identity,
	}
	if r.Time != nil {
		if err := r.Time.CheckValid(); err != nil {
			return nil, invalidf("time", "%v", err)
		}
		if h.Time = r.Time.AsTime(); events.HeartbeatTime(h.Time).IsZero() {
			return nil, invalidf("time", "is the first microsecond of the year 1, which stands for no time: leave it out, and it is assigned")
		}
	}
	newest, err := s.log.RecordHeartbeat(ctx, h)
	if err != nil {
		return nil, err
	}
	return &annalsv1.RecordHeartbeatResponse{Newest: newest}, nil
}

// defaultNamespace is the one of requests that name none.
const defaultNamespace = "default"

func namespace(name string) string {
	if name == "" {
		return defaultNamespace
	}
	return name
}

// workflow is the one that a request names.
func workflow(w *annalsv1.Workflow) (events.Workflow, error) {
	if w == nil {
		return events.Workflow{}, invalidf("workflow", "is missing")
	}
	named := events.Workflow{Namespace: namespace(w.Namespace), ID: w.WorkflowId}
	return named, renamed(named.Validate(), map[string]string{
		"namespace": "workflow.namespace", "workflowId": "workflow.workflowId",
	})
}
