package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/annals-io/annals/pkg/events"
)

// Error says what is wrong with a filter, and where. It is [events.ErrInvalid]:
// correct the filter, it can never be answered as it is.
type Error struct {
	Query string
	// Offset is where the offending part begins, in bytes from 0;
	// len(Query) where something is missing at the end.
	Offset int
	Reason string
	// Unknown is set where a name is no field and no search attribute that the
	// namespace was said to have: it may have been registered since. And where rows of
	// events are asked for and the tables were said to have none.
	Unknown bool
}

// UnknownError is [events.ErrInvalid] for a name beside a filter, in an order or a
// grouping: as Unknown of [Error].
type UnknownError struct{ events.InvalidError }

// Unwrap is what it says.
func (e *UnknownError) Unwrap() error { return &e.InvalidError }

// IsUnknown reports whether err is about a name that is no field and no search
// attribute that the namespace was said to have.
func IsUnknown(err error) bool {
	var in *Error
	var beside *UnknownError
	return errors.As(err, &in) && in.Unknown || errors.As(err, &beside)
}

// Error quotes what stands at the place.
func (e *Error) Error() string {
	if e.Offset >= len(e.Query) {
		return fmt.Sprintf("invalid query: %s (at its end)", e.Reason)
	}
	return fmt.Sprintf("invalid query: %s (at byte %d: %q)", e.Reason, e.Offset, excerpt(e.Query[e.Offset:]))
}

// Is makes it match events.ErrInvalid.
func (e *Error) Is(target error) bool { return target == events.ErrInvalid }

// Pointer is the line of the query that the fault is in, and a line with a
// caret under it.
func (e *Error) Pointer() string {
	offset := min(e.Offset, len(e.Query))
	before := e.Query[:offset]
	begin := strings.LastIndexByte(before, '\n') + 1
	line, _, _ := strings.Cut(e.Query[begin:], "\n")
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, before[begin:])
	return strings.ToValidUTF8(line, "\uFFFD") + "\n" + blank + "^"
}

const excerptBytes = 40

// excerpt is the beginning of s, cut between runes.
func excerpt(s string) string {
	if len(s) <= excerptBytes {
		return s
	}
	n := excerptBytes
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
