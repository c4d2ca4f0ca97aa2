package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// ControlKeeper follows a log's control stream and keeps the registry of search
// attributes in a target, beside a Projector. Any number of them may run on the
// same tables: one of them gets a batch in.
type ControlKeeper struct {
	source ControlSource
	target ControlTarget
	config Config
	guarded[ControlStatus]
}

// ControlStatus is where a keeper of the control stream stands.
type ControlStatus struct {
	Phase      Phase
	Checkpoint ControlCheckpoint // as last written or read by this keeper
	// Foreign are messages of the stream that are no decisions, and Unknown decisions
	// of kinds that this version makes nothing of: both are passed.
	Foreign, Unknown int
	Err              error // why it waits or stopped
}

// NewControlKeeper is a keeper of a log's control stream. Of the config it uses
// MaxBackoff and Logger; it fails if one cannot work.
func NewControlKeeper(source ControlSource, target ControlTarget, c Config) (*ControlKeeper, error) {
	if c.MaxBackoff < 0 {
		return nil, errors.New("projection: a setting is negative")
	}
	k := &ControlKeeper{source: source, target: target, config: c.withDefaults()}
	k.state.Phase = PhaseStarting
	k.config.Logger = k.config.Logger.With(slog.String("of", "control stream"))
	return k, nil
}

// Status is where the keeper stands. It is safe to call while Run runs.
func (k *ControlKeeper) Status() ControlStatus { return k.status() }

// Run keeps the registry until the context ends, and then returns nil; or until the
// control stream turns out not to be the one that the tables were made from, or the
// tables are of another version: that is reported at once, in the log and in the
// status. While projections are at another log, or epoch, it waits: they must be
// rebuilt first. It is called once.
func (k *ControlKeeper) Run(ctx context.Context) error {
	delays := newDelays(k.config.MaxBackoff)
	for {
		before := k.Status().Checkpoint
		err := k.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if k.Status().Checkpoint != before {
			delays.Reset()
		}
		var lost *lostDecisionsError
		switch {
		case errors.Is(err, ErrFenced): // another keeper was quicker
		case errors.As(err, &lost), errors.Is(err, ErrVersion), errors.Is(err, events.ErrWrongLog):
			k.update(func(s *ControlStatus) { s.Phase, s.Err = PhaseStopped, err })
			k.config.Logger.LogAttrs(ctx, slog.LevelError, "keeping the registry of search attributes has stopped", slog.Any("error", err))
			return fmt.Errorf("registry of search attributes: %w", err)
		case k.Status().Err != nil && k.Status().Err.Error() == err.Error(): // said already
		default:
			k.config.Logger.LogAttrs(ctx, slog.LevelWarn, "keeping the registry of search attributes was interrupted; trying again", slog.Any("error", err))
		}
		k.update(func(s *ControlStatus) { s.Phase, s.Err = PhaseWaiting, err })
		if !delays.wait(ctx) {
			return nil
		}
	}
}

// lostDecisionsError: the tables have decisions that the control stream has not.
type lostDecisionsError struct {
	checkpoint ControlCheckpoint
	found      string
}

func (e *lostDecisionsError) Error() string {
	return fmt.Sprintf("the tables have decisions up to %d of the control stream, where %s: it was lost or made anew, and what the tables say is not there", e.checkpoint.Sequence, e.found)
}
func (e *lostDecisionsError) Is(target error) bool { return target == ErrWrongCheckpoint }

// follow writes what the stream has beyond the checkpoint, at once, and then what
// comes, one by one: decisions are rare.
func (k *ControlKeeper) follow(ctx context.Context) error {
	c, err := k.target.ControlCheckpoint(ctx, k.source.Identity())
	if err != nil {
		return fmt.Errorf("read the checkpoint of the control stream: %w", err)
	}
	k.update(func(s *ControlStatus) { s.Checkpoint = c })
	registry := searchattribute.New()
	apply := func(d events.StoredDecision, err error) error {
		if err := registry.Apply(d, err); err != nil {
			return fmt.Errorf("follow the control stream: %w", err)
		}
		if d.Sequence == c.Sequence && d.CommitID != c.CommitID {
			return &lostDecisionsError{checkpoint: c, found: fmt.Sprintf("it has the decision %q and they have %q", d.CommitID, c.CommitID)}
		}
		k.update(func(s *ControlStatus) { s.Foreign, s.Unknown = registry.Foreign, registry.Unknown })
		return nil
	}
	for d, err := range k.source.Decisions(ctx, 0) {
		if err := apply(d, err); err != nil {
			return err
		}
	}
	if registry.Sequence() < c.Sequence {
		return k.endsBefore(ctx, c, registry.Sequence())
	}
	if c, err = k.put(ctx, c, registry); err != nil {
		return err
	}
	k.update(func(s *ControlStatus) { s.Phase, s.Err = PhaseFollowing, nil })
	for d, err := range k.source.FollowDecisions(ctx, registry.Sequence()) {
		if err := apply(d, err); err != nil {
			return err
		}
		if c, err = k.put(ctx, c, registry); err != nil {
			return err
		}
	}
	return errors.New("following the control stream ended")
}

// endsBefore is why the stream ended before the checkpoint: it lost decisions, or a
// new leader did not know of all of them at that moment.
func (k *ControlKeeper) endsBefore(ctx context.Context, c ControlCheckpoint, end uint64) error {
	for _, err := range k.source.Decisions(ctx, c.Sequence) {
		if errors.Is(err, events.ErrWrongLog) {
			return &lostDecisionsError{checkpoint: c, found: fmt.Sprintf("it ends at %d", end)}
		}
		if err != nil && !errors.Is(err, events.ErrCorrupt) {
			return err
		}
		break
	}
	return fmt.Errorf("the control stream ended at %d for a moment, before the checkpoint at %d", end, c.Sequence)
}

// put writes what the registry has beyond the checkpoint, and gives the new one.
func (k *ControlKeeper) put(ctx context.Context, from ControlCheckpoint, r *searchattribute.Registry) (ControlCheckpoint, error) {
	if r.Sequence() == from.Sequence {
		return from, nil
	}
	to := from
	to.Sequence, to.CommitID = r.Sequence(), r.CommitID()
	if err := k.target.WriteRegistry(ctx, from, to, added(r, from.Sequence)); err != nil {
		return from, fmt.Errorf("write the registry: %w", err)
	}
	k.update(func(s *ControlStatus) { s.Checkpoint = to })
	return to, nil
}
