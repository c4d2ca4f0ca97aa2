package filter

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/temporalio/sqlparser"
	enumspb "go.temporal.io/api/enums/v1"
)

// write writes a condition on a field. Operators and values were found right.
func (c *compiler) write(f *field, operator string, values []any) {
	switch {
	case f.things != nil:
		c.writeSet(f, operator, values)
	case f.kind == &status:
		c.writeStatus(operator, values)
	case f.kind == &keywords:
		c.writeKeywords(f, operator, values)
	case f.kind == &words && len(values) > 0:
		c.writeWords(f, operator, values)
	case f.attribute != "" && !c.negated && (operator == sqlparser.EqualStr || operator == sqlparser.InStr && len(values) <= maxContained):
		c.contained(f, values, false)
	default:
		if f.attribute != "" {
			values = slices.Clone(values)
			for i, v := range values {
				values[i] = asStored(v)
			}
		}
		c.sql.WriteString(c.compare(c.expression(f), c.castOf(f), operator, values))
	}
}

// expression is a field's value: of a search attribute null where it is none of
// its type.
func (p *parameters) expression(f *field) string {
	if f.attribute == "" {
		return f.column
	}
	name := p.name(f.attribute)
	switch f.kind {
	case &whole, &double:
		return ofType("number", name, "numeric")
	case &boolean:
		return ofType("boolean", name, "boolean")
	case &keywords:
		return "(search_values -> " + name + ")"
	default:
		return `((search_values ->> ` + name + `) COLLATE "C")`
	}
}

func ofType(typ, name, cast string) string {
	value := "(search_values -> " + name + ")"
	return "(CASE WHEN jsonb_typeof" + value + " = '" + typ + "' THEN " + value + "::" + cast + " END)"
}

// castOf is the type of expression's.
func (p *parameters) castOf(f *field) string {
	switch {
	case f.attribute == "":
		return f.kind.cast
	case f.kind == &whole:
		return "numeric"
	case f.kind == &datetime:
		return "text"
	default:
		return f.kind.cast
	}
}

// datetimeLayout is how search_values has times: the order of the texts is theirs.
const datetimeLayout = "2006-01-02T15:04:05.000000Z"

// asStored is a value as search_values has it.
func asStored(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.Format(datetimeLayout)
	}
	return v
}

// compare compares what expr is, which may be null, by any operator but those of
// lists and words.
func (p *parameters) compare(expr, cast, operator string, values []any) string {
	switch operator {
	case sqlparser.InStr:
		return expr + " = ANY (" + p.list(values, cast) + ")"
	case sqlparser.NotInStr:
		return expr + " <> ALL (" + p.list(values, cast) + ")"
	case sqlparser.BetweenStr:
		return expr + " BETWEEN " + p.value(values[0], cast) + " AND " + p.value(values[1], cast)
	case sqlparser.NotBetweenStr:
		return expr + " NOT BETWEEN " + p.value(values[0], cast) + " AND " + p.value(values[1], cast)
	case sqlparser.IsNullStr:
		return expr + " IS NULL"
	case sqlparser.IsNotNullStr:
		return expr + " IS NOT NULL"
	case sqlparser.StartsWithStr:
		return p.startsWith(expr, values[0].(string))
	case sqlparser.NotStartsWithStr:
		return "NOT " + p.startsWith(expr, values[0].(string))
	default:
		return expr + " " + sqlOperators[operator] + " " + p.value(values[0], cast)
	}
}

// sqlOperators are those that Postgres has, too; what is not here is in no statement.
var sqlOperators = map[string]string{
	sqlparser.EqualStr: "=", sqlparser.NotEqualStr: "<>",
	sqlparser.LessThanStr: "<", sqlparser.LessEqualStr: "<=", sqlparser.GreaterThanStr: ">", sqlparser.GreaterEqualStr: ">=",
	sqlparser.LikeStr: "LIKE",
}

// startsWith is a range, which an index in byte order has.
func (p *parameters) startsWith(expr, prefix string) string {
	from := expr + " >= " + p.add(prefix, "text")
	if next := successor(prefix); next != "" {
		return "(" + from + " AND " + expr + " < " + p.add(next, "text") + ")"
	}
	return "(" + from + ")"
}

// successor is the least text that is greater than all that begin with s, byte by
// byte; empty: there is none.
func successor(s string) string {
	for s != "" {
		r, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
		switch {
		case r == utf8.MaxRune:
		case r == 0xD7FF: // what follows is no character
			return s + "\uE000"
		default:
			return s + string(r+1)
		}
	}
	return ""
}

