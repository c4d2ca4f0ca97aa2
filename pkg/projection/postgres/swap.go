package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

//go:embed sql/checkpoints_lock.sql
var checkpointsLockSQL string

const (
	// near is how many commits the new tables may lack when a swap is tried,
	// where they make up for them in half of CatchUp.
	near = 200
	// firstLockTimeout is how long the first attempts wait for readers: most are
	// done in less, and those behind stand no longer than that.
	firstLockTimeout = 50 * time.Millisecond
	// checkpointTimeout is how long the swap waits for the batch that a live
	// projector is writing.
	checkpointTimeout = 10 * time.Second
)

// follow brings the new tables as far as the live ones, and swaps them.
func (r *rebuild) follow(ctx context.Context) error {
	began := time.Now()
	defer func() { r.done.Following += time.Since(began) }()
	if err := r.haveCheckpoints(ctx); err != nil {
		return err
	}
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(500*time.Millisecond), backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	limit := min(firstLockTimeout, r.o.LockTimeout)
	var next, looked time.Time
	return r.project(ctx, RebuildFollowing, (*projection.Projector).Run, func(ctx context.Context, at []projection.PartitionStatus) (bool, error) {
		if now := time.Now(); now.Before(next) || now.Sub(looked) < 2*looks {
			return false, nil
		}
		looked = time.Now()
		wanted, err := r.wanted(ctx)
		if err != nil {
			return false, r.passing(ctx, err)
		}
		lacks := uint64(0)
		for i, s := range at {
			if s.Phase == projection.PhaseStopped {
				if err := r.stillBuilding(ctx); err != nil {
					return false, err
				}
				if err := r.stuck(s, wanted[i]); err != nil {
					return false, err
				}
			}
			if s.Checkpoint.Sequence < wanted[i] {
				lacks += wanted[i] - s.Checkpoint.Sequence
			}
		}
		if lacks > near+r.soon(at, began) {
			return false, nil
		}
		r.done.Attempts++
		err = r.attempt(ctx, wanted, limit)
		var behind *behindError
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, ErrInUse), errors.As(err, &behind):
			limit = min(limit*2, r.o.LockTimeout)
			next = time.Now().Add(delays.NextBackOff())
			r.o.Logger.Info("the swap waits; trying again", slog.String("projection", r.definition.Name), slog.Int("attempt", r.done.Attempts), slog.Any("reason", err))
			return false, nil
		default:
			next = time.Now().Add(delays.NextBackOff())
			return false, r.passing(ctx, err)
		}
	})
}

// soon is how many commits the projector writes in half of CatchUp.
func (r *rebuild) soon(at []projection.PartitionStatus, since time.Time) uint64 {
	n := uint64(0)
	for _, s := range at {
		n += s.Commits
	}
	return uint64(float64(n) * (r.o.CatchUp / 2).Seconds() / max(time.Since(since).Seconds(), 0.001))
}

// passing is nil, and logged, for what may be over in a moment: a connection that
// was lost, a server that does not answer.
func (r *rebuild) passing(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if isFinal(err) {
		return err
	}
	r.o.Logger.Warn("the rebuild was interrupted; trying again", slog.String("projection", r.definition.Name), slog.Any("error", err))
	return nil
}

// haveCheckpoints makes the checkpoints of both generations that are not there
// yet, so that nobody can make one, and move it, beside a swap.
func (r *rebuild) haveCheckpoints(ctx context.Context) error {
	id := r.source.Identity()
	var q pgx.Batch
	for i := range id.Map.Partitions() {
		for _, g := range []int{r.live.Generation, r.at.Generation} {
			if g != 0 {
				q.Queue(checkpointInsertSQL, r.definition.Name, g, int16(i), id.LogID, int64(id.Epoch))
			}
		}
	}
	return r.pool.SendBatch(ctx, &q).Close()
}

// behindError: the new tables did not come as far as the live ones in CatchUp.
type behindError struct {
	partition  events.Partition
	at, wanted uint64
	waited     time.Duration
}

func (e *behindError) Error() string {
	return fmt.Sprintf("partition %d of the new tables is at %d, the live ones are at %d, after %s", e.partition, e.at, e.wanted, e.waited.Round(time.Millisecond))
}

