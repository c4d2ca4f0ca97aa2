package pgstore_test

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"time"
)

// truth is SQL's: what is asked about a null is neither true nor false.
type truth int

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// sort is what a field's values are: how they are written, and what can be asked.
type sort string

const (
	texts     sort = "text"
	statuses  sort = "status"
	times     sort = "time"
	durations sort = "duration"
	numbers   sort = "number"
	booleans  sort = "boolean"
	days      sort = "day"
	lists     sort = "list"
	words     sort = "words"
	sets      sort = "set"
	failures  sort = "failures"
	names     sort = "event names"
	types     sort = "event types"
	dues      sort = "dues"
)

// askedField is a field of filters, as the oracle knows it.
type askedField struct {
	name string
	sort sort
	// get is the value of a run, nil if it has none: a string, number of a status,
	// int64, float64, bool, time.Time, []string (of lists and sets) or []time.Time.
	get func(*knownRun) any
	// values are some to compare with.
	values []any
	// attribute says that it is a search attribute.
	attribute bool
	// open says that runs without a value count as more than others, not as less.
	open bool
}

var allOperators = []string{
	"=", "!=", "<", "<=", ">", ">=", "IN", "NOT IN", "BETWEEN", "NOT BETWEEN",
	"STARTS_WITH", "NOT STARTS_WITH", "LIKE", "NOT LIKE", "IS NULL", "IS NOT NULL",
}

// operatorsOf are those that each sort has.
var operatorsOf = map[sort][]string{
	texts:     slices.Concat(allOperators[:12], allOperators[14:]),
	statuses:  slices.Concat(allOperators[:10], allOperators[14:]),
	times:     slices.Concat(allOperators[:10], allOperators[14:]),
	durations: slices.Concat(allOperators[:10], allOperators[14:]),
	numbers:   slices.Concat(allOperators[:10], allOperators[14:]),
	days:      slices.Concat(allOperators[:10], allOperators[14:]),
	booleans:  slices.Concat(allOperators[:8], allOperators[14:]),
	lists:     {"=", "!=", "IN", "NOT IN", "IS NULL", "IS NOT NULL"},
	words:     {"=", "!=", "IS NULL", "IS NOT NULL"},
	sets:      slices.Concat(allOperators[:2], allOperators[6:8], allOperators[10:]),
	failures:  slices.Concat(allOperators[:2], allOperators[6:8], allOperators[10:]),
	names:     slices.Concat(allOperators[:2], allOperators[6:8], allOperators[10:14]),
	types:     {"=", "!=", "IN", "NOT IN"},
	dues:      {"=", "!=", "IS NULL", "IS NOT NULL"},
}

// holds evaluates a condition on a field, in Go.
func (f *askedField) holds(operator string, values []any, s *knownRun) truth {
	v := f.get(s)
	positive, negated := strings.CutPrefix(operator, "NOT ")
	switch operator {
	case "!=":
		positive, negated = "=", true
	case "IS NULL":
		if list, ok := v.([]string); ok && f.sort != lists {
			return truthOf(len(list) == 0)
		}
		if list, ok := v.([]time.Time); ok {
			return truthOf(len(list) == 0)
		}
		return truthOf(v == nil)
	case "IS NOT NULL":
		return isTrue - f.holds("IS NULL", nil, s)
	}
	var found bool
	switch {
	case f.sort == sets || f.sort == failures || f.sort == names || f.sort == types:
		found = slices.ContainsFunc(v.([]string), func(element string) bool { return satisfies(element, positive, values) })
	case f.sort == dues:
		found = slices.ContainsFunc(v.([]time.Time), func(due time.Time) bool { return due.Before(values[0].(time.Time)) })
	case v == nil:
		return isUnknown
	case f.sort == lists:
		found = slices.ContainsFunc(values, func(value any) bool { return slices.Contains(v.([]string), value.(string)) })
	case f.sort == words:
		found = hasWords(v.(string), values[0].(string))
	default:
		found = satisfies(v, positive, values)
	}
	return truthOf(found != negated)
}