// writeStatus compares statuses by their numbers, as Temporal's SQL stores do.
func (c *compiler) writeStatus(operator string, values []any) {
	numbers := make([]enumspb.WorkflowExecutionStatus, len(values))
	texts := make([]any, len(values))
	for i, v := range values {
		numbers[i] = v.(enumspb.WorkflowExecutionStatus)
		texts[i] = numbers[i].String()
	}
	var holds func(enumspb.WorkflowExecutionStatus) bool
	switch operator {
	case sqlparser.LessThanStr:
		holds = func(s enumspb.WorkflowExecutionStatus) bool { return s < numbers[0] }
	case sqlparser.LessEqualStr:
		holds = func(s enumspb.WorkflowExecutionStatus) bool { return s <= numbers[0] }
	case sqlparser.GreaterThanStr:
		holds = func(s enumspb.WorkflowExecutionStatus) bool { return s > numbers[0] }
	case sqlparser.GreaterEqualStr:
		holds = func(s enumspb.WorkflowExecutionStatus) bool { return s >= numbers[0] }
	case sqlparser.BetweenStr:
		holds = func(s enumspb.WorkflowExecutionStatus) bool { return numbers[0] <= s && s <= numbers[1] }
	case sqlparser.NotBetweenStr:
		holds = func(s enumspb.WorkflowExecutionStatus) bool { return s < numbers[0] || numbers[1] < s }
	default:
		c.sql.WriteString(c.compare("status", status.cast, operator, texts))
		return
	}
	among := []string{}
	for _, s := range statuses {
		if holds(s) {
			among = append(among, s.String())
		}
	}
	c.sql.WriteString("status = ANY (" + c.add(among, "text[]") + ")")
}

// maxContained is up to how many values of an IN the index of search attributes is
// asked for each; more are compared one row after another.
const maxContained = 32

// contained asks for values by containment, which the index of search attributes
// answers. Runs without the attribute are false, and not unknown: it has no place in
// a negation.
func (c *compiler) contained(f *field, values []any, inList bool) {
	if len(values) > 1 {
		c.sql.WriteByte('(')
	}
	for i, v := range values {
		if i > 0 {
			c.sql.WriteString(" OR ")
		}
		c.sql.WriteString("search_values @> " + c.add(document(f.attribute, v, inList), "jsonb"))
	}
	if len(values) > 1 {
		c.sql.WriteByte(')')
	}
}

// document is what search_values contain where an attribute has a value.
func document(attribute string, v any, inList bool) string {
	v = asStored(v)
	if n, ok := v.(number); ok {
		v = json.Number(n.text)
	}
	if inList {
		v = []any{v}
	}
	b, err := json.Marshal(map[string]any{attribute: v})
	if err != nil {
		panic(err) // a text, a number or a boolean
	}
	return string(b)
}

func (c *compiler) writeKeywords(f *field, operator string, values []any) {
	if slices.Contains(absences, operator) {
		c.sql.WriteString(c.compare(c.expression(f), "", operator, nil))
		return
	}
	// = and IN alike ask for any of the values.
	_, negative := opposites[operator]
	if !negative && !c.negated && len(values) <= maxContained {
		c.contained(f, values, true)
		return
	}
	if negative {
		c.sql.WriteString("NOT ")
	}
	c.sql.WriteString("(" + c.expression(f) + " ?| " + c.list(values, "text") + ")")
}

func (c *compiler) writeWords(f *field, operator string, values []any) {
	likes := values[0].([]string)
	if operator == sqlparser.NotEqualStr {
		c.sql.WriteString("NOT ")
	}
	if len(likes) == 0 {
		// No text has any of no words. An empty list would say so of an absent one, too.
		text := c.expression(f)
		c.sql.WriteString("(" + text + " <> " + text + ")")
		return
	}
	c.sql.WriteString("(" + normalizedWords(c.expression(f)) + " LIKE ANY (" + c.add(likes, "text[]") + "))")
}

// writeSet asks whether any element of a set, or none, is as the operator says.
func (c *compiler) writeSet(f *field, operator string, values []any) {
	positive, negative := opposites[operator]
	if !negative {
		positive = operator
	}
	var where []string
	if f.things.where != "" {
		where = append(where, f.things.where)
	}
	switch {
	case f.kind == &before && len(values) > 0:
		where = append(where, c.compare(f.things.column, f.kind.cast, sqlparser.LessThanStr, values))
	case len(values) > 0:
		where = append(where, c.compare(f.things.column, f.kind.cast, positive, values))
	}
	exists := "EXISTS (SELECT FROM " + f.things.from
	if len(where) > 0 {
		exists += " WHERE " + strings.Join(where, " AND ")
	}
	if f.things.each {
		exists += " OFFSET 0" // keeps the subquery one
	}
	exists += ")"
	if f.things.some != "" {
		exists = "(" + f.things.some + " AND " + exists + ")"
	}
	if negative {
		exists = "NOT " + exists
	}
	c.sql.WriteString(exists)
}
