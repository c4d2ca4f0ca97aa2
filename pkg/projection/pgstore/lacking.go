package pgstore

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

//go:embed sql/lacking.sql
var lackingSQL string

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
	var partitions []int16
	var sequences []int64
	for _, p := range v.Positions() {
		partitions, sequences = append(partitions, int16(p.Partition)), append(sequences, int64(p.Sequence))
	}
	rows, err := q.Query(ctx, lackingSQL, Name, namespace, partitions, sequences, namedLacking)
	if err != nil {
		return nil, err
	}
	var l Lacking
	l.Workflows, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (LackingWorkflow, error) {
		var x projection.Quarantined
		var id, kind string
		var partition int16
		var first, good int64
		err := row.Scan(&id, &kind, &x.Reason, &partition, &first, &good, &x.Waiting, &x.Since, &l.Total)
		x.Kind, x.Partition, x.First, x.LastGood, x.Since = projection.Kind(kind), events.Partition(partition), uint64(first), uint64(good), x.Since.UTC()
		return LackingWorkflow{WorkflowID: id, Quarantine: *QuarantineOf(x)}, err
	})
	if err != nil || l.Total == 0 {
		return nil, err
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
