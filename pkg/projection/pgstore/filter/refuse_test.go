package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// options have an attribute of each type.
var options = filter.Options{Attributes: map[string]searchattribute.Type{
	"Customer": searchattribute.Keyword, "Labels": searchattribute.KeywordList, "Note": searchattribute.Text, "Flag": searchattribute.Bool,
	"Amount": searchattribute.Int, "Ratio": searchattribute.Double, "Due": searchattribute.Datetime, "Later": 0,
	"an odd.Name": searchattribute.Keyword, "Total.Net": searchattribute.Int,
}}

// In each query the place of the fault is marked by ⟨ and ⟩, which are taken out.
func TestCompileRefuses(t *testing.T) {
	for _, tc := range []struct{ name, marked, reason string }{
		{"unknown field", `WorkflowType = 'a' AND ⟨⟩Nothing = 1`, `unknown field "Nothing"`},
		{"misspelt field", `⟨⟩workflowtype = 'a'`, `did you mean WorkflowType?`},
		{"a letter less", `⟨⟩WorkflowTyp = 'a'`, `unknown field "WorkflowTyp", did you mean WorkflowType?`},
		{"two letters swapped", `⟨⟩WrokflowId = 'a'`, `did you mean WorkflowId?`},
		{"misspelt attribute", `⟨⟩Costumer = 'a'`, `did you mean Customer?`},
		{"misspelt attribute of Temporal's", `⟨⟩BuildId = 'a'`, `did you mean BuildIds?`},
		{"too short to be misspelt", `⟨⟩A = 'a'`, `unknown field "A"; there are WorkflowId`},
		{"the same word earlier, as a value", `WorkflowType = 'Nothing' AND ⟨⟩Nothing = 1`, `unknown field "Nothing"`},
		{"the same word earlier, as a field", `RunId = 'a' AND RunId = ⟨⟩1`, `RunId: want a text in quotes, found a whole number`},
		{"qualified field", `⟨⟩executions.state = 'a'`, `unknown field "executions.state"`},
		{"field that is a keyword", `⟨⟩Status = 'Running'`, `unknown field "Status"; there are WorkflowId, RunId`},
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
		{"prefix of a status", `ExecutionStatus ⟨⟩STARTS_WITH 'R'`, `operator "starts_with" is not supported for ExecutionStatus, which is a status`},
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
		{"like", `WorkflowType ⟨⟩LIKE 'O%'`, `operator "like" is not supported for WorkflowType, which is a text: STARTS_WITH finds a prefix`},
		{"regular expression", `WorkflowType ⟨⟩REGEXP 'O'`, `operator "regexp" is not supported`},
		{"is true", `Flag ⟨⟩IS TRUE`, `IS goes with NULL and NOT NULL`},
		{"is a value", `Flag IS ⟨⟩'a'`, `did not expect "'a'" here`},
		{"prefix of a time", `StartTime ⟨⟩STARTS_WITH '2026'`, `operator "starts_with" is not supported for StartTime, which is a time; there are =, !=`},
		{"prefix of a number", `WorkflowId STARTS_WITH ⟨⟩5`, `want a text in quotes`},
		{"regular expression of one's own", `LastFailure ⟨⟩REGEXP 'x'`, `LIKE finds a part`},
		{"order of failures", `LastFailure ⟨⟩> 'x'`, `operator ">" is not supported for LastFailure`},
		{"range of activities", `HasPendingActivity ⟨⟩BETWEEN 'a' AND 'b'`, `operator "between" is not supported`},
		{"any activity", `HasPendingActivity = ⟨⟩true`, `want a text in quotes, found a boolean`},
		{"no events", `EventType ⟨⟩IS NULL`, `operator "is null" is not supported for EventType`},
		{"unknown event type", `EventType IN ('WorkflowTaskFailed', ⟨⟩'WorkflowTaskfailed')`, `no event type is called "WorkflowTaskfailed"`},
		{"timer after", `PendingTimerBefore ⟨⟩> '2026-01-31T00:00:00Z'`, `is true where a timer that is pending is due before`},
		{"pattern that ends in its escape", `RunId = 'a' AND LastFailure LIKE ⟨⟩'a\\'`, `ends with a backslash`},
		{"another escape", `LastFailure LIKE 'a!%' ⟨⟩ESCAPE '!'`, `ESCAPE is not supported`},
		{"what no event holds", `RunId = 'a' OR ⟨⟩StateTransitionCount > 5`, `no event holds it, so it cannot be known here`},
		{"the same with Temporal's prefix", `⟨⟩TemporalStateTransitionCount > 5`, `no event holds it`},
		{"a type of a later version", `⟨⟩Later = 'x'`, `a type that only a later version of Annals knows`},
		{"text for a number", `Amount > ⟨⟩'5'`, `Amount: want a number without quotes, found a text`},
		{"text for a double", `Ratio IN (1, ⟨⟩'5')`, `Ratio: want a number without quotes`},
		{"boolean for a number", `Amount = ⟨⟩true`, `want a number, found a boolean`},
		{"number beyond all", `Ratio = ⟨⟩1e999`, `beyond the numbers that there are`},
		{"text for a boolean", `Flag = ⟨⟩'true'`, `Flag: want true or false without quotes, found a text`},
		{"number for a boolean", `Flag = ⟨⟩1`, `want true or false, found a whole number`},
		{"range of booleans", `Flag ⟨⟩BETWEEN false AND true`, `operator "between" is not supported for Flag, which is a boolean`},
		{"number for a keyword", `Customer = ⟨⟩5`, `want a text in quotes`},
		{"order of lists", `Labels ⟨⟩< 'a'`, `operator "<" is not supported for Labels, which is a list of texts: = and IN find an element`},
		{"prefix in lists", `Labels ⟨⟩STARTS_WITH 'a'`, `= and IN find an element`},
		{"list of words", `Note ⟨⟩IN ('a', 'b')`, `operator "in" is not supported for Note, which is a text of words: = finds any of the words`},
		{"no word", `Note = ⟨⟩' 	'`, `want a word to look for, found none`},
		{"time of an attribute", `Due > ⟨⟩'tomorrow'`, `is no time in RFC 3339`},
		{"duration", `ExecutionDuration > ⟨⟩'long'`, `want a duration: whole nanoseconds, or in quotes`},
		{"duration of a fraction", `ExecutionDuration > ⟨⟩1.5`, `found a number with a fraction`},
		{"duration of too many minutes", `ExecutionDuration > ⟨⟩'01:60:00'`, `want a duration`},
		{"huge duration", `ExecutionDuration > ⟨⟩9223372036854775808`, `beyond the nanoseconds`},
		{"huge duration of days", `ExecutionDuration > ⟨⟩'106752d'`, `want a duration`},
		{"day", `StartDay = ⟨⟩'2026-02-30'`, `is no day`},
		{"day of no year", `CloseDay = ⟨⟩'0000-01-01'`, `is no day`},
		{"null-safe equality", `RunId ⟨⟩<=> 'a'`, `operator "<=>" is not supported`},
		{"exists", `RunId = 'a' OR EXISTS (⟨⟩1)`, `did not expect "1" here`},
		{"subquery", `RunId IN (⟨⟩SELECT run_id FROM annals.executions)`, `SELECT is not part of a filter`},
		{"union", `RunId = 'a' ⟨⟩UNION SELECT 1`, `UNION is not part of a filter`},
		{"where", `⟨⟩WHERE RunId = 'a'`, `WHERE is not part of a filter`},
		{"order of nothing", `RunId = 'a' ORDER BY⟨⟩`, `ORDER BY: want a field`},
		{"order without by", `RunId = 'a' ORDER ⟨⟩StartTime`, `did not expect "StartTime" here`},
		{"order by an unknown field", `ORDER BY RunId, ⟨⟩Nothing`, `ORDER BY: unknown field "Nothing"`},
		{"order and group", `ORDER BY RunId ⟨⟩GROUP BY RunId`, `want ASC, DESC or a comma, found "GROUP"`},
		{"condition missing before an order", `RunId = ⟨⟩ORDER BY RunId`, `something is missing`},
		{"group", `⟨⟩GROUP BY ExecutionStatus`, `GROUP BY is for counts`},
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
		{"missing parenthesis", `RunId = 'b' OR ⟨⟩(RunId = 'a'`, `the parenthesis is never closed`},
		{"missing parenthesis, of two", `RunId = 'b' OR ⟨⟩((RunId = 'a') AND RunId = 'c'`, `the parenthesis is never closed`},
		{"missing parenthesis of a list", `RunId IN ⟨⟩('a', 'b'`, `the parenthesis is never closed`},
		{"missing value within a parenthesis", `(RunId =⟨⟩`, `something is missing`},
		{"missing value of a list", `RunId IN ('a',⟨⟩`, `something is missing`},
		{"missing condition within a parenthesis", `(RunId = 'a' AND⟨⟩`, `something is missing`},
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
			_, err := filter.CompileList(before+after, "", options)
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
			_, err := filter.CompileList(tc.query, "", options)
			var e *filter.Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, tc.reason) {
				t.Errorf("got %v, want %q", err, tc.reason)
			}
		})
	}
}

func TestErrorShowsThePlace(t *testing.T) {
	_, err := filter.CompileList("RunId = 'a' AND\n\tWorkflowTypo = 'Zürich' OR RunId = 'and more of it'", "", options)
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
	_, err = filter.CompileList("RunId =", "", options)
	if got, want := err.Error(), "invalid query: something is missing (at its end)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
