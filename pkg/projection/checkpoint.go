package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Checkpoint is how far a projection is durable in one partition.
type Checkpoint struct {
	// Generation is that of the target's tables; 0 where a target has but one.
	Generation int
	Partition  events.Partition
	LogID      string
	LogEpoch   uint32
	// Epoch is raised by whatever changes rows beside the projector.
	Epoch int64
	// Sequence is that of the last commit that is in the tables, inclusive; 0: none.
	Sequence uint64
	// Hash and Time are those of that commit; zero if there is none. Of a message
	// that was passed over Hash is the Fingerprint.
	Hash events.Hash
	Time time.Time
}

// Position is the checkpoint's place in the log.
func (c Checkpoint) Position() events.Position {
	return events.Position{Partition: c.Partition, Sequence: c.Sequence}
}

// Check holds a checkpoint against the log: the same log and epoch, a place
// that the log has, and the same commit there. It fails with ErrWrongCheckpoint
// where it does not fit, with any other error where that could not be found out.
//
// A server does not say so when it is asked to follow from a place that it does
// not have: it begins later, or waits for ever.
func Check(ctx context.Context, source events.Source, c Checkpoint) error {
	wrong := func(format string, args ...any) error {
		return &WrongCheckpointError{Checkpoint: c, Reason: fmt.Sprintf(format, args...)}
	}
	if err := c.of(source.Identity()); err != nil {
		return err
	}
	b, err := source.Bounds(ctx, c.Partition)
	if err != nil {
		return err
	}
	switch {
	case b.First > c.Sequence+1:
		return wrong("the log begins at %d: what was between is gone", b.First)
	case c.Sequence > b.Last:
		return wrong("the log ends at %d: it lost commits that the tables have", b.Last)
	case c.Sequence == 0:
		return nil
	}
	m, err := source.Message(ctx, c.Position())
	if errors.Is(err, events.ErrNotFound) {
		return wrong("the log has no message there")
	}
	if err != nil {
		return err
	}
	commit, err := events.Decode(m)
	if err == nil && commit.Hash == c.Hash || Fingerprint(m) == c.Hash {
		return nil
	}
	if err != nil {
		bad := &WrongCheckpointError{Checkpoint: c, Reason: fmt.Sprintf("the log has no commit there: %v", err)}
		var corrupt *events.CorruptError
		if errors.As(err, &corrupt) {
			bad.Workflow = corrupt.Workflow
		}
		return bad
	}
	return wrong("the log has another commit there: chain hash %s, the tables have %s", commit.Hash, c.Hash)
}

// of refuses a log that the checkpoint is none of, as *WrongCheckpointError.
func (c Checkpoint) of(id events.Identity) error {
	wrong := func(format string, args ...any) error {
		return &WrongCheckpointError{Checkpoint: c, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.LogID != id.LogID:
		return wrong("the tables were made from log %s, this is %s", c.LogID, id.LogID)
	case c.LogEpoch != id.Epoch:
		return wrong("the tables were made in epoch %d, this is %d: the log was restored, rebuild them", c.LogEpoch, id.Epoch)
	}
	return nil
}
