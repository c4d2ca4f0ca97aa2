package pgstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

var (
	//go:embed sql/heartbeat_upsert.sql
	heartbeatUpsertSQL string
	//go:embed sql/heartbeat_checkpoint_insert.sql
	heartbeatCheckpointInsertSQL string
	//go:embed sql/heartbeat_checkpoint_read.sql
	heartbeatCheckpointReadSQL string
	//go:embed sql/heartbeat_checkpoint_move.sql
	heartbeatCheckpointMoveSQL string
	//go:embed sql/heartbeat_forget_places.sql
	heartbeatForgetPlacesSQL string
)

// HeartbeatCheckpoint is projection.HeartbeatTarget's.
func (s *Store) HeartbeatCheckpoint(ctx context.Context, id events.Identity) (projection.HeartbeatCheckpoint, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.CheckVersion(ctx); err != nil {
		return projection.HeartbeatCheckpoint{}, s.failed(ctx, err)
	}
	if _, err := s.pool.Exec(ctx, heartbeatCheckpointInsertSQL, id.LogID, int64(id.Epoch)); err != nil {
		return projection.HeartbeatCheckpoint{}, s.failed(ctx, err)
	}
	sequence, err := heartbeatCheckpoint(ctx, s.pool, id)
	return projection.HeartbeatCheckpoint{LogID: id.LogID, LogEpoch: id.Epoch, Sequence: sequence}, s.failed(ctx, err)
}

// heartbeatCheckpoint is the sequence up to which a log's heartbeats are kept; 0
// if there is no checkpoint.
func heartbeatCheckpoint(ctx context.Context, q postgres.Querier, id events.Identity) (uint64, error) {
	rows, err := q.Query(ctx, heartbeatCheckpointReadSQL, id.LogID, int64(id.Epoch))
	if err != nil {
		return 0, err
	}
	sequence, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return uint64(sequence), err
}

// HeartbeatLag is how far the tables have come with a log's heartbeats, and how
// many sequences of their stream they have not come to yet. Those that were
// replaced count, so it is the most that may be missing.
func (s *Store) HeartbeatLag(ctx context.Context, source projection.HeartbeatSource) (c projection.HeartbeatCheckpoint, behind uint64, err error) {
	id := source.Identity()
	c = projection.HeartbeatCheckpoint{LogID: id.LogID, LogEpoch: id.Epoch}
	if c.Sequence, err = heartbeatCheckpoint(ctx, s.pool, id); err != nil {
		return c, 0, fmt.Errorf("read the checkpoint of heartbeats: %w", err)
	}
	b, err := source.HeartbeatBounds(ctx)
	if err != nil {
		return c, 0, err
	}
	reached := max(c.Sequence, b.First-1) // what lies before has aged out
	return c, b.Last - min(reached, b.Last), nil
}

// WriteHeartbeats is projection.HeartbeatTarget's.
func (s *Store) WriteHeartbeats(ctx context.Context, from, to projection.HeartbeatCheckpoint, batch []events.StoredHeartbeat) error {
	args, err := heartbeatColumns(newestOf(batch))
	if err != nil {
		return refusedHeartbeats(batch, to, err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var q pgx.Batch
		queueHeartbeatMove(&q, from, to)
		if len(batch) > 0 {
			q.Queue(heartbeatUpsertSQL, append(args, to.LogID, int64(to.LogEpoch))...)
		}
		if err := tx.SendBatch(ctx, &q).Close(); err != nil {
			return err
		}
		return s.crash(beforeCommit)
	})
	if err == nil {
		err = s.crash(afterCommit)
	}
	if err = s.failed(ctx, err); postgres.Refuses(err) {
		return refusedHeartbeats(batch, to, err)
	}
	return err
}

// BeginHeartbeatsAnew is projection.HeartbeatTarget's.
func (s *Store) BeginHeartbeatsAnew(ctx context.Context, c projection.HeartbeatCheckpoint) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed(ctx, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var q pgx.Batch
		begin := c
		begin.Sequence = 0
		queueHeartbeatMove(&q, c, begin)
		q.Queue(heartbeatForgetPlacesSQL, c.LogID, int64(c.LogEpoch))
		return tx.SendBatch(ctx, &q).Close()
	}))
}

