package wiring

import (
	"errors"
	"fmt"
	"strings"
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
	Cause  error
}

func (e *ConnectError) Error() string {
	where := e.Where
	if e.Source != "" {
		where = strings.TrimSpace(where + " (from " + e.Source + ")")
	}
	return fmt.Sprintf("connect to %s at %s: %v", e.Server, where, e.Cause)
}

func (e *ConnectError) Unwrap() error { return e.Cause }
