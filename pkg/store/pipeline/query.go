package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/temporalproto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/internal/logstore"
)

// The limits of the tables are the store's: this does not compile where they
// differ.
var (
	_ [store.DefaultLimit - pgstore.DefaultLimit]struct{} = [pgstore.DefaultLimit - store.DefaultLimit]struct{}{}
	_ [store.MaxLimit - pgstore.MaxLimit]struct{}         = [pgstore.MaxLimit - store.MaxLimit]struct{}{}
)

// Query is store.Querier's.
func (s *Store) Query(ctx context.Context, q store.Query) ([]store.Execution, error) {
	if err := q.Validate(s.log.Identity()); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("query executions: %w", err)
	}
	wanted, err := s.log.Wanted(q.After)
	if err != nil {
		return nil, err
	}
	include := pgstore.Include{Vector: wanted, Wait: s.wait}
	if wanted.IsZero() { // nobody need have begun to make tables from this log
		include = pgstore.Include{}
	}
	page, err := s.tables.List(ctx, pgstore.ListQuery{Namespace: q.Namespace, Query: filterOf(q), OrderBy: "StartTime DESC", Limit: q.Limit, Offset: q.Offset, Include: include})
	var behind *projection.BehindError
	switch {
	case errors.As(err, &behind):
		return nil, behindOf(behind)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("query executions: %w", ctx.Err())
	case err != nil:
		return nil, err
	}
	var list []store.Execution
	for _, r := range page.Executions {
		x, err := execution(r)
		if err != nil {
			return nil, fmt.Errorf("query executions: run %s of %s/%s: %w", r.RunID, r.Namespace, r.WorkflowID, err)
		}
		list = append(list, x)
	}
	return list, nil
}

// behindOf is what the tables say as the store says it.
func behindOf(behind *projection.BehindError) error {
	e := &store.BehindError{Cause: behind.Cause}
	for _, b := range behind.Behind {
		e.Behind = append(e.Behind, store.Behind{Wanted: b.Wanted, Reached: b.Checkpoint})
	}
	return behindError{e, behind}
}

// behindError is the store's error and that of the tables: it is found as either.
type behindError struct {
	*store.BehindError
	tables error
}

func (e behindError) Unwrap() []error { return []error{e.BehindError, e.tables} }

// filterOf is the query's conditions in the language of the tables.
func filterOf(q store.Query) string {
	var conditions []string
	if q.Type != "" {
		conditions = append(conditions, "WorkflowType = "+quoted(logstore.Shown(q.Type)))
	}
	if q.Status != 0 {
		conditions = append(conditions, "ExecutionStatus = "+quoted(q.Status.String()))
	}
	if !q.StartedAfter.IsZero() {
		conditions = append(conditions, "StartTime >= "+quoted(q.StartedAfter.UTC().Format(time.RFC3339Nano)))
	}
	if !q.StartedBefore.IsZero() {
		conditions = append(conditions, "StartTime < "+quoted(q.StartedBefore.UTC().Format(time.RFC3339Nano)))
	}
	return strings.Join(conditions, " AND ")
}

var escapes = strings.NewReplacer(`\`, `\\`, `'`, `''`)

// quoted is a text as the filter's language writes it.
func quoted(s string) string { return "'" + escapes.Replace(s) + "'" }

// execution is a row of the tables.
func execution(r pgstore.Execution) (store.Execution, error) {
	status, err := enumspb.WorkflowExecutionStatusFromString(r.Status)
	if err != nil {
		return store.Execution{}, err
	}
	memo, err := fields(r.Memo)
	if err != nil {
		return store.Execution{}, fmt.Errorf("memo: %w", err)
	}
	return store.Execution{
		Workflow: events.Workflow{Namespace: r.Namespace, ID: r.WorkflowID}, RunID: events.RunID(r.RunID),
		Type: r.WorkflowType, TaskQueue: r.TaskQueue, Status: status,
		StartedAt: moment(r.StartTime), ClosedAt: moment(r.CloseTime), UpdatedAt: moment(r.UpdatedAt),
		ExecutionTimeout: time.Duration(r.ExecutionTimeout), RunTimeout: time.Duration(r.RunTimeout), TaskTimeout: time.Duration(r.TaskTimeout),
		Tags: logstore.Tags(memo), HistoryLength: r.HistoryLength, HistorySizeBytes: r.HistorySizeBytes,
		FirstRunID: events.RunID(r.FirstRunID), ContinuedFromRunID: events.RunID(r.ContinuedFromRunID), ContinuedToRunID: events.RunID(r.ContinuedToRunID), Quarantined: r.Quarantined,
	}, nil
}

// fields are the payloads of a memo.
func fields(memo json.RawMessage) (map[string]*commonpb.Payload, error) {
	if len(memo) == 0 {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(memo, &raw); err != nil {
		return nil, err
	}
	out := make(map[string]*commonpb.Payload, len(raw))
	for k, v := range raw {
		var p commonpb.Payload
		if err := (temporalproto.CustomJSONUnmarshalOptions{}).Unmarshal(v, &p); err != nil {
			return nil, fmt.Errorf("%q: %w", k, err)
		}
		out[k] = &p
	}
	return out, nil
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
