package filter

import (
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// Order is what a list is sorted by; ties are broken by workflow id and run id
// in the same direction. Runs without a value count as less than all others:
// they are first when it ascends and last when it descends.
type Order struct {
	Column     string
	Descending bool
}

// DefaultOrder is newest first.
var DefaultOrder = Order{Column: "start_time", Descending: true}

// ParseOrder reads "FIELD [ASC|DESC]", as in "StartTime DESC"; ascending is
// what a bare field means. An empty text is DefaultOrder. Every error is an
// *events.InvalidError.
func ParseOrder(text string) (Order, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return DefaultOrder, nil
	}
	fail := func(reason string) (Order, error) {
		return Order{}, &events.InvalidError{Field: "orderBy", Reason: reason}
	}
	f, reason := lookup(words[0], isOrdered)
	if f == nil {
		return fail(reason)
	}
	if !f.ordered {
		return fail("a list cannot be ordered by " + f.name + "; it can be by " + names(isOrdered))
	}
	o := Order{Column: f.column}
	switch {
	case len(words) == 1, len(words) == 2 && strings.EqualFold(words[1], "ASC"):
	case len(words) == 2 && strings.EqualFold(words[1], "DESC"):
		o.Descending = true
	default:
		return fail("want " + f.name + ", ASC or DESC, found " + quoted(strings.Join(words[1:], " ")))
	}
	return o, nil
}

// ParseGroups gives the columns of the fields that a count is grouped by. A
// field may stand only once. Every error is an *events.InvalidError.
func ParseGroups(fieldNames []string) ([]string, error) {
	seen := make(map[string]bool, len(fieldNames))
	columns := make([]string, 0, len(fieldNames))
	for _, name := range fieldNames {
		f, reason := lookup(name, isGrouped)
		switch {
		case f == nil:
		case !f.grouped:
			reason = "a count cannot be grouped by " + f.name + "; it can be by " + names(isGrouped)
		case seen[name]:
			reason = f.name + " is named twice"
		}
		if reason != "" {
			return nil, &events.InvalidError{Field: "groupBy", Reason: reason}
		}
		seen[name] = true
		columns = append(columns, f.column)
	}
	return columns, nil
}
