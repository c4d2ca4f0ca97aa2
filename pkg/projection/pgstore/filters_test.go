package pgstore_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
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

// condition is a filter that can be written as text and evaluated in Go.
type condition interface {
	// text writes it for a place that binds as tightly as given: 0 where OR may
	// stand bare, 1 where AND may, 2 where NOT may.
	text(binding int) string
	eval(r storedRun) truth
}

func parenthesized(s string, yes bool) string {
	if yes {
		return "(" + s + ")"
	}
	return s
}

type both struct{ left, right condition }

func (c both) text(binding int) string {
	return parenthesized(c.left.text(1)+" and "+c.right.text(1), binding > 1)
}
func (c both) eval(r storedRun) truth { return min(c.left.eval(r), c.right.eval(r)) }

type either struct{ left, right condition }

func (c either) text(binding int) string {
	return parenthesized(c.left.text(0)+" OR "+c.right.text(0), binding > 0)
}
func (c either) eval(r storedRun) truth { return max(c.left.eval(r), c.right.eval(r)) }

type negation struct{ of condition }

func (c negation) text(int) string        { return "NOT " + c.of.text(2) }
func (c negation) eval(r storedRun) truth { return isTrue - c.of.eval(r) }

type grouped struct{ condition }

func (c grouped) text(int) string { return "(" + c.condition.text(0) + ")" }

// comparison compares a field; values are kept as they are compared, beside how
// they are written.
type comparison struct {
	field, operator string
	written         []string
	texts           []string
	times           []time.Time
}

func (c comparison) text(int) string {
	switch c.operator {
	case "IN", "NOT IN":
		return c.field + " " + c.operator + " (" + strings.Join(c.written, ", ") + ")"
	case "BETWEEN", "NOT BETWEEN":
		return c.field + " " + c.operator + " " + c.written[0] + " AND " + c.written[1]
	default:
		return c.field + " " + c.operator + " " + c.written[0]
	}
}

func (c comparison) eval(r storedRun) truth {
	if c.field == "StartTime" {
		if r.start == nil {
			return isUnknown
		}
		return truthOf(holds(c.operator, len(c.times), func(i int) int { return r.start.Compare(c.times[i]) }))
	}
	value := map[string]string{"WorkflowId": r.workflow, "RunId": r.run, "WorkflowType": r.kind, "ExecutionStatus": r.status}[c.field]
	return truthOf(holds(c.operator, len(c.texts), func(i int) int { return strings.Compare(value, c.texts[i]) }))
}

// holds applies an operator to how a value compares with each of n others.
func holds(operator string, n int, compare func(i int) int) bool {
	switch operator {
	case "=":
		return compare(0) == 0
	case "!=", "<>":
		return compare(0) != 0
	case "<":
		return compare(0) < 0
	case "<=":
		return compare(0) <= 0
	case ">":
		return compare(0) > 0
	case ">=":
		return compare(0) >= 0
	case "BETWEEN":
		return compare(0) >= 0 && compare(1) <= 0
	case "NOT BETWEEN":
		return compare(0) < 0 || compare(1) > 0
	}
	among := false
	for i := range n {
		among = among || compare(i) == 0
	}
	return among == (operator == "IN")
}

var (
	someIDs      = []string{"a", "A", "b", "a b", "ä", "it's", `back\slash`, `"`, "a%", "→", ";--", "1", "U+\uFFFD"}
	someTypes    = []string{"", "Order", "order", "Invoice", "O'Brien", "日本"}
	someStatuses = []string{"Running", "Paused", "Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut"}
	statusNumber = map[string]int{"Running": 1, "Completed": 2, "Failed": 3, "Canceled": 4, "Terminated": 5, "ContinuedAsNew": 6, "TimedOut": 7, "Paused": 8}
)

// startTimes are few, so that rows and filters meet, and microseconds apart.
var startTimes = rapid.Custom(func(t *rapid.T) time.Time {
	return at(rapid.SampledFrom([]int{-4e9, 0, 1, 2}).Draw(t, "seconds")).Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "micros")) * time.Microsecond)
})

