package filter

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/annals-io/annals/pkg/events"
)

// maxOrder is how many fields an order has at most.
const maxOrder = 5

// Order is what a list is sorted by: it is total, since it ends with what tells
// runs apart.
type Order struct {
	terms []term
}

// term is one expression of an order.
type term struct {
	name       string // of the field
	expr       string
	kind       *kind
	attribute  bool // it is text where a column is a time
	descending bool
	nullable   bool
	open       bool
}

// nullsFirst reports where the rows without a value are.
func (t term) nullsFirst() bool { return t.open == t.descending }

// defaultOrder is Temporal's: the runs that are open first, then those that closed
// last; the last started before the others.
func defaultOrder() Order {
	return Order{[]term{
		{name: "CloseTime", expr: "close_time", kind: &datetime, descending: true, nullable: true, open: true},
		{name: "StartTime", expr: "start_time", kind: &datetime, descending: true, nullable: true},
		{name: "RunId", expr: "run_id", kind: &keyword},
		{name: "WorkflowId", expr: "workflow_id", kind: &keyword},
	}}
}

// orderBeside reads an order that is given beside the filter: fields separated by
// commas, each with ASC (the default) or DESC. Ties go by workflow id and run id in
// the direction of the last. An empty text is the default order.
func orderBeside(text string, r *resolver, p *parameters) (Order, error) {
	if strings.TrimSpace(text) == "" {
		return defaultOrder(), nil
	}
	tokens, fault := scan(text)
	if fault != nil {
		return Order{}, beside("orderBy", fault.Reason, false)
	}
	o, reason, _, unknown := readOrder(text, tokens, r, p)
	if reason != "" {
		return Order{}, beside("orderBy", reason, unknown)
	}
	return o, nil
}

// orderWithin reads the ORDER BY that begins at token i.
func (c *compiler) orderWithin(i int) (Order, error) {
	tokens := c.tokens[i+2:] // what is behind the BY
	o, reason, at, unknown := readOrder(c.query, tokens, c.resolver, c.parameters)
	if reason != "" {
		return Order{}, c.failAt(at, "ORDER BY: "+reason, unknown)
	}
	return o, nil
}

func readOrder(text string, tokens []token, r *resolver, p *parameters) (o Order, reason string, at int, unknown bool) {
	list, reason, at := listed(text, tokens, true)
	if reason != "" {
		return Order{}, reason, at, false
	}
	if len(list) > maxOrder {
		return Order{}, "there are " + strconv.Itoa(len(list)) + " fields, a list is ordered by " + strconv.Itoa(maxOrder) + " at most", list[maxOrder].at, false
	}
	for _, w := range list {
		f, reason, unknown := r.resolve(w.name)
		switch {
		case f == nil:
			return Order{}, reason, w.at, unknown
		case !f.kind.ordered || f.isSet():
			return Order{}, "a list cannot be ordered by " + f.name + ", which is " + f.kind.name, w.at, false
		case o.has(f.name):
			return Order{}, f.name + " is named twice", w.at, false
		}
		expr := p.expression(f)
		if f.kind == &status {
			expr = statusNumber
		}
		o.terms = append(o.terms, term{f.name, expr, f.kind, f.attribute != "", w.descending, f.nullable, f.open})
	}
	descending := o.terms[len(o.terms)-1].descending
	for _, name := range []string{"WorkflowId", "RunId"} {
		if f := temporals(name); !o.has(name) {
			o.terms = append(o.terms, term{name: name, expr: f.column, kind: f.kind, descending: descending})
		}
	}
	return o, "", 0, false
}

// statusNumber orders statuses as comparisons do, by Temporal's numbers.
var statusNumber = "array_position(ARRAY['" + strings.ReplaceAll(statusNames(), ", ", "', '") + "'], status)"

func (o Order) has(name string) bool {
	for _, t := range o.terms {
		if t.name == name {
			return true
		}
	}
	return false
}

// beside is an error about what stands beside the filter.
func beside(what, reason string, unknown bool) error {
	e := events.InvalidError{Field: what, Reason: reason}
	if unknown {
		return &UnknownError{e}
	}
	return &e
}

// String writes the order, whichever way it was given.
func (o Order) String() string {
	var list []string
	for _, t := range o.terms {
		direction := " ASC"
		if t.descending {
			direction = " DESC"
		}
		list = append(list, "`"+t.name+"`"+direction)
	}
	return strings.Join(list, ", ")
}

// Expressions are what the list is sorted by, over the columns of
// annals.executions.
func (o Order) Expressions() []string {
	list := make([]string, len(o.terms))
	for i, t := range o.terms {
		list[i] = t.expr
	}
	return list
}

