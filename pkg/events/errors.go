package events

import (
	"errors"
	"fmt"
)

var (
	// ErrConflict: the workflow is not as the append expected. Nothing was
	// stored. Read the history again and decide again; *ConflictError has the
	// cursor to go on from.
	ErrConflict = errors.New("conflict")
	// ErrClosed: the run is closed and takes no more events. Nothing was stored.
	ErrClosed = errors.New("the run is closed")
	// ErrNotFound: the log has no such workflow, run or event.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the request can never succeed as it is. Nothing was sent;
	// *InvalidError names the field.
	ErrInvalid = errors.New("invalid")
	// ErrLimit: the commit or the history would be too large, or the server has
	// no room for it. Nothing was stored; split the commit, continue as new, or
	// do what *LimitError says.
	ErrLimit = errors.New("limit exceeded")
	// ErrCommitIDReused: the commit id is stored already, with other content.
	// It is a bug of the caller: one id was used for two appends.
	ErrCommitIDReused = errors.New("commit id was used for other content")
	// ErrOutcomeUnknown: the append may or may not have been stored, or may
	// yet be. Send it again with the commit id and the expectation that
	// *OutcomeUnknownError carries, now or later, and it is settled.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrUnavailable: the log could not be reached or is not able to serve.
	// Nothing was stored; try again later.
	ErrUnavailable = errors.New("the log is unavailable")
	// ErrOverloaded: as many appends are under way on this handle, or as many
	// bytes, as it is configured to have at a time. Nothing was stored; try again
	// when some have ended, and slow down.
	ErrOverloaded = errors.New("too many appends are under way")
	// ErrCorrupt: a message on the workflow's subject is not the commit that
	// should be there. The workflow takes no appends and gives no history until
	// it is mended, by a void (see Voider) where the message was never a commit;
	// others are not affected.
	ErrCorrupt = errors.New("the log is corrupt")
	// ErrNotVoidable: there is nothing on the workflow's subject that could be
	// declared void: either nothing is wrong there, or a void would take back
	// what was appended. Nothing was stored; *NotVoidableError says which.
	ErrNotVoidable = errors.New("there is nothing to void")
	// ErrWrongLog: this is not the log that was expected: another log id, an
	// epoch before or after a restore, a format or settings that are not this
	// version's. Nothing was stored.
	ErrWrongLog = errors.New("wrong log")
)

// InvalidError names the field of a request that cannot be accepted.
type InvalidError struct {
	Field  string // e.g. "events[2].eventId"
	Reason string
}

func (e *InvalidError) Error() string        { return "invalid " + e.Field + ": " + e.Reason }
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// ConflictError says what an append expected of a workflow and what is there.
type ConflictError struct {
	Workflow Workflow
	Expected string
	Actual   Cursor
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("conflict on %s: expected %s, found %s", e.Workflow, e.Expected, e.Actual)
}
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// ClosedError names the closed run.
type ClosedError struct {
	Workflow Workflow
	Actual   Cursor // of the workflow's newest run
}

func (e *ClosedError) Error() string {
	return fmt.Sprintf("the run of %s is closed: %s", e.Workflow, e.Actual)
}
func (e *ClosedError) Is(target error) bool { return target == ErrClosed }

// NotFoundError says what was looked for. Run is empty where the whole workflow
// is missing, Event zero where it is the run.
type NotFoundError struct {
	Workflow Workflow
	Run      RunID
	Event    EventID
	// Activity is set where it is the heartbeat of an activity of the run.
	Activity string
}

func (e *NotFoundError) Error() string {
	switch {
	case e.Activity != "":
		return fmt.Sprintf("heartbeat of activity %q in run %s of workflow %s not found", e.Activity, e.Run, e.Workflow)
	case e.Run == "":
		return fmt.Sprintf("workflow %s not found", e.Workflow)
	case e.Event == 0:
		return fmt.Sprintf("run %s of workflow %s not found", e.Run, e.Workflow)
	default:
		return fmt.Sprintf("event %d of run %s of workflow %s not found", e.Event, e.Run, e.Workflow)
	}
}
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// LimitError says which limit an append or a heartbeat would exceed.
type LimitError struct {
	Workflow Workflow
	What     string // e.g. "bytes of events in one commit"
	Got      int64
	Max      int64 // inclusive; 0 where it is the server that refused
	Remedy   string
}

func (e *LimitError) Error() string {
	if e.Max == 0 {
		return fmt.Sprintf("%s: %d %s: %s", e.Workflow, e.Got, e.What, e.Remedy)
	}
	return fmt.Sprintf("%s: %d %s, at most %d are allowed: %s", e.Workflow, e.Got, e.What, e.Max, e.Remedy)
}
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// OverloadedError says what was under way, without the append that was refused.
// A bound of 0 is none.
type OverloadedError struct {
	Workflow            Workflow
	Commits, MaxCommits int64
	Bytes, MaxBytes     int64 // of events
}

func (e *OverloadedError) Error() string {
	return fmt.Sprintf("append to %s: %v: %d commits of at most %d, %d bytes of at most %d", e.Workflow, ErrOverloaded, e.Commits, e.MaxCommits, e.Bytes, e.MaxBytes)
}
func (e *OverloadedError) Is(target error) bool { return target == ErrOverloaded }

// CommitIDReusedError names the commit that has the id.
type CommitIDReusedError struct {
	Workflow Workflow
	CommitID CommitID
	Position Position
}

