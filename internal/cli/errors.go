package cli

import (
	"errors"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// The exit codes of every program.
const (
	exitDone  = 0
	exitNo    = 1 // the answer is no
	exitUsage = 2
	exitFault = 3 // could not do it
)

// usageError occurs when the command line, or the input that it names, can
// never be taken as it is.
type usageError struct{ cause error }

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// noError occurs when the command did its work and the answer is no.
type noError struct{ cause error }

func (e *noError) Error() string { return e.cause.Error() }
func (e *noError) Unwrap() error { return e.cause }

func nof(format string, args ...any) error { return &noError{fmt.Errorf(format, args...)} }

// exitError ends the program with another program's exit code, silently.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// answers are the errors of a log, and of a backup, that are an answer: it is
// reached, and says no.
var answers = []error{
	events.ErrConflict, events.ErrClosed, events.ErrNotFound, events.ErrLimit, events.ErrCommitIDReused, events.ErrNotVoidable,
	postgres.ErrRebuilding, postgres.ErrNotRebuildable, postgres.ErrNoGeneration, postgres.ErrGenerationLive,
	backup.ErrNone, backup.ErrAnother, backup.ErrDamaged, natslog.ErrNotEmpty, natslog.ErrUnfinished, natslog.ErrSpoiled,
}

// exitCode says how a program ends that failed with err.
func exitCode(err error) int {
	var (
		exit  *exitError
		usage *usageError
		no    *noError
		field *eventjson.FieldError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage), errors.As(err, &field), errors.Is(err, events.ErrInvalid):
		return exitUsage
	case errors.As(err, &no):
		return exitNo
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return exitNo
		}
	}
	return exitFault
}
