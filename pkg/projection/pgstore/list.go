package pgstore

import (
	"context"
	"fmt"

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
	// OrderBy is "StartTime ASC" or "StartTime DESC", which is the default
	// (StartTime alone ascends, as in SQL). Ties are broken by workflow id and
	// run id in the same direction. Runs without a start time count as older
	// than all others.
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
// nor skips an execution that is there all along, whatever begins or closes
// meanwhile; one page is of one moment. It fails with events.ErrInvalid
// (*FilterError, *events.InvalidError) if the query can never be answered,
// projection.ErrVersion if there are no tables, and as Include says.
func (s *Store) List(ctx context.Context, q ListQuery) (ExecutionPage, error) {
	l, err := q.compile()
	if err != nil {
		return ExecutionPage{}, err
	}
	sql, args := l.statement()
	var found []Execution
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
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[Execution])
		return err
	})
	if err != nil {
		return ExecutionPage{}, err
	}
	page := ExecutionPage{Executions: found, Lacking: lacking}
	if len(found) > l.limit {
		page.Executions = found[:l.limit]
		if page.NextPageToken, err = tokenAfter(found[l.limit-1], l.binding); err != nil {
			return ExecutionPage{}, err
		}
	}
	for i := range page.Executions {
		page.Executions[i].normalize()
	}
	return page, nil
}

// list is a ListQuery that was found right.
type list struct {
	namespace string
	condition filter.Condition
	order     filter.Order
	limit     int
	offset    int
	after     *pageToken
	binding   []byte
}

// Parameters of a list's statement: namespace, rows, offset, then the place of
// the token, then the filter's.
const (
	listParameters  = 3
	placeParameters = 3
)

func (q ListQuery) compile() (list, error) {
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
	if l.order, err = filter.ParseOrder(q.OrderBy); err != nil {
		return list{}, err
	}
	l.binding = binding(q, l.order)
	parameters := listParameters
	if q.PageToken != "" {
		if l.after, err = parsePageToken(q.PageToken, l.binding); err != nil {
			return list{}, err
		}
		parameters += placeParameters
	}
	if l.condition, err = filter.Compile(q.Query, parameters); err != nil {
		return list{}, err
	}
	return l, nil
}

// statement reads one row more than the page has, to know whether more follow.
//
// The place of a token is a row value, which an index that has the order finds
// at once. A comparison of row values knows nothing of rows whose first value
// is null: those are an order of their own, by the other two, that comes last
// when the list descends and first when it ascends.
func (l list) statement() (string, []any) {
	direction, nulls, beyond := " ASC", " NULLS FIRST", ">"
	if l.order.Descending {
		direction, nulls, beyond = " DESC", " NULLS LAST", "<"
	}
	column := l.order.Column
	order := " ORDER BY " + column + direction + nulls + ", workflow_id" + direction + ", run_id" + direction
	part := func(place string) string {
		return executionsSQL + "WHERE namespace = $1 AND " + l.condition.SQL + place + order
	}
	args := []any{l.namespace, l.limit + 1, l.offset}
	const page = " LIMIT $2::bigint OFFSET $3::bigint"
	if l.after == nil {
		return part("") + page, append(args, l.condition.Args...)
	}

	args = append(append(args, l.after.startTime(), l.after.WorkflowID, l.after.RunID), l.condition.Args...)
	afterIt := " AND (" + column + ", workflow_id, run_id) " + beyond + " ($4::timestamptz, $5::text, $6::text)"
	afterItInNulls := " AND " + column + " IS NULL AND $4::timestamptz IS NULL AND (workflow_id, run_id) " + beyond + " ($5::text, $6::text)"
	switch inNulls := l.after.Micros == nil; {
	case inNulls && l.order.Descending:
		return part(afterItInNulls) + page, args
	case inNulls:
		return l.union(part(afterItInNulls), part(" AND "+column+" IS NOT NULL"), order) + page, args
	case l.order.Descending:
		return l.union(part(afterIt), part(" AND "+column+" IS NULL"), order) + page, args
	default:
		return part(afterIt) + page, args
	}
}

// union is the rows of both, in order; each side gives no more than the page
// can use.
func (l list) union(first, second, order string) string {
	const enough = " LIMIT $2::bigint + $3::bigint"
	return "SELECT * FROM ((" + first + enough + ") UNION ALL (" + second + enough + ")) AS page" + order
}
