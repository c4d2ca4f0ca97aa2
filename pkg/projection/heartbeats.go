package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
)

// batchHeartbeats is the most heartbeats that are written together.
const batchHeartbeats = 1000

// HeartbeatKeeper follows a log's heartbeats and keeps them in a target, beside a
// Projector. Any number of them may run on the same tables. Heartbeats are no
// history: one that can never be kept is reported and passed over.
type HeartbeatKeeper struct {
	source  HeartbeatSource
	target  HeartbeatTarget
	config  Config
	holding *Holding // the lease that it works under; nil: it shares with nobody
	guarded[HeartbeatStatus]
}

// HeartbeatStatus is where a keeper of heartbeats stands.
type HeartbeatStatus struct {
	Phase      Phase
	Checkpoint HeartbeatCheckpoint // as last written or read by this keeper
	Written    uint64              // heartbeats, by this keeper
	Passed     uint64              // messages that are no heartbeat, and heartbeats that cannot be kept
	Err        error               // why it waits or stopped
}

// NewHeartbeatKeeper is a keeper of a log's heartbeats. Of the config it uses
// BatchBytes, BufferBytes, MaxBackoff, Membership and Logger; it fails if one cannot work.
func NewHeartbeatKeeper(source HeartbeatSource, target HeartbeatTarget, c Config) (*HeartbeatKeeper, error) {
	if c.BatchBytes < 0 || c.BufferBytes < 0 || c.MaxBackoff < 0 {
		return nil, errors.New("projection: a setting is negative")
	}
	k := &HeartbeatKeeper{source: source, target: target, config: c.withDefaults()}
	k.state.Phase = PhaseStarting
	k.config.Logger = k.config.Logger.With(slog.String("of", "heartbeats"))
	return k, nil
}

// Status is where the keeper stands. It is safe to call while Run runs.
func (k *HeartbeatKeeper) Status() HeartbeatStatus { return k.status() }

// Run keeps heartbeats until the context ends, and then returns nil; or until the
// log turns out to be another one, or the tables are of another version: that is
// reported at once, in the log and in the status. While another keeper is at work
// it stands by, and takes over when it gets the lease, or without a Membership when
// that one moves no more though there is more to keep. It is called once.
func (k *HeartbeatKeeper) Run(ctx context.Context) error {
	if k.config.Membership != nil {
		return k.runShared(ctx, k.config.Membership)
	}
	return k.run(ctx)
}

func (k *HeartbeatKeeper) run(ctx context.Context) error {
	delays := newDelays(k.config.MaxBackoff)
	for {
		before := k.Status().Checkpoint
		err := k.follow(ctx)
		if ctx.Err() != nil || k.holding.isHandedOver() {
			return nil
		}
		if k.Status().Checkpoint != before {
			delays.Reset()
		}
		switch {
		case errors.Is(err, ErrFenced) && k.holding != nil:
			k.config.Logger.LogAttrs(ctx, slog.LevelInfo, "the checkpoint was moved by another; beginning again from it")
		case errors.Is(err, ErrFenced):
			k.config.Logger.LogAttrs(ctx, slog.LevelInfo, "another keeps the heartbeats; standing by")
			k.update(func(s *HeartbeatStatus) { s.Phase, s.Err = PhaseStandingBy, nil })
			if err = k.standBy(ctx); err == nil {
				k.config.Logger.LogAttrs(ctx, slog.LevelInfo, "keeping the heartbeats: who did so moves no more")
				continue
			}
			if ctx.Err() != nil {
				return nil
			}
			k.config.Logger.LogAttrs(ctx, slog.LevelWarn, "standing by was interrupted; trying again", slog.Any("error", err))
		case errors.Is(err, ErrVersion), errors.Is(err, events.ErrWrongLog):
			k.update(func(s *HeartbeatStatus) { s.Phase, s.Err = PhaseStopped, err })
			k.config.Logger.LogAttrs(ctx, slog.LevelError, "keeping heartbeats has stopped: those that come are not in the tables", slog.Any("error", err))
			return fmt.Errorf("keeping heartbeats stopped: %w", err)
		default:
			k.config.Logger.LogAttrs(ctx, slog.LevelWarn, "keeping heartbeats was interrupted; trying again", slog.Any("error", err))
		}
		k.update(func(s *HeartbeatStatus) { s.Phase, s.Err = PhaseWaiting, err })
		if !delays.wait(ctx) {
			return nil
		}
	}
}

// standbyLook is how often a keeper that stands by looks at the one that works.
const standbyLook = time.Second

// standBy returns when the checkpoint has stayed where it is from one look to the
// next although the stream goes on after it.
func (k *HeartbeatKeeper) standBy(ctx context.Context) error {
	tick := time.NewTicker(min(standbyLook, k.config.MaxBackoff))
	defer tick.Stop()
	var before HeartbeatCheckpoint
	for {
		c, err := k.target.HeartbeatCheckpoint(ctx, k.source.Identity())
		if err != nil {
			return fmt.Errorf("read the checkpoint of heartbeats: %w", err)
		}
		b, err := k.source.HeartbeatBounds(ctx)
		if err != nil {
			return fmt.Errorf("look at the heartbeats: %w", err)
		}
		k.update(func(s *HeartbeatStatus) { s.Checkpoint = c })
		if c == before && c.Sequence != b.Last {
			return nil
		}
		before = c
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// arrived is a heartbeat with what it takes of the buffer, or a message that is
// none, or the error that ends the reading.
type arrived struct {
	events.StoredHeartbeat
	bytes   int64
	foreign error
	err     error
}

// follow keeps heartbeats from the checkpoint on until something fails. The next
// ones are read while a batch is being written.
func (k *HeartbeatKeeper) follow(ctx context.Context) error {
	c, err := k.target.HeartbeatCheckpoint(ctx, k.source.Identity())
	if err != nil {
		return fmt.Errorf("read the checkpoint of heartbeats: %w", err)
	}
	if err := k.holding.confirm(ctx); err != nil {
		return err
	}
	k.update(func(s *HeartbeatStatus) { s.Phase, s.Checkpoint, s.Err = PhaseFollowing, c, nil })
	come := make(chan arrived, batchHeartbeats)
	buffer := semaphore.NewWeighted(int64(k.config.BufferBytes))
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return k.read(gctx, c.Sequence, come, buffer) })
	g.Go(func() error { return k.write(gctx, come, buffer) })
	err = g.Wait()
	if errors.Is(err, events.ErrWrongLog) {
		return k.judge(ctx, err)
	}
	return err
}

