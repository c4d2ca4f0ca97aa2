package pgstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Executions of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// ListQuery says which executions, and in which order.
type ListQuery struct {
	Namespace string
	// Query is Temporal's list filter, see package filter; empty: all.
	Query string
	// OrderBy is fields separated by commas, each with ASC or DESC behind it
	// (ASC where neither is), as in "StartTime DESC, WorkflowType": those that have
	// one value a run, search attributes among them. It may as well stand in Query,
	// behind the filter. Ties are broken by workflow id and run id in the direction
	// of the last field. Runs without a value count as less than all others, but
	// for what they have when they close (CloseTime, CloseDay, ExecutionDuration),
	// which counts as more. Empty: as Temporal has it, the open runs first, then the
	// last closed, then the last started, then by run id.
	OrderBy string
	// Limit is how many executions a page has at most: 1 to MaxLimit; 0:
	// DefaultLimit.
	Limit int
	// Offset is how many executions are passed over first, counted from the
	// token if there is one. It costs as much as listing them: to go through
	// pages use the token.
	Offset int
	// PageToken is the NextPageToken of the page before, of the same
	// namespace, query and order; empty: the first page.
	PageToken string
	// Include is what the answer must include.
	Include Include
}

// ExecutionPage is a part of a list.
type ExecutionPage struct {
	Executions []Execution `json:"executions"`
	// NextPageToken asks for the executions after these; empty: there were no
	// more.
	NextPageToken string `json:"nextPageToken"`
	// Lacking is what the page may lack of what it was asked to include; nil:
	// nothing.
	Lacking *Lacking `json:"lacking,omitempty"`
}

// List lists executions. Going through pages by their tokens neither repeats
// nor skips an execution that is there all along and keeps its place in the order,
// whatever begins or closes meanwhile; one page is of one moment. In the default
// order one that closes meanwhile is never skipped, but may come again. It fails with events.ErrInvalid
// (*FilterError, *events.InvalidError) if the query can never be answered,
// projection.ErrVersion if there are no tables, and as Include says.
func (s *Store) List(ctx context.Context, q ListQuery) (ExecutionPage, error) {
	l, err := s.compileList(ctx, q)
	if err != nil {
		return ExecutionPage{}, err
	}
	sql, args := l.statement()
	var found []listedExecution
	var lacking *Lacking
	err = s.readOne(ctx, "list executions", q.Include, func(from postgres.Querier) error {
		var err error
		if lacking, err = s.lacking(ctx, from, q.Namespace, q.Include.Vector); err != nil {
			return err
		}
		rows, err := from.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[listedExecution])
		return err
	})
	if err != nil {
		return ExecutionPage{}, err
	}
	page := ExecutionPage{Lacking: lacking}
	if len(found) > l.limit {
		found = found[:l.limit]
		if page.NextPageToken, err = tokenAfter(found[l.limit-1].Place, l.binding); err != nil {
			return ExecutionPage{}, err
		}
	}
	page.Executions = make([]Execution, len(found))
	for i := range found {
		page.Executions[i] = found[i].Execution
		page.Executions[i].normalize()
	}
	return page, nil
}

// ListStatement is what List asks Postgres for the page, for those who want to see
// its plan (EXPLAIN): its columns may change with every version. It fails as List
// does if the query can never be answered.
func (s *Store) ListStatement(ctx context.Context, q ListQuery) (sql string, args []any, err error) {
	l, err := s.compileList(ctx, q)
	if err != nil {
		return "", nil, err
	}
	sql, args = l.statement()
	return sql, args, nil
}

func (s *Store) compileList(ctx context.Context, q ListQuery) (l list, err error) {
	err = s.compile(ctx, q.Namespace, q.Include, func(known askable) (_ filter.Condition, err error) {
		l, err = q.compile(known)
		return l.Condition, err
	})
	return l, err
}

// listedExecution is a row of a list.
type listedExecution struct {
	Execution
	Place []*string `db:"place"` // in the list's order
}

// list is a ListQuery that was found right.
type list struct {
	filter.List
	namespace string
	limit     int
	offset    int
	after     []string // conditions, each of other rows than the rest; nil: from the beginning
	placeArgs []any
	binding   []byte
}

// listParameters are those of a list's statement: namespace, rows, offset. Then
// follow the filter's and the order's, and those of the token's place.
const listParameters = 3

func (q ListQuery) compile(known askable) (list, error) {
	if err := events.CheckID("namespace", q.Namespace, events.MaxNamespaceBytes); err != nil {
		return list{}, err
	}
	switch {
	case q.Limit < 0 || q.Limit > MaxLimit:
		return list{}, &events.InvalidError{Field: "limit", Reason: fmt.Sprintf("is %d, a page has 1 to %d executions", q.Limit, MaxLimit)}
	case q.Offset < 0:
		return list{}, &events.InvalidError{Field: "offset", Reason: fmt.Sprintf("is %d, less than nothing", q.Offset)}
	case q.Limit == 0:
		q.Limit = DefaultLimit
	}
	l := list{namespace: q.Namespace, limit: q.Limit, offset: q.Offset}
	var err error
	if l.List, err = filter.CompileList(q.Query, q.OrderBy, known.options(listParameters)); err != nil {
		return list{}, err
	}
	l.binding = binding(q, l.Order)
	if q.PageToken != "" {
		place, err := parsePageToken(q.PageToken, l.binding)
		if err != nil {
			return list{}, err
		}
		var ok bool
		if l.after, l.placeArgs, ok = l.Order.After(place, listParameters+len(l.Args)); !ok {
			return list{}, errNoToken
		}
	}
	return l, nil
}

// statement reads one row more than the page has, to know whether more follow.
//
// The place of a token is a row value, which an index that has the order finds at
// once. A comparison of row values knows nothing of nulls, nor of two directions:
// then what comes after the place is the union of several parts, in order, of which
// each gives no more than the page can use.
func (l list) statement() (string, []any) {
	args := append(append([]any{l.namespace, l.limit + 1, l.offset}, l.Args...), l.placeArgs...)
	const page = " LIMIT $2::bigint OFFSET $3::bigint"
	exprs := l.Order.Expressions()
	parts := l.after
	if parts == nil {
		parts = []string{""}
	}
	if len(parts) == 1 {
		return l.part("", parts[0]) + " " + l.Order.By(exprs) + page, args
	}
	var aliases []string
	var sorted strings.Builder
	for i, e := range exprs {
		aliases = append(aliases, fmt.Sprintf("order_%d", i+1))
		sorted.WriteString(", " + e + " AS " + aliases[i])
	}
	const enough = " LIMIT $2::bigint + $3::bigint"
	for i, after := range parts {
		parts[i] = "(" + l.part(sorted.String(), after) + " " + l.Order.By(exprs) + enough + ")"
	}
	return "SELECT " + executionColumns + ", place FROM (" + strings.Join(parts, " UNION ALL ") + ") AS page " + l.Order.By(aliases) + page, args
}

// part selects the executions that satisfy a condition more.
func (l list) part(columns, condition string) string {
	if condition != "" {
		condition = " AND " + condition
	}
	return executionsSelect + ", " + l.Order.Place() + " AS place" + columns + executionsFrom + "WHERE namespace = $1 AND " + l.SQL + condition
}
