package postgres

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

var (
	//go:embed sql/acknowledge.sql
	acknowledgeSQL string
	//go:embed sql/acknowledged.sql
	acknowledgedSQL string
)

// Acknowledge deletes the entry of what is no workflow's: of a gap, or of a
// subject, by the place of its first message. A rebuild does not bring it back.
// More messages of the subject are quarantined anew. It fails with
// events.ErrNotFound if there is no such entry.
func (p *Projection) Acknowledge(ctx context.Context, at events.Position) (found projection.Quarantined, err error) {
	for range healAttempts {
		if found, err = p.acknowledgeOnce(ctx, at); !errors.Is(err, errAgain) {
			break
		}
	}
	return found, err
}

func (p *Projection) acknowledgeOnce(ctx context.Context, at events.Position) (found projection.Quarantined, err error) {
	list, err := p.Checkpoints(ctx)
	if err != nil {
		return projection.Quarantined{}, err
	}
	for _, c := range list {
		if c.Partition != at.Partition {
			continue
		}
		err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) (err error) {
			found, err = p.acknowledge(ctx, tx, c, at)
			return err
		})
		return found, err
	}
	return projection.Quarantined{}, &NoEntryError{Position: at}
}

func (p *Projection) acknowledge(ctx context.Context, tx pgx.Tx, c projection.Checkpoint, at events.Position) (projection.Quarantined, error) {
	none := projection.Quarantined{}
	if err := guardTransaction(ctx, tx, idleSession); err != nil {
		return none, err
	}
	rows, err := tx.Query(ctx, checkpointLockSQL, p.definition.Name, c.Generation, int16(c.Partition))
	if err != nil {
		return none, err
	}
	c, err = pgx.CollectExactlyOneRow(rows, ScanCheckpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		return none, errAgain // the generation was dropped
	}
	if err == nil {
		err = p.stillShown(ctx, tx, c)
	}
	if err != nil {
		return none, err
	}
	if rows, err = tx.Query(ctx, asideSQL, p.definition.Name, c.Generation, int16(c.Partition)); err != nil {
		return none, err
	}
	list, err := pgx.CollectRows(rows, ScanQuarantined)
	if err != nil {
		return none, err
	}
	for _, q := range list {
		switch {
		case q.First != at.Sequence:
			continue
		case q.Workflow != (events.Workflow{}):
			return none, &NoEntryError{Position: at, Workflow: q.Workflow}
		case q.Last > c.Sequence:
			return none, &NoEntryError{Position: at, Ahead: true}
		}
		var b pgx.Batch
		b.Queue(quarantineDeleteSQL, p.definition.Name, c.Generation, int16(c.Partition), q.Subject)
		b.Queue(acknowledgeSQL, p.definition.Name, c.LogID, int64(c.LogEpoch), int16(c.Partition), q.Subject, string(q.Kind), int64(q.First), int64(q.Last))
		b.Queue(checkpointFenceSQL, p.definition.Name, c.Generation, int16(c.Partition), nil)
		return q, tx.SendBatch(ctx, &b).Close()
	}
	return none, &NoEntryError{Position: at}
}

// stillShown fails with errAgain if another generation took the place of the live one
// before its checkpoint was locked.
func (p *Projection) stillShown(ctx context.Context, tx pgx.Tx, c projection.Checkpoint) error {
	if p.generation != 0 {
		return nil
	}
	live, err := p.live(ctx, tx)
	if err == nil && live != c.Generation {
		err = errAgain
	}
	return err
}