var runsOf = rapid.Custom(func(t *rapid.T) []storedRun {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) storedRun {
		r := storedRun{
			workflow: rapid.SampledFrom(someIDs).Draw(t, "workflow"),
			run:      rapid.SampledFrom(someIDs).Draw(t, "run"),
			kind:     rapid.SampledFrom(someTypes).Draw(t, "type"),
			status:   rapid.SampledFrom(someStatuses).Draw(t, "status"),
		}
		if rapid.IntRange(0, 4).Draw(t, "has a start time") > 0 {
			start := startTimes.Draw(t, "start")
			r.start = &start
		}
		return r
	}), 0, 40, func(r storedRun) string { return r.workflow + "\x00" + r.run }).Draw(t, "runs")
})

// quote writes a text as a filter does, one way or the other.
func quote(t *rapid.T, s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	if rapid.Bool().Draw(t, "double quotes") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return `'` + strings.ReplaceAll(s, `'`, `\'`) + `'`
}

var comparisons = rapid.Custom(func(t *rapid.T) condition {
	c := comparison{field: rapid.SampledFrom([]string{"WorkflowId", "RunId", "WorkflowType", "ExecutionStatus", "StartTime"}).Draw(t, "field")}
	operators := []string{"=", "!=", "<>", "IN", "NOT IN"}
	if c.field != "ExecutionStatus" {
		operators = append(operators, "<", "<=", ">", ">=", "BETWEEN", "NOT BETWEEN")
	}
	c.operator = rapid.SampledFrom(operators).Draw(t, "operator")
	n := 1
	switch c.operator {
	case "IN", "NOT IN":
		n = rapid.IntRange(1, 4).Draw(t, "values")
	case "BETWEEN", "NOT BETWEEN":
		n = 2
	}
	for range n {
		switch c.field {
		case "StartTime":
			at := startTimes.Draw(t, "time")
			c.times = append(c.times, at)
			// Nanoseconds below the microsecond are cut.
			finer := at.Add(time.Duration(rapid.IntRange(0, 999).Draw(t, "nanoseconds")))
			written := quote(t, finer.In(time.FixedZone("", 5400)).Format(time.RFC3339Nano))
			if rapid.Bool().Draw(t, "as a number") {
				written = strconv.FormatInt(finer.UnixNano(), 10)
			}
			c.written = append(c.written, written)
		case "ExecutionStatus":
			s := rapid.SampledFrom(someStatuses).Draw(t, "status")
			c.texts = append(c.texts, s)
			switch rapid.IntRange(0, 2).Draw(t, "form") {
			case 0:
				c.written = append(c.written, quote(t, s))
			case 1:
				c.written = append(c.written, strconv.Itoa(statusNumber[s]))
			case 2:
				c.written = append(c.written, quote(t, fullStatusNames[s]))
			}
		default:
			s := rapid.SampledFrom(slices.Concat(someIDs, someTypes)).Draw(t, "text")
			c.texts = append(c.texts, s)
			c.written = append(c.written, quote(t, s))
		}
	}
	return c
})

var fullStatusNames = map[string]string{
	"Running": "WORKFLOW_EXECUTION_STATUS_RUNNING", "Paused": "WORKFLOW_EXECUTION_STATUS_PAUSED",
	"Completed": "WORKFLOW_EXECUTION_STATUS_COMPLETED", "Failed": "WORKFLOW_EXECUTION_STATUS_FAILED",
	"Canceled": "WORKFLOW_EXECUTION_STATUS_CANCELED", "Terminated": "WORKFLOW_EXECUTION_STATUS_TERMINATED",
	"ContinuedAsNew": "WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW", "TimedOut": "WORKFLOW_EXECUTION_STATUS_TIMED_OUT",
}

func conditions(depth int) *rapid.Generator[condition] {
	if depth == 0 {
		return comparisons
	}
	inner := conditions(depth - 1)
	return rapid.OneOf(
		comparisons,
		rapid.Custom(func(t *rapid.T) condition { return both{inner.Draw(t, "left"), inner.Draw(t, "right")} }),
		rapid.Custom(func(t *rapid.T) condition { return either{inner.Draw(t, "left"), inner.Draw(t, "right")} }),
		rapid.Custom(func(t *rapid.T) condition { return negation{inner.Draw(t, "of")} }),
		rapid.Custom(func(t *rapid.T) condition { return grouped{inner.Draw(t, "in parentheses")} }),
	)
}

