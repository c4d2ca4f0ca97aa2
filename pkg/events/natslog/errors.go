package natslog

import (
	"errors"
	"fmt"
)

var (
	// ErrNotEmpty: a log is restored only where there is none. Nothing was
	// changed. Use another server or account, or, if what is there is not
	// needed, delete its streams.
	ErrNotEmpty = errors.New("there is a log already")
	// ErrUnfinished: a restore was begun and not completed: no log can be opened
	// here. Restore from the same backup again with Resume, or delete the
	// streams and begin anew.
	ErrUnfinished = errors.New("a restore was not completed")
	// ErrSpoiled: the streams that a restore fills do not hold what the backup
	// does: something else was stored there, or refused. Delete the streams and
	// restore anew.
	ErrSpoiled = errors.New("the restored streams are not as the backup")
)

// errSilent: no answer came for as long as it was waited for.
var errSilent = errors.New("the server is silent")

// NotEmptyError names a stream that is in the way of a restore.
type NotEmptyError struct {
	Stream   string
	Messages uint64
	Reason   string // instead of messages
}

func (e *NotEmptyError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%v: stream %s %s", ErrNotEmpty, e.Stream, e.Reason)
	}
	return fmt.Sprintf("%v: stream %s holds %d messages", ErrNotEmpty, e.Stream, e.Messages)
}
func (e *NotEmptyError) Is(target error) bool { return target == ErrNotEmpty }
