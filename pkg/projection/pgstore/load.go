package pgstore

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

//go:embed sql/load.sql
var loadSQL string

// load reads back where the fold of workflows left off. What it does not find
// it leaves out.
func (s *Store) load(ctx context.Context, missing []events.Workflow) ([]*entry, error) {
	slots := make([]int16, len(missing))
	namespaces := make([]string, len(missing))
	ids := make([]string, len(missing))
	for i, w := range missing {
		slots[i], namespaces[i], ids[i] = int16(w.Slot()), w.Namespace, w.ID
	}
	rows, err := s.pool.Query(ctx, loadSQL, slots, namespaces, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEntry)
}

func scanEntry(r pgx.CollectableRow) (*entry, error) {
	var (
		e                     entry
		first, last, runFirst int64
		runID                 string
		hash, state           []byte
	)
	if err := r.Scan(&e.workflow.Namespace, &e.workflow.ID, &runID, &e.runs, &first, &last, &hash, &runFirst, &state); err != nil {
		return nil, err
	}
	e.runID, e.firstSequence, e.lastSequence = events.RunID(runID), uint64(first), uint64(last)
	copy(e.lastHash[:], hash)
	if state != nil {
		e.open = &run{state: new(execution.State), firstSequence: uint64(runFirst), lastSequence: uint64(last)}
		if err := e.open.state.UnmarshalBinary(state); err != nil {
			return nil, err
		}
	}
	return &e, nil
}
