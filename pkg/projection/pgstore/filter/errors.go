package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrInvalid: what was asked can never be answered as it is. Correct the
// filter, the order or the grouping; [*Error] has the place of a filter's fault.
var ErrInvalid = errors.New("invalid query")

// Error says what is wrong with a filter, and where.
type Error struct {
	Query string
	// Offset is where the offending part begins, in bytes from 0;
	// len(Query) where something is missing at the end.
	Offset int
	Reason string
}

// Error quotes what stands at the place.
func (e *Error) Error() string {
	if e.Offset >= len(e.Query) {
		return fmt.Sprintf("invalid query: %s (at its end)", e.Reason)
	}
	return fmt.Sprintf("invalid query: %s (at byte %d: %q)", e.Reason, e.Offset, excerpt(e.Query[e.Offset:]))
}

// Is makes it match ErrInvalid.
func (e *Error) Is(target error) bool { return target == ErrInvalid }

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

// ArgumentError says what is wrong with an order or a grouping.
type ArgumentError struct {
	Field  string // of the request, e.g. "orderBy"
	Reason string
}

func (e *ArgumentError) Error() string { return "invalid " + e.Field + ": " + e.Reason }

// Is makes it match ErrInvalid.
func (e *ArgumentError) Is(target error) bool { return target == ErrInvalid }
