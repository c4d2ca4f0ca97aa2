package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
)

func TestOrders(t *testing.T) {
	const fallback = "`CloseTime` DESC, `StartTime` DESC, `RunId` ASC, `WorkflowId` ASC"
	for _, tc := range []struct{ name, text, want, err string }{
		{name: "none", text: " ", want: fallback},
		{name: "a field", text: "StartTime", want: "`StartTime` ASC, `WorkflowId` ASC, `RunId` ASC"},
		{name: "ascending", text: " StartTime  asc ", want: "`StartTime` ASC, `WorkflowId` ASC, `RunId` ASC"},
		{name: "descending", text: "StartTime DESC", want: "`StartTime` DESC, `WorkflowId` DESC, `RunId` DESC"},
		{name: "several", text: "WorkflowType desc,StartTime,RunId DESC", want: "`WorkflowType` DESC, `StartTime` ASC, `RunId` DESC, `WorkflowId` DESC"},
		{name: "attributes", text: "Amount, `an odd.Name` DESC, Total.Net", want: "`Amount` ASC, `an odd.Name` DESC, `Total.Net` ASC, `WorkflowId` ASC, `RunId` ASC"},
		{name: "another spelling of a field", text: "TemporalStartTime", want: "`StartTime` ASC, `WorkflowId` ASC, `RunId` ASC"},
		{name: "a wrong direction", text: "StartTime down", err: `want ASC, DESC or a comma, found "down"`},
		{name: "a comma too many", text: "StartTime DESC,", err: "want a field"},
		{name: "a text", text: "'StartTime'", err: "want a field"},
		{name: "unknown", text: "Nothing", err: `unknown field "Nothing"; there are WorkflowId`},
		{name: "nearly", text: "starttime", err: `did you mean StartTime?`},
		{name: "words", text: "Note", err: "a list cannot be ordered by Note, which is a text of words"},
		{name: "lists", text: "RunId, Labels", err: "a list cannot be ordered by Labels, which is a list of texts"},
		{name: "sets", text: "HasPendingActivity", err: "a list cannot be ordered by HasPendingActivity, which is a set of texts"},
		{name: "what no event holds", text: "StateTransitionCount", err: "no event holds it"},
		{name: "twice", text: "StartTime, StartTime DESC", err: "StartTime is named twice"},
		{name: "twice under two names", text: "StartTime, TemporalStartTime DESC", err: "StartTime is named twice"},
		{name: "many", text: "RunId, WorkflowId, StartTime, CloseTime, Amount, Ratio", err: "there are 6 fields, a list is ordered by 5 at most"},
		{name: "injection", text: "StartTime; DROP TABLE x", err: "without a semicolon"},
		{name: "expression", text: "StartTime + 1", err: `want ASC, DESC or a comma, found "+"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := filter.CompileList("RunId = 'a'", tc.text, options)
			checkArgument(t, err, tc.err)
			if err != nil {
				return
			}
			if got := l.Order.String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			within := "RunId = 'a' ORDER BY " + tc.text
			if strings.TrimSpace(tc.text) == "" {
				return
			}
			w, err := filter.CompileList(within, "", options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(l.Order.String(), w.Order.String()); diff != "" || w.SQL != l.SQL {
				t.Errorf("behind the filter it is %s of %s (-want +got):\n%s", w.Order, w.SQL, diff)
			}
		})
	}
}

func TestOrderIsGivenOnce(t *testing.T) {
	_, err := filter.CompileList("RunId = 'a' ORDER BY RunId", "RunId", options)
	var e *filter.Error
	if !errors.As(err, &e) || e.Offset != 12 {
		t.Errorf("got %v, want an *Error at 12", err)
	}
	_, err = filter.CompileCount("RunId = 'a' GROUP BY TaskQueue", []string{"TaskQueue"}, options)
	if !errors.As(err, &e) || e.Offset != 12 {
		t.Errorf("got %v, want an *Error at 12", err)
	}
	_, err = filter.CompileCount("ORDER BY RunId", nil, options)
	if !errors.As(err, &e) || !strings.Contains(e.Reason, "ORDER BY is for lists") {
		t.Errorf("got %v, want that a count has no order", err)
	}
}

// What comes after a place is told by conditions that no row satisfies two of; that
// they find what they should is tested on Postgres.
func TestAfter(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, tc := range []struct {
		name, order, why string
		place            []*string
		want             []string
	}{
		{
			name: "one direction", order: "WorkflowType DESC", why: "one row value",
			place: []*string{text("Order"), text("w"), text("r")},
			want:  []string{"(workflow_type, workflow_id, run_id) < ($3::text, $4::text, $5::text)"},
		},
		{
			name: "absent last", order: "StartTime DESC", why: "a row value knows nothing of nulls",
			place: []*string{text("2026-01-31T00:00:00.000000Z"), text("w"), text("r")},
			want:  []string{"(start_time, workflow_id, run_id) < ($3::timestamptz, $4::text, $5::text)", "start_time IS NULL"},
		},
		{
			name: "absent first", order: "StartTime", why: "those without are behind it",
			place: []*string{text("2026-01-31T00:00:00.000000Z"), text("w"), text("r")},
			want:  []string{"(start_time, workflow_id, run_id) > ($3::timestamptz, $4::text, $5::text)"},
		},
		{
			name: "among the absent", order: "StartTime", why: "then come all the others",
			place: []*string{nil, text("w"), text("r")},
			want:  []string{"start_time IS NULL AND (workflow_id, run_id) > ($3::text, $4::text)", "start_time IS NOT NULL"},
		},
		{
			name: "two directions", order: "TaskQueue, WorkflowType DESC, RunId", why: "a row value has one",
			place: []*string{text("q"), text("t"), text("r"), text("w")},
			want: []string{
				"task_queue > $3::text", "task_queue = $3::text AND workflow_type < $4::text",
				"task_queue = $3::text AND workflow_type = $4::text AND (run_id, workflow_id) > ($5::text, $6::text)",
			},
		},
		{
			name: "default, among the open", why: "the open are first, and then all that closed",
			place: []*string{nil, text("2026-01-31T00:00:00.000000Z"), text("r"), text("w")},
			want: []string{
				"close_time IS NULL AND start_time < $3::timestamptz", "close_time IS NULL AND start_time IS NULL",
				"close_time IS NULL AND start_time = $3::timestamptz AND (run_id, workflow_id) > ($4::text, $5::text)", "close_time IS NOT NULL",
			},
		},
		{
			name: "default, among the closed", why: "Temporal breaks ties by ascending run ids",
			place: []*string{text("2026-01-31T00:00:01.000000Z"), text("2026-01-31T00:00:00.000000Z"), text("r"), text("w")},
			want: []string{
				"(close_time, start_time) < ($3::timestamptz, $4::timestamptz)", "close_time = $3::timestamptz AND start_time IS NULL",
				"close_time = $3::timestamptz AND start_time = $4::timestamptz AND (run_id, workflow_id) > ($5::text, $6::text)",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := filter.CompileList("", tc.order, filter.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, args, ok := l.Order.After(tc.place, 2)
			if !ok {
				t.Fatal("the place is refused")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
			values := 0
			for _, v := range tc.place {
				if v != nil {
					values++
				}
			}
			if len(args) != values {
				t.Errorf("%d arguments for %d values", len(args), values)
			}
		})
	}
}

// A place comes back from outside: what is none is refused before Postgres sees it.
func TestAfterRefuses(t *testing.T) {
	text := func(s string) *string { return &s }
	l, err := filter.CompileList("", "StartTime, HistoryLength, Ratio, Flag, StartDay", options)
	if err != nil {
		t.Fatal(err)
	}
	good := []*string{text("2026-01-31T00:00:00.000000Z"), text("5"), text("-1.50"), text("true"), text("2026-01-31"), text("w"), text("r")}
	if _, _, ok := l.Order.After(good, 0); !ok {
		t.Fatal("a good one is refused")
	}
	for _, tc := range []struct {
		name string
		i    int
		text *string
	}{
		{"time", 0, text("now")},
		{"time before all", 0, text("0000-01-01T00:00:00.000000Z")},
		{"integer", 1, text("5.5")},
		{"huge integer", 1, text("9223372036854775808")},
		{"no number where there must be one", 1, nil},
		{"number", 2, text("NaN")},
		{"exponent", 2, text("1e9999")},
		{"boolean", 3, text("yes")},
		{"day", 4, text("today")},
		{"NUL", 5, text("a\x00")},
		{"no UTF-8", 5, text("\xff")},
		{"no id", 6, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			place := append([]*string(nil), good...)
			place[tc.i] = tc.text
			if _, _, ok := l.Order.After(place, 0); ok {
				t.Error("it is taken")
			}
		})
	}
	if _, _, ok := l.Order.After(good[:6], 0); ok {
		t.Error("one that is too short is taken")
	}
}

func TestGroups(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fields []string
		want   []string
		err    string
	}{
		{name: "none"},
		{name: "two", fields: []string{"WorkflowType", "ExecutionStatus"}, want: []string{"workflow_type", "status"}},
		{name: "a queue", fields: []string{"TaskQueue"}, want: []string{"task_queue"}},
		{name: "days", fields: []string{"StartDay", "CloseDay"}, want: []string{
			"coalesce(to_char((start_time AT TIME ZONE 'UTC')::date, 'YYYY-MM-DD'), '')", "coalesce(to_char((close_time AT TIME ZONE 'UTC')::date, 'YYYY-MM-DD'), '')",
		}},
		{name: "keywords", fields: []string{"Customer", "`an odd.Name`"}, want: []string{
			`coalesce(((search_values ->> $1::text) COLLATE "C"), '')`, `coalesce(((search_values ->> $2::text) COLLATE "C"), '')`,
		}},
		{name: "a boolean", fields: []string{"Flag"}, want: []string{
			"coalesce((CASE WHEN jsonb_typeof(search_values -> $1::text) = 'boolean' THEN (search_values -> $1::text)::boolean END)::text, '')",
		}},
		{name: "a parent", fields: []string{"ParentWorkflowId"}, want: []string{"coalesce(parent_workflow_id, '')"}},
		{name: "run ids", fields: []string{"RunId"}, err: "a count cannot be grouped by RunId: every run has its own"},
		{name: "a time", fields: []string{"StartTime"}, err: "a count cannot be grouped by StartTime: use StartDay"},
		{name: "a double", fields: []string{"Ratio"}, err: "a count cannot be grouped by Ratio, which is a number"},
		{name: "a list", fields: []string{"Labels"}, err: "a count cannot be grouped by Labels, which is a list of texts"},
		{name: "a set", fields: []string{"EventName"}, err: "a count cannot be grouped by EventName, which is a set of texts"},
		{name: "unknown", fields: []string{"executionStatus"}, err: "did you mean ExecutionStatus?"},
		{name: "twice", fields: []string{"WorkflowType", "TemporalWorkflowType"}, err: "WorkflowType is named twice"},
		{name: "injection", fields: []string{"status; DROP TABLE x"}, err: "unknown field"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := filter.CompileCount("", tc.fields, options)
			checkArgument(t, err, tc.err)
			if err != nil {
				return
			}
			var got []string
			for _, g := range c.Groups {
				got = append(got, g.SQL)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(tc.fields) == 0 {
				return
			}
			w, err := filter.CompileCount("GROUP BY "+strings.Join(tc.fields, ", "), nil, options)
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range w.Groups {
				if g.SQL != tc.want[i] {
					t.Errorf("behind the filter it is %s", g.SQL)
				}
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