func (e *CommitIDReusedError) Error() string {
	return fmt.Sprintf("commit id %q of %s is stored at %s with other content", e.CommitID, e.Workflow, e.Position)
}
func (e *CommitIDReusedError) Is(target error) bool { return target == ErrCommitIDReused }

// OutcomeUnknownError carries what settles the append: send the same request
// again with this commit id and this expectation. Ask for it before all others:
// by errors.Is it is what its cause is, too (ErrUnavailable, ErrOverloaded), and
// what those say of nothing stored is true of the last attempt only.
type OutcomeUnknownError struct {
	Workflow    Workflow
	CommitID    CommitID
	Expectation Expectation
	Cause       error
}

func (e *OutcomeUnknownError) Error() string {
	return fmt.Sprintf("append %q to %s: outcome unknown: %v", e.CommitID, e.Workflow, e.Cause)
}
func (e *OutcomeUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }
func (e *OutcomeUnknownError) Unwrap() error        { return e.Cause }

// HeartbeatUnknownError says that a heartbeat may be stored, or may yet be: send
// it again, and it is settled.
type HeartbeatUnknownError struct {
	Activity Activity
	Cause    error
}

func (e *HeartbeatUnknownError) Error() string {
	return fmt.Sprintf("heartbeat of %s: outcome unknown: %v", e.Activity, e.Cause)
}
func (e *HeartbeatUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }
func (e *HeartbeatUnknownError) Unwrap() error        { return e.Cause }

// CorruptHeartbeatError says what is wrong with a message among the heartbeats.
// Its activity takes no heartbeats until the message has aged out or somebody
// has deleted it from the stream; others are not affected.
type CorruptHeartbeatError struct {
	Workflow Workflow // zero if the subject is none of a heartbeat
	Subject  string
	Sequence uint64 // in the stream of heartbeats
	Reason   string
}

func (e *CorruptHeartbeatError) Error() string {
	return fmt.Sprintf("heartbeat at sequence %d, subject %s, is corrupt: %s", e.Sequence, e.Subject, e.Reason)
}
func (e *CorruptHeartbeatError) Is(target error) bool { return target == ErrCorrupt }

// CorruptError places what is wrong with a workflow's subject.
type CorruptError struct {
	Workflow Workflow
	Position Position
	Reason   string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the log is corrupt at %s (%s): %s", e.Position, e.Workflow, e.Reason)
}
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// NotVoidableError says why a workflow has nothing that can be declared void.
type NotVoidableError struct {
	Workflow Workflow
	// Position is that of the commit that a void would take back; zero where
	// nothing is wrong.
	Position Position
	Reason   string
}

func (e *NotVoidableError) Error() string {
	return fmt.Sprintf("nothing of %s can be declared void: %s", e.Workflow, e.Reason)
}
func (e *NotVoidableError) Is(target error) bool { return target == ErrNotVoidable }

// WrongLogError says what was expected of the log and what it is.
type WrongLogError struct{ What, Want, Got string }

func (e *WrongLogError) Error() string {
	return fmt.Sprintf("wrong log: %s is %s, expected %s", e.What, e.Got, e.Want)
}
func (e *WrongLogError) Is(target error) bool { return target == ErrWrongLog }

// SafeToRetry reports whether sending the same request again, with the same
// commit id, can do no harm and may succeed: nothing was stored, or what was is
// recognised.
func SafeToRetry(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrOverloaded)
}

// DecidedError says what stands where a decision would have: another one that
// follows directly on what was expected.
type DecidedError struct {
	Topic    Topic
	Expected uint64 // sequence of the topic's last message; 0: none
	// Actual is the decision that follows it. Where the message is no decision it
	// has only sequence and topic.
	Actual StoredDecision
}

func (e *DecidedError) Error() string {
	return fmt.Sprintf("conflict on %s: expected its last decision at %d, found one at %d: %s", e.Topic, e.Expected, e.Actual.Sequence, e.Actual.Content)
}
func (e *DecidedError) Is(target error) bool { return target == ErrConflict }

// DecisionReusedError names the decision that has the commit id.
type DecisionReusedError struct {
	CommitID CommitID
	Stored   StoredDecision
}

func (e *DecisionReusedError) Error() string {
	return fmt.Sprintf("commit id %q of %s is stored at sequence %d of the control stream with other content", e.CommitID, e.Stored.Topic, e.Stored.Sequence)
}
func (e *DecisionReusedError) Is(target error) bool { return target == ErrCommitIDReused }

// DecisionUnknownError says that a decision may be stored, or may yet be: send it
// again with this commit id and the same expectation, and it is settled.
type DecisionUnknownError struct {
	Topic    Topic
	CommitID CommitID
	After    uint64
	Cause    error
}

func (e *DecisionUnknownError) Error() string {
	return fmt.Sprintf("decision %q on %s after %d: outcome unknown: %v", e.CommitID, e.Topic, e.After, e.Cause)
}
func (e *DecisionUnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }
func (e *DecisionUnknownError) Unwrap() error        { return e.Cause }

// CorruptDecisionError says what is wrong with a message of the control stream.
// It decides nothing; decisions before and after it stand.
type CorruptDecisionError struct {
	Topic    Topic // zero if the subject is none of a decision
	Subject  string
	Sequence uint64 // in the control stream
	Reason   string
}

func (e *CorruptDecisionError) Error() string {
	return fmt.Sprintf("decision at sequence %d, subject %s, is corrupt: %s", e.Sequence, e.Subject, e.Reason)
}
func (e *CorruptDecisionError) Is(target error) bool { return target == ErrCorrupt }
