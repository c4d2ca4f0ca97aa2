package pgstore

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/annals-io/annals/pkg/events"
)

// How often a wait looks: soon at first, as most commits are projected within
// milliseconds, then less often.
const (
	firstLook   = 2 * time.Millisecond
	longestLook = 250 * time.Millisecond
)

// WaitFor returns once the tables include all commits up to the positions, so
// that a query after it sees them. The positions are of the log that the tables
// are made from; several of one partition count as the highest. It waits as
// long as the context lets it, then fails with ErrBehind (*BehindError, which
// wraps the context's error).
func (s *Store) WaitFor(ctx context.Context, positions []events.Position) error {
	wanted := map[events.Partition]uint64{}
	for _, p := range positions {
		wanted[p.Partition] = max(wanted[p.Partition], p.Sequence)
	}
	look := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstLook), backoff.WithMaxInterval(longestLook), backoff.WithMaxElapsedTime(0))
	var behind []Behind
	err := backoff.Retry(func() error {
		found, err := s.behind(ctx, wanted)
		if err != nil {
			return backoff.Permanent(err)
		}
		if behind = found; len(behind) > 0 {
			return ErrBehind
		}
		return nil
	}, backoff.WithContext(look, ctx))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && len(behind) > 0:
		return &BehindError{Behind: behind, cause: context.Cause(ctx)}
	default:
		return s.queryError(ctx, "wait for the tables", err)
	}
}

// behind is what the checkpoints do not include yet, in order of partitions.
func (s *Store) behind(ctx context.Context, wanted map[events.Partition]uint64) ([]Behind, error) {
	checkpoints, err := s.Checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	reached := make(map[events.Partition]uint64, len(checkpoints))
	for _, c := range checkpoints {
		reached[c.Partition] = c.Sequence
	}
	var list []Behind
	for p, sequence := range wanted {
		if reached[p] < sequence {
			list = append(list, Behind{Wanted: events.Position{Partition: p, Sequence: sequence}, Checkpoint: reached[p]})
		}
	}
	slices.SortFunc(list, func(a, b Behind) int { return int(a.Wanted.Partition - b.Wanted.Partition) })
	return list, nil
}
