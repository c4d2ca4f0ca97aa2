package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/annals-io/annals/pkg/events"
)

// partition is the projector's work on one partition.
type partition struct {
	*Projector
	number events.Partition
	logger *slog.Logger

	// careful is the sequence up to which batches have at most stride messages:
	// one up to there could not be applied. cut is that of a message that is
	// tried alone: it is to blame.
	careful uint64
	stride  int
	cut     uint64
	// voided are the messages that are passed over, by their subject: a void
	// behind them covers them.
	voided map[string][]stretch
	// holding is the lease that it works under; nil: it shares with nobody.
	holding *Holding
	// catchingUp: it ends at until.
	catchingUp bool
	until      uint64

	trouble trouble // of the goroutine that runs, or, while there is a pipeline, of the one that writes
	// most is the commits of a batch: fewer than the config says after one that
	// could not be written, so that what was too much at once gets through.
	most atomic.Int64

	guarded[PartitionStatus]
}

func newPartition(p *Projector, n events.Partition) *partition {
	part := &partition{Projector: p, number: n, logger: p.config.Logger.With(slog.Int("partition", int(n))), voided: map[string][]stretch{}}
	part.most.Store(int64(p.config.BatchCommits))
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
			var b *blamed
			switch {
			case unsure != nil:
				err = unsure
			case errors.As(err, &b) && p.narrow(ctx, b):
				continue
			case b != nil:
				if err = p.setAside(ctx, b); err == nil {
					delays.Reset()
					continue
				}
			}
			if ctx.Err() != nil {
				return nil
			}
		}
		switch {
		case errors.Is(err, ErrFenced):
			p.logger.LogAttrs(ctx, slog.LevelInfo, "the checkpoint was moved by another; beginning again from it")
		case errors.Is(err, ErrTooManyQuarantined), errors.Is(err, ErrWrongCheckpoint), errors.Is(err, ErrVersion), errors.Is(err, events.ErrWrongLog):
			p.update(func(s *PartitionStatus) { s.Phase, s.Err = PhaseStopped, err })
			p.logger.LogAttrs(ctx, slog.LevelError, "the partition has stopped: nothing after its checkpoint is projected", append(place(err), slog.Any("error", err))...)
			return fmt.Errorf("partition %d stopped: %w", p.number, err)
		default:
			p.trouble.met(ctx, p.logger, err)
		}
		p.update(func(s *PartitionStatus) { s.Phase, s.Err, s.Since = PhaseWaiting, err, p.trouble.since })
		if !delays.wait(ctx) {
			return nil
		}
	}
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
	if !p.trouble.writing {
		p.trouble.over(ctx, p.logger)
	}
	list, err := p.target.Aside(ctx, c)
	if err != nil {
		return fmt.Errorf("read what is quarantined: %w", err)
	}
	waits := aside{}
	for _, q := range list {
		waits[q.Subject] = q
	}
	p.update(func(s *PartitionStatus) {
		s.Phase, s.Err, s.Since = PhaseFollowing, nil, p.trouble.since
		s.Quarantined, s.Waiting = len(waits), waits.waiting()
	})
	if p.catchingUp && c.Sequence >= p.until {
		return errCaughtUp
	}

	w := &pipeline{
		partition: p, folder: p.target.Folder(c), after: c.Sequence, aside: waits,
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
	aside   aside
	decoded chan sized
	folded  chan folded
	idle    chan struct{}       // holds one while nothing is being written
	buffer  *semaphore.Weighted // bytes read and not yet written
}

// sized is a commit with what it takes of the buffer, or a message that is passed
// over, or the error that ends the reading: errors travel behind the commits
// before them, so that those are written.
type sized struct {
	Commit
	passed *Mark  // a message that is passed over
	waits  string // the subject for which it is counted
	bytes  int64
	full   bool // no message: the buffer has no room for the next one
	err    error
}

// mark is the message's.
func (s *sized) mark() Mark {
	if s.passed != nil {
		return *s.passed
	}
	return Mark{Sequence: s.Position.Sequence, Hash: s.Hash, Time: s.Time}
}

// folded is a batch, and what it is made of.
type folded struct {
	batch    Batch
	messages int // commits, and those that were passed over
	commits  int
	events   int
	bytes    int64
	passed   Passed
	waiting  int64
	subject  string // of the last commit
	err      error
}

// add counts a message.
func (f *folded) add(s *sized) {
	f.messages++
	f.bytes += s.bytes
	f.passed.Last = s.mark()
	switch {
	case s.passed == nil:
		f.commits++
		f.events += s.Count()
		f.subject = s.Workflow.Subject()
	case s.waits != "":
		f.waiting++
		f.wait(s.waits, s.passed.Sequence)
	}
}