// By is an ORDER BY of the same order over other names for its expressions.
func (o Order) By(exprs []string) string {
	list := make([]string, len(o.terms))
	for i, t := range o.terms {
		list[i] = exprs[i]
		if t.descending {
			list[i] += " DESC"
		}
		switch {
		case !t.nullable:
		case t.nullsFirst():
			list[i] += " NULLS FIRST"
		default:
			list[i] += " NULLS LAST"
		}
	}
	return "ORDER BY " + strings.Join(list, ", ")
}

// Place is an expression of a run's place in the order: texts, some of them null.
func (o Order) Place() string {
	list := make([]string, len(o.terms))
	for i, t := range o.terms {
		switch {
		case t.kind == &datetime && !t.attribute:
			list[i] = "to_char(" + t.expr + " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
		case t.kind == &day:
			list[i] = dayText(t.expr)
		default:
			list[i] = t.expr + "::text"
		}
	}
	return "ARRAY[" + strings.Join(list, ", ") + "]::text[]"
}

// After gives conditions, of which exactly one is true of each run that comes after
// a place, and none of the others. Each is equalities and one comparison of row
// values, so that an index that has the order finds where it begins. The arguments
// are parameters that follow the first n. It fails, with ok false, where the place
// is none of this order.
func (o Order) After(place []*string, n int) (conditions []string, args []any, ok bool) {
	if len(place) != len(o.terms) {
		return nil, nil, false
	}
	p := &parameters{after: n}
	values := make([]string, len(place)) // empty: null
	for i, text := range place {
		t := o.terms[i]
		if text == nil {
			if !t.nullable {
				return nil, nil, false
			}
			continue
		}
		v, ok := t.value(*text)
		if !ok {
			return nil, nil, false
		}
		values[i] = p.value(v, t.cast())
	}
	return o.after(values, 0, nil), p.args, true
}

func (t term) cast() string {
	switch {
	case t.attribute && t.kind == &datetime:
		return "text"
	case t.attribute && t.kind == &whole:
		return "numeric"
	case t.kind == &status:
		return "bigint" // statusNumber's
	default:
		return t.kind.cast
	}
}

var decimal = regexp.MustCompile(`^-?[0-9]{1,400}(\.[0-9]{1,400})?$`)

// value reads what Place wrote, and nothing else: a place comes back from outside.
func (t term) value(text string) (any, bool) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, false
	}
	switch t.cast() {
	case "timestamptz":
		at, err := time.Parse(datetimeLayout, text)
		return at, err == nil && at.Year() > 0
	case "date":
		at, err := time.Parse(time.DateOnly, text)
		return text, err == nil && at.Year() > 0
	case "bigint":
		_, err := strconv.ParseInt(text, 10, 64)
		return number{text, true}, err == nil
	case "numeric":
		return number{text, true}, decimal.MatchString(text)
	case "boolean":
		return text == "true", text == "true" || text == "false"
	default:
		return text, true
	}
}

// after is what comes after values from term i on, among the rows that satisfy all
// of before.
func (o Order) after(values []string, i int, before []string) []string {
	if i == len(o.terms) {
		return nil
	}
	condition := func(more ...string) string {
		return strings.Join(append(append([]string(nil), before...), more...), " AND ")
	}
	t := o.terms[i]
	if values[i] == "" {
		conditions := o.after(values, i+1, append(append([]string(nil), before...), t.expr+" IS NULL"))
		if t.nullsFirst() {
			conditions = append(conditions, condition(t.expr+" IS NOT NULL"))
		}
		return conditions
	}

	// As many terms as a row value can compare at once.
	n := i + 1
	for n < len(o.terms) && o.terms[n].descending == t.descending && values[n] != "" {
		n++
	}
	var equal []string
	conditions := []string{condition(o.beyond(values, i, n))}
	for k := i; k < n; k++ {
		if o.terms[k].nullable && !o.terms[k].nullsFirst() {
			conditions = append(conditions, condition(append(append([]string(nil), equal...), o.terms[k].expr+" IS NULL")...))
		}
		equal = append(equal, o.terms[k].expr+" = "+values[k])
	}
	return append(conditions, o.after(values, n, append(append([]string(nil), before...), equal...))...)
}

// beyond compares terms [i, n), which have one direction, with values.
func (o Order) beyond(values []string, i, n int) string {
	operator := " > "
	if o.terms[i].descending {
		operator = " < "
	}
	if n == i+1 {
		return o.terms[i].expr + operator + values[i]
	}
	exprs := make([]string, 0, n-i)
	for _, t := range o.terms[i:n] {
		exprs = append(exprs, t.expr)
	}
	return "(" + strings.Join(exprs, ", ") + ")" + operator + "(" + strings.Join(values[i:n], ", ") + ")"
}