// satisfies applies an operator that is not negated to a value.
func satisfies(v any, operator string, values []any) bool {
	switch operator {
	case "=":
		return compare(v, values[0]) == 0
	case "<":
		return compare(v, values[0]) < 0
	case "<=":
		return compare(v, values[0]) <= 0
	case ">":
		return compare(v, values[0]) > 0
	case ">=":
		return compare(v, values[0]) >= 0
	case "IN":
		return slices.ContainsFunc(values, func(value any) bool { return compare(v, value) == 0 })
	case "BETWEEN":
		return compare(v, values[0]) >= 0 && compare(v, values[1]) <= 0
	case "STARTS_WITH":
		return strings.HasPrefix(v.(string), values[0].(string))
	case "LIKE":
		return isLike([]rune(v.(string)), []rune(values[0].(string)))
	default:
		panic(operator)
	}
}

// compare compares values of one sort: texts byte by byte, numbers exactly.
func compare(a, b any) int {
	switch a := a.(type) {
	case string:
		return strings.Compare(a, b.(string))
	case int:
		return cmp.Compare(a, b.(int))
	case bool:
		return compare(map[bool]int{true: 1}[a], map[bool]int{true: 1}[b.(bool)])
	case time.Time:
		return a.Compare(b.(time.Time))
	default:
		return numberOf(a).Cmp(numberOf(b))
	}
}

func numberOf(v any) *big.Float {
	if n, ok := v.(int64); ok {
		return new(big.Float).SetInt64(n)
	}
	return big.NewFloat(v.(float64))
}

// isLike matches SQL's patterns.
func isLike(s, pattern []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == '%':
		return isLike(s, pattern[1:]) || len(s) > 0 && isLike(s[1:], pattern)
	case len(s) == 0:
		return false
	case pattern[0] == '\\':
		return s[0] == pattern[1] && isLike(s[1:], pattern[2:])
	default:
		return (pattern[0] == '_' || s[0] == pattern[0]) && isLike(s[1:], pattern[1:])
	}
}

// wordsOf are the words of a text: what is no ASCII sign stands in one.
func wordsOf(text string) []string {
	var list []string
	word := ""
	for _, r := range text + " " {
		switch {
		case 'A' <= r && r <= 'Z':
			word += string(r - 'A' + 'a')
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r > 127:
			word += string(r)
		case word != "":
			list, word = append(list, word), ""
		}
	}
	return list
}

// hasWords reports whether a text has any of those asked for; those that a sign
// joins must follow each other.
func hasWords(text, asked string) bool {
	has := wordsOf(text)
	for _, phrase := range strings.Fields(asked) {
		want := wordsOf(phrase)
		for i := 0; len(want) > 0 && i+len(want) <= len(has); i++ {
			if slices.Equal(has[i:i+len(want)], want) {
				return true
			}
		}
	}
	return false
}

// before orders runs by fields, as lists promise.
type before struct {
	field      *askedField
	descending bool
}

func (b before) compare(x, y *knownRun) int {
	v, w := b.field.get(x), b.field.get(y)
	c := 0
	switch {
	case v == nil && w == nil:
	case v == nil:
		c = map[bool]int{true: 1, false: -1}[b.field.open]
	case w == nil:
		c = map[bool]int{true: -1, false: 1}[b.field.open]
	default:
		c = compare(v, w)
	}
	if b.descending {
		return -c
	}
	return c
}

// inOrder are the runs sorted by fields, and after those by ids in the direction of
// the last; in the default order if there are none.
func inOrder(runs []*knownRun, by []before) []*knownRun {
	if len(by) == 0 {
		by = []before{{fieldNamed("CloseTime"), true}, {fieldNamed("StartTime"), true}, {fieldNamed("RunId"), false}}
	}
	last := by[len(by)-1].descending
	by = append(slices.Clone(by), before{fieldNamed("WorkflowId"), last}, before{fieldNamed("RunId"), last})
	sorted := slices.Clone(runs)
	slices.SortFunc(sorted, func(x, y *knownRun) int {
		for _, b := range by {
			if c := b.compare(x, y); c != 0 {
				return c
			}
		}
		return 0
	})
	return sorted
}
