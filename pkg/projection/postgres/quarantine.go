package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

var (
	//go:embed sql/aside.sql
	asideSQL string
	//go:embed sql/quarantined.sql
	quarantinedSQL string
	//go:embed sql/quarantine_insert.sql
	quarantineInsertSQL string
	//go:embed sql/quarantine_count.sql
	quarantineCountSQL string
	//go:embed sql/quarantine_delete.sql
	quarantineDeleteSQL string
	//go:embed sql/checkpoint_raise.sql
	checkpointRaiseSQL string
)

// Aside is projection.Target's.
//
// The checkpoint is read after the entries. Entries change only together with
// its epoch, so those that were read before it are not of an older one.
func (p *Projection) Aside(ctx context.Context, c projection.Checkpoint) ([]projection.Quarantined, error) {
	var list []projection.Quarantined
	var at projection.Checkpoint
	var q pgx.Batch
	q.Queue(asideSQL, p.definition.Name, c.Generation, int16(c.Partition)).Query(func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, ScanQuarantined)
		return err
	})
	p.QueueRead(&q, c).Query(func(rows pgx.Rows) (err error) {
		at, err = pgx.CollectExactlyOneRow(rows, ScanCheckpoint)
		return err
	})
	if err := p.pool.SendBatch(ctx, &q).Close(); err != nil {
		return nil, err
	}
	if at.LogID != c.LogID || at.LogEpoch != c.LogEpoch || at.Epoch != c.Epoch {
		return nil, projection.ErrFenced
	}
	return list, nil
}

// SetAside is projection.Target's.
func (p *Projection) SetAside(ctx context.Context, from projection.Checkpoint, to projection.Mark, q projection.Quarantined) error {
	if to.Sequence == 0 {
		to = projection.Mark{Sequence: from.Sequence, Hash: from.Hash, Time: from.Time}
	}
	var goodHash []byte
	if q.LastGood != 0 {
		goodHash = q.LastGoodHash[:]
	}
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, checkpointRaiseSQL, p.definition.Name, from.Generation, int16(from.Partition), from.LogID, int64(from.LogEpoch), from.Epoch,
			int64(from.Sequence), int64(to.Sequence), to.Hash[:], to.Time)
		if err != nil {
			return err
		}
		if err := Moved(tag); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, quarantineInsertSQL, p.definition.Name, from.Generation, int16(from.Partition), q.Subject, q.Workflow.Namespace, q.Workflow.ID,
			string(q.Kind), q.Reason, int64(q.First), int64(q.LastGood), goodHash, q.Waiting, int64(q.Last))
		return err
	})
}

// QueueWaiting adds to a batch, behind the move of its checkpoint, that more
// messages of quarantined subjects wait.
func (p *Projection) QueueWaiting(q *pgx.Batch, c projection.Checkpoint, list []projection.Waiting) {
	if len(list) == 0 {
		return
	}
	subjects, messages, last := make([]string, len(list)), make([]int64, len(list)), make([]int64, len(list))
	for i, w := range list {
		subjects[i], messages[i], last[i] = w.Subject, w.Messages, int64(w.Last)
	}
	q.Queue(quarantineCountSQL, p.definition.Name, c.Generation, int16(c.Partition), subjects, messages, last).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(len(list)) {
			return fmt.Errorf("%d of %d subjects are no longer quarantined: %w", int64(len(list))-tag.RowsAffected(), len(list), projection.ErrFenced)
		}
		return nil
	})
}

// QuarantineQuery says which entries are listed.
type QuarantineQuery struct {
	Workflow *events.Workflow // nil: all
	// Namespace limits it to that of workflows, and to the gaps of the log, which may
	// be any's; empty: all.
	Namespace string
	// Within limits it to what begins at or before a vector; nil: all.
	Within *events.Vector
	After  events.Position // of the last entry of the page before; zero: from the first
	Limit  int             // 0: all
}

// QuarantinePage is a part of the quarantine, by partition and place.
type QuarantinePage struct {
	Entries []projection.Quarantined
	Total   int64 // of all pages
}

// Quarantined is what is quarantined in the tables that readers see, or in those
// of the generation that the projection is at.
func (p *Projection) Quarantined(ctx context.Context, o QuarantineQuery) (QuarantinePage, error) {
	return p.QuarantinedIn(ctx, p.pool, o)
}

// QuarantinedIn is Quarantined as a connection or a transaction sees it.
func (p *Projection) QuarantinedIn(ctx context.Context, q Querier, o QuarantineQuery) (QuarantinePage, error) {
	var namespace, id *string
	if o.Workflow != nil {
		namespace, id = &o.Workflow.Namespace, &o.Workflow.ID
	}
	limit := int64(o.Limit)
	if limit == 0 {
		limit = math.MaxInt64
	}
	var partitions []int16
	var sequences []int64
	if o.Within != nil {
		partitions, sequences = []int16{}, []int64{}
		for _, at := range o.Within.Positions() {
			partitions, sequences = append(partitions, int16(at.Partition)), append(sequences, int64(at.Sequence))
		}
	}
	var of *string
	if o.Namespace != "" {
		of = &o.Namespace
	}
	rows, err := q.Query(ctx, quarantinedSQL, p.definition.Name, p.generation, namespace, id, int16(o.After.Partition), int64(o.After.Sequence), limit, partitions, sequences, of)
	if err != nil {
		return QuarantinePage{}, err
	}
	var page QuarantinePage
	page.Entries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (projection.Quarantined, error) {
		return scanEntry(row, &page.Total)
	})
	return page, err
}

// ScanQuarantined reads a row of sql/aside.sql.
func ScanQuarantined(row pgx.CollectableRow) (projection.Quarantined, error) { return scanEntry(row) }

func scanEntry(row pgx.CollectableRow, more ...any) (projection.Quarantined, error) {
	var (
		q                 projection.Quarantined
		partition         int16
		kind              string
		first, good, last int64
		hash              []byte
	)
	err := row.Scan(append([]any{
		&partition, &q.Subject, &q.Workflow.Namespace, &q.Workflow.ID, &kind, &q.Reason, &first, &good, &hash, &q.Waiting, &last, &q.Since,
	}, more...)...)
	q.Partition, q.Kind = events.Partition(partition), projection.Kind(kind)
	q.First, q.LastGood, q.Last, q.Since = uint64(first), uint64(good), uint64(last), q.Since.UTC()
	copy(q.LastGoodHash[:], hash)
	return q, err
}
