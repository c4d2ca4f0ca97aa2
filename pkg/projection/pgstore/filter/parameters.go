package filter

import (
	"slices"
	"strconv"
	"time"
)

// parameters collects those of a statement.
type parameters struct {
	after int
	args  []any
	names map[string]string // of search attributes, each of which is one parameter
}

// add makes v the next parameter, and gives it as a value of the type.
func (p *parameters) add(v any, cast string) string {
	p.args = append(p.args, v)
	return "$" + strconv.Itoa(p.after+len(p.args)) + "::" + cast
}

// name is the parameter that is an attribute's name.
func (p *parameters) name(attribute string) string {
	if known, ok := p.names[attribute]; ok {
		return known
	}
	if p.names == nil {
		p.names = map[string]string{}
	}
	p.names[attribute] = p.add(attribute, "text")
	return p.names[attribute]
}

// value makes a parameter of a value. Numbers and days are sent as texts: those can
// be of any size.
func (p *parameters) value(v any, cast string) string {
	switch n, isNumber := v.(number); {
	case isNumber && !n.whole:
		return p.add(n.text, "text::numeric")
	case isNumber:
		return p.add(n.text, "text::"+cast)
	case cast == "date":
		return p.add(v, "text::date")
	default:
		return p.add(v, cast)
	}
}

// list makes one parameter of many values, of which there is at least one.
func (p *parameters) list(values []any, cast string) string {
	switch values[0].(type) {
	case number:
		texts := make([]string, len(values))
		for i, v := range values {
			n := v.(number)
			if texts[i] = n.text; !n.whole {
				cast = "numeric"
			}
		}
		return p.add(texts, "text[]::"+cast+"[]")
	case time.Time:
		return p.add(sliceOf[time.Time](values), cast+"[]")
	case bool:
		return p.add(sliceOf[bool](values), cast+"[]")
	}
	if cast == "date" {
		cast = "text[]::date"
	}
	return p.add(sliceOf[string](values), cast+"[]")
}

func sliceOf[T any](values []any) []T {
	out := make([]T, 0, len(values))
	for _, v := range values {
		out = append(out, v.(T))
	}
	return slices.Clip(out)
}
