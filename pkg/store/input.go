package store

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// maxCommitText bounds texts whose only limit is that of the commit, which the
// log knows.
const maxCommitText = 1 << 30

func invalid(field, format string, args ...any) error {
	return &events.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

func checkOptionalID(field, s string, limit int) error {
	if s == "" {
		return nil
	}
	return events.CheckID(field, s, limit)
}

// checkText refuses what protobuf has in no string.
func checkText(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return invalid(field, "has %d bytes, at most %d are allowed", len(s), limit)
	case !utf8.ValidString(s):
		return invalid(field, "is not valid UTF-8")
	}
	return nil
}

// checkTime takes no time, and those that RFC 3339 and the tables can hold.
func checkTime(field string, t time.Time) error {
	if t.IsZero() || timestamppb.New(t).CheckValid() == nil {
		return nil
	}
	return invalid(field, "is %s, outside of the years 1 to 9999", t.UTC())
}

// within puts the name of what holds it before an error's field.
func within(outer string, err error) error {
	var e *events.InvalidError
	if !errors.As(err, &e) {
		return err
	}
	return &events.InvalidError{Field: outer + "." + e.Field, Reason: e.Reason}
}
