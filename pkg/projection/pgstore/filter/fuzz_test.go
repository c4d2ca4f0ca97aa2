package filter_test

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
)

var placeholder = regexp.MustCompile(`\$(\d+)`)

// onlyOurWords is every word that a compiled statement may have.
var onlyOurWords = regexp.MustCompile(`^(?:''|' '|'g'|'UTC'|'number'|'boolean'|'YYYY-MM-DD'|'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'|'TemporalNamespaceDivision'|'\[\\x01-/:-` + "`" + `\{-\\x7f\]\+'|"C"|` +
	`TRUE|NOT|AND|OR|IS|NULL|BETWEEN|ANY|ALL|LIKE|COLLATE|CASE|WHEN|THEN|END|EXISTS|SELECT|FROM|WHERE|AS|AT|TIME|ZONE|ORDER|BY|OFFSET|DESC|NULLS|FIRST|LAST|ARRAY|` +
	`workflow_id|run_id|workflow_type|status|task_queue|start_time|execution_time|close_time|execution_duration|history_length|history_size_bytes|` +
	`parent_workflow_id|parent_run_id|root_workflow_id|root_run_id|search_values|last_failure_causes|last_failure|pending_activities|pending_children|pending_timers|state|` +
	`array_position|'Running'|'Completed'|'Failed'|'Canceled'|'Terminated'|'ContinuedAsNew'|'TimedOut'|'Paused'|annals|executions|activities|children|timers|run_events|run_no|thing|slot|namespace|closed_event_id|activity_type|child_type|fire_time|type|name|message|` +
	`unnest|jsonb_typeof|regexp_replace|lower|to_char|coalesce|text|bigint|numeric|boolean|timestamptz|date|jsonb|\$\d+|[-=<>|?@:(),.+\[\] 0]|@>|\?\||::|\[\])*$`)

// FuzzCompile: no text makes the compiler panic, point outside of it, or write
// anything but its own words into a statement.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"", `WorkflowType = 'Order' AND ExecutionStatus = 'Running'`, `NOT (RunId IN ('a', "b") OR StartTime BETWEEN 1 AND -2)`,
		`StartTime >= '2026-01-31T00:00:00Z' -- x`, `a.b = 0x1F`, "`RunId` <> 'x\\'y'", `@@a'b' = 1`, `RunId IN (select 1)`, `interval 1 day = 2`,
		`RunId = 'a' group by x having y`, `group by TaskQueue, Customer, StartDay`, `RunId = 'a' order by CloseTime desc, Customer, Due, Ratio, StartDay`,
		`order by`, `order by .`, "order by `a`.`b` desc, c", `group by a.`, `group by group by`, `(((RunId)))`, `case when 1 then 2 end`, `RunId = -+-1`, `RunId is not true`,
		`match(a) against ('b')`, `RunId collate utf8 = 'a'`, `a -> 'b' = 1`, `convert(a, char) = 1`, `default(a)`, `(1, 2) = 1`,
		`Customer = 'a' AND Labels IN ('a', 'b') AND NOT Note != 'a b' AND Flag >= true AND Amount BETWEEN -1 AND 2.5e3 AND Ratio IN (1, -2.5) AND Due < 5`,
		`HasPendingActivity LIKE '%a' OR HasPendingChild IS NULL OR PendingTimerBefore != 1 OR LastFailure NOT STARTS_WITH 'x' OR EventType NOT IN (3, 4) OR EventName = ''`,
		`ExecutionDuration BETWEEN '1d' AND '01:02:03' AND CloseDay != '2026-01-31' AND ExecutionStatus NOT BETWEEN 1 AND 2 AND NOT ParentRunId IS NULL`,
		"TemporalNamespaceDivision = 'a' OR `an odd.Name` STARTS_WITH '\U0010FFFF' OR a.b.c = 1 OR ScheduleId = 'x'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		o := options
		o.After = 3
		if n, err := filter.CompileCount(query, nil, o); err == nil {
			for _, g := range n.Groups {
				if !onlyOurWords.MatchString(g.SQL) {
					t.Fatalf("%q is grouped by %q", query, g.SQL)
				}
			}
		}
		c, err := filter.CompileList(query, "", o)
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
		sql := c.SQL + " " + c.Order.By(c.Order.Expressions()) + " " + c.Order.Place()
		if !onlyOurWords.MatchString(sql) {
			t.Fatalf("%q gives %q", query, sql)
		}
		// Each parameter has its value, and each value is used.
		used := map[int]bool{}
		for _, m := range placeholder.FindAllStringSubmatch(sql, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil || n <= 3 || n > 3+len(c.Args) {
				t.Fatalf("%q: parameter %s of %d values", sql, m[1], len(c.Args))
			}
			used[n] = true
		}
		if len(used) != len(c.Args) {
			t.Fatalf("%q uses %d of %d values", sql, len(used), len(c.Args))
		}
	})
}
