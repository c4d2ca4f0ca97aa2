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
	text string // without quotes; a number with its sign; true or false
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

// parseText takes text only. The tables have U+FFFD where the log has a NUL,
// so a value has, too.
func parseText(l literal) (any, string) {
	if l.form != aText {
		return nil, "want a text in quotes, found " + string(l.form)
	}
	return strings.ReplaceAll(l.text, "\x00", "\uFFFD"), ""
}

func parseBool(l literal) (any, string) {
	switch l.form {
	case aBool:
		return l.text == "true", ""
	case aText:
		return nil, "want true or false without quotes, found a text"
	default:
		return nil, "want true or false, found " + string(l.form)
	}
}

// parseDay takes a date.
func parseDay(l literal) (any, string) {
	if l.form != aText {
		return nil, "want a day such as '2026-01-31', found " + string(l.form)
	}
	if t, err := time.Parse(time.DateOnly, l.text); err != nil || t.Year() < 1 {
		return nil, quoted(l.text) + " is no day, such as '2026-01-31'"
	}
	return l.text, ""
}

// parseEventType takes names in both spellings and numbers, and gives the name that
// the tables use. A type that this version does not know is its number.
func parseEventType(l literal) (any, string) {
	switch l.form {
	case aText:
		t, err := enumspb.EventTypeFromString(l.text)
		if err != nil || t == 0 {
			return nil, "no event type is called " + quoted(l.text) + "; they are as in 'WorkflowTaskFailed' or 'EVENT_TYPE_WORKFLOW_TASK_FAILED'"
		}
		return t.String(), ""
	case anInt:
		n, err := strconv.ParseInt(l.text, 10, 32)
		if err != nil || n < 1 {
			return nil, "no event type has the number " + l.text
		}
		return enumspb.EventType(n).String(), ""
	default:
		return nil, "want the name or the number of an event type, found " + string(l.form)
	}
}

// parseStatus takes names in both spellings and numbers. It gives the enum's value,
// by which statuses are ordered.
func parseStatus(l literal) (any, string) {
	switch l.form {
	case aText:
		s, err := enumspb.WorkflowExecutionStatusFromString(l.text)
		if err != nil {
			return nil, "no status is called " + quoted(l.text) + "; there are " + statusNames()
		}
		return s, ""
	case anInt:
		n, err := strconv.ParseInt(l.text, 10, 32)
		if _, known := enumspb.WorkflowExecutionStatus_name[int32(n)]; err != nil || !known {
			return nil, "no status has the number " + l.text
		}
		return enumspb.WorkflowExecutionStatus(n), ""
	default:
		return nil, "want the name or the number of a status, found " + string(l.form)
	}
}

// statuses are those that there are, in the order of their numbers.
var statuses = func() (list []enumspb.WorkflowExecutionStatus) {
	for n := int32(1); ; n++ {
		if _, known := enumspb.WorkflowExecutionStatus_name[n]; !known {
			return list
		}
		list = append(list, enumspb.WorkflowExecutionStatus(n))
	}
}()

func statusNames() string {
	list := make([]string, len(statuses))
	for i, s := range statuses {
		list[i] = s.String()
	}
	return strings.Join(list, ", ")
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

// quoted is user text for a message, cut where it is long.
func quoted(s string) string { return fmt.Sprintf("%q", excerpt(s)) }
