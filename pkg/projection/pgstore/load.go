package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// load reads back where the fold of workflows left off. What it does not find
// it leaves out. It fails with projection.ErrFenced if the tables may be ahead
// of last: another projector has folded further, and what it left behind is not
// what a commit after last goes on from. And if they are behind written, up to
// which they have been: a standby that lacked the last transactions was made the
// primary, and what is not there is not missing.
//
// The checkpoint is read after the rows. On one server it only ever rises, so
// rows that were read before it cannot be ahead of it.
func (s *Store) load(ctx context.Context, last projection.Checkpoint, written uint64, missing []events.Workflow) ([]*entry, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	entries, err := s.readBack(ctx, last, written, missing)
	return entries, s.failed(ctx, err)
}

func (s *Store) readBack(ctx context.Context, last projection.Checkpoint, written uint64, missing []events.Workflow) ([]*entry, error) {
	slots := make([]int16, len(missing))
	namespaces := make([]string, len(missing))
	ids := make([]string, len(missing))
	for i, w := range missing {
		slots[i], namespaces[i], ids[i] = int16(w.Slot()), w.Namespace, w.ID
	}
	var q pgx.Batch
	q.Queue(s.statementsOf(last.Generation).load, slots, namespaces, ids)
	s.projection.QueueRead(&q, last)
	results := s.pool.SendBatch(ctx, &q)
	defer func() { _ = results.Close() }()
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	stored, err := pgx.CollectRows(rows, scanStored)
	if err != nil {
		return nil, err
	}
	if rows, err = results.Query(); err != nil {
		return nil, err
	}
	at, err := pgx.CollectExactlyOneRow(rows, postgres.ScanCheckpoint)
	if err != nil {
		return nil, err
	}
	if at.LogID != last.LogID || at.LogEpoch != last.LogEpoch || at.Epoch != last.Epoch || at.Sequence > last.Sequence || at.Sequence < written {
		return nil, projection.ErrFenced
	}
	entries := make([]*entry, len(stored))
	for i, r := range stored {
		if entries[i], err = r.resume(); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// storedEntry is an entry as the tables have it.
type storedEntry struct {
	entry
	runNumber int64
	runFirst  int64
	state     []byte // nil: the newest run is closed
}

func scanStored(r pgx.CollectableRow) (storedEntry, error) {
	var (
		e           storedEntry
		first, last int64
		runID       string
		hash        []byte
	)
	if err := r.Scan(&e.workflow.Namespace, &e.workflow.ID, &runID, &e.runs, &first, &last, &hash, &e.runNumber, &e.runFirst, &e.state); err != nil {
		return storedEntry{}, err
	}
	e.runID, e.firstSequence, e.lastSequence = events.RunID(runID), uint64(first), uint64(last)
	copy(e.lastHash[:], hash)
	return e, nil
}

// resume is what the fold goes on from.
func (s *storedEntry) resume() (*entry, error) {
	if s.state == nil {
		return &s.entry, nil
	}
	s.open = &run{state: new(execution.State), number: s.runNumber, firstSequence: uint64(s.runFirst), lastSequence: s.lastSequence}
	if err := s.open.state.UnmarshalBinary(s.state); err != nil {
		return nil, &damagedError{workflow: s.workflow, cause: fmt.Errorf("the stored state of run %s: %w", s.runID, err)}
	}
	return &s.entry, nil
}

// damagedError: what the tables hold of a workflow cannot be gone on from. The
// log still has it all.
type damagedError struct {
	workflow events.Workflow
	cause    error
}

func (e *damagedError) Error() string { return e.cause.Error() }
func (e *damagedError) Unwrap() error { return e.cause }
