package importer

import (
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

// refusedError says why a file cannot go in. Nothing of it was appended, or
// only what a part of it says as well.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

func refuse(format string, args ...any) error {
	return &refusedError{fmt.Sprintf(format, args...)}
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
