package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// runShared is Run on the partitions whose leases the membership has.
func (p *Projector) runShared(ctx context.Context, m *Membership) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	names := make([]string, len(p.parts))
	for i, part := range p.parts {
		names[i] = PartitionLease(part.number)
		part.update(func(s *PartitionStatus) { s.Phase = PhaseStandingBy })
	}
	var mu sync.Mutex // guards errs
	errs := make([]error, len(p.parts))
	stopped := func(n events.Partition, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs[n] = err
		for _, err := range errs {
			if err == nil {
				return
			}
		}
		cancel()
	}
	work := func(held context.Context, h *Holding) {
		n, _ := LeasedPartition(h.name)
		part := p.parts[n]
		part.holding = h
		part.update(func(s *PartitionStatus) { s.Phase, s.Err = PhaseStarting, nil })
		err := part.run(held)
		if err != nil {
			stopped(n, err)
			if errors.Is(err, ErrVersion) {
				cancel() // no other partition can go on here, and another process may
			}
			select {
			case <-held.Done():
			case <-h.handedOver():
			}
		}
		if ctx.Err() != nil {
			return
		}
		// It is another's now, who finds out himself whether it can go on.
		part.update(func(s *PartitionStatus) { s.Phase, s.Err, s.Quarantined, s.Waiting = PhaseStandingBy, nil, 0, 0 })
		if err != nil {
			stopped(n, nil)
		}
	}
	standing := func(name string) Standing {
		n, _ := LeasedPartition(name)
		s := p.parts[n].status()
		return standingOf(s.Phase, s.Err)
	}
	if err := m.share(ctx, names, work, standing); err != nil {
		return err
	}
	return errors.Join(errs...)
}

func standingOf(p Phase, err error) Standing {
	if err == nil {
		return Standing{Phase: p}
	}
	return Standing{Phase: p, Reason: err.Error()}
}

// runShared is Run while the membership has the lease, and watching who has it
// otherwise.
func (k *HeartbeatKeeper) runShared(ctx context.Context, m *Membership) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	watching.Go(func() { k.watch(ctx) })
	defer watching.Wait()
	k.update(func(s *HeartbeatStatus) { s.Phase = PhaseStandingBy })
	work := func(held context.Context, h *Holding) {
		k.holding = h
		k.update(func(s *HeartbeatStatus) { s.Phase, s.Err = PhaseStarting, nil })
		if err := k.run(held); err != nil {
			cancel(&keeperStoppedError{err})
		}
		if ctx.Err() == nil {
			k.update(func(s *HeartbeatStatus) { s.Phase, s.Err = PhaseStandingBy, nil })
		}
	}
	standing := func(string) Standing {
		s := k.status()
		return standingOf(s.Phase, s.Err)
	}
	err := m.share(ctx, []string{HeartbeatsLease}, work, standing)
	cancel(nil)
	var stopped *keeperStoppedError
	if err == nil && errors.As(context.Cause(ctx), &stopped) {
		err = stopped.error
	}
	return err
}

// keeperStoppedError tells a keeper's own end from that of the caller's context.
type keeperStoppedError struct{ error }

// watch keeps the status of a keeper that stands by at what the one that works
// has kept.
func (k *HeartbeatKeeper) watch(ctx context.Context) {
	tick := time.NewTicker(standbyLook)
	defer tick.Stop()
	failing := false
	for {
		if k.status().Phase == PhaseStandingBy {
			c, err := k.target.HeartbeatCheckpoint(ctx, k.source.Identity())
			if err == nil {
				k.update(func(s *HeartbeatStatus) {
					if s.Phase == PhaseStandingBy {
						s.Checkpoint = c
					}
				})
			} else if !failing && ctx.Err() == nil {
				k.config.Logger.LogAttrs(ctx, slog.LevelWarn, "standing by was interrupted; trying again", slog.Any("error", fmt.Errorf("read the checkpoint of heartbeats: %w", err)))
			}
			failing = err != nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