// judge tells a stream that was made anew, which ends before the checkpoint, from
// another log.
func (k *HeartbeatKeeper) judge(ctx context.Context, cause error) error {
	b, err := k.source.HeartbeatBounds(ctx)
	if err != nil {
		return fmt.Errorf("follow the heartbeats: %w", err)
	}
	c := k.Status().Checkpoint
	if c.Sequence <= b.Last {
		return fmt.Errorf("follow the heartbeats: %v", cause) //nolint:errorlint // the log is the right one after all: it must not read as ErrWrongLog
	}
	k.config.Logger.LogAttrs(ctx, slog.LevelWarn, "the stream of heartbeats ends before the checkpoint: it was made anew; beginning at its start",
		slog.Uint64("checkpoint", c.Sequence), slog.Uint64("end", b.Last))
	if err := k.target.BeginHeartbeatsAnew(ctx, c); err != nil {
		return err
	}
	k.update(func(s *HeartbeatStatus) { s.Checkpoint = c.at(0) })
	return fmt.Errorf("the stream of heartbeats was made anew: %v", cause) //nolint:errorlint // settled
}

func (k *HeartbeatKeeper) read(ctx context.Context, after uint64, come chan<- arrived, buffer *semaphore.Weighted) error {
	for h, err := range k.source.FollowHeartbeats(ctx, after) {
		a := arrived{StoredHeartbeat: h, bytes: min(1024, int64(k.config.BufferBytes))}
		var foreign *events.CorruptHeartbeatError
		switch {
		case errors.As(err, &foreign):
			a.foreign = err
		case err != nil:
			return send(ctx, come, arrived{err: fmt.Errorf("follow the heartbeats: %w", err)})
		default:
			a.bytes = min(a.bytes+int64(proto.Size(h.Details)+proto.Size(h.LastFailure)), int64(k.config.BufferBytes))
		}
		if err := buffer.Acquire(ctx, a.bytes); err != nil {
			return err
		}
		if err := send(ctx, come, a); err != nil {
			return err
		}
	}
	return send(ctx, come, arrived{err: errors.New("following the heartbeats ended")})
}

// write writes what has come, at least one heartbeat, together.
func (k *HeartbeatKeeper) write(ctx context.Context, come <-chan arrived, buffer *semaphore.Weighted) error {
	for {
		var batch []events.StoredHeartbeat
		var last uint64
		var bytes int64
		var ends error
		take := func(a arrived) (more bool) {
			if ends = a.err; ends != nil {
				return false
			}
			last, bytes = a.Sequence, bytes+a.bytes
			if a.foreign != nil {
				k.pass(ctx, a.Sequence, a.foreign)
			} else {
				batch = append(batch, a.StoredHeartbeat)
			}
			return len(batch) < batchHeartbeats && bytes < int64(k.config.BatchBytes)
		}
		select {
		case a := <-come:
			for more := take(a); more; {
				select {
				case a := <-come:
					more = take(a)
				default:
					more = false
				}
			}
		case <-k.holding.handedOver():
			return errHandedOver
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if last > 0 {
			if err := k.keep(ctx, batch, last); err != nil {
				return err
			}
			buffer.Release(bytes)
		}
		if ends != nil {
			return ends
		}
	}
}

// keep writes a batch and moves the checkpoint to the end. Where one of them can
// never be kept, the others are.
func (k *HeartbeatKeeper) keep(ctx context.Context, batch []events.StoredHeartbeat, end uint64) error {
	err := k.put(ctx, batch, end)
	if !errors.Is(err, ErrCannotApply) {
		return err
	}
	for i := range batch {
		h := batch[i : i+1]
		err := k.put(ctx, h, h[0].Sequence)
		if errors.Is(err, ErrCannotApply) {
			k.pass(ctx, h[0].Sequence, err)
			err = k.put(ctx, nil, h[0].Sequence)
		}
		if err != nil {
			return err
		}
	}
	if k.Status().Checkpoint.Sequence == end {
		return nil
	}
	return k.put(ctx, nil, end) // what came last was none
}

func (k *HeartbeatKeeper) put(ctx context.Context, batch []events.StoredHeartbeat, end uint64) error {
	from := k.Status().Checkpoint
	if err := k.target.WriteHeartbeats(ctx, from, from.at(end), batch); err != nil {
		return fmt.Errorf("write heartbeats: %w", err)
	}
	k.update(func(s *HeartbeatStatus) {
		s.Checkpoint.Sequence = end
		s.Written += uint64(len(batch))
	})
	return nil
}

// pass reports what is not kept.
func (k *HeartbeatKeeper) pass(ctx context.Context, sequence uint64, err error) {
	k.update(func(s *HeartbeatStatus) { s.Passed++ })
	k.config.Logger.LogAttrs(ctx, slog.LevelError, "a heartbeat is passed over: it is not in the tables", slog.Uint64("sequence", sequence), slog.Any("error", err))
}
