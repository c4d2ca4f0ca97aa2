package filter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// outside is what a condition ends in that mentions no namespace division.
const outside = " AND NOT search_values ? 'TemporalNamespaceDivision'"

func TestCompile(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, query, why string
		sql              string
		args             []any
	}{
		{
			name: "equality", query: `WorkflowType = 'Order'`, why: "the plain index serves it",
			sql: `workflow_type = $3::text`, args: []any{"Order"},
		},
		{
			name: "double quotes", query: `WorkflowType = "O'Brien"`, why: "Temporal's parser reads them as text, not as a name",
			sql: `workflow_type = $3::text`, args: []any{"O'Brien"},
		},
		{
			name: "quotes within", query: `WorkflowId = 'it''s \'it\''`, why: "both ways of writing a quote",
			sql: `workflow_id = $3::text`, args: []any{"it's 'it'"},
		},
		{
			name: "injection", query: `WorkflowId = '\'; DROP TABLE annals.executions; --'`, why: "a value is never part of the statement",
			sql: `workflow_id = $3::text`, args: []any{"'; DROP TABLE annals.executions; --"},
		},
		{
			name: "backquoted field", query: "`RunId` != 'r'", why: "Temporal takes them",
			sql: `run_id <> $3::text`, args: []any{"r"},
		},
		{
			name: "NUL", query: `WorkflowType = 'a\0b'`, why: "the tables hold U+FFFD in its place",
			sql: `workflow_type = $3::text`, args: []any{"a\uFFFDb"},
		},
		{
			name: "text order", query: `WorkflowId >= 'a' AND WorkflowId < 'b'`, why: "byte order, whatever the database's locale",
			sql: `(workflow_id >= $3::text AND workflow_id < $4::text)`, args: []any{"a", "b"},
		},
		{
			name: "statuses", query: `ExecutionStatus IN ('Running', "WORKFLOW_EXECUTION_STATUS_TIMED_OUT", 8)`, why: "three spellings, one column",
			sql: `status = ANY ($3::text[])`, args: []any{[]string{"Running", "TimedOut", "Paused"}},
		},
		{
			name: "not in", query: `ExecutionStatus NOT IN (2)`, why: "a list of one is a list",
			sql: `status <> ALL ($3::text[])`, args: []any{[]string{"Completed"}},
		},
		{
			name: "time", query: `StartTime > '2026-01-31T13:00:00.0000009+01:00'`, why: "any zone; cut to the microsecond like the tables",
			sql: `start_time > $3::timestamptz`, args: []any{noon},
		},
		{
			name: "nanoseconds", query: `StartTime IN (1769860800000000999, -1)`, why: "a negative number is before 1970, and is cut downwards",
			sql: `start_time = ANY ($3::timestamptz[])`, args: []any{[]time.Time{noon, time.Unix(0, -1000).UTC()}},
		},
		{
			name: "between", query: `StartTime BETWEEN 1769860800000000000 AND '2026-01-31T12:00:00Z' AND RunId = 'r'`, why: "the first AND belongs to BETWEEN",
			sql: `(start_time BETWEEN $3::timestamptz AND $4::timestamptz AND run_id = $5::text)`, args: []any{noon, noon, "r"},
		},
		{
			name: "not between", query: `WorkflowId NOT BETWEEN 'a' AND 'b'`, why: "its opposite",
			sql: `workflow_id NOT BETWEEN $3::text AND $4::text`, args: []any{"a", "b"},
		},
		{
			name: "precedence", query: `NOT RunId = 'a' AND RunId = 'b' OR RunId = 'c'`, why: "NOT binds before AND, AND before OR",
			sql: `((NOT (run_id = $3::text) AND run_id = $4::text) OR run_id = $5::text)`, args: []any{"a", "b", "c"},
		},
		{
			name: "parentheses", query: `not (RunId = 'a' or RunId = 'b') and (((RunId = 'c')))`, why: "keywords in any case",
			sql: `(NOT ((run_id = $3::text OR run_id = $4::text)) AND run_id = $5::text)`, args: []any{"a", "b", "c"},
		},
		{
			name: "statuses in the order of their numbers", query: `ExecutionStatus <= 'Failed' OR ExecutionStatus NOT BETWEEN 2 AND 7`, why: "as Temporal's SQL stores have it",
			sql:  `(status = ANY ($3::text[]) OR status = ANY ($4::text[]))`,
			args: []any{[]string{"Running", "Completed", "Failed"}, []string{"Running", "Paused"}},
		},
		{
			name: "numbers", query: `HistoryLength > 5 AND HistorySizeBytes < -2.5 AND HistoryLength IN (1, 2)`, why: "a fraction compares with a whole number",
			sql:  `(history_length > $3::text::bigint AND history_size_bytes < $4::text::numeric AND history_length = ANY ($5::text[]::bigint[]))`,
			args: []any{"5", "-2.5", []string{"1", "2"}},
		},
		{
			name: "durations", query: `ExecutionDuration IN (5, '5', '1d2h', '25:00:01', '-1.5s')`, why: "nanoseconds, as Go writes them, with days, and as a clock does",
			sql: `execution_duration = ANY ($3::text[]::bigint[])`, args: []any{[]string{"5", "5", "93600000000000", "90001000000000", "-1500000000"}},
		},
		{
			name: "prefix", query: `WorkflowId STARTS_WITH 'order-' AND TaskQueue NOT STARTS_WITH ''`, why: "a range is what an index has",
			sql:  `((workflow_id >= $3::text AND workflow_id < $4::text) AND NOT (task_queue >= $5::text))`,
			args: []any{"order-", "order.", ""},
		},
		{
			name: "prefix before no character", query: "WorkflowId STARTS_WITH 'a\uD7FF' OR RunId STARTS_WITH 'a\U0010FFFF'", why: "surrogates are no text, and the last character has none behind it",
			sql:  `((workflow_id >= $3::text AND workflow_id < $4::text) OR (run_id >= $5::text AND run_id < $6::text))`,
			args: []any{"a\uD7FF", "a\uE000", "a\U0010FFFF", "b"},
		},
		{
			name: "absence", query: `CloseTime IS NULL AND ParentWorkflowId is not null`, why: "a run that is open has no close time",
			sql: `(close_time IS NULL AND parent_workflow_id IS NOT NULL)`,
		},
		{
			name: "an attribute", query: `Customer = 'Inki' AND Amount IN (1, 2.50) AND Flag = true AND Due = 0`, why: "containment is what the index of attributes answers",
			sql:  `(search_values @> $3::jsonb AND (search_values @> $4::jsonb OR search_values @> $5::jsonb) AND search_values @> $6::jsonb AND search_values @> $7::jsonb)`,
			args: []any{`{"Customer":"Inki"}`, `{"Amount":1}`, `{"Amount":2.5}`, `{"Flag":true}`, `{"Due":"1970-01-01T00:00:00.000000Z"}`},
		},
		{
			name: "an attribute, negated", query: `NOT Customer = 'Inki' AND NOT (NOT Customer = 'Inki')`, why: "what a run without it is asked is unknown, and a negation of it, too",
			sql:  `(NOT (((search_values ->> $3::text) COLLATE "C") = $4::text) AND NOT (NOT (search_values @> $5::jsonb)))`,
			args: []any{"Customer", "Inki", `{"Customer":"Inki"}`},
		},
		{
			name: "a range of an attribute", query: `Customer < 'b' AND Due >= '2026-01-31T12:00:00Z' AND Amount BETWEEN 1 AND 2`, why: "byte order; times are stored as texts of one length",
			sql: `(((search_values ->> $3::text) COLLATE "C") < $4::text AND ((search_values ->> $5::text) COLLATE "C") >= $6::text` +
				` AND (CASE WHEN jsonb_typeof(search_values -> $7::text) = 'number' THEN (search_values -> $7::text)::numeric END) BETWEEN $8::text::numeric AND $9::text::numeric)`,
			args: []any{"Customer", "b", "Due", "2026-01-31T12:00:00.000000Z", "Amount", "1", "2"},
		},
		{
			name: "lists", query: `Labels = 'a' AND Labels != 'b' AND NOT Labels IN ('c', 'd')`, why: "containment",
			sql:  `(search_values @> $3::jsonb AND NOT ((search_values -> $4::text) ?| $5::text[]) AND NOT (((search_values -> $4::text) ?| $6::text[])))`,
			args: []any{`{"Labels":["a"]}`, "Labels", []string{"b"}, []string{"c", "d"}},
		},
		{
			name: "words", query: `Note = 'Payment  re-tried'`, why: "any word; those that a sign joins one after another",
			sql:  `((' ' || regexp_replace(lower(((search_values ->> $3::text) COLLATE "C")), '[\x01-/:-` + "`" + `{-\x7f]+', ' ', 'g') || ' ') LIKE ANY ($4::text[]))`,
			args: []any{"Note", []string{"% payment %", "% re tried %"}},
		},
		{
			name: "no words", query: `Note = '!' AND Note != '--'`, why: "neither true nor false of an absent text, as anything else: x LIKE ANY ('{}') is false then",
			sql: `((((search_values ->> $3::text) COLLATE "C") <> ((search_values ->> $3::text) COLLATE "C"))` +
				` AND NOT (((search_values ->> $3::text) COLLATE "C") <> ((search_values ->> $3::text) COLLATE "C")))`,
			args: []any{"Note"},
		},
		{
			name: "names with signs", query: "`an odd.Name` IS NULL OR Total.Net > 5", why: "Temporal takes dots as part of a name",
			sql:  `(((search_values ->> $3::text) COLLATE "C") IS NULL OR (CASE WHEN jsonb_typeof(search_values -> $4::text) = 'number' THEN (search_values -> $4::text)::numeric END) > $5::text::numeric)`,
			args: []any{"an odd.Name", "Total.Net", "5"},
		},
		{
			name: "with Temporal's prefix and without", query: `TemporalTaskQueue = 'q' AND PauseInfo = 'p' AND TemporalBuildIds = 'b' AND ScheduleId = 's'`, why: "where Temporal has both",
			sql:  `(task_queue = $3::text AND search_values @> $4::jsonb AND search_values @> $5::jsonb AND workflow_id = $6::text)`,
			args: []any{"q", `{"TemporalPauseInfo":["p"]}`, `{"BuildIds":["b"]}`, "s"},
		},
		{
			name: "pending", query: `HasPendingActivity = 'Charge' AND NOT HasPendingChild IN ('Pack')`, why: "by the tables' keys, and only in runs that have any",
			sql: `((` + openRun + ` AND pending_activities > 0 AND EXISTS (SELECT FROM annals.activities AS thing WHERE ` + ofTheRun + ` AND thing.closed_event_id IS NULL AND thing.activity_type = $3::text OFFSET 0))` +
				` AND NOT ((` + openRun + ` AND pending_children > 0 AND EXISTS (SELECT FROM annals.children AS thing WHERE ` + ofTheRun + ` AND thing.closed_event_id IS NULL AND thing.child_type = ANY ($4::text[]) OFFSET 0))))`,
			args: []any{"Charge", []string{"Pack"}},
		},
		{
			name: "timers", query: `PendingTimerBefore = '2026-01-31T12:00:00Z' OR PendingTimerBefore IS NULL`, why: "none is pending is what its absence says",
			sql: `((` + openRun + ` AND pending_timers > 0 AND EXISTS (SELECT FROM annals.timers AS thing WHERE ` + ofTheRun + ` AND thing.closed_event_id IS NULL AND thing.fire_time < $3::timestamptz OFFSET 0))` +
				` OR NOT (` + openRun + ` AND pending_timers > 0 AND EXISTS (SELECT FROM annals.timers AS thing WHERE ` + ofTheRun + ` AND thing.closed_event_id IS NULL OFFSET 0)))`,
			args: []any{noon},
		},
		{
			name: "failures", query: `LastFailure NOT LIKE '%timeout%' AND AnnalsLastFailure = 'no'`, why: "the messages of the whole chain; a prefix where an attribute has the name",
			sql: `(NOT (last_failure IS NOT NULL AND EXISTS (SELECT FROM unnest(last_failure_causes || last_failure) AS message WHERE (message COLLATE "C") LIKE $3::text))` +
				` AND (last_failure IS NOT NULL AND EXISTS (SELECT FROM unnest(last_failure_causes || last_failure) AS message WHERE (message COLLATE "C") = $4::text)))`,
			args: []any{"%timeout%", "no"},
		},
		{
			name: "events", query: `EventType IN (3, 'WorkflowTaskFailed') AND EventName != 'OrderPaid'`, why: "none is so named",
			sql: `(EXISTS (SELECT FROM annals.run_events AS thing WHERE ` + ofTheRunsNumber + ` AND thing.type = ANY ($3::text[]))` +
				` AND NOT EXISTS (SELECT FROM annals.run_events AS thing WHERE ` + ofTheRunsNumber + ` AND thing.name = $4::text))`,
			args: []any{[]string{"WorkflowExecutionFailed", "WorkflowTaskFailed"}, "OrderPaid"},
		},
		{
			name: "days", query: `StartDay = '2026-01-31' AND CloseDay IN ('2026-02-01', '2026-02-02')`, why: "in UTC",
			sql:  `((start_time AT TIME ZONE 'UTC')::date = $3::text::date AND (close_time AT TIME ZONE 'UTC')::date = ANY ($4::text[]::date[]))`,
			args: []any{"2026-01-31", []string{"2026-02-01", "2026-02-02"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options
			o.After = 2
			got, err := filter.CompileList(tc.query, "", o)
			if err != nil {
				t.Fatalf("%s: %v", tc.why, err)
			}
			if diff := cmp.Diff(tc.sql+outside, got.SQL); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
			if diff := cmp.Diff(tc.args, got.Args); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

const (
	ofTheRun        = "(thing.slot, thing.namespace, thing.workflow_id, thing.run_id) = (executions.slot, executions.namespace, executions.workflow_id, executions.run_id)"
	openRun         = "close_time IS NULL AND state IS NOT NULL"
	ofTheRunsNumber = "(thing.slot, thing.run_no) = (executions.slot, executions.run_no)"
)

// Queries that mention a namespace division see runs in one, and no others do.
func TestDivisions(t *testing.T) {
	const excluded = "NOT search_values ? 'TemporalNamespaceDivision'"
	for _, tc := range []struct{ name, query, orderBy, sql string }{
		{"empty", " \n\t", "", excluded},
		{"not mentioned", "RunId = 'TemporalNamespaceDivision'", "", "run_id = $1::text AND " + excluded},
		{"mentioned", "TemporalNamespaceDivision IS NULL", "", `((search_values ->> $1::text) COLLATE "C") IS NULL`},
		{"mentioned without its prefix", "RunId = 'a' OR NamespaceDivision = 'b'", "", "(run_id = $1::text OR search_values @> $2::jsonb)"},
		{"mentioned in the order", "", "TemporalNamespaceDivision", "TRUE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := filter.CompileList(tc.query, tc.orderBy, filter.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.sql, l.SQL); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	c, err := filter.CompileCount("", []string{"TemporalNamespaceDivision"}, filter.Options{})
	if err != nil || c.SQL != "TRUE" {
		t.Errorf("grouped by it: %q, %v", c.SQL, err)
	}
}

// A name that is registered as a search attribute is that, unless it is Temporal's.
func TestNames(t *testing.T) {
	o := options
	o.Attributes = map[string]searchattribute.Type{"LastFailure": searchattribute.Keyword, "PauseInfo": searchattribute.Keyword, "TaskQueue": searchattribute.Keyword, "BuildIds": searchattribute.Keyword}
	for _, tc := range []struct{ name, query, sql string }{
		{"over our own", "LastFailure = 'x'", "search_values @> $1::jsonb"},
		{"our own beside it", "AnnalsLastFailure IS NOT NULL", "(last_failure IS NOT NULL AND EXISTS (SELECT FROM unnest(last_failure_causes || last_failure) AS message))"},
		{"over another spelling", "PauseInfo < 'x'", `((search_values ->> $1::text) COLLATE "C") < $2::text`},
		{"never over a field", "TaskQueue = 'x'", "task_queue = $1::text"},
		{"never over Temporal's", "BuildIds = 'x'", "search_values @> $1::jsonb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := filter.CompileList(tc.query, "", o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.sql+outside, l.SQL); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for query, guessed := range map[string]bool{
		"TaskQueue = 'x' AND BuildIds = 'y'": false, "LastFailure = 'x'": true, "AnnalsLastFailure = 'x'": true, "TemporalTaskQueue = 'x'": true, "HasPendingChild = 'x'": true,
	} {
		if l, err := filter.CompileList(query, "", o); err != nil || l.Guessed != guessed {
			t.Errorf("%s: guessed %v, want %v (%v)", query, l.Guessed, guessed, err)
		}
	}
	for _, query := range []string{"Nothing = 1", "ORDER BY Nothing"} {
		if _, err := filter.CompileList(query, "", o); !filter.IsUnknown(err) {
			t.Errorf("%s: %v is not unknown", query, err)
		}
	}
	if _, err := filter.CompileList("", "Nothing", o); !filter.IsUnknown(err) {
		t.Errorf("order by Nothing: %v is not unknown", err)
	}
	if _, err := filter.CompileCount("", []string{"Nothing"}, o); !filter.IsUnknown(err) {
		t.Errorf("group by Nothing: %v is not unknown", err)
	}
	if _, err := filter.CompileList("StateTransitionCount = 1", "", o); err == nil || filter.IsUnknown(err) {
		t.Errorf("%v is unknown, and would be looked for again", err)
	}
}

func ExampleCompileList() {
	l, err := filter.CompileList(`WorkflowType = 'Order' AND ExecutionStatus IN ('Running', 'Paused')`, "StartTime DESC", filter.Options{})
	fmt.Println(strings.TrimSuffix(l.SQL, " AND "+filter.OutsideDivisions), l.Args, err)
	_, err = filter.CompileList(`WorkflowType = Order`, "", filter.Options{})
	fmt.Println(err)
	// Output:
	// (workflow_type = $1::text AND status = ANY ($2::text[])) [Order [Running Paused]] <nil>
	// invalid query: did you forget to quote "Order"? (at byte 15: "Order")
}
