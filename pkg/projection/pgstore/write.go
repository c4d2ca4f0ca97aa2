package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// batch is rows and the checkpoint that covers them.
type batch struct {
	store    *Store
	writes   []statement // of few rows, and of rows that are there
	copies   []copied    // of many new rows
	from, to projection.Checkpoint
	waiting  []projection.Waiting // of quarantined subjects
	only     events.Workflow      // of a batch of one commit
	untyped  map[attributeKey]bool
}

// statement writes rows of a table.
type statement struct {
	table *table
	rows  int
	sql   string
	args  []any
}

// newBatch makes of rows what is sent.
func newBatch(s *Store, rows *rowSet, from, to projection.Checkpoint) (*batch, error) {
	b := &batch{store: s, from: from, to: to}
	statements := s.statementsOf(from.Generation)
	for _, t := range rows.byTable() {
		sql := statements.writes[t.table]
		switch n := len(t.added); {
		case n >= s.many:
			c, err := newCopied(t.table, sql.copy, t.added)
			if err != nil {
				return nil, err
			}
			b.copies = append(b.copies, c)
		case n > 0:
			b.writes = append(b.writes, statement{t.table, n, sql.insert, columnsOf(t.table, t.added)})
		}
		if n := len(t.changed); n > 0 {
			b.writes = append(b.writes, statement{t.table, n, sql.update, columnsOf(t.table, t.changed)})
		}
	}
	sql := statements.writes[runEventsTable]
	switch n := len(rows.events); {
	case n >= s.many:
		b.copies = append(b.copies, copiedEvents(sql.copy, rows.events))
	case n > 0:
		b.writes = append(b.writes, statement{runEventsTable, n, sql.insert, columnsOf(runEventsTable, eventValues(rows.events))})
	}
	return b, nil
}

// Checkpoint is projection.Batch's.
func (b *batch) Checkpoint() projection.Checkpoint { return b.to }

// Write is projection.Batch's.
func (b *batch) Write(ctx context.Context) error {
	if b.mayShare() {
		return b.store.together.write(ctx, b)
	}
	return b.writeAlone(ctx)
}

// writeAlone writes the batch in a transaction of its own.
func (b *batch) writeAlone(ctx context.Context) error {
	ctx, cancel := b.store.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, b.store.pool, func(tx pgx.Tx) error {
		if err := b.send(ctx, tx); err != nil {
			return err
		}
		if err := b.store.crash(afterRows); err != nil {
			return err
		}
		for _, c := range b.copies {
			if err := c.send(ctx, tx); err != nil {
				return err
			}
		}
		if err := b.store.settle(ctx, tx, b.from, b.untyped); err != nil {
			return err
		}
		return b.store.crash(beforeCommit)
	})
	if err == nil {
		err = b.store.crash(afterCommit)
	}
	return b.judge(b.store.failed(ctx, err))
}

// manyRows is from where COPY, which takes round trips of its own, is worth it.
const manyRows = 100

// crashPoint is a place in a transaction where tests let it fail.
type crashPoint int

const (
	afterRows    crashPoint = iota // the checkpoint and some of the rows are sent
	beforeCommit                   // all is sent
	afterCommit                    // all is stored, and the reply is lost
)

// crash is what a test wants to happen here; nothing, outside tests.
func (s *Store) crash(at crashPoint) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(at)
}

// send writes everything but what is copied, in one round trip. The
// compare-and-set comes first: it locks the checkpoint, so that of two
// projectors one waits here and then finds that it has moved.
func (b *batch) send(ctx context.Context, tx pgx.Tx) error {
	var q pgx.Batch
	b.store.projection.QueueMove(&q, postgres.Move{From: b.from, To: b.to})
	b.store.projection.QueueWaiting(&q, b.from, b.waiting)
	if len(b.untyped) > 0 {
		queueTypingLock(&q)
	}
	for _, w := range b.writes {
		w.queue(&q)
	}
	return tx.SendBatch(ctx, &q).Close()
}

func (w statement) queue(q *pgx.Batch) {
	q.Queue(w.sql, w.args...).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(w.rows) {
			return fmt.Errorf("%w: %d rows of %s written instead of %d: some are not there", errUnexpected, tag.RowsAffected(), w.table.name, w.rows)
		}
		return nil
	})
}

// errUnexpected: the tables are not as the fold knows them.
var errUnexpected = errors.New("the tables are not as they were left")

// judge says whether the batch may succeed later: what Postgres says about the
// data it will say again.
func (b *batch) judge(err error) error {
	switch {
	case errors.Is(err, errUnexpected):
		return &projection.CannotApplyError{Position: b.to.Position(), Workflow: b.only, Kind: projection.KindDamaged, Cause: err}
	case postgres.Refuses(err):
		return &projection.CannotApplyError{Position: b.to.Position(), Workflow: b.only, Kind: projection.KindRefused, Cause: err}
	}
	return err
}

// columnsOf turns rows into one array a column, as unnest takes them.
func columnsOf(t *table, rows []row) []any {
	n := len(t.key) + len(t.columns)
	values := make([]any, len(rows)*n) // one allocation for all columns
	args := make([]any, n)
	for c := range n {
		column := values[c*len(rows) : (c+1)*len(rows) : (c+1)*len(rows)]
		for r := range rows {
			column[r] = rows[r][c]
		}
		args[c] = column
	}
	return args
}
