package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/temporalio/sqlparser"
)

// maxQueryBytes bounds what is parsed: 64 KiB, some two thousand ids.
const maxQueryBytes = 64 << 10

// token is a word of the query with its place, which the parser's nodes lack.
type token struct {
	kind       int // as sqlparser numbers them
	text       string
	start, end int // bytes [start, end)
}

// scan splits the query into its tokens with the parser's own scanner. It
// refuses what no filter has.
func scan(query string) ([]token, *Error) {
	fail := func(offset int, reason string) ([]token, *Error) {
		return nil, &Error{Query: query, Offset: offset, Reason: reason}
	}
	if len(query) > maxQueryBytes {
		return fail(0, fmt.Sprintf("it has %d bytes, at most %d are allowed", len(query), maxQueryBytes))
	}
	if i := strings.IndexByte(query, 0); i >= 0 {
		return fail(i, "a NUL")
	}
	for i, r := range query {
		if _, n := utf8.DecodeRuneInString(query[i:]); r == utf8.RuneError && n == 1 {
			return fail(i, "not UTF-8")
		}
	}

	var tokens []token
	scanner := sqlparser.NewStringTokenizer(query)
	for end := 0; ; {
		kind, text := scanner.Scan()
		t := token{kind: kind, text: string(text), start: end + blanks(query[end:])}
		// The scanner has read one byte ahead.
		t.end = min(scanner.Position-1, len(query))
		end = t.end
		if kind == 0 {
			return tokens, nil
		}
		if kind == sqlparser.LEX_ERROR {
			return fail(t.start, lexicalReason(query[t.start:]))
		}
		tokens = append(tokens, t)
		if reason, refused := refusedTokens[kind]; refused {
			if isUnquoted(tokens, len(tokens)-1) {
				reason = unquotedReason(t, query)
			}
			return fail(t.start, reason)
		}
	}
}

// of is the token as the query has it.
func (t token) of(query string) string { return query[t.start:t.end] }

// isUnquoted reports whether token i is a word that stands where a value should.
func isUnquoted(tokens []token, i int) bool {
	if i == 0 || !operatorTokens[tokens[i-1].kind] || tokens[i-1].kind == sqlparser.NOT || tokens[i].kind == sqlparser.STRING || tokens[i].text == "" {
		return false
	}
	first := tokens[i].text[0] | 0x20 // lower case
	return 'a' <= first && first <= 'z'
}

func unquotedReason(t token, query string) string {
	return "did you forget to quote " + quoted(t.of(query)) + "?"
}

// blanks counts what the scanner skips.
func blanks(s string) int { return len(s) - len(strings.TrimLeft(s, " \n\r\t")) }

func lexicalReason(rest string) string {
	switch r, n := utf8.DecodeRuneInString(rest); {
	case r == '\'' || r == '"' || r == '`':
		return "the quote is never closed"
	case strings.HasPrefix(rest, "/*"):
		return "comments are not part of a filter"
	case '0' <= r && r <= '9':
		return "a number that runs into a letter"
	default:
		return "unexpected " + quoted(rest[:n])
	}
}

// clauses are where a query's condition ends, and its GROUP BY and ORDER BY begin;
// the number of tokens where it has none.
func clauses(tokens []token) (group, order int) {
	group, order = len(tokens), len(tokens)
	depth := 0
	for i, t := range tokens {
		by := i+1 < len(tokens) && tokens[i+1].kind == sqlparser.BY
		switch {
		case t.kind == '(':
			depth++
		case t.kind == ')':
			depth--
		case depth == 0 && by && t.kind == sqlparser.GROUP && group == len(tokens) && order == len(tokens):
			group = i
		case depth == 0 && by && t.kind == sqlparser.ORDER && order == len(tokens):
			order = i
		}
	}
	return min(group, order), order
}

// unclosed is the innermost parenthesis that is open at the end, -1 if there is none.
func unclosed(tokens []token) int {
	var open []int
	for i, t := range tokens {
		switch {
		case t.kind == '(':
			open = append(open, i)
		case t.kind == ')' && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	if len(open) == 0 {
		return -1
	}
	return open[len(open)-1]
}

// endsCondition reports whether the last token may be a condition's last.
func endsCondition(tokens []token) bool {
	last := tokens[len(tokens)-1].kind
	return last == ')' || last != ',' && !operatorTokens[last] && !joiningTokens[last]
}

const parameterReason = "parameters are not part of a filter: write the value"

// refusedTokens begin what the parser's grammar has beyond conditions.
var refusedTokens = map[int]string{
	sqlparser.COMMENT:   "comments are not part of a filter",
	sqlparser.VALUE_ARG: parameterReason,
	sqlparser.LIST_ARG:  parameterReason,
	sqlparser.SELECT:    "SELECT is not part of a filter",
	sqlparser.UNION:     "UNION is not part of a filter",
	sqlparser.WHERE:     "WHERE is not part of a filter: begin with the condition",
	sqlparser.HAVING:    "HAVING is not part of a filter",
	sqlparser.LIMIT:     "LIMIT is not part of a filter: the limit is given beside it",
	sqlparser.FOR:       "FOR is not part of a filter",
	sqlparser.LOCK:      "LOCK is not part of a filter",
	';':                 "a filter is one condition, without a semicolon",
}

// operatorTokens stand between a field and its value.
var operatorTokens = map[int]bool{
	'=': true, '<': true, '>': true,
	sqlparser.LE: true, sqlparser.GE: true, sqlparser.NE: true, sqlparser.NULL_SAFE_EQUAL: true,
	sqlparser.NOT: true, sqlparser.IN: true, sqlparser.BETWEEN: true, sqlparser.IS: true,
	sqlparser.LIKE: true, sqlparser.REGEXP: true, sqlparser.STARTS_WITH: true,
}

// joiningTokens stand before a condition.
var joiningTokens = map[int]bool{sqlparser.AND: true, sqlparser.OR: true, sqlparser.NOT: true, '(': true, ')': true}
