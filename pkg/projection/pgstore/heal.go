package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// Heal makes the rows of a workflow anew from the log, up to the checkpoint, and
// ends its quarantine if it has one. It may run beside projectors, and for a
// workflow with which nothing is wrong: rows that were changed by hand are put
// right. See postgres.Projection.Heal for how it fails. All rows of the
// workflow are made before they are written: about 200 bytes of memory an event, and
// with EventsFull what its commits take as bytes and as JSON.
func (s *Store) Heal(ctx context.Context, log events.Log, w events.Workflow) (postgres.Healed, error) {
	registry, err := searchattribute.Load(ctx, log, 0)
	if err != nil {
		return postgres.Healed{}, err
	}
	return s.projection.Heal(ctx, log, w, func(c projection.Checkpoint) postgres.Mending { return s.mend(w, c, registry) })
}

// Acknowledge deletes the entry of what is no workflow's. See
// postgres.Projection.Acknowledge.
func (s *Store) Acknowledge(ctx context.Context, at events.Position) (projection.Quarantined, error) {
	return s.projection.Acknowledge(ctx, at)
}

// mending is the rows of one workflow in the making.
type mending struct {
	store    *Store
	workflow events.Workflow
	folder   *folder
	builder  *builder
	// events are the rows of events and of commits so far, in the form in which they
	// are sent: there may be many.
	events     []copied
	checkpoint projection.Checkpoint
}

func (s *Store) mend(w events.Workflow, c projection.Checkpoint, r *searchattribute.Registry) *mending {
	f := newFolder(c)
	f.store, f.types = s, s.typesFor(c, r)
	return &mending{store: s, workflow: w, folder: f, builder: f.builder(), checkpoint: c}
}

// Add is postgres.Mending's.
func (m *mending) Add(ctx context.Context, commits []projection.Commit) error {
	if err := m.folder.readMode(ctx); err != nil {
		return err
	}
	m.builder.mode = m.folder.mode
	for _, c := range commits {
		if err := m.folder.apply(m.builder, c); err != nil {
			return cannotApply(c, err)
		}
	}
	return m.pack()
}

// pack gives the rows of events and commits the form in which they are sent.
func (m *mending) pack() error {
	writes := m.store.statementsOf(m.checkpoint.Generation).writes
	if len(m.builder.events) > 0 {
		m.events = append(m.events, copiedEvents(writes[runEventsTable].copy, m.builder.events))
		m.builder.events = nil
	}
	if len(m.builder.commits) == 0 {
		return nil
	}
	c, err := newCopied(commitsTable, writes[commitsTable].copy, m.builder.commits)
	m.events, m.builder.commits = append(m.events, c), nil
	return err
}

// Replace is postgres.Mending's.
func (m *mending) Replace(ctx context.Context, tx pgx.Tx) error {
	if err := m.folder.readMode(ctx); err != nil { // nothing may have been added
		return err
	}
	rows, err := m.builder.rows()
	if err != nil {
		return err
	}
	numbers := make([]int64, len(m.builder.runs))
	for i, r := range m.builder.runs {
		numbers[i] = r.number
	}
	statements := m.store.statementsOf(m.checkpoint.Generation)
	if len(rows.untyped) > 0 {
		var q pgx.Batch
		queueTypingLock(&q)
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return err
		}
	}
	for _, t := range tablesOf(m.folder.mode) {
		of := []any{int16(m.workflow.Slot()), m.workflow.Namespace, m.workflow.ID}
		if t == runEventsTable {
			of = append(of, numbers)
		}
		if _, err := tx.Exec(ctx, statements.writes[t].remove, of...); err != nil {
			return err
		}
	}
	var copies []copied
	for _, t := range rows.byTable() {
		if len(t.changed) > 0 {
			return fmt.Errorf("%d rows of %s are of a workflow that has none", len(t.changed), t.name)
		}
		if len(t.added) > 0 {
			c, err := newCopied(t.table, statements.writes[t.table].copy, t.added)
			if err != nil {
				return err
			}
			copies = append(copies, c)
		}
	}
	for _, c := range append(copies, m.events...) {
		if err := c.send(ctx, tx); err != nil {
			return err
		}
	}
	return m.store.settle(ctx, tx, m.checkpoint, rows.untyped)
}
