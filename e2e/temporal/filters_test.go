package temporal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// questions are queries about one thing.
type questions struct {
	about   string
	queries []string
}

// filters are asked of both, by what they are about. Words in braces are of the run
// that the scenario begins with: {start}, {close}, {execution} and {duration} of
// "complete", {run} its id.
var filters = []questions{
	{"everything, and by workflow and run id", []string{
		"",
		"WorkflowId = 'complete'",
		`WorkflowId = 'it\'s 100% "odd" → ä'`,
		`WorkflowId = 'it''s 100% "odd" → ä'`,
		"WorkflowId = 'Complete'",
		"WorkflowId != 'complete'",
		"WorkflowId > 'p'",
		"WorkflowId <= 'parent'",
		"WorkflowId IN ('complete', 'fail', 'nothing')",
		"WorkflowId NOT IN ('complete', 'fail')",
		"WorkflowId BETWEEN 'c' AND 'd'",
		"WorkflowId NOT BETWEEN 'c' AND 'd'",
		"WorkflowId STARTS_WITH 'parent/'",
		"WorkflowId NOT STARTS_WITH 'parent'",
		"WorkflowId STARTS_WITH '100%'",
		"RunId = '{run}'",
		"RunId IN ('{run}', 'nothing')",
	}},
	{"workflow type, task queue", []string{
		"WorkflowType = 'Wait'",
		"WorkflowType != 'Wait'",
		"WorkflowType IN ('Wait', 'Simple') AND ExecutionStatus = 'Running'",
		"WorkflowType STARTS_WITH 'S'",
		"TaskQueue = 'nobody'",
		"TaskQueue != 'judge'",
		"TaskQueue STARTS_WITH 'judge'",
		"WorkflowType IN ('Nexus', 'NexusPending', 'Handled')",
	}},
	{"status", []string{
		"ExecutionStatus = 'Running'",
		"ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_FAILED'",
		"ExecutionStatus = 2",
		"ExecutionStatus != 'Completed'",
		"ExecutionStatus IN ('Canceled', 'Terminated', 'TimedOut')",
		"ExecutionStatus NOT IN ('Completed', 'Running')",
		"ExecutionStatus = 'ContinuedAsNew'",
		"ExecutionStatus = 'Paused'",
		"ExecutionStatus = 'running'",
		"ExecutionStatus = 'Nothing'",
		"ExecutionStatus = 99",
		"ExecutionStatus > 'Running'",
		"ExecutionStatus IS NULL",
	}},
	{"start, execution and close time", []string{
		"StartTime = '{start}'",
		"StartTime >= '{start}' AND WorkflowId != 'reset'",
		"StartTime < '{close}' AND WorkflowId != 'reset'",
		"StartTime > {startNanos} AND WorkflowId != 'reset'",
		"StartTime BETWEEN '{start}' AND '{close}' AND WorkflowId != 'reset'",
		"StartTime = 'yesterday'",
		"CloseTime >= '{close}'",
		"CloseTime = '{close}'",
		"CloseTime IS NULL",
		"CloseTime IS NOT NULL",
		"CloseTime != '{close}'",
		"NOT CloseTime >= '{close}'",
		"ExecutionTime > '{execution}' AND WorkflowId != 'reset'",
		"ExecutionTime = '{execution}'",
		"ExecutionTime IN ('{execution}', '{start}')",
	}},
	{"duration", []string{
		"ExecutionDuration > '500ms' AND WorkflowId != 'reset'",
		"ExecutionDuration <= '1h'",
		"ExecutionDuration = {duration}",
		"ExecutionDuration < '00:00:01' AND WorkflowId != 'reset'",
		"ExecutionDuration > '1d'",
		"ExecutionDuration BETWEEN '1s' AND '1m' AND WorkflowId != 'reset'",
		"ExecutionDuration IS NULL",
		"ExecutionDuration = 'long'",
	}},
	{"history length and size, state transitions", []string{
		"HistoryLength > 10 AND CloseTime IS NOT NULL",
		"HistoryLength = 11 AND CloseTime IS NOT NULL",
		"HistoryLength > 0",
		"HistoryLength = 'eleven'",
		"HistorySizeBytes > 0 AND CloseTime IS NOT NULL",
		"StateTransitionCount > 1",
	}},
	{"parents and roots", []string{
		"ParentWorkflowId = 'parent'",
		"ParentWorkflowId IS NULL",
		"ParentWorkflowId IS NOT NULL",
		"ParentWorkflowId != 'parent'",
		"ParentRunId IS NOT NULL",
		"RootWorkflowId = 'parent'",
		"RootWorkflowId = 'complete'",
		"RootRunId = '{run}'",
		"RootWorkflowId STARTS_WITH 'nexus'",
	}},
	{"Keyword", []string{
		"Customer = 'c-1'",
		"Customer != 'c-1'",
		"Customer IN ('c-1', 'c-2')",
		"Customer NOT IN ('c-1', 'c-2')",
		"Customer > 'c-3'",
		"Customer BETWEEN 'c-2' AND 'c-4'",
		"Customer STARTS_WITH 'c-'",
		"Customer NOT STARTS_WITH 'c-1'",
		"Customer IS NULL",
		"Customer IS NOT NULL",
		"Customer = 7",
		"Customer = true",
	}},
	{"names that are quoted, unknown, or Temporal's columns", []string{
		"`Customer` = 'c-1'",
		"CustomKeywordField = 'c-1'",
		"Keyword01 = 'c-1'",
		"Nothing = 'c-1'",
	}},
	{"Text", []string{
		"Note = 'payment'",
		"Note = 'PAYMENT'",
		"Note = 'twice c'",
		"Note = 'tried'",
		"Note != 'payment'",
		"Note IS NULL",
		"Note > 'a'",
		"Note IN ('payment', 'twice')",
		"Note STARTS_WITH 'Pay'",
	}},
	{"KeywordList", []string{
		"Labels = 'vip'",
		"Labels != 'vip'",
		"Labels IN ('late', 'again')",
		"Labels NOT IN ('late', 'again')",
		"Labels IS NULL",
		"Labels IS NOT NULL",
		"Labels > 'a'",
		"Labels STARTS_WITH 'v'",
		"Labels = 'vip' AND Labels = 'new'",
	}},
	{"Int", []string{
		"Amount = 1",
		"Amount != 1",
		"Amount > 2",
		"Amount >= -5 AND Amount < 3",
		"Amount IN (1, 2, 3)",
		"Amount BETWEEN -10 AND 0",
		"Amount IS NULL",
		"Amount = '1'",
		"Amount = 1.5",
		"Amount = 'one'",
	}},
	{"Double", []string{
		"Ratio = 0.5",
		"Ratio < 1",
		"Ratio = 1000000.0",
		"Ratio > -8 AND NOT Ratio > 0.2",
		"Ratio = 'half'",
	}},
	{"Bool", []string{
		"Flag = true",
		"Flag = false",
		"Flag != true",
		"Flag = 'true'",
		"Flag IS NULL",
		"Flag = 1",
		"Flag > false",
	}},
	{"Datetime", []string{
		"Due = '2026-01-31T13:00:00.123456Z'",
		"Due = '2026-01-31T18:00:00Z'",
		"Due > '2026-01-31T15:00:00Z'",
		"Due < '2026-01-31T18:00:00+01:00'",
		"Due = 'tomorrow'",
		"Due BETWEEN '2026-01-31T12:00:00Z' AND '2026-01-31T16:00:00Z'",
	}},
	{"attributes that Temporal sets itself", []string{
		"TemporalChangeVersion = 'charge-twice-2'",
		"TemporalChangeVersion IS NOT NULL",
		"TemporalChangeVersion IN ('no-fee-1', 'nothing')",
		"BuildIds = 'unversioned:build-1'",
		"BuildIds IS NULL",
		"BuildIds IS NOT NULL",
		"TemporalPauseInfo IS NOT NULL",
		"TemporalPauseInfo = 'Workflow:'",
		"TemporalScheduledById IS NULL",
		"TemporalNamespaceDivision = 'nothing'",
		"TemporalNamespaceDivision IS NULL",
		"TemporalWorkflowVersioningBehavior = 'Pinned'",
		"TemporalReportedProblems IS NOT NULL",
		"ScheduleId = 'complete'",
	}},
	{"prefixes, upper and lower case", []string{
		"TemporalWorkflowId = 'complete'",
		"TemporalExecutionStatus = 'Running'",
		"TemporalCustomer = 'c-1'",
		"workflowid = 'complete'",
		"workflowId = 'complete'",
	}},
	{"AND, OR, NOT, precedence", []string{
		"(WorkflowType = 'Wait' OR WorkflowType = 'Simple') AND NOT ExecutionStatus = 'Running'",
		"WorkflowType = 'Wait' OR WorkflowType = 'Simple' AND ExecutionStatus = 'Running'",
		"NOT WorkflowType = 'Wait' AND NOT (ExecutionStatus = 'Completed' OR ExecutionStatus = 'Failed')",
		"not workflowtype = 'Wait'",
	}},
	{"what is no filter, or no longer one", []string{
		"WorkflowType = \"Wait\"",
		"WorkflowType = Wait",
		"WorkflowType LIKE 'W%'",
		"'Wait' = WorkflowType",
		"WorkflowType = 'Wait' AND",
		"WorkflowType = 'Wait",
		"WorkflowType",
		"WorkflowType = WorkflowId",
		"WorkflowType IN ('Wait', 1)",
		"WorkflowType IN ()",
		"WorkflowType = NULL",
		"WorkflowType = 'a' UNION SELECT 1",
		"WorkflowType = 'Wait' -- or so",
		"WorkflowType = 'Wait'; DROP TABLE executions",
		"WorkflowType IS TRUE",
		"EXISTS (SELECT 1)",
		"lower(WorkflowType) = 'wait'",
		"HistoryLength + 1 > 3",
		"WorkflowType = 'Wait' ORDER BY StartTime",
		"ORDER BY StartTime DESC",
		"WorkflowType = 'Wait' LIMIT 1",
		"WorkflowType = 'Wait' GROUP BY ExecutionStatus",
		"HasPendingActivity = 'Charge'",
	}},
}

