package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

const (
	// looks lie between two looks at where the projector stands.
	looks = 20 * time.Millisecond
	// rounds bounds how often the end of the log is taken anew while tables have
	// no indexes, each time that it has moved away by a tenth.
	rounds = 5
)

// fill brings the tables, which have no indexes yet, to about the end of the log.
func (r *rebuild) fill(ctx context.Context) error {
	began := time.Now()
	defer func() { r.done.Filling += time.Since(began) }()
	delays := backoff.NewExponentialBackOff(backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	for round := 0; round < rounds; {
		near, err := r.fillOnce(ctx)
		switch {
		case err == nil && near:
			return nil
		case err == nil:
			round++
			delays.Reset()
		case !errors.Is(err, events.ErrUnavailable):
			return err
		default: // the log is away
			if err := r.passing(ctx, err); err != nil {
				return err
			}
			select {
			case <-time.After(delays.NextBackOff()):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// fillOnce brings the tables to where the log ends now, and says whether that is
// about its end still.
func (r *rebuild) fillOnce(ctx context.Context) (near bool, err error) {
	ends, err := r.ends(ctx)
	if err != nil {
		return false, err
	}
	err = r.project(ctx, RebuildFilling, (*projection.Projector).CatchUp, func(ctx context.Context, at []projection.PartitionStatus) (bool, error) {
		return r.reached(ctx, at, ends)
	})
	if err != nil {
		return false, err
	}
	now, err := r.ends(ctx)
	if err != nil {
		return false, err
	}
	return total(now)-total(ends) <= total(ends)/10, nil
}

// ends are where the partitions of the log end.
func (r *rebuild) ends(ctx context.Context) ([]uint64, error) {
	ends := make([]uint64, r.source.Identity().Map.Partitions())
	for i := range ends {
		b, err := r.source.Bounds(ctx, events.Partition(i))
		if err != nil {
			return nil, fmt.Errorf("find the end of partition %d: %w", i, err)
		}
		ends[i] = b.Last
	}
	return ends, nil
}

func total(ends []uint64) (sum uint64) {
	for _, n := range ends {
		sum += n
	}
	return sum
}

// reached reports whether all partitions are at these ends, or have stopped where
// the live tables do not go on either.
func (r *rebuild) reached(ctx context.Context, at []projection.PartitionStatus, ends []uint64) (bool, error) {
	var stopped []int
	for i, s := range at {
		switch {
		case s.Phase == projection.PhaseStopped:
			stopped = append(stopped, i)
		case s.Checkpoint.Sequence < ends[i]:
			return false, nil
		}
	}
	if len(stopped) == 0 {
		return true, nil
	}
	if err := r.stillBuilding(ctx); err != nil {
		return false, err
	}
	wanted, err := r.wanted(ctx)
	if err != nil {
		return false, err
	}
	for _, i := range stopped {
		if err := r.stuck(at[i], wanted[i]); err != nil {
			return false, err
		}
	}
	return true, nil
}

// stuck is why a partition that has stopped cannot become as far as is wanted; nil
// if it is.
func (r *rebuild) stuck(s projection.PartitionStatus, wanted uint64) error {
	if (errors.Is(s.Err, projection.ErrCannotApply) || errors.Is(s.Err, projection.ErrTooManyQuarantined)) && s.Checkpoint.Sequence >= wanted {
		return nil
	}
	if errors.Is(s.Err, events.ErrWrongLog) || errors.Is(s.Err, projection.ErrWrongCheckpoint) {
		return s.Err // called again, it begins again
	}
	return &StuckError{Partition: s.Checkpoint.Partition, At: s.Checkpoint.Sequence, Wanted: wanted, Cause: s.Err}
}

// wanted is how far the new tables must be at least, by partition.
func (r *rebuild) wanted(ctx context.Context) ([]uint64, error) {
	wanted, err := r.ends(ctx)
	if err != nil || r.live.Generation == 0 {
		return wanted, err
	}
	list, err := r.At(r.live.Generation).CheckpointsIn(ctx, r.pool)
	if err != nil {
		return nil, err
	}
	for i := range wanted {
		if !r.misfit[events.Partition(i)] {
			wanted[i] = 0
		}
	}
	for _, c := range list {
		if int(c.Partition) < len(wanted) && !r.misfit[c.Partition] {
			wanted[c.Partition] = c.Sequence
		}
	}
	return wanted, nil
}

// stillBuilding fails with ErrCanceled if somebody has dropped the generation; who
// is about to is waited for.
func (r *rebuild) stillBuilding(ctx context.Context) error {
	tag, err := r.pool.Exec(ctx, `SELECT FROM annals.generations WHERE projection = $1 AND generation = $2 AND state = 'building' FOR KEY SHARE`, r.definition.Name, r.at.Generation)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrCanceled
	}
	return err
}

// project runs a projector on the new tables until a look at where it stands says
// that this is enough, or fails.
func (r *rebuild) project(ctx context.Context, phase RebuildPhase, run func(*projection.Projector, context.Context) error, enough func(context.Context, []projection.PartitionStatus) (bool, error)) (err error) {
	p, err := projection.New(r.source, r.target(r.At(r.at.Generation)), r.o.Projector)
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	var end error // why it has ended
	go func() {
		defer close(ended)
		end = run(p, running)
	}()
	defer func() {
		cancel()
		<-ended
		r.done.Commits = 0
		for _, s := range p.Status() {
			r.done.Commits += s.Checkpoint.Sequence
			r.done.Events += s.Events
		}
	}()
	w := r.watch(phase)
	tick := time.NewTicker(looks)
	defer tick.Stop()
	for {
		over := false
		select {
		case <-ended:
			over = true
		default:
		}
		at := p.Status()
		if err := w.look(ctx, at); err != nil {
			return err
		}
		if there, err := enough(ctx, at); err != nil || there {
			return err
		}
		// Partitions that stop say so themselves; this is what stopped all of them, or
		// kept them from beginning.
		if over && end != nil && ctx.Err() == nil && !slices.ContainsFunc(at, isStopped) {
			return end
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func isStopped(s projection.PartitionStatus) bool { return s.Phase == projection.PhaseStopped }

// watching tells how a phase goes on.
type watching struct {
	*rebuild
	phase   RebuildPhase
	began   time.Time
	told    time.Time
	checked time.Time
	ends    []uint64
}

func (r *rebuild) watch(phase RebuildPhase) *watching {
	return &watching{rebuild: r, phase: phase, began: time.Now()}
}

// Between two reports, and between two looks at the log's end and the generation.
const (
	reports = 200 * time.Millisecond
	checks  = 2 * time.Second
)

// look reports where the projector stands, and fails if the generation is gone.
func (w *watching) look(ctx context.Context, at []projection.PartitionStatus) error {
	now := time.Now()
	if now.Sub(w.told) < reports {
		return nil
	}
	w.told = now
	if now.Sub(w.checked) >= checks {
		w.checked = now
		if err := w.stillBuilding(ctx); errors.Is(err, ErrCanceled) {
			return err
		} else if err != nil {
			w.o.Logger.Warn("the database does not say how the rebuild stands", slog.Any("error", err))
		}
		if ends, err := w.rebuild.ends(ctx); err == nil {
			w.ends = ends
		}
	}
	v := RebuildProgress{Projection: w.definition.Name, Generation: w.rebuild.at.Generation, Phase: w.phase, Total: total(w.ends), Left: -1}
	known := true
	var written uint64 // commits, by this phase
	for _, s := range at {
		known = known && s.Phase != projection.PhaseStarting
		v.Commits += s.Checkpoint.Sequence
		v.Events += s.Events
		written += s.Commits
	}
	took := now.Sub(w.began).Seconds()
	if took > 0 {
		v.Rate = float64(v.Events) / took
	}
	if known && written > 0 && v.Total >= v.Commits {
		v.Left = time.Duration(float64(v.Total-v.Commits) / (float64(written) / took) * float64(time.Second))
	}
	v.Events += w.done.Events
	w.o.Progress(v)
	return nil
}

// makeIndexes makes the indexes, and says durably that they are there.
func (r *rebuild) makeIndexes(ctx context.Context) error {
	began := time.Now()
	defer func() { r.done.Indexing += time.Since(began) }()
	v := RebuildProgress{Projection: r.definition.Name, Generation: r.at.Generation, Phase: RebuildIndexing, Commits: r.done.Commits, Total: r.done.Commits, Events: r.done.Events, Left: -1}
	r.o.Progress(v)
	if err := r.buildIndexes(ctx, v); err != nil {
		if gone := r.stillBuilding(ctx); errors.Is(gone, ErrCanceled) {
			return gone
		}
		return err
	}
	tag, err := r.pool.Exec(ctx, `UPDATE annals.generations SET indexed_at = clock_timestamp() WHERE projection = $1 AND generation = $2 AND state = 'building'`, r.definition.Name, r.at.Generation)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrCanceled
	}
	if err != nil {
		return err
	}
	r.at.Indexed = true
	return nil
}

// buildIndexes makes the indexes that are not there, and counts the rows.
func (r *rebuild) buildIndexes(ctx context.Context, v RebuildProgress) error {
	return r.BuildIndexes(ctx, r.at.Generation, r.o.ParallelIndexes, func(i IndexProgress) {
		v.Index, v.Indexes, v.IndexesTotal = i.Name, i.Done, i.Total
		r.o.Progress(v)
	})
}
