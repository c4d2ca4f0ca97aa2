package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// namedLacking is how many an answer names at most.
const namedLacking = 10

// Lacking is what an answer may lack though it was asked to include it
// (Include.Vector): commits that wait, since one of them could not be applied.
type Lacking struct {
	// Workflows are the first of them by their places in the log, at most 10.
	Workflows []LackingWorkflow `json:"workflows"`
	Total     int64             `json:"total"`
}

// LackingWorkflow is a quarantined workflow of the query's namespace.
type LackingWorkflow struct {
	WorkflowID string `json:"workflowId"` // empty: a gap of the log, which may be any's
	Quarantine
}

// lacking is what an answer may lack that is read by q; nil: nothing.
func (s *Store) lacking(ctx context.Context, q postgres.Querier, namespace string, v events.Vector) (*Lacking, error) {
	if v.IsZero() {
		return nil, nil
	}
	page, err := s.projection.QuarantinedIn(ctx, q, postgres.QuarantineQuery{Namespace: namespace, Within: &v, Limit: namedLacking})
	if err != nil || page.Total == 0 {
		return nil, err
	}
	l := Lacking{Total: page.Total}
	for _, x := range page.Entries {
		l.Workflows = append(l.Workflows, LackingWorkflow{WorkflowID: x.Workflow.ID, Quarantine: *QuarantineOf(x)})
	}
	return &l, nil
}

// whole fails with projection.ErrQuarantined (*QuarantinedError) if the tables
// lack commits of a workflow that the vector may hold.
func (s *Store) whole(ctx context.Context, tx pgx.Tx, w events.Workflow, v events.Vector) error {
	q, err := s.quarantined(ctx, tx, w)
	if err != nil || q == nil || v.At(q.Partition) < q.First {
		return err
	}
	return &projection.QuarantinedError{Quarantined: *q}
}
