package filter

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/temporalio/sqlparser"
)

// statement makes a filter what the parser takes.
const statement = "select * from executions where "

// parse parses the condition that the tokens are.
func parse(query string, tokens []token) (sqlparser.Expr, error) {
	// The blank makes the end of the text another place than its last token.
	parsed, err := sqlparser.ParseStrictDDL(statement + query[:tokens[len(tokens)-1].end] + " ")
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
		if at := unclosed(tokens); at >= 0 && endsCondition(tokens) {
			return &Error{Query: query, Offset: tokens[at].start, Reason: "the parenthesis is never closed"}
		}
		return &Error{Query: query, Offset: endOf(query, tokens), Reason: "something is missing"}
	case m[1] != "syntax error":
		return &Error{Query: query, Offset: tokens[i].start, Reason: m[1]}
	case isUnquoted(tokens, i):
		return &Error{Query: query, Offset: tokens[i].start, Reason: unquotedReason(tokens[i], query)}
	default:
		return &Error{Query: query, Offset: tokens[i].start, Reason: "did not expect " + quoted(tokens[i].of(query)) + " here"}
	}
}

// endOf is the place behind a condition: that of what follows it, or the query's end.
func endOf(query string, tokens []token) int {
	end := tokens[len(tokens)-1].end
	if end += blanks(query[end:]); end < len(query) {
		return end
	}
	return len(query)
}

// compiler walks the parsed expression in the order of the text, and along with
// it the tokens, so that it knows the place of what it looks at.
type compiler struct {
	query  string
	tokens []token
	at     int // the first token not yet walked past
	*resolver
	*parameters
	sql strings.Builder
	// negated is set within a negation: there what is unknown must not be false.
	negated bool
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
		return c.is(e)
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
	c.negated = !c.negated
	if err := c.condition(e.Expr); err != nil {
		return err
	}
	c.negated = !c.negated
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
	at := c.here()
	v, err := c.value(f, e.Right)
	if err != nil {
		return err
	}
	if pattern, _ := v.(string); slices.Contains(patterns, e.Operator) && endsInEscape(pattern) {
		return c.fail(at, f.name+": the pattern ends with a backslash, which escapes what follows")
	}
	if e.Escape != nil {
		return c.fail(c.here(), "ESCAPE is not supported: a backslash escapes, written twice in quotes")
	}
	c.write(f, e.Operator, []any{v})
	return nil
}

func endsInEscape(pattern string) bool {
	return (len(pattern)-len(strings.TrimRight(pattern, `\`)))%2 == 1
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
	c.write(f, e.Operator, values)
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
	c.write(f, e.Operator, []any{from, to})
	return nil
}

func (c *compiler) is(e *sqlparser.IsExpr) error {
	f, err := c.field(e.Expr)
	if err != nil {
		return err
	}
	if !slices.Contains(absences, e.Operator) {
		return c.fail(c.here(), "operator "+quoted(e.Operator)+" is not supported: IS goes with NULL and NOT NULL, = with true and false")
	}
	if err := c.operator(f, e.Operator); err != nil {
		return err
	}
	c.at++ // the NULL
	c.write(f, e.Operator, nil)
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
		return nil, c.fail(c.here(), "want a field on the left of an operator; there are "+names(systemFields))
	}
	name, tokens := nameOf(column), 1
	if written := c.tokens[c.at].of(c.query); strings.EqualFold(written, name) {
		name = written // the parser writes keywords in lower case
	}
	for q := column.Qualifier; !q.IsEmpty(); q = (sqlparser.TableName{Name: q.Qualifier}) {
		tokens += 2 // each part and its dot
	}
	f, reason, unknown := c.resolve(name)
	if f == nil {
		return nil, &Error{Query: c.query, Offset: c.here(), Reason: reason, Unknown: unknown}
	}
	c.at += tokens
	return f, nil
}

// nameOf is a name as it was registered: dots may be part of one.
func nameOf(column *sqlparser.ColName) string {
	var parts []string
	for _, part := range []string{column.Qualifier.Qualifier.String(), column.Qualifier.Name.String(), column.Name.String()} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

// operator refuses one that makes no sense for the field, and walks past it.
func (c *compiler) operator(f *field, operator string) error {
	if !slices.Contains(f.kind.operators, operator) {
		reason := "operator " + quoted(operator) + " is not supported for " + f.name + ", which is " + f.kind.name
		if f.kind.remedy != "" {
			reason += ": " + f.kind.remedy
		} else {
			reason += "; there are " + strings.Join(f.kind.operators, ", ")
		}
		return c.fail(c.here(), reason)
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
	case *sqlparser.UnaryExpr:
		return signed(e)
	case sqlparser.BoolVal:
		return literal{aBool, strconv.FormatBool(bool(e))}
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

// signed is a fraction with its sign: whole numbers have theirs from the parser.
func signed(e *sqlparser.UnaryExpr) literal {
	v, ok := e.Expr.(*sqlparser.SQLVal)
	switch {
	case !ok || v.Type != sqlparser.FloatVal && v.Type != sqlparser.IntVal:
		return literal{form: anOdd}
	case e.Operator == sqlparser.UMinusStr:
		return literal{aFloat, "-" + string(v.Val)}
	case e.Operator == sqlparser.UPlusStr:
		return literal{aFloat, string(v.Val)}
	default:
		return literal{form: anOdd}
	}
}

// here is the place of the token that comes next.
func (c *compiler) here() int {
	if c.at < len(c.tokens) {
		return c.tokens[c.at].start
	}
	return endOf(c.query, c.tokens)
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
