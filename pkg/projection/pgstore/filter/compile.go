package filter

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/temporalio/sqlparser"
)

// Condition is a compiled filter: a boolean expression over the columns of
// annals.executions, to stand behind WHERE, and its parameters in order.
type Condition struct {
	SQL  string
	Args []any // string, time.Time, []string or []time.Time
}

// Compile compiles a filter. Its parameters are numbered from after+1, so that
// it fits behind a statement that has some of its own. An empty query (or white
// space) is true of every execution. Every error is an *Error.
func Compile(query string, after int) (Condition, error) {
	tokens, err := scan(query)
	if err != nil {
		return Condition{}, err
	}
	if len(tokens) == 0 {
		return Condition{SQL: "TRUE"}, nil
	}
	expr, err := parse(query, tokens)
	if err != nil {
		return Condition{}, err
	}
	c := compiler{query: query, tokens: tokens, after: after}
	if err := c.condition(expr); err != nil {
		return Condition{}, err
	}
	return Condition{SQL: c.sql.String(), Args: c.args}, nil
}

// statement makes a filter what the parser takes.
const statement = "select * from executions where "

func parse(query string, tokens []token) (sqlparser.Expr, error) {
	// The blank makes the end of the text another place than its last token.
	parsed, err := sqlparser.ParseStrictDDL(statement + query + " ")
	if err != nil {
		return nil, syntaxError(query, tokens, err)
	}
	s, ok := parsed.(*sqlparser.Select)
	if !ok || s.Where == nil || s.GroupBy != nil || s.Having != nil || s.OrderBy != nil || s.Limit != nil || s.Lock != "" {
		return nil, &Error{Query: query, Reason: "more than a condition"}
	}
	return s.Where.Expr, nil
}

var parserPosition = regexp.MustCompile(`^(.*?) at position (\d+)`)

// syntaxError finds the token at which the parser gave up: its message tells
// how far it had read, which is one byte beyond the token.
func syntaxError(query string, tokens []token, err error) error {
	m := parserPosition.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{Query: query, Reason: "it is chained too deeply: " + err.Error()}
	}
	read, convErr := strconv.Atoi(m[2])
	if convErr != nil {
		return &Error{Query: query, Reason: err.Error()}
	}
	i := slices.IndexFunc(tokens, func(t token) bool { return t.end >= read-1-len(statement) })
	switch {
	case i < 0:
		return &Error{Query: query, Offset: len(query), Reason: "something is missing"}
	case m[1] != "syntax error":
		return &Error{Query: query, Offset: tokens[i].start, Reason: m[1]}
	case isUnquoted(tokens, i):
		return &Error{Query: query, Offset: tokens[i].start, Reason: unquotedReason(tokens[i], query)}
	default:
		return &Error{Query: query, Offset: tokens[i].start, Reason: "did not expect " + quoted(tokens[i].of(query)) + " here"}
	}
}

// compiler walks the parsed expression in the order of the text, and along with
// it the tokens, so that it knows the place of what it looks at.
type compiler struct {
	query  string
	tokens []token
	at     int // the first token not yet walked past
	after  int
	sql    strings.Builder
	args   []any
}

func (c *compiler) condition(expr sqlparser.Expr) error {
	switch e := expr.(type) {
	case *sqlparser.ParenExpr:
		return c.condition(e.Expr) // chains bring their own parentheses
	case *sqlparser.NotExpr:
		return c.negation(e)
	case *sqlparser.AndExpr:
		return c.joined(" AND ", operands(e, func(e sqlparser.Expr) (l, r sqlparser.Expr, ok bool) {
			if and, ok := e.(*sqlparser.AndExpr); ok {
				return and.Left, and.Right, true
			}
			return nil, nil, false
		}))
	case *sqlparser.OrExpr:
		return c.joined(" OR ", operands(e, func(e sqlparser.Expr) (l, r sqlparser.Expr, ok bool) {
			if or, ok := e.(*sqlparser.OrExpr); ok {
				return or.Left, or.Right, true
			}
			return nil, nil, false
		}))
	case *sqlparser.ComparisonExpr:
		return c.comparison(e)
	case *sqlparser.RangeCond:
		return c.between(e)
	case *sqlparser.IsExpr:
		if _, err := c.field(e.Expr); err != nil {
			return err
		}
		return c.fail(c.here(), "operator "+quoted(e.Operator)+" is not supported")
	case *sqlparser.ColName:
		f, err := c.field(e)
		if err != nil {
			return err
		}
		return c.fail(c.here(), f.name+" alone is no condition: compare it with something")
	default:
		return c.fail(c.nextCondition(), "want a condition such as WorkflowType = 'Order'")
	}
}