// groups are counted by both.
var groups = questions{"counts by groups", []string{
	"GROUP BY ExecutionStatus",
	"WorkflowType = 'Simple' GROUP BY ExecutionStatus",
	"Customer = 'c-1' GROUP BY ExecutionStatus",
	"GROUP BY WorkflowType",
	"GROUP BY ExecutionStatus, WorkflowType",
	"GROUP BY Customer",
	"GROUP BY StartTime",
	"GROUP BY Nothing",
}}

// difference is an answer that is otherwise on purpose, and what it is instead.
type difference struct {
	why     string   // docs/queries.md shows it
	refused bool     // Annals refuses it
	as      string   // Annals answers as Temporal does this
	by      []string // Annals counts by these fields what Temporal counts with each of their values
}

// meant are the questions that are answered otherwise on purpose.
var meant = map[string]difference{
	`WorkflowId = 'it\'s 100% "odd" → ä'`:            {why: quoteWithin, as: "WorkflowId STARTS_WITH 'it'"},
	`WorkflowId = 'it''s 100% "odd" → ä'`:            {why: quoteWithin, as: "WorkflowId STARTS_WITH 'it'"},
	"HistoryLength > 0":                              {why: lengthOfOpen, as: ""},
	"StateTransitionCount > 1":                       {why: "no event holds the number", refused: true},
	"Keyword01 = 'c-1'":                              {why: "Temporal's own columns for attributes can be named there", refused: true},
	"Note != 'payment'":                              {why: withoutValue, as: "Note != 'payment' AND Note IS NOT NULL"},
	"Labels != 'vip'":                                {why: withoutValue, as: "Labels != 'vip' AND Labels IS NOT NULL"},
	"Labels NOT IN ('late', 'again')":                {why: withoutValue, as: "Labels NOT IN ('late', 'again') AND Labels IS NOT NULL"},
	"Due = '2026-01-31T13:00:00.123456Z'":            {why: "SQLite keeps the times of attributes to the millisecond", as: "Due = '2026-01-31T13:00:00.123Z'"},
	"WorkflowType = 'a' UNION SELECT 1":              {why: "Temporal fails with an internal error, and no word about the query", refused: true},
	"WorkflowType = 'Wait' -- or so":                 {why: "a comment is more likely a mistake, or an attempt to get past a filter", refused: true},
	"WorkflowType = 'Wait' GROUP BY ExecutionStatus": {why: "a list has no groups: Temporal passes over them", refused: true},
	"HasPendingActivity = 'Charge'":                  {why: "Temporal's lists do not know what is under way", as: "WorkflowId = 'pending'"},
	"GROUP BY WorkflowType":                          {why: moreGroups, by: []string{"WorkflowType"}},
	"GROUP BY ExecutionStatus, WorkflowType":         {why: moreGroups, by: []string{"ExecutionStatus", "WorkflowType"}},
	"GROUP BY Customer":                              {why: moreGroups, by: []string{"Customer"}},
}

