package pgstore_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func TestCount(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	insertRuns(t, pool, "default",
		storedRun{"a", "1", "Order", "Running", at(0)}, storedRun{"b", "1", "Order", "Running", at(1)}, storedRun{"c", "1", "Order", "Failed", at(2)},
		storedRun{"d", "1", "invoice", "Failed", nil}, storedRun{"e", "1", "Invoice", "Completed", at(4)},
	)
	insertRuns(t, pool, "other", storedRun{"a", "1", "Order", "Running", at(0)})
	for _, tc := range []struct {
		name, query, why string
		groupBy          []string
		want             string
	}{
		{name: "all", why: "the other namespace's run is not among them", want: `{"count":5,"groups":[]}`},
		{name: "filtered", query: `StartTime >= '2026-01-31T12:00:01Z'`, why: "a run without a start time is on no side of it", want: `{"count":3,"groups":[]}`},
		{name: "none", query: `RunId = '2'`, groupBy: []string{"ExecutionStatus"}, why: "no group is empty", want: `{"count":0,"groups":[]}`},
		{
			name: "by status", groupBy: []string{"ExecutionStatus"}, why: "the largest first, then in byte order",
			want: `{"count":5,"groups":[{"values":["Failed"],"count":2},{"values":["Running"],"count":2},{"values":["Completed"],"count":1}]}`,
		},
		{
			name: "by type", groupBy: []string{"WorkflowType"}, why: "byte order: upper case before lower",
			want: `{"count":5,"groups":[{"values":["Order"],"count":3},{"values":["Invoice"],"count":1},{"values":["invoice"],"count":1}]}`,
		},
		{
			name: "by two", query: `WorkflowType = 'Order'`, groupBy: []string{"WorkflowType", "ExecutionStatus"}, why: "values stand in the order asked for",
			want: `{"count":3,"groups":[{"values":["Order","Running"],"count":2},{"values":["Order","Failed"],"count":1}]}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: "default", Query: tc.query, GroupBy: tc.groupBy})
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestCountRefuses(t *testing.T) {
	t.Parallel()
	s, _ := newQueries(t)
	for _, tc := range []struct {
		name string
		q    pgstore.CountQuery
		want string
	}{
		{"no namespace", pgstore.CountQuery{}, "invalid namespace"},
		{"filter", pgstore.CountQuery{Namespace: "default", Query: "RunId ="}, "invalid query: something is missing"},
		{"group", pgstore.CountQuery{Namespace: "default", GroupBy: []string{"status; DROP TABLE annals.executions"}}, "invalid groupBy: unknown field"},
		{"group by a time", pgstore.CountQuery{Namespace: "default", GroupBy: []string{"StartTime"}}, "cannot be grouped by StartTime"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := s.Count(t.Context(), tc.q); !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, tc.want)
			}
		})
	}
}
