package events

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Void says which messages a commit declares void: those that lie directly
// before it on its subject, behind the commit that it follows. The first of them
// is no commit that follows from that one: a void takes nothing back.
type Void struct {
	Messages uint64 // how many, 1 or more
	Last     uint64 // sequence of the last one, which the commit expects
}

// Voids reports whether a void leaves a run as it was after the commit before,
// whose newest run's segment this is.
func (c *Commit) Voids(before Segment) bool {
	want := before
	if want.Run != "" {
		want.First, want.Before = want.Last+1, want.After
	}
	return c.Run == want
}

// MaxVoidReasonBytes is how long the reason of a void may be.
const MaxVoidReasonBytes = 1000

// CheckVoidReason refuses, as *InvalidError, a reason that no void can have.
func CheckVoidReason(reason string) error {
	if len(reason) > MaxVoidReasonBytes || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) {
		return &InvalidError{Field: "reason", Reason: fmt.Sprintf("is not text of at most %d bytes without NUL", MaxVoidReasonBytes)}
	}
	return nil
}

// Voider mends workflows that are ErrCorrupt by messages that are no commits.
type Voider interface {
	// Void declares void what lies behind the workflow's last valid commit and
	// is none. The workflow then goes on from that commit as if nothing had been
	// there. It fails with ErrNotVoidable, and stores nothing, if nothing is
	// wrong, and if what is there has been followed by a commit: voiding that
	// would take back what was acknowledged. Its outcomes are those of an
	// append; after ErrOutcomeUnknown the same request settles it, and needs no
	// expectation.
	Void(ctx context.Context, r VoidRequest) (VoidResult, error)
}

// VoidRequest is one void.
type VoidRequest struct {
	Workflow Workflow
	// CommitID makes the request recognisable when it is repeated, however
	// much later. Empty: a UUIDv7 is made.
	CommitID CommitID
	Reason   string // for people, at most MaxVoidReasonBytes; may be empty
}

// VoidResult says what was declared void.
type VoidResult struct {
	Position Position // of the void
	CommitID CommitID
	// Messages is how many were declared void, Voided the first of them, at
	// most MaxVoided.
	Messages uint64
	Voided   []VoidedMessage
	// Cursor is the end of the workflow right after the void: that of the last
	// valid commit, moved behind it. It has no run if there was none.
	Cursor Cursor
	// Existed says that the void was stored by an earlier attempt.
	Existed bool
}

// MaxVoided is how many messages a VoidResult lists.
const MaxVoided = 1000

// VoidedMessage is a message that is no commit, and why.
type VoidedMessage struct {
	Position Position
	Time     time.Time // when the server stored it
	Reason   string
}