// attempt swaps, and finds out whether it did where that was not said.
func (r *rebuild) attempt(ctx context.Context, wanted []uint64, limit time.Duration) error {
	if err := r.reopen(ctx); err != nil {
		return err
	}
	began := time.Now()
	readers, err := r.swap(ctx, wanted, limit)
	if err == nil {
		r.done.Stood, r.done.ReadersStood = time.Since(began), readers
		return nil
	}
	var locked *lockedError
	if errors.As(err, &locked) {
		return r.inUse(ctx, locked.cause, locked.what, locked.relations)
	}
	var behind *behindError
	if errors.As(err, &behind) || errors.Is(err, ErrNotRebuildable) || errors.Is(err, ErrCanceled) {
		return err
	}
	// A connection that is lost, or given up, may have committed.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	live, asked := r.inState(asking, r.pool, "live")
	if asked == nil && live.Generation == r.at.Generation {
		return nil
	}
	return err
}

// lockedError: others held what the swap needed.
type lockedError struct {
	what      string
	relations []string
	cause     error
}

func (e *lockedError) Error() string { return e.what + ": " + e.cause.Error() }

func locked(err error, what string, relations ...string) error {
	if isLocked(err) {
		return &lockedError{what: what, relations: relations, cause: err}
	}
	return err
}

// swap makes the new generation live, in one transaction:
//
//  1. it locks the live generation's checkpoints: its projectors stand;
//  2. it waits until the new tables, which are still being filled, are as far in
//     every partition, and locks their checkpoints;
//  3. it marks the generations, raises the epochs of their checkpoints, and forgets
//     what of the new one's quarantine was acknowledged in the live one;
//  4. it replaces the views, which waits for readers, and has new ones wait, at
//     most as long as limit.
//
// A reader's transaction that has read a view holds it until its end, and so reads
// all of them from one generation. Whoever waits for a view gets a snapshot, or
// has one, after or before the commit; annals.visible tells these apart.
func (r *rebuild) swap(ctx context.Context, wanted []uint64, limit time.Duration) (readers time.Duration, err error) {
	var began time.Time
	err = pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		if err := limitLocks(ctx, tx, checkpointTimeout); err != nil {
			return err
		}
		// A process that is stopped here must not hold readers up.
		if _, err := tx.Exec(ctx, `SELECT set_config('idle_in_transaction_session_timeout', '10s', true), set_config('statement_timeout', '0', true)`); err != nil {
			return err
		}
		if err := r.lockGenerations(ctx, tx); err != nil {
			return locked(err, "the list of generations", "annals.generations")
		}
		if err := r.level(ctx, tx, wanted); err != nil {
			return locked(err, "a checkpoint", "annals.checkpoints")
		}
		if err := r.mark(ctx, tx); err != nil {
			return err
		}
		views, err := r.replacing(ctx, tx, r.live.Generation, r.at.Generation)
		if err != nil {
			return err
		}
		began = time.Now()
		return locked(r.lockViews(ctx, tx, limit, views), "a view", r.viewNames()...)
	})
	return time.Since(began), err
}

