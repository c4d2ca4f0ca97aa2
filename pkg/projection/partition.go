package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/annals-io/annals/pkg/events"
)

// partition is the projector's work on one partition.
type partition struct {
	*Projector
	number events.Partition
	logger *slog.Logger

	// careful is the sequence up to which commits are written one by one: a
	// batch up to there could not be applied, and all before the commit that is
	// to blame shall be.
	careful uint64
	// voided are the messages that are passed over, by their subject: a void
	// behind them covers them.
	voided map[string][]stretch
	// holding is the lease that it works under; nil: it shares with nobody.
	holding *Holding
	// catchingUp: it ends at until.
	catchingUp bool
	until      uint64

	guarded[PartitionStatus]
}

func newPartition(p *Projector, n events.Partition) *partition {
	part := &partition{Projector: p, number: n, logger: p.config.Logger.With(slog.Int("partition", int(n))), voided: map[string][]stretch{}}
	part.state = PartitionStatus{Phase: PhaseStarting, Checkpoint: Checkpoint{Partition: n}}
	return part
}

// run projects until the context ends (nil) or the partition must stop.
func (p *partition) run(ctx context.Context) error {
	delays := newDelays(p.config.MaxBackoff)
	for {
		before := p.status().Batches
		err := p.project(ctx)
		if ctx.Err() != nil || p.holding.isHandedOver() || errors.Is(err, errCaughtUp) {
			return nil
		}
		if p.status().Batches != before {
			delays.Reset()
		}
		if errors.Is(err, ErrCannotApply) {
			void, unsure := p.isVoid(ctx, err)
			if void {
				continue
			}
			if unsure != nil {
				err = unsure
			}
		}
		switch {
		case errors.Is(err, ErrCannotApply) && p.becomeCareful(err):
			continue
		case errors.Is(err, ErrFenced):
			p.logger.LogAttrs(ctx, slog.LevelInfo, "the checkpoint was moved by another; beginning again from it")
		case errors.Is(err, ErrCannotApply), errors.Is(err, ErrWrongCheckpoint), errors.Is(err, ErrVersion), errors.Is(err, events.ErrWrongLog):
			p.update(func(s *PartitionStatus) { s.Phase, s.Err = PhaseStopped, err })
			p.logger.LogAttrs(ctx, slog.LevelError, "the partition has stopped: nothing after its checkpoint is projected", append(place(err), slog.Any("error", err))...)
			return fmt.Errorf("partition %d stopped: %w", p.number, err)
		default:
			p.logger.LogAttrs(ctx, slog.LevelWarn, "projecting was interrupted; trying again", slog.Any("error", err))
		}
		p.update(func(s *PartitionStatus) { s.Phase, s.Err = PhaseWaiting, err })
		if !delays.wait(ctx) {
			return nil
		}
	}
}

// becomeCareful reports whether writing one by one would get further than the
// batch that failed did.
func (p *partition) becomeCareful(err error) bool {
	var bad *CannotApplyError
	if !errors.As(err, &bad) || bad.Position.Sequence <= p.careful || bad.Position.Sequence == p.status().Checkpoint.Sequence+1 {
		return false
	}
	p.careful = bad.Position.Sequence
	p.logger.LogAttrs(context.Background(), slog.LevelWarn, "a batch cannot be applied; going on commit by commit to the one that is to blame", append(place(err), slog.Any("error", err))...)
	return true
}

// place is where a commit that cannot be applied lies, for the log.
func place(err error) []slog.Attr {
	var bad *CannotApplyError
	if !errors.As(err, &bad) {
		return nil
	}
	attrs := []slog.Attr{slog.String("position", bad.Position.String())}
	if bad.Workflow != (events.Workflow{}) {
		attrs = append(attrs, slog.String("namespace", bad.Workflow.Namespace), slog.String("workflow", bad.Workflow.ID))
	}
	return attrs
}

// project follows the log from the checkpoint until something fails. Three
// goroutines form a pipeline, so that the next batch is decoded and folded
// while one is being written.
func (p *partition) project(ctx context.Context) error {
	c, err := p.target.Checkpoint(ctx, p.source.Identity(), p.number)
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	if err := p.holding.confirm(ctx); err != nil {
		return err
	}
	p.update(func(s *PartitionStatus) { s.Checkpoint = c })
	if err := Check(ctx, p.source, c); err != nil {
		return err
	}
	p.update(func(s *PartitionStatus) { s.Phase, s.Err = PhaseFollowing, nil })
	if p.catchingUp && c.Sequence >= p.until {
		return errCaughtUp
	}

	w := &pipeline{
		partition: p, folder: p.target.Folder(c), after: c.Sequence,
		decoded: make(chan sized, 1024), folded: make(chan folded), idle: make(chan struct{}, 1),
		buffer: semaphore.NewWeighted(int64(p.config.BufferBytes)),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.read(ctx) })
	g.Go(func() error { return w.fold(ctx) })
	g.Go(func() error { return w.write(ctx) })
	return g.Wait()
}

// pipeline is one run from a checkpoint: read and decode, fold, write.
type pipeline struct {
	*partition
	folder  Folder
	after   uint64
	decoded chan sized
	folded  chan folded
	idle    chan struct{}       // holds one while nothing is being written
	buffer  *semaphore.Weighted // bytes read and not yet written
}

