package events

import (
	"context"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Activity names an activity of a run.
type Activity struct {
	Workflow Workflow
	RunID    RunID  // 1 to 255 bytes of UTF-8 without NUL
	ID       string // as the workflow named it; 1 to 1,000 bytes of UTF-8 without NUL
}

// String is workflow, run and activity, as messages and errors show them.
func (a Activity) String() string {
	return fmt.Sprintf("activity %q in run %s of workflow %s", a.ID, a.RunID, a.Workflow)
}

// Validate refuses ids that no log takes, as *InvalidError that names the field.
func (a Activity) Validate() error {
	if err := a.Workflow.Validate(); err != nil {
		return err
	}
	if err := CheckID("runId", string(a.RunID), MaxRunIDBytes); err != nil {
		return err
	}
	return CheckID("activityId", a.ID, MaxActivityIDBytes)
}

// Heartbeat is a sign of life of an attempt of an activity, with what the next
// attempt needs to go on. It is not part of any history, has no position, and
// is forgotten when the log's age limit for heartbeats has passed; only the
// newest of each activity is kept.
type Heartbeat struct {
	Activity Activity
	Attempt  int32 // from 1
	// Time is when it was taken, in the years 1 to 9999; what is below a
	// microsecond is cut off. Zero, which is 0001-01-01T00:00:00Z, stands for no
	// time: one is assigned from this process's clock, so that repeating it makes
	// a newer one. What is not zero and becomes so by the cut is refused.
	Time    time.Time
	Details *commonpb.Payloads // nil if there are none
	// LastFailure is that of the attempt before, nil if there was none.
	LastFailure *failurepb.Failure
	Identity    string // of the worker; at most 1,000 bytes of UTF-8, may be empty
}

// Newer reports whether h replaces other: by attempt, then by time. Of two that
// are equal in both neither does.
func (h *Heartbeat) Newer(other *Heartbeat) bool {
	if h.Attempt != other.Attempt {
		return h.Attempt > other.Attempt
	}
	return h.Time.After(other.Time)
}

// Equal reports whether both say the same of the same activity.
func (h *Heartbeat) Equal(other *Heartbeat) bool {
	return h.Activity == other.Activity && h.Attempt == other.Attempt && h.Time.Equal(other.Time) && h.Identity == other.Identity &&
		proto.Equal(h.Details, other.Details) && proto.Equal(h.LastFailure, other.LastFailure)
}

// Validate refuses what no log takes, as *InvalidError that names the field, and
// what could be stored and never be read again, as CheckEvent does. A zero time
// is refused: logs assign it before.
func (h *Heartbeat) Validate() error {
	if err := h.Activity.Validate(); err != nil {
		return err
	}
	if h.Attempt < 1 {
		return &InvalidError{Field: "attempt", Reason: fmt.Sprintf("is %d, attempts begin at 1", h.Attempt)}
	}
	if h.Time.IsZero() {
		return &InvalidError{Field: "time", Reason: "is the first microsecond of the year 1, which stands for no time"}
	}
	if err := timestamppb.New(h.Time).CheckValid(); err != nil {
		return &InvalidError{Field: "time", Reason: "is outside of the years 1 to 9999"}
	}
	for i, p := range h.Details.GetPayloads() {
		if p == nil {
			return &InvalidError{Field: fmt.Sprintf("details.payloads[%d]", i), Reason: "is nil"}
		}
	}
	if _, err := proto.Marshal(h.Details); err != nil {
		return &InvalidError{Field: "details", Reason: err.Error()}
	}
	if err := checkFailure("lastFailure", h.LastFailure, heartbeatFailureLevel); err != nil {
		return err
	}
	switch {
	case len(h.Identity) > MaxIdentityBytes:
		return &InvalidError{Field: "identity", Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(h.Identity), MaxIdentityBytes)}
	case !utf8.ValidString(h.Identity):
		return &InvalidError{Field: "identity", Reason: "is not valid UTF-8"}
	}
	return nil
}

// heartbeatFailureLevel is where a failure lies in what is stored.
const heartbeatFailureLevel = 2

// Heartbeats keeps the newest heartbeat of each activity.
type Heartbeats interface {
	// RecordHeartbeat keeps h unless one that is as new or newer is kept
	// already, and says whether it did. Repeating it does no harm: the same
	// heartbeat again answers true while it is the one that is kept. It does
	// not ask whether the run or its activity exists or is pending. It MUST NOT
	// return before what is kept is stored as durably as the log is configured
	// to. It fails with ErrInvalid, ErrLimit (the heartbeat is larger than a
	// commit may be), ErrUnavailable (nothing was stored), ErrOutcomeUnknown
	// (send it again) or ErrCorrupt (what is stored for the activity is no
	// heartbeat).
	RecordHeartbeat(ctx context.Context, h Heartbeat) (newest bool, err error)
	// LastHeartbeat is the one that is kept, as the leader of the stream knows
	// it; ErrNotFound if there is none or it has aged out.
	LastHeartbeat(ctx context.Context, a Activity) (Heartbeat, error)
	// FollowHeartbeats yields the kept heartbeats that were stored after a
	// sequence (exclusive; 0 is from the first), in the order in which they
	// were stored, and then those that come, until the context ends (its error
	// is yielded). An older heartbeat of an activity is not yielded once a
	// newer one has replaced it. It survives reconnects. A message that is no
	// heartbeat is yielded as its sequence and a *CorruptHeartbeatError, and
	// does not end the iteration; any other error does. A sequence beyond the
	// end is ErrWrongLog: the log was cut short or restored.
	FollowHeartbeats(ctx context.Context, after uint64) iter.Seq2[StoredHeartbeat, error]
	// HeartbeatBounds are the sequences that are kept: those that were replaced
	// or aged out are gaps between them. See Bounds.
	HeartbeatBounds(ctx context.Context) (Bounds, error)
}

// StoredHeartbeat is a heartbeat with its place in the stream of heartbeats.
type StoredHeartbeat struct {
	Heartbeat
	// Sequence rises, with gaps; it is no Position of the log.
	Sequence uint64
}
