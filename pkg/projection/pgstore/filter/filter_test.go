package filter_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
)

func TestCompile(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, query, why string
		sql              string
		args             []any
	}{
		{
			name: "empty", query: " \n\t", why: "no filter lists everything",
			sql: "TRUE",
		},
		{
			name: "equality", query: `WorkflowType = 'Order'`, why: "the plain index serves it",
			sql: `workflow_type = $3`, args: []any{"Order"},
		},
		{
			name: "double quotes", query: `WorkflowType = "O'Brien"`, why: "Temporal's parser reads them as text, not as a name",
			sql: `workflow_type = $3`, args: []any{"O'Brien"},
		},
		{
			name: "quotes within", query: `WorkflowId = 'it''s \'it\''`, why: "both ways of writing a quote",
			sql: `workflow_id = $3`, args: []any{"it's 'it'"},
		},
		{
			name: "injection", query: `WorkflowId = '\'; DROP TABLE annals.executions; --'`, why: "a value is never part of the statement",
			sql: `workflow_id = $3`, args: []any{"'; DROP TABLE annals.executions; --"},
		},
		{
			name: "backquoted field", query: "`RunId` != 'r'", why: "Temporal takes them",
			sql: `run_id <> $3`, args: []any{"r"},
		},
		{
			name: "NUL", query: `WorkflowType = 'a\0b'`, why: "the tables hold U+FFFD in its place",
			sql: `workflow_type = $3`, args: []any{"a\uFFFDb"},
		},
		{
			name: "text order", query: `WorkflowId >= 'a' AND WorkflowId < 'b'`, why: "byte order, whatever the database's locale",
			sql: `(workflow_id >= $3 AND workflow_id < $4)`, args: []any{"a", "b"},
		},
		{
			name: "statuses", query: `ExecutionStatus IN ('Running', "WORKFLOW_EXECUTION_STATUS_TIMED_OUT", 8)`, why: "three spellings, one column",
			sql: `status = ANY ($3)`, args: []any{[]string{"Running", "TimedOut", "Paused"}},
		},
		{
			name: "not in", query: `ExecutionStatus NOT IN (2)`, why: "a list of one is a list",
			sql: `status <> ALL ($3)`, args: []any{[]string{"Completed"}},
		},
		{
			name: "time", query: `StartTime > '2026-01-31T13:00:00.0000009+01:00'`, why: "any zone; cut to the microsecond like the tables",
			sql: `start_time > $3`, args: []any{noon},
		},
		{
			name: "nanoseconds", query: `StartTime IN (1769860800000000999, -1)`, why: "a negative number is before 1970, and is cut downwards",
			sql: `start_time = ANY ($3)`, args: []any{[]time.Time{noon, time.Unix(0, -1000).UTC()}},
		},
		{
			name: "between", query: `StartTime BETWEEN 1769860800000000000 AND '2026-01-31T12:00:00Z' AND RunId = 'r'`, why: "the first AND belongs to BETWEEN",
			sql: `(start_time BETWEEN $3 AND $4 AND run_id = $5)`, args: []any{noon, noon, "r"},
		},
		{
			name: "not between", query: `WorkflowId NOT BETWEEN 'a' AND 'b'`, why: "its opposite",
			sql: `workflow_id NOT BETWEEN $3 AND $4`, args: []any{"a", "b"},
		},
		{
			name: "precedence", query: `NOT RunId = 'a' AND RunId = 'b' OR RunId = 'c'`, why: "NOT binds before AND, AND before OR",
			sql: `((NOT (run_id = $3) AND run_id = $4) OR run_id = $5)`, args: []any{"a", "b", "c"},
		},
		{
			name: "parentheses", query: `not (RunId = 'a' or RunId = 'b') and (((RunId = 'c')))`, why: "keywords in any case",
			sql: `(NOT ((run_id = $3 OR run_id = $4)) AND run_id = $5)`, args: []any{"a", "b", "c"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := filter.Compile(tc.query, 2)
			if err != nil {
				t.Fatalf("%s: %v", tc.why, err)
			}
			want := filter.Condition{SQL: tc.sql, Args: tc.args}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// In each query the place of the fault is marked by ⟨ and ⟩, which are taken out.
func TestCompileRefuses(t *testing.T) {
	for _, tc := range []struct{ name, marked, reason string }{
		{"unknown field", `WorkflowType = 'a' AND ⟨⟩Nothing = 1`, `unknown field "Nothing"`},
		{"misspelt field", `⟨⟩workflowtype = 'a'`, `did you mean WorkflowType?`},
		{"the same word earlier, as a value", `WorkflowType = 'Nothing' AND ⟨⟩Nothing = 1`, `unknown field "Nothing"`},
		{"the same word earlier, as a field", `RunId = 'a' AND RunId = ⟨⟩1`, `RunId: want a text in quotes, found a whole number`},
		{"qualified field", `⟨⟩executions.state = 'a'`, `unknown field "executions.state"`},
		{"field that is a keyword", `⟨⟩Status = 'Running'`, `unknown field "Status"`},
		{"number for text", `WorkflowType = ⟨⟩7`, `want a text in quotes, found a whole number`},
		{"fraction for text", `WorkflowType = ⟨⟩7.5`, `found a number with a fraction`},
		{"forgotten quotes", `WorkflowType = ⟨⟩Order`, `did you forget to quote "Order"?`},
		{"forgotten quotes around a name", `WorkflowType = ⟨⟩Invoice`, `did you forget to quote "Invoice"?`},
		{"forgotten quotes around a keyword", `WorkflowType != ⟨⟩Table`, `did you forget to quote "Table"?`},
		{"forgotten quotes in a list", `WorkflowType IN ('a', ⟨⟩Invoice)`, `did you forget to quote "Invoice"?`},
		{"boolean", `WorkflowType = ⟨⟩true`, `found a boolean`},
		{"null", `WorkflowType = ⟨⟩NULL`, `found NULL`},
		{"hexadecimal", `WorkflowType = ⟨⟩0x41`, `found a binary number`},
		{"hexadecimal text", `WorkflowType = ⟨⟩x'41'`, `found a binary number`},
		{"unknown status", `ExecutionStatus = ⟨⟩'running'`, `no status is called "running"; there are Running, Completed`},
		{"status number", `ExecutionStatus IN (1, ⟨⟩99)`, `no status has the number 99`},
		{"huge status number", `ExecutionStatus = ⟨⟩99999999999999999999`, `no status has the number`},
		{"status of a fraction", `ExecutionStatus = ⟨⟩1.0`, `want the name or the number of a status`},
		{"order of statuses", `ExecutionStatus ⟨⟩< 'Running'`, `ExecutionStatus is a status, which has no order`},
		{"range of statuses", `ExecutionStatus ⟨⟩BETWEEN 1 AND 2`, `which has no order: operator "between"`},
		{"bad time", `StartTime > ⟨⟩'yesterday'`, `"yesterday" is no time in RFC 3339`},
		{"time without zone", `StartTime > ⟨⟩'2026-01-31T12:00:00'`, `is no time in RFC 3339`},
		{"huge nanoseconds", `StartTime > ⟨⟩9223372036854775808`, `beyond the nanoseconds that 64 bits hold`},
		{"fraction of nanoseconds", `StartTime > ⟨⟩1.5`, `found a number with a fraction`},
		{"second end of a range", `StartTime BETWEEN 1 AND ⟨⟩'x'`, `"x" is no time`},
		{"third of a list", `RunId = 'z' OR RunId IN ('a', 'b', ⟨⟩3)`, `found a whole number`},
		{"list for a value", `RunId = ⟨⟩('a', 'b')`, `found a list`},
		{"value in parentheses", `RunId = ⟨⟩('a')`, `found a value in parentheses`},
		{"list of lists", `RunId IN (⟨⟩('a'), 'b')`, `found a value in parentheses`},
		{"arithmetic", `StartTime > ⟨⟩1 + 1`, `found an expression`},
		{"function", `StartTime > ⟨⟩now()`, `found an expression`},
		{"function alone", `RunId = 'a' AND ⟨⟩pg_sleep(10)`, `want a condition`},
		{"function on the left", `RunId = 'a' AND ⟨⟩lower(RunId) = 'a'`, `want a field on the left`},
		{"value on the left", `⟨⟩'Order' = WorkflowType`, `want a field on the left`},
		{"field in parentheses", `⟨⟩(WorkflowType) = 'Order'`, `want a field on the left`},
		{"field alone", `RunId⟨⟩`, `RunId alone is no condition`},
		{"field alone, in the middle", `NOT (RunId⟨⟩) AND RunId = 'a'`, `RunId alone is no condition`},
		{"constant", `⟨⟩1 = 1`, `want a field on the left`},
		{"constant alone", `⟨⟩true`, `want a condition`},
		{"bang", `⟨⟩!RunId = 'a'`, `want a field on the left`},
		{"like", `WorkflowType ⟨⟩LIKE 'O%'`, `operator "like" is not supported for WorkflowType`},
		{"regular expression", `WorkflowType ⟨⟩REGEXP 'O'`, `operator "regexp" is not supported`},
		{"prefix", `WorkflowType ⟨⟩STARTS_WITH 'O'`, `operator "starts_with" is not supported`},
		{"is null", `StartTime ⟨⟩IS NULL`, `operator "is null" is not supported`},
		{"null-safe equality", `RunId ⟨⟩<=> 'a'`, `operator "<=>" is not supported`},
		{"exists", `RunId = 'a' OR EXISTS (⟨⟩1)`, `did not expect "1" here`},
		{"subquery", `RunId IN (⟨⟩SELECT run_id FROM annals.executions)`, `SELECT is not part of a filter`},
		{"union", `RunId = 'a' ⟨⟩UNION SELECT 1`, `UNION is not part of a filter`},
		{"where", `⟨⟩WHERE RunId = 'a'`, `WHERE is not part of a filter`},
		{"order", `RunId = 'a' ⟨⟩ORDER BY StartTime`, `the order is given beside it`},
		{"group", `⟨⟩GROUP BY ExecutionStatus`, `grouping is given beside it`},
		{"limit", `RunId = 'a' ⟨⟩LIMIT 1`, `the limit is given beside it`},
		{"lock", `RunId = 'a' ⟨⟩FOR UPDATE`, `FOR is not part of a filter`},
		{"two statements", `RunId = 'a'⟨⟩; DROP TABLE annals.executions`, `without a semicolon`},
		{"block comment", `RunId ⟨⟩/* = 'b' */ = 'a'`, `comments are not part of a filter`},
		{"open comment", `RunId = 'a' ⟨⟩/* `, `comments are not part of a filter`},
		{"line comment", `RunId = 'a' ⟨⟩-- OR`, `comments are not part of a filter`},
		{"parameter", `RunId = ⟨⟩:a`, `write the value`},
		{"list parameter", `RunId IN ⟨⟩::a`, `write the value`},
		{"question mark", `RunId = ⟨⟩?`, `write the value`},
		{"open quote", `RunId = ⟨⟩'a`, `the quote is never closed`},
		{"number with letters", `RunId = ⟨⟩1a`, `runs into a letter`},
		{"odd character", `RunId ⟨⟩≠ 'a'`, `unexpected "≠"`},
		{"NUL", "RunId = ⟨⟩\x00'a'", `a NUL`},
		{"no UTF-8", "RunId = '⟨⟩\xff'", `not UTF-8`},
		{"missing value", `RunId =⟨⟩`, `something is missing`},
		{"missing parenthesis", `(RunId = 'a'⟨⟩`, `something is missing`},
		{"missing condition", `RunId = 'a' AND⟨⟩`, `something is missing`},
		{"one parenthesis too many", `RunId = 'a'⟨⟩)`, `did not expect ")" here`},
		{"two operators", `RunId = ⟨⟩= 'a'`, `did not expect "=" here`},
		{"two fields", `RunId ⟨⟩WorkflowId = 'a'`, `did not expect "WorkflowId" here`},
		{"empty list", `RunId IN (⟨⟩)`, `did not expect ")" here`},
		{"over several lines", "RunId = 'a'\n  AND ⟨⟩X = 1", `unknown field "X"`},
		{"behind letters of several bytes", `WorkflowType = 'Zürich→Köln' AND ⟨⟩X = 1`, `unknown field "X"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before, after, ok := strings.Cut(tc.marked, "⟨⟩")
			if !ok {
				t.Fatal("the query has no mark")
			}
			_, err := filter.Compile(before+after, 0)
			var e *filter.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error with %q", err, tc.reason)
			}
			if !errors.Is(err, events.ErrInvalid) {
				t.Error("it is not ErrInvalid")
			}
			if e.Offset != len(before) && !(after == "" && e.Offset == len(e.Query)) {
				t.Errorf("points at %d, want %d:\n%s", e.Offset, len(before), e.Pointer())
			}
			if !strings.Contains(e.Reason, tc.reason) {
				t.Errorf("reason %q has no %q", e.Reason, tc.reason)
			}
		})
	}
}

func TestCompileRefusesExcess(t *testing.T) {
	chain := strings.TrimSuffix(strings.Repeat("RunId = 'a' AND ", 1200), " AND ")
	for _, tc := range []struct{ name, query, reason string }{
		{"long", "RunId = '" + strings.Repeat("a", 64<<10) + "'", "at most 65536 are allowed"},
		{"deep", strings.Repeat("(", 400) + "RunId = 'a'" + strings.Repeat(")", 400), "max nesting level reached"},
		{"chain", chain, "max ast depth reached"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := filter.Compile(tc.query, 0)
			var e *filter.Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, tc.reason) {
				t.Errorf("got %v, want %q", err, tc.reason)
			}
		})
	}
}

func TestErrorShowsThePlace(t *testing.T) {
	_, err := filter.Compile("RunId = 'a' AND\n\tWorkflowTypo = 'Zürich' OR RunId = 'and more of it'", 0)
	var e *filter.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if got, want := e.Pointer(), "\tWorkflowTypo = 'Zürich' OR RunId = 'and more of it'\n\t^"; got != want {
		t.Errorf("pointer:\n%s\nwant:\n%s", got, want)
	}
	if got, want := e.Error(), `(at byte 17: "WorkflowTypo = 'Zürich' OR RunId = 'and…")`; !strings.HasSuffix(got, want) {
		t.Errorf("%s\ndoes not end in %s", got, want)
	}
	_, err = filter.Compile("RunId =", 0)
	if got, want := err.Error(), "invalid query: something is missing (at its end)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParseOrder(t *testing.T) {
	for _, tc := range []struct {
		text string
		want filter.Order
		err  string
	}{
		{text: "", want: filter.DefaultOrder},
		{text: "StartTime", want: filter.Order{Column: "start_time"}},
		{text: " StartTime  asc ", want: filter.Order{Column: "start_time"}},
		{text: "StartTime DESC", want: filter.Order{Column: "start_time", Descending: true}},
		{text: "StartTime down", err: `want StartTime, ASC or DESC, found "down"`},
		{text: "StartTime DESC, RunId", err: `found "DESC, RunId"`},
		{text: "WorkflowType", err: "cannot be ordered by WorkflowType; it can be by StartTime"},
		{text: "start_time; DROP TABLE x", err: `unknown field "start_time;"`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			got, err := filter.ParseOrder(tc.text)
			checkArgument(t, err, tc.err)
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestParseGroups(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fields []string
		want   []string
		err    string
	}{
		{name: "none", want: []string{}},
		{name: "both", fields: []string{"WorkflowType", "ExecutionStatus"}, want: []string{"workflow_type", "status"}},
		{name: "not groupable", fields: []string{"RunId"}, err: "cannot be grouped by RunId; it can be by WorkflowType, ExecutionStatus"},
		{name: "unknown", fields: []string{"executionStatus"}, err: "did you mean ExecutionStatus?"},
		{name: "twice", fields: []string{"WorkflowType", "WorkflowType"}, err: "WorkflowType is named twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := filter.ParseGroups(tc.fields)
			checkArgument(t, err, tc.err)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func checkArgument(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("unexpected error: %v", err)
		}
		return
	}
	var e *events.InvalidError
	if !errors.As(err, &e) || !errors.Is(err, events.ErrInvalid) || !strings.Contains(e.Reason, want) {
		t.Errorf("got %v, want an *events.InvalidError with %q", err, want)
	}
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// onlyOurWords is every word that a compiled condition may have.
var onlyOurWords = regexp.MustCompile(`^(?:TRUE|NOT|AND|OR|BETWEEN|ANY|ALL|workflow_id|run_id|workflow_type|status|start_time|\$\d+|<>|<=|>=|[=<>() ])*$`)

// FuzzCompile: no text makes the compiler panic, point outside of it, or write
// anything but its own words into a statement.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"", `WorkflowType = 'Order' AND ExecutionStatus = 'Running'`, `NOT (RunId IN ('a', "b") OR StartTime BETWEEN 1 AND -2)`,
		`StartTime >= '2026-01-31T00:00:00Z' -- x`, `a.b = 0x1F`, "`RunId` <> 'x\\'y'", `@@a'b' = 1`, `RunId IN (select 1)`, `interval 1 day = 2`,
		`RunId = 'a' group by x having y`, `(((RunId)))`, `case when 1 then 2 end`, `RunId = -+-1`, `RunId is not true`,
		`match(a) against ('b')`, `RunId collate utf8 = 'a'`, `a -> 'b' = 1`, `convert(a, char) = 1`, `default(a)`, `(1, 2) = 1`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		c, err := filter.Compile(query, 3)
		if err != nil {
			var e *filter.Error
			if !errors.As(err, &e) {
				t.Fatalf("error of type %T", err)
			}
			if e.Offset < 0 || e.Offset > len(query) || e.Reason == "" || e.Query != query {
				t.Fatalf("%+v", *e)
			}
			if e.Error() == "" || strings.Count(e.Pointer(), "\n") != 1 {
				t.Fatalf("shows as %q and %q", e.Error(), e.Pointer())
			}
			return
		}
		if !onlyOurWords.MatchString(c.SQL) {
			t.Fatalf("%q gives %q", query, c.SQL)
		}
		found := placeholder.FindAllStringSubmatch(c.SQL, -1)
		if len(found) != len(c.Args) {
			t.Fatalf("%q has %d parameters for %d values", c.SQL, len(found), len(c.Args))
		}
		for i, m := range found {
			if m[1] != strconv.Itoa(i+4) {
				t.Fatalf("%q: parameter %d is %s", c.SQL, i, m[1])
			}
		}
	})
}

func ExampleCompile() {
	c, err := filter.Compile(`WorkflowType = 'Order' AND ExecutionStatus IN ('Running', 'Paused')`, 0)
	fmt.Println(c.SQL, c.Args, err)
	_, err = filter.Compile(`WorkflowType = Order`, 0)
	fmt.Println(err)
	// Output:
	// (workflow_type = $1 AND status = ANY ($2)) [Order [Running Paused]] <nil>
	// invalid query: did you forget to quote "Order"? (at byte 15: "Order")
}