// wait counts a message for its subject.
func (f *folded) wait(subject string, sequence uint64) {
	i := slices.IndexFunc(f.passed.Waiting, func(w Waiting) bool { return w.Subject == subject })
	if i < 0 {
		i = len(f.passed.Waiting)
		f.passed.Waiting = append(f.passed.Waiting, Waiting{Subject: subject})
	}
	f.passed.Waiting[i].Messages++
	f.passed.Waiting[i].Last = sequence
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
		if first := last + 1; m.Position.Sequence != first && !w.aside.knowsGap(first, m.Position.Sequence-1) {
			return send(ctx, w.decoded, sized{err: gapBefore(m, first)})
		}
		last = m.Position.Sequence
		s, err := w.take(ctx, m)
		if err != nil {
			var cannot *CannotApplyError
			if errors.As(err, &cannot) {
				err = &blamed{CannotApplyError: cannot, alone: true, subject: m.Subject, mark: Mark{last, Fingerprint(m), m.Time}}
			}
			return send(ctx, w.decoded, sized{err: err})
		}
		s.bytes = min(s.bytes+1024, int64(w.config.BufferBytes))
		if err := w.reserve(ctx, s.bytes); err != nil {
			return err
		}
		if err := send(ctx, w.decoded, s); err != nil {
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

// take makes a commit of a message, unless it is to be passed over.
func (w *pipeline) take(ctx context.Context, m events.Message) (sized, error) {
	void := w.passes(m)
	if len(w.aside) > 0 && !void {
		subject := entrySubject(m.Subject)
		if _, waits := w.aside[subject]; waits {
			return sized{passed: &Mark{m.Position.Sequence, Fingerprint(m), m.Time}, waits: subject}, nil
		}
	}
	if void {
		return sized{passed: &Mark{m.Position.Sequence, Fingerprint(m), m.Time}}, nil
	}
	c, err := Decode(m)
	if err != nil {
		return sized{}, err
	}
	s := sized{Commit: c, bytes: int64(len(m.Body))}
	if c.Base != nil {
		if err := Complete(ctx, w.source, &s.Commit); err != nil {
			return sized{}, err
		}
		s.bytes += c.Run.Size
	}
	return s, nil
}

// gapBefore is the error of messages that are gone from the stream: it goes on
// with m instead of first.
func gapBefore(m events.Message, first uint64) error {
	g := gap{first, m.Position.Sequence - 1}
	return &blamed{
		CannotApplyError: &CannotApplyError{
			Position: events.Position{Partition: m.Position.Partition, Sequence: first}, Kind: KindGap,
			Cause: fmt.Errorf("the log goes on with sequence %d after %d: what was between is gone", m.Position.Sequence, first-1),
		},
		alone: true, subject: gapSubject(g.first, g.last), gap: g,
	}
}

// fold takes what has been read, at least one commit, and folds it together.
func (w *pipeline) fold(ctx context.Context) error {
	for {
		commits, f := w.collect(ctx)
		if len(commits) > 0 {
			if err := meet(ctx, w.config.Attributes, commits); err != nil {
				return send(ctx, w.folded, folded{err: fmt.Errorf("register search attributes: %w", err)})
			}
		}
		if f.messages > 0 {
			var err error
			if f.commits == f.messages {
				f.batch, err = w.folder.Fold(ctx, commits)
			} else {
				f.batch, err = w.folder.FoldPast(ctx, commits, f.passed)
			}
			if err != nil {
				return send(ctx, w.folded, folded{err: fmt.Errorf("fold: %w", f.blame(err, true))})
			}
		}
		if err := send(ctx, w.folded, f); err != nil || f.err != nil {
			return err
		}
	}
}

// collect waits for a message and takes those that are there behind it, up to
// the size of a batch; while a batch is being written, or to catch up, it waits for
// more. What it returns has messages, or an error, or both.
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
			return f.messages == 0 // what takes the room is being written
		}
		f.add(&s)
		if s.passed == nil {
			commits = append(commits, s.Commit)
		}
		return int64(f.messages) < w.most.Load() && f.bytes < int64(w.config.BatchBytes) && !w.full(f.passed.Last.Sequence, f.messages)
	}
	select {
	case s := <-w.decoded:
		if !take(s) {
			return commits, f
		}
	case <-ctx.Done():
		return nil, folded{err: context.Cause(ctx)}
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
			return nil, folded{err: context.Cause(ctx)}
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
					if !errors.Is(err, ErrFenced) && !errors.Is(err, ErrCannotApply) {
						w.trouble.writing = true
						w.most.Store(max(1, int64(f.messages)/2))
					}
					return fmt.Errorf("write: %w", f.blame(err, false))
				}
				w.trouble.over(ctx, w.logger)
				most := w.most.Load()
				w.most.Store(min(int64(w.config.BatchCommits), most+1+most/8))
				w.buffer.Release(f.bytes)
				w.update(func(s *PartitionStatus) {
					s.Since = time.Time{}
					s.Checkpoint = f.batch.Checkpoint()
					s.Batches++
					s.Commits += uint64(f.commits)
					s.Events += uint64(f.events)
					s.Waiting += f.waiting
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