func (c *compiler) negation(e *sqlparser.NotExpr) error {
	c.sql.WriteString("NOT (")
	if err := c.condition(e.Expr); err != nil {
		return err
	}
	c.sql.WriteByte(')')
	return nil
}

// joined writes a chain as one level, so that long ones do not nest.
func (c *compiler) joined(by string, conditions []sqlparser.Expr) error {
	for i, e := range conditions {
		if i == 0 {
			c.sql.WriteByte('(')
		} else {
			c.sql.WriteString(by)
		}
		if err := c.condition(e); err != nil {
			return err
		}
	}
	c.sql.WriteByte(')')
	return nil
}

// operands flattens a chain of one operator, in order.
func operands(e sqlparser.Expr, split func(sqlparser.Expr) (l, r sqlparser.Expr, ok bool)) []sqlparser.Expr {
	left, right, ok := split(e)
	if !ok {
		return []sqlparser.Expr{e}
	}
	return append(operands(left, split), operands(right, split)...)
}

func (c *compiler) comparison(e *sqlparser.ComparisonExpr) error {
	f, err := c.field(e.Left)
	if err != nil {
		return err
	}
	if err := c.operator(f, e.Operator); err != nil {
		return err
	}
	if e.Operator == sqlparser.InStr || e.Operator == sqlparser.NotInStr {
		return c.in(f, e)
	}
	v, err := c.value(f, e.Right)
	if err != nil {
		return err
	}
	c.sql.WriteString(f.column + " " + sqlOperators[e.Operator] + " ")
	c.parameter(v)
	return nil
}

// sqlOperators are those of comparisons that Postgres gets; what is not here is
// in no statement.
var sqlOperators = map[string]string{
	sqlparser.EqualStr:        "=",
	sqlparser.NotEqualStr:     "<>",
	sqlparser.LessThanStr:     "<",
	sqlparser.LessEqualStr:    "<=",
	sqlparser.GreaterThanStr:  ">",
	sqlparser.GreaterEqualStr: ">=",
	sqlparser.InStr:           "= ANY",
	sqlparser.NotInStr:        "<> ALL",
	sqlparser.BetweenStr:      "BETWEEN",
	sqlparser.NotBetweenStr:   "NOT BETWEEN",
}

func (c *compiler) in(f *field, e *sqlparser.ComparisonExpr) error {
	tuple, ok := e.Right.(sqlparser.ValTuple)
	if !ok {
		return c.fail(c.here(), "want a list of values in parentheses")
	}
	c.at++ // the parenthesis
	values := make([]any, len(tuple))
	for i, item := range tuple {
		if i > 0 {
			c.at++ // the comma
		}
		v, err := c.value(f, item)
		if err != nil {
			return err
		}
		values[i] = v
	}
	c.at++
	c.sql.WriteString(f.column + " " + sqlOperators[e.Operator] + " (")
	c.parameter(f.kind.list(values))
	c.sql.WriteByte(')')
	return nil
}

func (c *compiler) between(e *sqlparser.RangeCond) error {
	f, err := c.field(e.Left)
	if err != nil {
		return err
	}
	if err := c.operator(f, e.Operator); err != nil {
		return err
	}
	from, err := c.value(f, e.From)
	if err != nil {
		return err
	}
	c.at++ // the AND
	to, err := c.value(f, e.To)
	if err != nil {
		return err
	}
	c.sql.WriteString(f.column + " " + sqlOperators[e.Operator] + " ")
	c.parameter(from)
	c.sql.WriteString(" AND ")
	c.parameter(to)
	return nil
}

