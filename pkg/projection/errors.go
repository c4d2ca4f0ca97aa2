package projection

import (
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

var (
	// ErrFenced: the checkpoint is not where the batch began: another projector,
	// or somebody who mends rows, moved it. Nothing was written. The projector
	// begins again from the checkpoint.
	ErrFenced = errors.New("the checkpoint was moved by another")
	// ErrCannotApply: a commit cannot become rows, now or later. The partition
	// stops; mend the cause and start it again.
	ErrCannotApply = errors.New("a commit cannot be applied")
	// ErrWrongCheckpoint: the checkpoint does not belong to the log as it is.
	// The partition stops; the tables must be rebuilt, or the right log opened.
	ErrWrongCheckpoint = errors.New("the checkpoint does not fit the log")
	// ErrVersion: the tables were made by another version of the projection.
	ErrVersion = errors.New("the tables are of another version")
	// ErrLeaseLost: a lease is not, or no longer, held: it expired and another may
	// have it. The work that it was for ends; nothing that it left open is stored.
	ErrLeaseLost = errors.New("the lease is not held")
	// ErrLeaseHeld: another has the lease that was asked for (*LeaseHeldError).
	// Try again when it is done.
	ErrLeaseHeld = errors.New("another holds the lease")
)

// errHandedOver: another shall have the partition; what was being written is.
var errHandedOver = errors.New("the partition is handed over")

// LeaseHeldError says who has it.
type LeaseHeldError struct{ Lease Lease }

func (e *LeaseHeldError) Error() string {
	h := e.Lease.Holder
	if h.ID == "" {
		return fmt.Sprintf("another has just taken the lease %s", e.Lease.Name)
	}
	return fmt.Sprintf("the lease %s is held by %s (process %d on %s)", e.Lease.Name, h.ID, h.PID, h.Host)
}

func (e *LeaseHeldError) Is(target error) bool { return target == ErrLeaseHeld }

// CannotApplyError names the commit.
type CannotApplyError struct {
	Position events.Position
	Workflow events.Workflow // zero if the message does not even say
	Cause    error
}

func (e *CannotApplyError) Error() string {
	if e.Workflow == (events.Workflow{}) {
		return fmt.Sprintf("the message at %s cannot be applied: %v", e.Position, e.Cause)
	}
	return fmt.Sprintf("the commit at %s of %s cannot be applied: %v", e.Position, e.Workflow, e.Cause)
}
func (e *CannotApplyError) Is(target error) bool { return target == ErrCannotApply }
func (e *CannotApplyError) Unwrap() error        { return e.Cause }

// WrongCheckpointError says what does not fit.
type WrongCheckpointError struct {
	Checkpoint Checkpoint
	Reason     string
	// Workflow is the one whose message at the checkpoint is no commit; zero
	// where it is not about one.
	Workflow events.Workflow
}

func (e *WrongCheckpointError) Error() string {
	return fmt.Sprintf("checkpoint %s does not fit the log: %s", e.Checkpoint.Position(), e.Reason)
}
func (e *WrongCheckpointError) Is(target error) bool { return target == ErrWrongCheckpoint }
