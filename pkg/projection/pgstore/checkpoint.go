package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	_ "embed"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

//go:embed sql/checkpoint_read.sql
var checkpointReadSQL string

//go:embed sql/checkpoint_insert.sql
var checkpointInsertSQL string

//go:embed sql/checkpoint_move.sql
var checkpointMoveSQL string

//go:embed sql/checkpoints.sql
var checkpointsSQL string

// Checkpoint is projection.Target's.
func (s *Store) Checkpoint(ctx context.Context, id events.Identity, p events.Partition) (projection.Checkpoint, error) {
	if err := s.CheckVersion(ctx); err != nil {
		return projection.Checkpoint{}, err
	}
	if _, err := s.pool.Exec(ctx, checkpointInsertSQL, Name, int16(p), id.LogID, int64(id.Epoch)); err != nil {
		return projection.Checkpoint{}, err
	}
	rows, err := s.pool.Query(ctx, checkpointReadSQL, Name, int16(p))
	if err != nil {
		return projection.Checkpoint{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanCheckpoint)
}

// Checkpoints are those of all partitions that have one, in order.
func (s *Store) Checkpoints(ctx context.Context) ([]projection.Checkpoint, error) {
	return checkpoints(ctx, s.pool)
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func checkpoints(ctx context.Context, q querier) ([]projection.Checkpoint, error) {
	rows, err := q.Query(ctx, checkpointsSQL, Name)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanCheckpoint)
}

func scanCheckpoint(row pgx.CollectableRow) (projection.Checkpoint, error) {
	var (
		c         projection.Checkpoint
		partition int16
		logEpoch  int64
		sequence  int64
		hash      []byte
		at        *time.Time
	)
	if err := row.Scan(&partition, &c.LogID, &logEpoch, &c.Epoch, &sequence, &hash, &at); err != nil {
		return projection.Checkpoint{}, err
	}
	c.Partition, c.LogEpoch, c.Sequence = events.Partition(partition), uint32(logEpoch), uint64(sequence)
	copy(c.Hash[:], hash)
	if at != nil {
		c.Time = at.UTC()
	}
	return c, nil
}
