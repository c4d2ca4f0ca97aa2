package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
)

// literal is a value as a filter writes it.
type literal struct {
	form literalForm
	text string // without quotes; a number with its sign
}

type literalForm string

const (
	aText    literalForm = "a text"
	anInt    literalForm = "a whole number"
	aFloat   literalForm = "a number with a fraction"
	aBool    literalForm = "a boolean"
	aNull    literalForm = "NULL"
	aBinary  literalForm = "a binary number"
	anOdd    literalForm = "an expression"
	aTuple   literalForm = "a list"
	aSubtree literalForm = "a value in parentheses"
)

// parseKeyword takes text only. The tables have U+FFFD where the log has a NUL,
// so a value has, too.
func parseKeyword(l literal) (any, string) {
	if l.form != aText {
		return nil, "want a text in quotes, found " + string(l.form)
	}
	return strings.ReplaceAll(l.text, "\x00", "\uFFFD"), ""
}

// parseStatus takes names in both spellings and numbers, and gives the name
// that the tables use.
func parseStatus(l literal) (any, string) {
	switch l.form {
	case aText:
		s, err := enumspb.WorkflowExecutionStatusFromString(l.text)
		if err != nil {
			return nil, "no status is called " + quoted(l.text) + "; there are " + statusNames()
		}
		return s.String(), ""
	case anInt:
		n, err := strconv.ParseInt(l.text, 10, 32)
		if _, known := enumspb.WorkflowExecutionStatus_name[int32(n)]; err != nil || !known {
			return nil, "no status has the number " + l.text
		}
		return enumspb.WorkflowExecutionStatus(n).String(), ""
	default:
		return nil, "want the name or the number of a status, found " + string(l.form)
	}
}

func statusNames() string {
	var list []string
	for n := int32(1); ; n++ {
		if _, known := enumspb.WorkflowExecutionStatus_name[n]; !known {
			return strings.Join(list, ", ")
		}
		list = append(list, enumspb.WorkflowExecutionStatus(n).String())
	}
}

// parseTime takes RFC 3339 and nanoseconds since 1970, and cuts to the
// microsecond as the tables do.
func parseTime(l literal) (any, string) {
	switch l.form {
	case aText:
		t, err := time.Parse(time.RFC3339Nano, l.text)
		if err != nil {
			return nil, quoted(l.text) + " is no time in RFC 3339, such as '2026-01-31T09:00:00Z'"
		}
		return t.UTC().Truncate(time.Microsecond), ""
	case anInt:
		n, err := strconv.ParseInt(l.text, 10, 64)
		if err != nil {
			return nil, l.text + " is beyond the nanoseconds that 64 bits hold"
		}
		return time.Unix(0, n).UTC().Truncate(time.Microsecond), ""
	default:
		return nil, "want a time in RFC 3339 or whole nanoseconds since 1970, found " + string(l.form)
	}
}

// listOf makes the array parameter of an IN.
func listOf[T any](values []any) any {
	list := make([]T, len(values))
	for i, v := range values {
		list[i] = v.(T)
	}
	return list
}

// quoted is user text for a message, cut where it is long.
func quoted(s string) string { return fmt.Sprintf("%q", excerpt(s)) }
