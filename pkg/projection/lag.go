package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Lag is what a projection's tables do not have of one partition: the commits
// after its checkpoint up to the partition's end. Where there are none, all of it
// is zero, however long ago the last one was.
type Lag struct {
	Partition events.Partition
	// Checkpoint is the sequence up to and including which the tables have it,
	// and End the last one that the partition had.
	Checkpoint, End uint64
	// Commits is how many sequences lie between the two.
	Commits uint64
	// Oldest is when the first of them was stored, and Age how long ago that was:
	// both by the clock of the log's server, whatever this machine's says.
	Oldest time.Time
	Age    time.Duration
	// Err is why it cannot be told: the log or the partition's end cannot be
	// asked for; ErrWrongCheckpoint, where the checkpoint is another log's; or
	// events.ErrNotFound, where the log has not got the commit that comes next:
	// then Commits is right, and Age unknown.
	Err error
}

// Lags are those of all partitions, in order.
type Lags []Lag

// Commits is how many commits the tables do not have, of the partitions where that
// can be told.
func (l Lags) Commits() (n uint64) {
	for _, x := range l {
		n += x.Commits
	}
	return n
}

// Age is how long ago the oldest commit was stored that the tables do not have;
// 0: they have everything, where that can be told.
func (l Lags) Age() (age time.Duration) {
	for _, x := range l {
		age = max(age, x.Age)
	}
	return age
}

// Err is why the lag of some partitions cannot be told.
func (l Lags) Err() error {
	errs := make([]error, len(l))
	for i, x := range l {
		errs[i] = x.Err
	}
	return errors.Join(errs...)
}

// asked is of how many partitions at a time.
const asked = 8

// LagOf is the lag of tables whose checkpoints are read by a function, in every
// partition of a log. Ends are looked up first, so what is appended and projected
// meanwhile is no lag. It fails where the checkpoints cannot be read, or the log
// is not open yet; what cannot be told of a single partition is in its Err.
func LagOf(ctx context.Context, source events.Source, checkpoints func(context.Context) ([]Checkpoint, error)) (Lags, error) {
	id := source.Identity()
	lags := make(Lags, id.Map.Partitions())
	if len(lags) == 0 {
		return nil, fmt.Errorf("lag: %w", events.ErrUnavailable)
	}
	bounds := make([]events.Bounds, len(lags))
	each(lags, func(l *Lag) { bounds[l.Partition] = l.ends(ctx, source) })
	stored, err := checkpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("lag: %w", err)
	}
	for _, c := range stored {
		if int(c.Partition) >= len(lags) {
			continue
		}
		lags[c.Partition].from(id, c)
	}
	each(lags, func(l *Lag) { l.behind(ctx, source, bounds[l.Partition]) })
	return lags, nil
}

// LagAt is the lag of tables that are at a checkpoint, in its partition.
func LagAt(ctx context.Context, source events.Source, c Checkpoint) Lag {
	l := Lag{Partition: c.Partition}
	b := l.ends(ctx, source)
	l.from(source.Identity(), c)
	l.behind(ctx, source, b)
	return l
}

// ends looks up where the partition ends.
func (l *Lag) ends(ctx context.Context, source events.Source) events.Bounds {
	b, err := source.Bounds(ctx, l.Partition)
	if err != nil {
		l.Err = fmt.Errorf("lag of partition %d: %w", l.Partition, err)
	}
	l.End = b.Last
	return b
}

// from takes the checkpoint, which must be of this log.
func (l *Lag) from(id events.Identity, c Checkpoint) {
	l.Checkpoint = c.Sequence
	if err := c.of(id); err != nil {
		l.Checkpoint, l.Err = 0, err
	}
}

// behind tells what lies between the two.
func (l *Lag) behind(ctx context.Context, source events.Source, b events.Bounds) {
	if l.Err != nil || l.End <= l.Checkpoint {
		return
	}
	l.Commits = l.End - l.Checkpoint
	next := events.Position{Partition: l.Partition, Sequence: max(l.Checkpoint+1, b.First)}
	m, err := source.Message(ctx, next)
	if err != nil {
		l.Err = fmt.Errorf("lag of partition %d: the commit that comes next, at %s: %w", l.Partition, next, err)
		return
	}
	l.Oldest, l.Age = m.Time, max(0, b.Time.Sub(m.Time))
}

// each does something for all partitions, some at a time.
func each(lags Lags, do func(*Lag)) {
	var g errgroup.Group
	g.SetLimit(asked)
	for i := range lags {
		lags[i].Partition = events.Partition(i)
		g.Go(func() error {
			do(&lags[i])
			return nil
		})
	}
	_ = g.Wait() // each keeps its own error
}

// End is the end of a log: every commit that it has now, bound to it.
func End(ctx context.Context, source events.Source) (events.Vector, error) {
	id := source.Identity()
	positions := make([]events.Position, id.Map.Partitions())
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asked)
	for i := range positions {
		g.Go(func() error {
			p := events.Partition(i)
			b, err := source.Bounds(ctx, p)
			if err != nil {
				return fmt.Errorf("find the end of partition %d: %w", p, err)
			}
			positions[i] = events.Position{Partition: p, Sequence: b.Last}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return events.Vector{}, err
	}
	return events.VectorOf(positions...).Bind(id)
}