const (
	quoteWithin  = "Temporal on SQLite does not find the text, which has a quote in it"
	lengthOfOpen = "Temporal's lists have no length of open runs"
	withoutValue = "on SQLite != and NOT IN take in runs without a list or a text"
	moreGroups   = "Temporal groups by status alone"
)

// written puts what the words in braces stand for into a query.
func written(query string, of *recorded) string {
	i := of.detail.WorkflowExecutionInfo
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	return strings.NewReplacer(
		"{run}", i.Execution.RunId,
		"{start}", at(i.StartTime.AsTime().Truncate(time.Microsecond)),
		"{startNanos}", fmt.Sprint(i.StartTime.AsTime().UnixNano()),
		"{close}", at(i.CloseTime.AsTime().Truncate(time.Microsecond)),
		"{execution}", at(i.ExecutionTime.AsTime().Truncate(time.Microsecond)),
		"{duration}", fmt.Sprint(i.CloseTime.AsTime().Sub(i.ExecutionTime.AsTime()).Nanoseconds()),
	).Replace(query)
}

// answer is what one of both says to a query.
type answer struct {
	Refused bool
	Failed  bool     // with an error that says nothing of the query
	Runs    []string // of a list, in order
	Count   int64
	Groups  []string // sorted
}

// refusedByTemporal is the answer where there is an error.
func refusedByTemporal(err error) (answer, error) {
	var invalid *serviceerror.InvalidArgument
	refused := errors.As(err, &invalid)
	return answer{Refused: refused, Failed: !refused}, err
}

