package pgstore_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// listed is the runs of a page, as storedRun prints them.
func listed(p pgstore.ExecutionPage) []string {
	out := []string{}
	for _, e := range p.Executions {
		out = append(out, storedRun{e.WorkflowID, e.RunID, e.WorkflowType, e.Status, e.StartTime}.String())
	}
	return out
}

func printed(runs []storedRun) []string {
	out := []string{}
	for _, r := range runs {
		out = append(out, r.String())
	}
	return out
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// walk lists all pages by their tokens.
func walk(t tester, s *pgstore.Store, q pgstore.ListQuery) []string {
	t.Helper()
	out := []string{}
	pages(t, s, q, func(p pgstore.ExecutionPage) { out = append(out, listed(p)...) })
	return out
}

// pages goes through all pages by their tokens.
func pages(t tester, s *pgstore.Store, q pgstore.ListQuery, visit func(pgstore.ExecutionPage)) {
	t.Helper()
	for n := 0; ; n++ {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("%s, ordered by %q: %v", q.Query, q.OrderBy, err)
		}
		visit(page)
		if page.NextPageToken == "" {
			return
		}
		if len(page.Executions) != q.Limit {
			t.Fatalf("page %d has %d executions and says that more follow; the limit is %d", n, len(page.Executions), q.Limit)
		}
		if n > 2000 {
			t.Fatalf("the pages do not end; the last has %v", listed(page))
		}
		q.PageToken = page.NextPageToken
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	runs := []storedRun{
		{"a", "1", "Order", "Running", at(0)},
		{"a", "2", "Order", "Completed", at(0)}, // ties with the one before in time and workflow
		{"b", "1", "Order", "Failed", at(0)},    // ties in time
		{"B", "1", "Invoice", "Failed", at(9)},
		{"c", "1", "Order", "Running", at(5)},
		{"d", "1", "Order", "Running", nil},
		{"e", "1", "Order", "Completed", nil},
		{"e", "2", "Order", "Completed", nil},
	}
	insertRuns(t, pool, "default", runs...)
	insertRuns(t, pool, "other", storedRun{"a", "1", "Order", "Running", at(0)})
	for _, order := range []struct {
		by         string
		descending bool
	}{{"StartTime DESC", true}, {"StartTime ASC", false}, {"StartTime", false}} {
		for limit := 1; limit <= len(runs)+1; limit++ {
			q := pgstore.ListQuery{Namespace: "default", OrderBy: order.by, Limit: limit}
			if diff := cmp.Diff(printed(sorted(runs, order.descending)), walk(t, s, q)); diff != "" {
				t.Errorf("order %q, %d a page (-want +got):\n%s", order.by, limit, diff)
			}
			for offset := range len(runs) + 2 {
				q.Offset = offset
				page, err := s.List(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				want := sorted(runs, order.descending)
				want = want[min(offset, len(want)):]
				more := len(want) > limit
				want = want[:min(limit, len(want))]
				if diff := cmp.Diff(printed(want), listed(page)); diff != "" {
					t.Errorf("order %q, limit %d, offset %d (-want +got):\n%s", order.by, limit, offset, diff)
				}
				if (page.NextPageToken != "") != more {
					t.Errorf("order %q, limit %d, offset %d: token %q, but more follow: %v", order.by, limit, offset, page.NextPageToken, more)
				}
			}
		}
	}
}

// An offset counts from the token, through the end of the runs with a start
// time and into those without.
func TestListOffsetFromToken(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	runs := []storedRun{
		{"a", "1", "Order", "Running", at(3)},
		{"b", "1", "Order", "Running", at(2)},
		{"c", "1", "Order", "Running", at(1)},
		{"d", "1", "Order", "Running", nil},
		{"e", "1", "Order", "Running", nil},
	}
	insertRuns(t, pool, "default", runs...)
	for _, descending := range []bool{true, false} {
		q := pgstore.ListQuery{Namespace: "default", OrderBy: "StartTime", Limit: 1}
		if descending {
			q.OrderBy = "StartTime DESC"
		}
		first, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		q.PageToken = first.NextPageToken
		for offset := range len(runs) {
			for limit := 1; limit <= len(runs); limit++ {
				q.Offset, q.Limit = offset, limit
				page, err := s.List(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				want := sorted(runs, descending)[1+offset:]
				want = want[:min(limit, len(want))]
				if diff := cmp.Diff(printed(want), listed(page)); diff != "" {
					t.Errorf("descending %v, offset %d, limit %d (-want +got):\n%s", descending, offset, limit, diff)
				}
			}
		}
	}
}

// Going through pages neither repeats nor skips a run that is there all along,
// whatever begins, changes or goes away between two pages.
func TestListPagesWhileRowsChange(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	var runs []storedRun
	for i := range 10 {
		runs = append(runs, storedRun{string(rune('a' + i)), "1", "Order", "Running", at(i / 2)})
	}
	insertRuns(t, pool, "default", runs...)
	q := pgstore.ListQuery{Namespace: "default", OrderBy: "StartTime DESC", Limit: 4}
	page, err := s.List(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got := listed(page)

	insertRuns(t, pool, "default", storedRun{"newer", "1", "Order", "Running", at(100)})
	last := page.Executions[3]
	exec(t, pool, `DELETE FROM annals.executions WHERE workflow_id = $1`, last.WorkflowID) // the token's own place
	exec(t, pool, `UPDATE annals.executions SET status = 'Completed', state = NULL, close_time = now() WHERE workflow_id = 'a'`)

	q.PageToken = page.NextPageToken
	got = append(got, walk(t, s, q)...)
	want := printed(sorted(runs, true))
	want[9] = strings.Replace(want[9], "Running", "Completed", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	insertRuns(t, pool, "default", storedRun{"a", "1", "Order", "Running", at(0)}, storedRun{"b", "1", "Order", "Running", nil})
	base := pgstore.ListQuery{Namespace: "default", Query: "ExecutionStatus = 'Running'", Limit: 1}
	page, err := s.List(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	token := page.NextPageToken
	forged := func(change func(map[string]any)) string {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]any{}
		if err := json.Unmarshal(b, &fields); err != nil {
			t.Fatal(err)
		}
		change(fields)
		b, err = json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for _, tc := range []struct {
		name, why string
		change    func(*pgstore.ListQuery)
		want      string
	}{
		{"no namespace", "there is no namespace of that name", func(q *pgstore.ListQuery) { q.Namespace = "" }, "invalid namespace"},
		{"NUL in the namespace", "Postgres takes none", func(q *pgstore.ListQuery) { q.Namespace = "a\x00" }, "invalid namespace"},
		{"negative limit", "it is a mistake, not a default", func(q *pgstore.ListQuery) { q.Limit = -1 }, "invalid limit: is -1, a page has 1 to 1000 executions"},
		{"too many", "cutting it would look like the end", func(q *pgstore.ListQuery) { q.Limit = 1001 }, "invalid limit"},
		{"negative offset", "Postgres would refuse it with less sense", func(q *pgstore.ListQuery) { q.Offset = -1 }, "invalid offset"},
		{"order", "there is no such thing", func(q *pgstore.ListQuery) { q.OrderBy = "Nothing" }, `invalid orderBy: unknown field "Nothing"`},
		{"filter", "it is compiled before anything is asked", func(q *pgstore.ListQuery) { q.Query = "Status = 1" }, `invalid query: unknown field "Status"`},
		{"token of another query", "its place means nothing there", func(q *pgstore.ListQuery) { q.Query = ""; q.PageToken = token }, "belongs to another query"},
		{"token of another order", "likewise", func(q *pgstore.ListQuery) { q.OrderBy = "StartTime ASC"; q.PageToken = token }, "belongs to another query"},
		{"token of another namespace", "likewise", func(q *pgstore.ListQuery) { q.Namespace = "other"; q.PageToken = token }, "belongs to another query"},
		{"no token", "", func(q *pgstore.ListQuery) { q.PageToken = "%%%" }, "is no token of a list"},
		{"token cut", "half of it was copied", func(q *pgstore.ListQuery) { q.PageToken = token[:len(token)/2] }, "is no token of a list"},
		{"token of a later version", "", func(q *pgstore.ListQuery) { q.PageToken = forged(func(m map[string]any) { m["v"] = 3 }) }, "of another version"},
		{"token with a NUL", "Postgres would refuse it", func(q *pgstore.ListQuery) {
			q.PageToken = forged(func(m map[string]any) { m["p"].([]any)[2] = "\x00" })
		}, "is no token of a list"},
		{"token with a time that no column holds", "likewise", func(q *pgstore.ListQuery) {
			q.PageToken = forged(func(m map[string]any) { m["p"].([]any)[1] = "294277-01-01T00:00:00.000000Z" })
		}, "is no token of a list"},
		{"token with more in it", "", func(q *pgstore.ListQuery) { q.PageToken = forged(func(m map[string]any) { m["x"] = 1 }) }, "is no token of a list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := base
			tc.change(&q)
			_, err := s.List(t.Context(), q)
			if !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want ErrInvalid with %q: %s", err, tc.want, tc.why)
			}
		})
	}

	t.Run("the token as it is", func(t *testing.T) {
		q := base
		q.PageToken, q.Query = token, " "+q.Query+"\n" // blanks around the filter change nothing
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"b/1 Order Running no time"}, listed(page)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("filter error says where", func(t *testing.T) {
		_, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", Query: "RunId = 'a' AND Nothing = 1"})
		var e *pgstore.FilterError
		if !errors.As(err, &e) || e.Offset != 16 {
			t.Errorf("got %v, want a *FilterError at 16", err)
		}
	})
}

func TestListLimits(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	var runs []storedRun
	for i := range 1100 {
		runs = append(runs, storedRun{"w", string(rune('a'+i/26)) + string(rune('a'+i%26)), "Order", "Completed", at(i)})
	}
	insertRuns(t, pool, "default", runs...)
	for _, tc := range []struct{ limit, want int }{{0, pgstore.DefaultLimit}, {1, 1}, {pgstore.MaxLimit, pgstore.MaxLimit}} {
		page, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", Limit: tc.limit})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Executions) != tc.want || page.NextPageToken == "" {
			t.Errorf("limit %d: %d executions, token %q; want %d and a token", tc.limit, len(page.Executions), page.NextPageToken, tc.want)
		}
	}
}

// The JSON of a page is a contract: names, forms, and defaults printed.
func TestListJSON(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	insertRuns(t, pool, "default", storedRun{"plain", "r1", "Order", "Running", at(0)})
	exec(t, pool, `UPDATE annals.executions SET start_time = NULL`)
	insertRuns(t, pool, "default", storedRun{"rich", "r2", "Order", "Completed", at(0)})
	exec(t, pool, `UPDATE annals.executions SET
		execution_time = '2026-01-31T13:00:00.000001+01', close_time = '2026-01-31T12:00:01.5Z', updated_at = '2026-01-31T12:00:01.5Z',
		execution_timeout = '25:00:00', run_timeout = '1 day', task_timeout = '10.25 s', retry_policy = '{"maximumAttempts": 3}', cron_schedule = '* * * * *',
		priority = '{"priorityKey": 1}', memo = '{"k": {"data": "eA=="}}', search_attributes = '{"CustomKeyword": {"data": "Inki"}}',
		parent_namespace = 'up', parent_workflow_id = 'p', parent_run_id = 'pr', continued_from_run_id = 'r1', continued_to_run_id = 'r3', reset_from_run_id = 'r0',
		cancel_requested = true, pause = '{"reason": "x"}', last_failure = 'outer', last_failure_causes = '{inner,"in, most"}', workflow_task_failures = 2,
		change_versions = '{c-1}', build_ids = '{b1,b2}'
		WHERE workflow_id = 'rich'`)
	page, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", OrderBy: "StartTime DESC"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(page, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pageJSON, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	empty, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(empty); err != nil || string(got) != `{"executions":[],"nextPageToken":""}` {
		t.Errorf("an empty page is %s (%v)", got, err)
	}
}

const pageJSON = `{
  "executions": [
    {
      "namespace": "default",
      "workflowId": "rich",
      "runId": "r2",
      "workflowType": "Order",
      "status": "Completed",
      "taskQueue": "orders",
      "startTime": "2026-01-31T12:00:00Z",
      "executionTime": "2026-01-31T12:00:00.000001Z",
      "closeTime": "2026-01-31T12:00:01.5Z",
      "updatedAt": "2026-01-31T12:00:01.5Z",
      "historyLength": 1,
      "historySizeBytes": 1,
      "attempt": 1,
      "identity": "tester",
      "executionTimeout": "90000s",
      "runTimeout": "86400s",
      "taskTimeout": "10.25s",
      "retryPolicy": {
        "maximumAttempts": 3
      },
      "cronSchedule": "* * * * *",
      "priority": {
        "priorityKey": 1
      },
      "memo": {
        "k": {
          "data": "eA=="
        }
      },
      "searchAttributes": {
        "CustomKeyword": {
          "data": "Inki"
        }
      },
      "parentNamespace": "up",
      "parentWorkflowId": "p",
      "parentRunId": "pr",
      "rootWorkflowId": "rich",
      "rootRunId": "r2",
      "firstRunId": "r2",
      "originalRunId": "r2",
      "continuedFromRunId": "r1",
      "continuedToRunId": "r3",
      "resetFromRunId": "r0",
      "cancelRequested": true,
      "pause": {
        "reason": "x"
      },
      "lastFailure": "outer",
      "lastFailureCauses": [
        "inner",
        "in, most"
      ],
      "workflowTaskFailures": 2,
      "pendingActivities": 0,
      "pendingTimers": 0,
      "pendingChildren": 0,
      "pendingNexusOperations": 0,
      "pendingUpdates": 0,
      "signals": 0,
      "changeVersions": [
        "c-1"
      ],
      "buildIds": [
        "b1",
        "b2"
      ],
      "unknownEvents": 0,
      "missingReferences": 0,
      "position": "3:9",
      "quarantined": false,
      "searchValues": {},
      "untypedAttributes": [],
      "executionDuration": null,
      "expirationTime": null,
      "closeReason": "",
      "buildId": "",
      "deployment": "",
      "versioningBehavior": "",
      "sdkName": "",
      "sdkVersion": ""
    },
    {
      "namespace": "default",
      "workflowId": "plain",
      "runId": "r1",
      "workflowType": "Order",
      "status": "Running",
      "taskQueue": "orders",
      "startTime": null,
      "executionTime": null,
      "closeTime": null,
      "updatedAt": null,
      "historyLength": 1,
      "historySizeBytes": 1,
      "attempt": 1,
      "identity": "tester",
      "executionTimeout": "0s",
      "runTimeout": "0s",
      "taskTimeout": "0s",
      "retryPolicy": null,
      "cronSchedule": "",
      "priority": null,
      "memo": null,
      "searchAttributes": null,
      "parentNamespace": "",
      "parentWorkflowId": "",
      "parentRunId": "",
      "rootWorkflowId": "plain",
      "rootRunId": "r1",
      "firstRunId": "r1",
      "originalRunId": "r1",
      "continuedFromRunId": "",
      "continuedToRunId": "",
      "resetFromRunId": "",
      "cancelRequested": false,
      "pause": null,
      "lastFailure": null,
      "lastFailureCauses": [],
      "workflowTaskFailures": 0,
      "pendingActivities": 0,
      "pendingTimers": 0,
      "pendingChildren": 0,
      "pendingNexusOperations": 0,
      "pendingUpdates": 0,
      "signals": 0,
      "changeVersions": [],
      "buildIds": [],
      "unknownEvents": 0,
      "missingReferences": 0,
      "position": "3:9",
      "quarantined": false,
      "searchValues": {},
      "untypedAttributes": [],
      "executionDuration": null,
      "expirationTime": null,
      "closeReason": "",
      "buildId": "",
      "deployment": "",
      "versioningBehavior": "",
      "sdkName": "",
      "sdkVersion": ""
    }
  ],
  "nextPageToken": ""
}`

func TestQueriesWithoutTables(t *testing.T) {
	t.Parallel()
	s, err := pgstore.New(newPool(t), pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, listErr := s.List(t.Context(), pgstore.ListQuery{Namespace: "default"})
	_, countErr := s.Count(t.Context(), pgstore.CountQuery{Namespace: "default"})
	_, describeErr := s.Describe(t.Context(), pgstore.DescribeQuery{Workflow: events.Workflow{Namespace: "default", ID: "w"}})
	waitErr := s.WaitFor(t.Context(), events.VectorOf(events.Position{Sequence: 1}))
	for name, err := range map[string]error{"List": listErr, "Count": countErr, "Describe": describeErr, "WaitFor": waitErr} {
		if !errors.Is(err, projection.ErrVersion) || !strings.Contains(err.Error(), "migrate it first") {
			t.Errorf("%s on an empty database: %v, want ErrVersion and the remedy", name, err)
		}
	}
}

func isInvalidToken(err error) bool {
	var e *events.InvalidError
	return errors.As(err, &e) && e.Field == "pageToken"
}
