package wiring

import (
	"errors"
	"fmt"
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// ErrNoDatabase occurs when nothing says which Postgres is meant. Set
// DATABASE_URL, or start `annals dev` in this folder.
var ErrNoDatabase = errors.New("no database: set DATABASE_URL (or PGHOST and the like), or start `annals dev` in this folder")

// ConnectError occurs when a server does not answer, or refuses this program.
// Nothing was read or written. Its text says where the address came from.
type ConnectError struct {
	Server string // "NATS" or "Postgres"
	Where  string // the address, without passwords, or the name of a context
	Source string // what named it: a flag, a variable, …
	// Setting says that it is what this program was told that cannot work, such as
	// a malformed URL: nothing was tried, and waiting does not help.
	Setting bool
	Cause   error
}

func (e *ConnectError) Error() string {
	where := e.Where
	if e.Source != "" {
		where = strings.TrimSpace(where + " (from " + e.Source + ")")
	}
	return fmt.Sprintf("connect to %s at %s: %v", e.Server, where, e.Cause)
}

func (e *ConnectError) Unwrap() error { return e.Cause }

// NotOpenError occurs in calls of a PendingLog before it is open. Nothing was
// stored; try again later. It is events.ErrUnavailable, and never what Cause is:
// the next attempt to open the log may come to something else.
type NotOpenError struct {
	Cause error // why the last attempt failed; nil if the first has not ended
}

func (e *NotOpenError) Error() string {
	text := events.ErrUnavailable.Error() + ": it is not open yet"
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *NotOpenError) Is(target error) bool { return target == events.ErrUnavailable }