// refusedByAnnals is the same of Annals, which never fails.
func refusedByAnnals(t *testing.T, query string, err error) (answer, error) {
	t.Helper()
	if !errors.Is(err, events.ErrInvalid) {
		t.Errorf("%s: Annals does not answer: %v", query, err)
	}
	return answer{Refused: true}, err
}

func (s server) answer(t *testing.T, query string) (a answer, err error) {
	t.Helper()
	listed, err := s.list(t.Context(), query)
	if err != nil {
		return refusedByTemporal(err)
	}
	for _, l := range listed {
		a.Runs = append(a.Runs, l.Execution.WorkflowId+"/"+l.Execution.RunId)
	}
	n, err := s.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return refusedByTemporal(fmt.Errorf("count, where the list is not refused: %w", err))
	}
	a.Count = n.Count
	return a, nil
}

func (s server) groups(t *testing.T, query string) (a answer, err error) {
	t.Helper()
	n, err := s.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return refusedByTemporal(err)
	}
	a.Count = n.Count
	for _, g := range n.Groups {
		var values []string
		for _, v := range g.GroupValues {
			values = append(values, strings.Trim(string(v.Data), `"`))
		}
		a.Groups = append(a.Groups, fmt.Sprintf("%s: %d", strings.Join(values, ", "), g.Count))
	}
	slices.Sort(a.Groups)
	return a, nil
}

