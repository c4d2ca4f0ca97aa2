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
	// ErrCannotApply: a commit cannot become rows, now or later. The projector
	// quarantines its workflow; mend the cause and heal it.
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
	// ErrQuarantined: the tables do not have all of a workflow's commits, since
	// one of them could not be applied. Mend the cause and heal the workflow.
	ErrQuarantined = errors.New("quarantined")
	// ErrTooManyQuarantined: so many workflows of a partition are quarantined
	// that the cause is hardly theirs. The partition stops; look for the cause,
	// mend it, start the projector again and heal them.
	ErrTooManyQuarantined = errors.New("too many workflows are quarantined")
	// ErrNotHealed: a workflow could not be healed, as its cause is not gone.
	// Nothing was changed.
	ErrNotHealed = errors.New("not healed")
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
	Kind     Kind            // empty: the tables refuse it
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

// QuarantinedError says of what the tables lack commits, and why.
type QuarantinedError struct{ Quarantined }

func (e *QuarantinedError) Error() string        { return e.Quarantined.String() }
func (e *QuarantinedError) Is(target error) bool { return target == ErrQuarantined }

// TooManyQuarantinedError is the commit at which a partition stopped.
type TooManyQuarantinedError struct {
	Partition   events.Partition
	Quarantined int // subjects of the partition
	Cause       error
}

func (e *TooManyQuarantinedError) Error() string {
	return fmt.Sprintf("%d subjects of partition %d are quarantined, and there is another one: the cause is hardly theirs, look for it before more are set aside: %v", e.Quarantined, e.Partition, e.Cause)
}
func (e *TooManyQuarantinedError) Is(target error) bool { return target == ErrTooManyQuarantined }
func (e *TooManyQuarantinedError) Unwrap() error        { return e.Cause }

// NotHealedError says why a workflow is as it was.
type NotHealedError struct {
	Workflow events.Workflow
	Cause    error
	Advice   string // what a person may do about it
}

func (e *NotHealedError) Error() string {
	return fmt.Sprintf("%s is not healed: %s", e.Workflow, e.Reason())
}

// Reason is the cause with the advice.
func (e *NotHealedError) Reason() string {
	if e.Advice == "" {
		return e.Cause.Error()
	}
	return fmt.Sprintf("%v: %s", e.Cause, e.Advice)
}
func (e *NotHealedError) Is(target error) bool { return target == ErrNotHealed }
func (e *NotHealedError) Unwrap() error        { return e.Cause }

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
	return s + "rebuild them (annals projection rebuild; a projection of your own: by its Rebuild)"
}
func (e *VersionError) Is(target error) bool { return target == ErrVersion }

// ModeError says that the tables are kept in another way than is wanted, which a
// rebuild changes. It is ErrVersion.
type ModeError struct {
	Projection     string
	Tables, Wanted string
}

func (e *ModeError) Error() string {
	return fmt.Sprintf("%v: those of %s are made in the mode %q, and %q is wanted: rebuild them in it (annals projection rebuild --events %[4]s; a projection of your own: by its Rebuild), or ask for the one that they have", ErrVersion, e.Projection, e.Tables, e.Wanted)
}
func (e *ModeError) Is(target error) bool { return target == ErrVersion }
