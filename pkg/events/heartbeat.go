package events

import (
	"context"
	"iter"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
)

// Activity names an activity of a run.
type Activity struct {
	Workflow Workflow
	RunID    RunID
	ID       string // as the workflow named it; 1 to 1,000 bytes of UTF-8 without NUL
}

// Heartbeat is a sign of life of an attempt of an activity, with what the next
// attempt needs to go on. It is not part of any history, has no position, and
// is forgotten when the log's age limit for heartbeats has passed; only the
// newest of each activity is kept.
type Heartbeat struct {
	Activity Activity
	Attempt  int32     // from 1
	Time     time.Time // when it was taken; zero: assigned from this process's clock
	Details  *commonpb.Payloads
	// LastFailure is that of the attempt before, nil if there was none.
	LastFailure *failurepb.Failure
	Identity    string // of the worker; may be empty
}

// Newer reports whether h replaces other: by attempt, then by time. Of two that
// are equal in both neither does.
func (h *Heartbeat) Newer(other *Heartbeat) bool {
	if h.Attempt != other.Attempt {
		return h.Attempt > other.Attempt
	}
	return h.Time.After(other.Time)
}

// Heartbeats keeps the newest heartbeat of each activity.
type Heartbeats interface {
	// RecordHeartbeat keeps h unless one that is as new or newer is kept
	// already, and says whether it did. Repeating it does no harm: the same
	// heartbeat again answers true while it is the one that is kept. It does
	// not ask whether the run or its activity exists or is pending. It fails
	// with ErrInvalid, ErrLimit (the heartbeat is larger than a commit may be),
	// ErrUnavailable (nothing was stored) or ErrOutcomeUnknown (send it again).
	RecordHeartbeat(ctx context.Context, h Heartbeat) (newest bool, err error)
	// LastHeartbeat is the one that is kept, ErrNotFound if there is none or it
	// has aged out.
	LastHeartbeat(ctx context.Context, a Activity) (Heartbeat, error)
	// FollowHeartbeats yields the kept heartbeats that were stored after a
	// sequence, in the order in which they were stored, and then those that
	// come, until the context ends (its error is yielded). An older heartbeat
	// of an activity is not yielded once a newer one has replaced it.
	FollowHeartbeats(ctx context.Context, after uint64) iter.Seq2[StoredHeartbeat, error]
}

// StoredHeartbeat is a heartbeat with its place in the stream of heartbeats.
type StoredHeartbeat struct {
	Heartbeat
	// Sequence rises, with gaps; it is no Position of the log.
	Sequence uint64
}
