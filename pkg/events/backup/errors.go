package backup

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNone: the folder holds no backup. Name the folder of one.
	ErrNone = errors.New("no backup")
	// ErrDamaged: the folder is not what its manifest says. *DamagedError names
	// the files. Do not restore from it; take another backup, into an empty folder.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrAnother: the folder holds the backup of another log, of another epoch,
	// or of a log that was cut short or replaced since. Nothing was written.
	// Back up into an empty folder.
	ErrAnother = errors.New("the folder holds another log's backup")
	// ErrBusy: another process writes to the folder. Wait for it.
	ErrBusy = errors.New("another backup writes to the folder")
)

// Damage is one file that is not what the manifest says, and why.
type Damage struct{ File, Reason string }

// DamagedError lists what is damaged.
type DamagedError struct{ Damage []Damage }

func (e *DamagedError) Error() string {
	var b strings.Builder
	b.WriteString(ErrDamaged.Error())
	for _, d := range e.Damage {
		fmt.Fprintf(&b, ": %s: %s", d.File, d.Reason)
	}
	return b.String()
}
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

func damaged(file, format string, args ...any) error {
	return &DamagedError{Damage: []Damage{{File: file, Reason: fmt.Sprintf(format, args...)}}}
}

// AnotherError says what of the log is not what the folder's backup is of.
type AnotherError struct{ What, Folder, Log string }

func (e *AnotherError) Error() string {
	return fmt.Sprintf("%v: %s is %s in the folder and %s in the log", ErrAnother, e.What, e.Folder, e.Log)
}
func (e *AnotherError) Is(target error) bool { return target == ErrAnother }