// field resolves what stands left of an operator.
func (c *compiler) field(expr sqlparser.Expr) (*field, error) {
	for c.at < len(c.tokens) && joiningTokens[c.tokens[c.at].kind] {
		if _, parens := expr.(*sqlparser.ParenExpr); parens && c.tokens[c.at].kind == '(' {
			break
		}
		c.at++
	}
	column, ok := expr.(*sqlparser.ColName)
	if !ok {
		return nil, c.fail(c.here(), "want a field on the left of an operator; there are "+names(filterable))
	}
	offset := c.here()
	name := column.Name.String()
	if written := c.tokens[c.at].of(c.query); strings.EqualFold(written, name) {
		name = written // the parser writes keywords in lower case
	}
	if !column.Qualifier.IsEmpty() {
		return nil, c.fail(offset, "unknown field "+quoted(sqlparser.String(column)))
	}
	f, reason := lookup(name, filterable)
	if f == nil {
		return nil, c.fail(offset, reason)
	}
	c.at++
	return f, nil
}

// operator refuses one that makes no sense for the field, and walks past it.
func (c *compiler) operator(f *field, operator string) error {
	if !slices.Contains(f.kind.operators, operator) {
		if slices.Contains(ranges, operator) {
			return c.fail(c.here(), f.name+" is "+f.kind.name+", which has no order: operator "+quoted(operator)+" makes no sense")
		}
		return c.fail(c.here(), "operator "+quoted(operator)+" is not supported for "+f.name)
	}
	for c.at < len(c.tokens) && operatorTokens[c.tokens[c.at].kind] {
		c.at++
	}
	return nil
}

// value makes a parameter of what stands right of an operator, and walks past it.
func (c *compiler) value(f *field, expr sqlparser.Expr) (any, error) {
	offset := c.here()
	l := literalOf(expr)
	v, reason := f.kind.parse(l)
	if reason != "" {
		if _, ok := expr.(*sqlparser.ColName); ok {
			reason = unquotedReason(c.tokens[c.at], c.query)
		}
		return nil, c.fail(offset, f.name+": "+reason)
	}
	for c.at < len(c.tokens) && (c.tokens[c.at].kind == '-' || c.tokens[c.at].kind == '+') {
		c.at++
	}
	c.at++
	return v, nil
}

func literalOf(expr sqlparser.Expr) literal {
	switch e := expr.(type) {
	case *sqlparser.SQLVal:
		switch e.Type {
		case sqlparser.StrVal:
			return literal{aText, string(e.Val)}
		case sqlparser.IntVal:
			return literal{anInt, string(e.Val)}
		case sqlparser.FloatVal:
			return literal{aFloat, string(e.Val)}
		default:
			return literal{form: aBinary}
		}
	case sqlparser.BoolVal:
		return literal{form: aBool}
	case *sqlparser.NullVal:
		return literal{form: aNull}
	case sqlparser.ValTuple:
		return literal{form: aTuple}
	case *sqlparser.ParenExpr:
		return literal{form: aSubtree}
	default:
		return literal{form: anOdd}
	}
}

func (c *compiler) parameter(v any) {
	c.args = append(c.args, v)
	c.sql.WriteString("$" + strconv.Itoa(c.after+len(c.args)))
}

// here is the place of the token that comes next.
func (c *compiler) here() int {
	if c.at < len(c.tokens) {
		return c.tokens[c.at].start
	}
	return len(c.query)
}

// nextCondition is the place of what follows the words that join conditions.
func (c *compiler) nextCondition() int {
	for c.at < len(c.tokens) && joiningTokens[c.tokens[c.at].kind] {
		c.at++
	}
	return c.here()
}

func (c *compiler) fail(offset int, reason string) error {
	return &Error{Query: c.query, Offset: offset, Reason: reason}
}