func (a annals) answer(t *testing.T, query string) (out answer, err error) {
	t.Helper()
	q := pgstore.ListQuery{Namespace: a.namespace, Query: query, Limit: 7} // pages
	for {
		page, err := a.tables.List(t.Context(), q)
		if err != nil {
			return refusedByAnnals(t, query, err)
		}
		for _, e := range page.Executions {
			out.Runs = append(out.Runs, e.WorkflowID+"/"+e.RunID)
		}
		if q.PageToken = page.NextPageToken; q.PageToken == "" {
			break
		}
	}
	n, err := a.tables.Count(t.Context(), pgstore.CountQuery{Namespace: a.namespace, Query: query})
	if err != nil {
		return refusedByAnnals(t, query, fmt.Errorf("count, where the list is not refused: %w", err))
	}
	out.Count = n.Count
	return out, nil
}

func (a annals) groups(t *testing.T, query string) (out answer, err error) {
	t.Helper()
	n, err := a.tables.Count(t.Context(), pgstore.CountQuery{Namespace: a.namespace, Query: query})
	if err != nil {
		return refusedByAnnals(t, query, err)
	}
	out.Count = n.Count
	for _, g := range n.Groups {
		out.Groups = append(out.Groups, fmt.Sprintf("%s: %d", strings.Join(g.Values, ", "), g.Count))
	}
	slices.Sort(out.Groups)
	return out, nil
}

// judge asks both every query and holds the answers against each other.
func judge(t *testing.T, of *recorded, about questions, temporal, annals func(*testing.T, string) (answer, error)) {
	t.Helper()
	for _, q := range about.queries {
		want, wantErr := temporal(t, written(q, of))
		got, gotErr := annals(t, written(q, of))
		diff := cmp.Diff(want, got)
		d, isMeant := meant[q]
		switch {
		case !isMeant && diff != "":
			t.Errorf("%s (-Temporal +Annals):\n%s\nTemporal: %v\nAnnals: %v", q, diff, wantErr, gotErr)
		case isMeant && diff == "":
			t.Errorf("%s is answered alike; it is no difference that %s", q, d.why)
		case isMeant:
			if diff := cmp.Diff(d.instead(t, of, temporal, got), got); diff != "" {
				t.Errorf("%s is answered otherwise, and not as it should be (-want +got):\n%s\nAnnals: %v", q, diff, gotErr)
			}
		}
	}
}

// instead is what Annals has to answer. Of groups it is what got says, with the counts
// that Temporal has of each.
func (d difference) instead(t *testing.T, of *recorded, temporal func(*testing.T, string) (answer, error), got answer) answer {
	t.Helper()
	switch {
	case d.refused:
		return answer{Refused: true}
	case d.by == nil:
		want, err := temporal(t, written(d.as, of))
		if err != nil {
			t.Errorf("%s: %v", d.as, err)
		}
		return want
	}
	all, err := temporal(t, "")
	if err != nil {
		t.Error(err)
	}
	want := answer{Count: all.Count}
	var sum int64
	for _, g := range got.Groups {
		group := g[:strings.LastIndex(g, ": ")]
		var conditions []string
		for i, value := range strings.Split(group, ", ") {
			if value == "" {
				conditions = append(conditions, d.by[i]+" IS NULL")
			} else {
				conditions = append(conditions, fmt.Sprintf("%s = '%s'", d.by[i], value))
			}
		}
		n, err := temporal(t, strings.Join(conditions, " AND "))
		if err != nil {
			t.Error(err)
		}
		sum += n.Count
		want.Groups = append(want.Groups, fmt.Sprintf("%s: %d", group, n.Count))
	}
	if sum != all.Count {
		t.Errorf("groups by %v have %d runs of %d", d.by, sum, all.Count)
	}
	return want
}