func (r *rebuild) lockGenerations(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT generation, version, state, mode, indexed_at IS NOT NULL FROM annals.generations
		WHERE projection = $1 AND (state = 'live' OR generation = $2) ORDER BY generation FOR NO KEY UPDATE`, r.definition.Name, r.at.Generation)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[numbered])
	if err != nil {
		return err
	}
	live, building := numbered{}, numbered{}
	for _, g := range list {
		switch {
		case g.Generation == r.at.Generation:
			building = g
		case g.State == "live":
			live = g
		}
	}
	switch {
	case building.State == "live":
		return errAlready
	case building.State != "building":
		return ErrCanceled
	case live.Generation != r.live.Generation:
		return &NotRebuildableError{Projection: r.definition.Name, Reason: fmt.Sprintf("generation %d was live when it began, and now it is %d", r.live.Generation, live.Generation), Advice: "begin again"}
	}
	return nil
}

// errAlready: an earlier attempt, whose reply was lost, has swapped.
var errAlready = errors.New("the generation is live already")

// level waits until the new tables are as far as the live ones, and locks the
// checkpoints of both.
func (r *rebuild) level(ctx context.Context, tx pgx.Tx, wanted []uint64) error {
	live, err := r.lockCheckpoints(ctx, tx, r.live.Generation)
	if err != nil {
		return err
	}
	id := r.source.Identity()
	for _, c := range live {
		if int(c.Partition) < len(wanted) && !r.misfit[c.Partition] {
			if c.LogID != id.LogID || c.LogEpoch != id.Epoch {
				return &NotRebuildableError{Projection: r.definition.Name, Reason: fmt.Sprintf("partition %d of the live tables is of log %s, epoch %d now, and this is %s, epoch %d", c.Partition, c.LogID, c.LogEpoch, id.LogID, id.Epoch), Advice: "begin again"}
			}
			wanted[c.Partition] = c.Sequence
		}
	}
	began := time.Now()
	for {
		rows, err := tx.Query(ctx, checkpointsSQL, r.definition.Name, r.at.Generation)
		if err != nil {
			return err
		}
		at, err := pgx.CollectRows(rows, ScanCheckpoint)
		if err != nil {
			return err
		}
		behind := r.behind(at, wanted)
		if behind == nil {
			break
		}
		if behind.waited = time.Since(began); behind.waited > r.o.CatchUp {
			return behind
		}
		select {
		case <-time.After(looks / 4):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	at, err := r.lockCheckpoints(ctx, tx, r.at.Generation)
	if err != nil {
		return err
	}
	for _, c := range at {
		if c.LogID != id.LogID || c.LogEpoch != id.Epoch {
			return fmt.Errorf("%w: partition %d of the new tables is of log %s, epoch %d", events.ErrWrongLog, c.Partition, c.LogID, c.LogEpoch)
		}
	}
	if behind := r.behind(at, wanted); behind != nil {
		return behind
	}
	return nil
}

// behind is a partition that is not as far as is wanted; nil if all are.
func (r *rebuild) behind(at []projection.Checkpoint, wanted []uint64) *behindError {
	sequences := make([]uint64, len(wanted))
	for _, c := range at {
		if int(c.Partition) < len(sequences) {
			sequences[c.Partition] = c.Sequence
		}
	}
	for i, n := range sequences {
		if n < wanted[i] {
			return &behindError{partition: events.Partition(i), at: n, wanted: wanted[i]}
		}
	}
	return nil
}

// lockCheckpoints locks those of a generation, and gives them.
func (p *Projection) lockCheckpoints(ctx context.Context, tx pgx.Tx, generation int) ([]projection.Checkpoint, error) {
	rows, err := tx.Query(ctx, checkpointsLockSQL, p.definition.Name, generation)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, ScanCheckpoint)
}

// lockViews makes the views show the new tables, and waits for all of them
// together at most as long as limit.
func (r *rebuild) lockViews(ctx context.Context, tx pgx.Tx, limit time.Duration, views replacing) error {
	deadline := time.Now().Add(limit)
	for _, view := range r.viewNames() {
		left := time.Until(deadline)
		if left <= 0 {
			left = time.Millisecond
		}
		if err := limitLocks(ctx, tx, left); err != nil {
			return err
		}
		if err := lockView(ctx, tx, view); err != nil {
			return err
		}
	}
	if err := limitLocks(ctx, tx, limit); err != nil {
		return err
	}
	return r.replaceViews(ctx, tx, views)
}

// lockView takes the lock that replacing a view takes. LOCK TABLE would take it on
// the tables that the view shows, too, where a vacuum may be at work. Giving it to
// the owner that it has changes nothing.
func lockView(ctx context.Context, tx pgx.Tx, view string) error {
	var sql string
	err := tx.QueryRow(ctx, `SELECT format('ALTER VIEW %s OWNER TO %s', $1::text, relowner::regrole) FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'v'`, view).Scan(&sql)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it is lost, and will be made
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, sql)
	return err
}

func (r *rebuild) mark(ctx context.Context, tx pgx.Tx) error {
	var q pgx.Batch
	q.Queue(`UPDATE annals.generations SET state = 'retired', retired_at = clock_timestamp() WHERE projection = $1 AND state = 'live'`, r.definition.Name)
	q.Queue(`UPDATE annals.generations SET state = 'live', live_at = clock_timestamp() WHERE projection = $1 AND generation = $2`, r.definition.Name, r.at.Generation)
	q.Queue(`UPDATE annals.checkpoints SET epoch = annals.next_epoch(epoch) WHERE projection = $1 AND generation IN ($2, $3)`, r.definition.Name, r.live.Generation, r.at.Generation)
	id := r.source.Identity()
	q.Queue(acknowledgedSQL, r.definition.Name, r.at.Generation, id.LogID, int64(id.Epoch))
	return tx.SendBatch(ctx, &q).Close()
}

// tryViews finds out, before hours of work, whether the views can be made to show
// the new tables: it does so and takes it back. Readers that are in the way are no
// reason to fail.
func (r *rebuild) tryViews(ctx context.Context) error {
	if err := r.reopen(ctx); err != nil {
		return err
	}
	errTried := errors.New("tried")
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		views, err := r.replacing(ctx, tx, r.live.Generation, r.at.Generation)
		if err != nil {
			return err
		}
		if err := r.lockViews(ctx, tx, firstLockTimeout, views); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) || isLocked(err) {
		return nil
	}
	return fmt.Errorf("have the views show the new tables: %w", err)
}
