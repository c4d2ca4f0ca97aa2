package importer

import (
	"errors"
	"fmt"

	"github.com/annals-io/annals/internal/temporal"
	"github.com/annals-io/annals/pkg/events"
)

// refusedError says why a file cannot go in. Nothing of it was appended, or
// only what a part of it says as well.
type refusedError struct {
	reason string
	until  doubt
}

// doubt is what a refusal may end with, where whoever asks has the time.
type doubt int

const (
	forGood  doubt = iota
	lookedAt       // nothing, if a look at the run from its first event finds the same
	waited         // something else that is under way ends
)

func (e *refusedError) Error() string { return e.reason }

func refuse(format string, args ...any) error {
	return &refusedError{reason: fmt.Sprintf(format, args...)}
}

// refuseUntil is refuse, with what may end it.
func refuseUntil(d doubt, format string, args ...any) error {
	return &refusedError{reason: fmt.Sprintf(format, args...), until: d}
}

// final are the answers of a log that will be the same next time.
var final = []error{events.ErrInvalid, events.ErrLimit, events.ErrClosed, events.ErrConflict, events.ErrCommitIDReused, events.ErrCorrupt}

// isRefusal reports whether err is about the file, or its workflow, and not
// about the log as a whole.
func isRefusal(err error) bool {
	var r *refusedError
	if errors.As(err, &r) {
		return true
	}
	for _, f := range final {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// stays reports whether err is about one run, and will be the same however long
// somebody waits: what the server has of it can never be in the log. looked says that
// the run was looked at from its first event since it was refused so before. A log that
// is full is given room, one that is corrupt is mended, and a server's odd answer may
// be that of something in between.
func stays(err error, looked bool) bool {
	var r *refusedError
	if errors.As(err, &r) {
		return r.until == forGood || r.until == lookedAt && looked
	}
	var limit *events.LimitError
	if errors.As(err, &limit) {
		return limit.Max > 0
	}
	return errors.Is(err, temporal.ErrGone) || errors.Is(err, events.ErrInvalid)
}

// endsFollowing reports whether err is what only a person can mend: no run can be
// imported until then.
func endsFollowing(err error) bool {
	for _, e := range []error{temporal.ErrConfig, temporal.ErrDenied, temporal.ErrNamespace, temporal.ErrQuery, events.ErrWrongLog} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isServers reports whether err is an answer of the server, or that there was none, but
// not for one run only.
func isServers(err error) bool {
	var e *temporal.Error
	var only *onlyThisError
	return errors.As(err, &e) && !errors.As(err, &only)
}

// onlyThisError occurs when a server has no answer for a run, and had some for others
// meanwhile.
type onlyThisError struct{ err error }

func (e *onlyThisError) Error() string { return e.err.Error() }

func (e *onlyThisError) Unwrap() error { return e.err }

// isDoubted reports whether err is a refusal that a second look may take back.
func isDoubted(err error) bool {
	var r *refusedError
	return errors.As(err, &r) && r.until == lookedAt
}
