package filter

import (
	"slices"
	"strings"

	"github.com/temporalio/sqlparser"

	"github.com/annals-io/annals/pkg/searchattribute"
)

// Options are what a query is compiled with.
type Options struct {
	// Attributes are the search attributes that the namespace has registered. Those
	// that Temporal's SDKs and server write need no registration.
	Attributes map[string]searchattribute.Type
	// NoEvents says that the tables have no rows of events: what asks for these is
	// refused.
	NoEvents bool
	// After is how many parameters the statement has before those of the query.
	After int
}

// Condition is a compiled filter: a boolean expression over the columns of
// annals.executions, to stand behind WHERE. It includes OutsideDivisions where
// neither filter, order nor grouping mention a namespace division.
type Condition struct {
	SQL string
	// Guessed says that other Options.Attributes could have made something else of
	// it: a name is that of one of them, or could be.
	Guessed bool
	// Events says that it asks for rows of events.
	Events bool
}

// List is a compiled list.
type List struct {
	Condition
	Order Order
	// Args are the parameters of the condition and the order, by their numbers.
	Args []any
}

// Count is a compiled count.
type Count struct {
	Condition
	Groups []Group
	// Args are the parameters of the condition and the groups, by their numbers.
	Args []any
}

// Group is what a count is grouped by.
type Group struct {
	Name string // of the field, as the query has it
	// SQL is an expression that is a text and not null: it is empty for runs that
	// have no value.
	SQL string
}

// CompileList compiles a filter and an order, which may also stand behind the
// filter as ORDER BY; see ParseOrder for how it is written. An empty filter (or
// white space) is true of every execution, and an empty order is the default.
// Every error is an *Error or, about orderBy, an *events.InvalidError or
// *UnknownError.
func CompileList(query, orderBy string, o Options) (List, error) {
	c, err := begin(query, o)
	if err != nil {
		return List{}, err
	}
	group, order := clauses(c.tokens)
	if group < order {
		return List{}, c.fail(c.tokens[group].start, "GROUP BY is for counts, a list has no groups")
	}
	condition, err := c.where(group)
	if err != nil {
		return List{}, err
	}
	l := List{}
	if order < len(c.tokens) {
		if strings.TrimSpace(orderBy) != "" {
			return List{}, c.fail(c.tokens[order].start, "ORDER BY: the order is given beside the filter as well")
		}
		l.Order, err = c.orderWithin(order)
	} else {
		l.Order, err = orderBeside(orderBy, c.resolver, c.parameters)
	}
	if err != nil {
		return List{}, err
	}
	l.Condition, l.Args = c.outside(condition), c.args
	return l, nil
}

// CompileCount compiles a filter and the fields that a count is grouped by, which
// may also stand behind the filter as GROUP BY, separated by commas. Every error is
// an *Error or, about groupBy, an *events.InvalidError or *UnknownError.
func CompileCount(query string, groupBy []string, o Options) (Count, error) {
	c, err := begin(query, o)
	if err != nil {
		return Count{}, err
	}
	group, order := clauses(c.tokens)
	if order < len(c.tokens) {
		return Count{}, c.fail(c.tokens[order].start, "ORDER BY is for lists, a count has no order")
	}
	condition, err := c.where(group)
	if err != nil {
		return Count{}, err
	}
	n := Count{}
	if group < len(c.tokens) {
		if len(groupBy) > 0 {
			return Count{}, c.fail(c.tokens[group].start, "GROUP BY: the groups are given beside the filter as well")
		}
		n.Groups, err = c.groupsWithin(group)
	} else {
		n.Groups, err = groupsBeside(groupBy, c.resolver, c.parameters)
	}
	if err != nil {
		return Count{}, err
	}
	n.Condition, n.Args = c.outside(condition), c.args
	return n, nil
}

func begin(query string, o Options) (*compiler, error) {
	tokens, fault := scan(query)
	if fault != nil {
		return nil, fault
	}
	return &compiler{query: query, tokens: tokens, resolver: &resolver{attributes: o.Attributes, noEvents: o.NoEvents}, parameters: &parameters{after: o.After}}, nil
}

// where compiles the condition, which the first n tokens are.
func (c *compiler) where(n int) (string, error) {
	if n == 0 {
		return "", nil
	}
	w := *c
	w.tokens = c.tokens[:n]
	expr, err := parse(c.query, w.tokens)
	if err != nil {
		return "", err
	}
	if err := w.condition(expr); err != nil {
		return "", err
	}
	return w.sql.String(), nil
}

// outside is the condition, and not of a division where none was mentioned.
func (c *compiler) outside(condition string) Condition {
	parts := []string{condition, OutsideDivisions}
	if c.mentioned {
		parts[1] = ""
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		parts = []string{"TRUE"}
	}
	return Condition{SQL: strings.Join(parts, " AND "), Guessed: c.guessed, Events: c.events}
}

// written is a name in a list of them, as in ORDER BY and GROUP BY.
type written struct {
	name       string
	descending bool
	at         int // where it begins
}

// list reads names separated by commas from tokens, each with ASC or DESC behind
// it where there may be. Where it cannot it gives a reason and its place, -1 for the
// end.
func listed(text string, tokens []token, directions bool) (found []written, reason string, at int) {
	for i := 0; ; {
		if i == len(tokens) {
			return nil, "want a field", -1
		}
		w := written{at: tokens[i].start}
		for part := true; part; part = i < len(tokens) && tokens[i].kind == '.' {
			if i > 0 && tokens[i].kind == '.' {
				i++
			}
			if i == len(tokens) || !isName(tokens[i].of(text)) {
				return nil, "want a field", placeOf(tokens, i)
			}
			name := tokens[i].of(text)
			if name[0] == '`' {
				name = tokens[i].text
			}
			if w.name != "" {
				name = "." + name
			}
			w.name += name
			i++
		}
		if directions && i < len(tokens) && (tokens[i].kind == sqlparser.ASC || tokens[i].kind == sqlparser.DESC) {
			w.descending = tokens[i].kind == sqlparser.DESC
			i++
		}
		found = append(found, w)
		switch {
		case i == len(tokens):
			return found, "", 0
		case tokens[i].kind == ',':
			i++
		case directions:
			return nil, "want ASC, DESC or a comma, found " + quoted(tokens[i].of(text)), tokens[i].start
		default:
			return nil, "want a comma, found " + quoted(tokens[i].of(text)), tokens[i].start
		}
	}
}

func placeOf(tokens []token, i int) int {
	if i < len(tokens) {
		return tokens[i].start
	}
	return -1
}

func isName(s string) bool {
	first := s[0]
	return first == '`' || first == '_' || 'a' <= first|0x20 && first|0x20 <= 'z'
}

// failAt is an error at a place, of which -1 is the end.
func (c *compiler) failAt(at int, reason string, unknown bool) error {
	if at < 0 {
		at = len(c.query)
	}
	return &Error{Query: c.query, Offset: at, Reason: reason, Unknown: unknown}
}
