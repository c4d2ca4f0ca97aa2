package projection

import (
	"errors"
	"fmt"
	"strings"

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
	// ErrVersion: the tables were made by another version of the projection, or
	// are not there. Rebuild them, or run the program that they are of:
	// *VersionError says which, where there are tables.
	ErrVersion = errors.New("the tables are of another version")
	// ErrBehind: the tables did not come as far as was waited for. Wait longer,
	// or look at the projector: *BehindError says how far each partition is.
	ErrBehind = errors.New("the tables are behind")
	// ErrTooManyWaits: so many wait for the tables already that one more is
	// refused. Try again when some of them have ended, and look at the projector:
	// it does not keep up.
	ErrTooManyWaits = errors.New("too many wait for the tables")
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

// BehindError says what was waited for and how far the tables had come.
type BehindError struct {
	// Behind are the partitions that had not come far enough, in order; none
	// where the tables did not even say in time how far they are.
	Behind []Behind
	// Cause is why the wait ended: the context's; nil where nobody waited.
	Cause error
}

// Behind is one partition's part in a BehindError.
type Behind struct {
	// Wanted is what was waited for.
	Wanted events.Position
	// Checkpoint is how far its partition is in the tables, inclusive; 0: nothing.
	Checkpoint uint64
}

// By is by how many sequences the partition is behind what was wanted.
func (b Behind) By() uint64 { return b.Wanted.Sequence - b.Checkpoint }

func (e *BehindError) Error() string {
	parts := make([]string, len(e.Behind))
	for i, b := range e.Behind {
		parts[i] = fmt.Sprintf("%s wanted, partition is at %d, %d behind", b.Wanted, b.Checkpoint, b.By())
	}
	s := "the tables are behind: " + strings.Join(parts, "; ")
	if len(parts) == 0 {
		s = "the tables did not say in time how far they are"
	}
	if e.Cause == nil {
		return s
	}
	return s + ": " + e.Cause.Error()
}
func (e *BehindError) Is(target error) bool { return target == ErrBehind }
func (e *BehindError) Unwrap() error        { return e.Cause }

// TooManyWaitsError says how many are allowed.
type TooManyWaitsError struct{ Max int }

func (e *TooManyWaitsError) Error() string {
	return fmt.Sprintf("%v: at most %d are allowed at a time", ErrTooManyWaits, e.Max)
}
func (e *TooManyWaitsError) Is(target error) bool { return target == ErrTooManyWaits }

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

// VersionError says which versions differ. Tables that are older than the program
// must be rebuilt by it; the older program goes on until then.
type VersionError struct {
	Projection      string
	Tables, Program int
}

func (e *VersionError) Error() string {
	s := fmt.Sprintf("%s: those of %s are of version %d, this program's is %d: ", ErrVersion, e.Projection, e.Tables, e.Program)
	if e.Tables > e.Program {
		return s + "run the newer program"
	}
	return s + "rebuild them (annals projection rebuild)"
}
func (e *VersionError) Is(target error) bool { return target == ErrVersion }
