package replay

import "errors"

// ErrNotAsked occurs when code cannot be asked at all: it says nothing about
// the history. A Code wraps it, and the check ends with that error.
var ErrNotAsked = errors.New("the code could not be asked")

// CodeError occurs when code has no answer to a history: it does not know the
// workflow's type, say, or has found out itself that it does other things now.
// For a check that is a mismatch.
type CodeError struct{ Reason string }

func (e *CodeError) Error() string { return e.Reason }