// What any filter lists, counts and groups is what evaluating it in Go over the
// same rows gives, in the promised order, however it is cut into pages.
func TestFilterProperty(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	namespaces := 0
	rapid.Check(t, func(rt *rapid.T) {
		namespaces++
		namespace := fmt.Sprintf("n%d", namespaces) // other rounds' rows must not be seen
		runs := runsOf.Draw(rt, "rows")
		insertRuns(t, pool, namespace, runs...)
		for range 5 {
			c := conditions(3).Draw(rt, "filter")
			query := c.text(0)
			var want []storedRun
			groups := map[string]int64{}
			for _, r := range runs {
				if c.eval(r) == isTrue {
					want = append(want, r)
					groups[r.status+"|"+r.kind]++
				}
			}
			descending := rapid.Bool().Draw(rt, "descending")
			q := pgstore.ListQuery{Namespace: namespace, Query: query, OrderBy: "StartTime", Limit: rapid.IntRange(1, 15).Draw(rt, "limit")}
			if descending {
				q.OrderBy += " DESC"
			}
			if diff := cmp.Diff(printed(sorted(want, descending)), walk(rt, s, q)); diff != "" {
				rt.Errorf("%s\n%s (-want +got):\n%s", query, q.OrderBy, diff)
			}
			count, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: namespace, Query: query, GroupBy: []string{"ExecutionStatus", "WorkflowType"}})
			if err != nil {
				rt.Fatal(err)
			}
			got := map[string]int64{}
			for _, g := range count.Groups {
				got[strings.Join(g.Values, "|")] += g.Count
			}
			if diff := cmp.Diff(groups, got); diff != "" || count.Count != int64(len(want)) {
				rt.Errorf("%s: counted %d, want %d (-want +got):\n%s", query, count.Count, len(want), diff)
			}
		}
	})
}

// FuzzFilterOnPostgres: what the compiler makes, Postgres takes.
func FuzzFilterOnPostgres(f *testing.F) {
	for _, seed := range []string{
		"", `WorkflowType = 'Order'`, `WorkflowId = '\0'`, `RunId IN ('a', "b\\") AND NOT StartTime < 1`,
		`ExecutionStatus NOT IN (1, 'Paused') OR StartTime BETWEEN '0000-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999999999Z'`,
		`StartTime > -9223372036854775808`, `StartTime = 9223372036854775807`, `StartTime IN ('2026-01-31T24:00:00Z')`, `ExecutionStatus = 0`,
		`WorkflowId >= '' && WorkflowId < "\Z\b\n" || RunId <> 'ü'`, `StartTime != '0000-01-01T00:00:00+23:59'`,
		strings.Repeat("NOT ", 100) + `RunId = 'a'`, strings.TrimSuffix(strings.Repeat("RunId = 'a' AND ", 900), " AND "),
		strings.Repeat("(", 150) + `RunId = 'a'` + strings.Repeat(")", 150), `RunId IN (` + strings.TrimSuffix(strings.Repeat("'a',", 10000), ",") + `)`,
	} {
		f.Add(seed)
	}
	s, pool := newQueries(f)
	insertRuns(f, pool, "default", storedRun{"a", "1", "Order", "Running", at(0)}, storedRun{"b", "2", "Order", "Failed", nil})
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := filter.Compile(query, 0); err != nil {
			return
		}
		for _, order := range []string{"StartTime ASC", "StartTime DESC"} {
			walk(t, s, pgstore.ListQuery{Namespace: "default", Query: query, OrderBy: order, Limit: 1})
		}
		if _, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: "default", Query: query, GroupBy: []string{"WorkflowType"}}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzPageToken: no token makes a list fail but as an invalid one, nor gives
// rows of another namespace.
func FuzzPageToken(f *testing.F) {
	s, pool := newQueries(f)
	insertRuns(f, pool, "default", storedRun{"a", "1", "Order", "Running", at(0)}, storedRun{"b", "2", "Order", "Failed", nil})
	insertRuns(f, pool, "other", storedRun{"secret", "1", "Order", "Running", at(0)})
	page, err := s.List(f.Context(), pgstore.ListQuery{Namespace: "default", Limit: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page.NextPageToken)
	f.Add("e30")
	f.Add("eyJ2IjoxfQ")
	f.Fuzz(func(t *testing.T, token string) {
		page, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", PageToken: token})
		if err != nil {
			if !isInvalidToken(err) {
				t.Fatal(err)
			}
			return
		}
		for _, e := range page.Executions {
			if e.Namespace != "default" {
				t.Fatalf("%q lists %s", token, e.WorkflowID)
			}
		}
	})
}
