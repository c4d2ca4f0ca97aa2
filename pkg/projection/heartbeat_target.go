package projection

import (
	"context"
	"fmt"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// HeartbeatSource is what brings heartbeats: an events.Log is one.
type HeartbeatSource interface {
	Identity() events.Identity
	FollowHeartbeats(ctx context.Context, after uint64) iter.Seq2[events.StoredHeartbeat, error]
	HeartbeatBounds(ctx context.Context) (events.Bounds, error)
}

// HeartbeatTarget is where heartbeats are kept that the log's stream of them will
// forget. It is safe for concurrent use.
type HeartbeatTarget interface {
	// HeartbeatCheckpoint reads how far a log's heartbeats are kept; one that is
	// not there is made, at sequence 0.
	HeartbeatCheckpoint(ctx context.Context, id events.Identity) (HeartbeatCheckpoint, error)
	// WriteHeartbeats keeps those of a batch that are as new or newer than what
	// is kept, and moves the checkpoint, in one transaction. It fails with
	// ErrFenced, and writes nothing, if the checkpoint is not at from; with
	// ErrCannotApply if one of the batch can never be kept. Any other error may
	// mean that it was written. An empty batch moves the checkpoint.
	WriteHeartbeats(ctx context.Context, from, to HeartbeatCheckpoint, batch []events.StoredHeartbeat) error
	// BeginHeartbeatsAnew moves the checkpoint back to 0, for a stream that was
	// made anew, and keeps what is there. It fails with ErrFenced if the
	// checkpoint is not where c says.
	BeginHeartbeatsAnew(ctx context.Context, c HeartbeatCheckpoint) error
}

// HeartbeatCheckpoint is how far a log's heartbeats are durable in a target: up to
// and including a sequence of their stream.
type HeartbeatCheckpoint struct {
	LogID    string
	LogEpoch uint32
	Sequence uint64
}

// at is the checkpoint of the same log at a sequence.
func (c HeartbeatCheckpoint) at(sequence uint64) HeartbeatCheckpoint {
	c.Sequence = sequence
	return c
}

// CannotKeepError names a heartbeat that a target can never keep.
type CannotKeepError struct {
	Activity events.Activity // zero where it is one of several
	Sequence uint64          // of the last of the batch
	Cause    error
}

func (e *CannotKeepError) Error() string {
	if e.Activity.ID == "" {
		return fmt.Sprintf("heartbeats up to sequence %d cannot be kept: %v", e.Sequence, e.Cause)
	}
	return fmt.Sprintf("heartbeat of %s at sequence %d cannot be kept: %v", e.Activity, e.Sequence, e.Cause)
}
func (e *CannotKeepError) Is(target error) bool { return target == ErrCannotApply }
func (e *CannotKeepError) Unwrap() error        { return e.Cause }
