package postgres

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

var (
	//go:embed sql/checkpoint_read.sql
	checkpointReadSQL string
	//go:embed sql/checkpoint_current.sql
	checkpointCurrentSQL string
	//go:embed sql/checkpoint_insert.sql
	checkpointInsertSQL string
	//go:embed sql/checkpoint_move.sql
	checkpointMoveSQL string
	//go:embed sql/checkpoints.sql
	checkpointsSQL string
)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Checkpoint is projection.Target's: that of the live generation, or of the one
// that the projection is at. One that is not there is made, at sequence 0 of
// this log. It fails with projection.ErrFenced if the generation was replaced
// meanwhile.
func (p *Projection) Checkpoint(ctx context.Context, id events.Identity, n events.Partition) (projection.Checkpoint, error) {
	generation, err := p.fitting(ctx)
	if err != nil {
		return projection.Checkpoint{}, err
	}
	if _, err := p.pool.Exec(ctx, checkpointInsertSQL, p.definition.Name, generation, int16(n), id.LogID, int64(id.Epoch)); err != nil {
		return projection.Checkpoint{}, err
	}
	rows, err := p.pool.Query(ctx, checkpointCurrentSQL, p.definition.Name, generation, int16(n))
	if err != nil {
		return projection.Checkpoint{}, err
	}
	c, err := pgx.CollectExactlyOneRow(rows, ScanCheckpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		err = projection.ErrFenced
	}
	return c, err
}

// Checkpoints are those of all partitions that have one, in order.
func (p *Projection) Checkpoints(ctx context.Context) ([]projection.Checkpoint, error) {
	return p.CheckpointsIn(ctx, p.pool)
}

// CheckpointsIn is Checkpoints as a connection or a transaction sees them.
func (p *Projection) CheckpointsIn(ctx context.Context, q Querier) ([]projection.Checkpoint, error) {
	rows, err := q.Query(ctx, checkpointsSQL, p.definition.Name, p.generation)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, ScanCheckpoint)
}

// QueueRead adds to a batch the reading of a checkpoint; ScanCheckpoint takes
// its row.
func (p *Projection) QueueRead(q *pgx.Batch, c projection.Checkpoint) *pgx.QueuedQuery {
	return q.Queue(checkpointReadSQL, p.definition.Name, c.Generation, int16(c.Partition))
}

// notMoved is the SQLSTATE of annals.moved.
const notMoved = "AN001"

// Move is a checkpoint's, from where a batch began to where it ends.
type Move struct{ From, To projection.Checkpoint }

// QueueMove adds to a batch, which is sent in a transaction, the compare-and-set
// that moves checkpoints, at least one. It comes first, and locks them, so that of two
// projectors one waits here and then finds that one has moved: the batch fails with
// projection.ErrFenced, and none of the statements behind it runs.
func (p *Projection) QueueMove(q *pgx.Batch, moves ...Move) {
	n := len(moves)
	generations, partitions, ids := make([]int32, n), make([]int16, n), make([]string, n)
	logEpochs, epochs, from, to := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	hashes, times := make([][]byte, n), make([]time.Time, n)
	for i, m := range moves {
		generations[i], partitions[i], ids[i] = int32(m.From.Generation), int16(m.From.Partition), m.From.LogID
		logEpochs[i], epochs[i], from[i], to[i] = int64(m.From.LogEpoch), m.From.Epoch, int64(m.From.Sequence), int64(m.To.Sequence)
		hashes[i], times[i] = m.To.Hash[:], m.To.Time
	}
	q.Queue(checkpointMoveSQL, p.definition.Name, generations, partitions, ids, logEpochs, epochs, from, to, hashes, times).QueryRow(func(row pgx.Row) error {
		err := row.Scan(nil)
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && pgErr.Code == notMoved {
			return projection.ErrFenced
		}
		return err
	})
}

// Moved is what a compare-and-set on one row says: projection.ErrFenced if the row was
// not as it was meant to be.
func Moved(tag pgconn.CommandTag) error {
	if tag.RowsAffected() != 1 {
		return projection.ErrFenced
	}
	return nil
}

// ScanCheckpoint reads a row of sql/checkpoint_read.sql.
func ScanCheckpoint(row pgx.CollectableRow) (projection.Checkpoint, error) {
	var (
		c         projection.Checkpoint
		partition int16
		logEpoch  int64
		sequence  int64
		hash      []byte
		at        *time.Time
	)
	if err := row.Scan(&c.Generation, &partition, &c.LogID, &logEpoch, &c.Epoch, &sequence, &hash, &at); err != nil {
		return projection.Checkpoint{}, err
	}
	c.Partition, c.LogEpoch, c.Sequence = events.Partition(partition), uint32(logEpoch), uint64(sequence)
	copy(c.Hash[:], hash)
	if at != nil {
		c.Time = at.UTC()
	}
	return c, nil
}
