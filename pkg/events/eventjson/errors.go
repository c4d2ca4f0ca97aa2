package eventjson

import (
	"errors"
	"fmt"
	"strings"
)

// What is wrong with an input as a whole. The caller's input has to change;
// none of these goes away by trying again.
var (
	// ErrSyntax: the input is not JSON. The message says where.
	ErrSyntax = errors.New("not JSON")
	// ErrNotHistory: it is JSON, but neither a history, nor events.
	ErrNotHistory = errors.New("not a history")
	// ErrPartial: the input is one page of a longer history, by its
	// nextPageToken. Fetch the other pages and put their events together.
	ErrPartial = errors.New("only one page of a history")
	// ErrTooLarge: the input is over [Options.MaxBytes].
	ErrTooLarge = errors.New("JSON is too large")
	// ErrTooDeep: objects and arrays are nested over [Options.MaxDepth].
	ErrTooDeep = errors.New("JSON is nested too deeply")
)

// What is wrong at one place of an input. A [*FieldError] holds every such
// place, and errors.Is finds these in it.
var (
	// ErrUnknownField: no such field. Correct the name, or decode leniently to
	// drop it.
	ErrUnknownField = errors.New("unknown field")
	// ErrUnknownEnum: no such enum name. Correct it, or decode leniently to
	// drop it.
	ErrUnknownEnum = errors.New("unknown enum name")
	// ErrDuplicate: the name occurs twice in one object, or a second member of
	// a choice is set. One of the two has to go.
	ErrDuplicate = errors.New("duplicate")
	// ErrInvalidValue: the value is not of its field's type.
	ErrInvalidValue = errors.New("invalid value")
)

// maxProblems is how many problems a FieldError holds: an input of megabytes
// can have as many as it has bytes, and nobody reads more.
const maxProblems = 10_000

// Problem is one place of an input, and what is wrong there.
type Problem struct {
	Path   string // from the history down, e.g. "events[3].eventType"
	Reason error  // one of the sentinels above
	Detail string // what was found or wanted; may be empty
}

// String is path, reason and detail in one line.
func (p Problem) String() string {
	if p.Detail == "" {
		return fmt.Sprintf("%s: %v", p.Path, p.Reason)
	}
	return fmt.Sprintf("%s: %v: %s", p.Path, p.Reason, p.Detail)
}

// FieldError says at which places an input is wrong. Nothing of the input was
// taken.
type FieldError struct {
	Problems []Problem // in the order of the input; at least one, at most 10,000
	More     bool      // there are more than Problems holds
}

// Paths are the places alone, in the order of the input.
func (e *FieldError) Paths() []string {
	paths := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		paths[i] = p.Path
	}
	return paths
}

// shownProblems is how many problems a message spells out.
const shownProblems = 10

// Error spells out the first ten problems and counts the others.
func (e *FieldError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i == shownProblems {
			fmt.Fprintf(&b, "; and %d more", len(e.Problems)-i)
			if e.More {
				b.WriteString(" at least")
			}
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Unwrap gives each reason that occurs, once.
func (e *FieldError) Unwrap() []error {
	var reasons []error
	for _, known := range []error{ErrUnknownField, ErrUnknownEnum, ErrDuplicate, ErrInvalidValue} {
		for _, p := range e.Problems {
			if errors.Is(p.Reason, known) {
				reasons = append(reasons, known)
				break
			}
		}
	}
	return reasons
}