// sized is a commit with what it takes of the buffer, or the error that ends
// the reading: errors travel behind the commits before them, so that those are
// written.
type sized struct {
	Commit
	bytes int64
	full  bool // no commit: the buffer has no room for the next one
	err   error
}

type folded struct {
	batch   Batch
	commits int
	events  int
	bytes   int64
	err     error
}

// send puts v on c unless the context ends first.
func send[T any](ctx context.Context, c chan<- T, v T) error {
	select {
	case c <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *pipeline) read(ctx context.Context) error {
	last := w.after
	for m, err := range w.source.Follow(ctx, w.number, events.FollowOptions{After: w.after, Until: w.until}) {
		if err != nil {
			return send(ctx, w.decoded, sized{err: fmt.Errorf("follow the log: %w", err)})
		}
		if m.Position.Sequence != last+1 {
			return send(ctx, w.decoded, sized{err: &CannotApplyError{
				Position: m.Position, Cause: fmt.Errorf("the log goes on with sequence %d after %d: what was between is gone", m.Position.Sequence, last),
			}})
		}
		last = m.Position.Sequence
		if w.passes(m) {
			continue
		}
		c, err := Decode(m)
		if err != nil {
			return send(ctx, w.decoded, sized{err: err})
		}
		n := int64(len(m.Body)) + 1024
		if c.Base != nil {
			if err := Complete(ctx, w.source, &c); err != nil {
				return send(ctx, w.decoded, sized{err: err})
			}
			n += c.Run.Size
		}
		n = min(n, int64(w.config.BufferBytes))
		if err := w.reserve(ctx, n); err != nil {
			return err
		}
		if err := send(ctx, w.decoded, sized{Commit: c, bytes: n}); err != nil {
			return err
		}
	}
	end := errors.New("following the log ended")
	if w.catchingUp {
		end = errCaughtUp
	}
	return send(ctx, w.decoded, sized{err: end})
}

// reserve waits until the buffer has room. To catch up batches are written when
// they are full; one that leaves no room is as full as it can be.
func (w *pipeline) reserve(ctx context.Context, n int64) error {
	if w.buffer.TryAcquire(n) {
		return nil
	}
	if w.catchingUp {
		if err := send(ctx, w.decoded, sized{full: true}); err != nil {
			return err
		}
	}
	return w.buffer.Acquire(ctx, n)
}

// fold takes what has been read, at least one commit, and folds it together.
func (w *pipeline) fold(ctx context.Context) error {
	for {
		commits, f := w.collect(ctx)
		if len(commits) > 0 {
			if err := meet(ctx, w.config.Attributes, commits); err != nil {
				return send(ctx, w.folded, folded{err: fmt.Errorf("register search attributes: %w", err)})
			}
			batch, err := w.folder.Fold(ctx, commits)
			if err != nil {
				return send(ctx, w.folded, folded{err: fmt.Errorf("fold: %w", err)})
			}
			f.batch = batch
		}
		if err := send(ctx, w.folded, f); err != nil || f.err != nil {
			return err
		}
	}
}

// collect waits for a commit and takes those that are there behind it, up to
// the size of a batch; while a batch is being written, or to catch up, it waits for
// more. What it returns has commits, or an error, or both.
func (w *pipeline) collect(ctx context.Context) (commits []Commit, f folded) {
	idle := w.idle
	if w.catchingUp {
		idle = nil
	}
	take := func(s sized) bool {
		if f.err = s.err; f.err != nil {
			return false
		}
		if s.full {
			return len(commits) == 0 // what takes the room is being written
		}
		commits = append(commits, s.Commit)
		f.commits++
		f.events += s.Count()
		f.bytes += s.bytes
		return s.Position.Sequence > w.careful && f.commits < w.config.BatchCommits && f.bytes < int64(w.config.BatchBytes)
	}
	select {
	case s := <-w.decoded:
		if !take(s) {
			return commits, f
		}
	case <-ctx.Done():
		f.err = context.Cause(ctx)
		return nil, f
	}
	for {
		select {
		case s := <-w.decoded:
			if !take(s) {
				return commits, f
			}
			continue
		default:
		}
		select {
		case s := <-w.decoded:
			if !take(s) {
				return commits, f
			}
		case <-idle:
			return commits, f
		case <-ctx.Done():
			f.err = context.Cause(ctx)
			return nil, f
		}
	}
}

func (w *pipeline) write(ctx context.Context) error {
	for {
		if w.holding.isHandedOver() {
			return errHandedOver
		}
		select {
		case w.idle <- struct{}{}:
		default:
		}
		select {
		case <-w.holding.handedOver():
			return errHandedOver
		case f := <-w.folded:
			select {
			case <-w.idle:
			default:
			}
			if f.batch != nil {
				if err := f.batch.Write(ctx); err != nil {
					return fmt.Errorf("write: %w", err)
				}
				w.buffer.Release(f.bytes)
				w.update(func(s *PartitionStatus) {
					s.Checkpoint = f.batch.Checkpoint()
					s.Batches++
					s.Commits += uint64(f.commits)
					s.Events += uint64(f.events)
				})
			}
			if f.err != nil {
				return f.err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