// queueHeartbeatMove is the compare-and-set, which locks the checkpoint: of two
// writers one waits here and then finds that it has moved.
func queueHeartbeatMove(q *pgx.Batch, from, to projection.HeartbeatCheckpoint) {
	q.Queue(heartbeatCheckpointMoveSQL, from.LogID, int64(from.LogEpoch), int64(from.Sequence), int64(to.Sequence)).Exec(postgres.Moved)
}

func refusedHeartbeats(batch []events.StoredHeartbeat, to projection.HeartbeatCheckpoint, cause error) error {
	e := &projection.CannotKeepError{Sequence: to.Sequence, Cause: cause}
	if len(batch) == 1 {
		e.Activity = batch[0].Activity
	}
	return e
}

// newestOf is one heartbeat an activity: a statement writes no row twice. Of two
// that are as new the later stored one is taken, as the log has it.
func newestOf(batch []events.StoredHeartbeat) []events.StoredHeartbeat {
	at := make(map[events.Activity]int, len(batch))
	newest := make([]events.StoredHeartbeat, 0, len(batch))
	for _, h := range batch {
		i, ok := at[h.Activity]
		switch {
		case !ok:
			at[h.Activity] = len(newest)
			newest = append(newest, h)
		case !newest[i].Newer(&h.Heartbeat):
			newest[i] = h
		}
	}
	return newest
}

// heartbeatRow is a heartbeat as the table holds it.
type heartbeatRow struct {
	Namespace   string    `db:"namespace"`
	WorkflowID  string    `db:"workflow_id"`
	RunID       string    `db:"run_id"`
	ActivityID  string    `db:"activity_id"`
	Attempt     int32     `db:"attempt"`
	Time        time.Time `db:"time"`
	Details     *string   `db:"details"`
	LastFailure *string   `db:"last_failure"`
	Failure     *string   `db:"failure"`
	Identity    string    `db:"identity"`
	LogID       string    `db:"log_id"`
	LogEpoch    int64     `db:"log_epoch"`
	Sequence    *int64    `db:"sequence"` // null: the stream was made anew
}

// heartbeatRowOf is the row of a heartbeat, without the log that it came from.
func heartbeatRowOf(h *events.StoredHeartbeat) (heartbeatRow, error) {
	sequence := int64(h.Sequence)
	w := h.Activity.Workflow
	r := heartbeatRow{
		Namespace: w.Namespace, WorkflowID: w.ID, RunID: string(h.Activity.RunID), ActivityID: h.Activity.ID,
		Attempt: h.Attempt, Time: h.Time, Identity: text(h.Identity), Sequence: &sequence,
	}
	if messages := execution.FailureMessages(h.LastFailure); len(messages) > 0 {
		first := text(messages[0])
		r.LastFailure = &first
	}
	details, err := message(h.Details)
	if err != nil {
		return heartbeatRow{}, err
	}
	failure, err := message(h.LastFailure)
	if err != nil {
		return heartbeatRow{}, err
	}
	r.Details, r.Failure = jsonOf(details), jsonOf(failure)
	return r, nil
}

// jsonOf is what message gives, as a text that may be null.
func jsonOf(v any) *string {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	return &s
}

// heartbeatColumns turns heartbeats into one array a column, as unnest takes them.
func heartbeatColumns(batch []events.StoredHeartbeat) ([]any, error) {
	n := len(batch)
	slots, attempts, times, sequences := make([]int16, n), make([]int32, n), make([]time.Time, n), make([]int64, n)
	namespaces, workflows, runs, activities, identities := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	details, messages, failures := make([]*string, n), make([]*string, n), make([]*string, n)
	for i := range batch {
		r, err := heartbeatRowOf(&batch[i])
		if err != nil {
			return nil, err
		}
		slots[i], namespaces[i], workflows[i], runs[i], activities[i] = int16(batch[i].Activity.Workflow.Slot()), r.Namespace, r.WorkflowID, r.RunID, r.ActivityID
		attempts[i], times[i], details[i], messages[i], failures[i], identities[i], sequences[i] = r.Attempt, r.Time, r.Details, r.LastFailure, r.Failure, r.Identity, *r.Sequence
	}
	return []any{slots, namespaces, workflows, runs, activities, attempts, times, details, messages, failures, identities, sequences}, nil
}
