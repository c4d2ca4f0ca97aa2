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

// CountQuery says which executions.
type CountQuery struct {
	Namespace string
	// Query is Temporal's list filter, see package filter; empty: all.
	Query string
	// GroupBy names fields, each once: such as have one value a run and few of them
	// altogether (ExecutionStatus, WorkflowType, TaskQueue, StartDay, CloseDay,
	// search attributes that are keywords, booleans or whole numbers). It may as
	// well stand in Query, behind the filter. Empty: one number.
	GroupBy []string
	// Include is what the answer must include.
	Include Include
}

// Count is how many executions there are.
type Count struct {
	Count int64 `json:"count"`
	// Groups are those that are not empty, the largest first, then by their
	// values; empty if no grouping was asked for.
	Groups []Group `json:"groups"`
	// GroupBy is what was grouped by, as the query named it.
	GroupBy []string `json:"-"`
	// Lacking is what the numbers may lack of what they were asked to include; nil:
	// nothing.
	Lacking *Lacking `json:"lacking,omitempty"`
}

// MaxGroups bounds the groups of a count: more are refused.
const MaxGroups = 10_000

// Group is the executions that have these values of the fields grouped by, in
// the same order. A value is empty where an execution has none; a day is
// "2026-01-31", in UTC.
type Group struct {
	Values []string `db:"group_values" json:"values"`
	Count  int64    `db:"executions" json:"count"`
}

// Count counts executions, all groups at one moment. It fails as List does.
func (s *Store) Count(ctx context.Context, q CountQuery) (Count, error) {
	var n counting
	err := s.compile(ctx, q.Namespace, q.Include, func(known askable) (_ filter.Condition, err error) {
		n, err = q.compile(known)
		return n.Condition, err
	})
	if err != nil {
		return Count{}, err
	}
	sql, args := n.statement()
	var groups []Group
	var lacking *Lacking
	err = s.readOne(ctx, "count executions", q.Include, func(from postgres.Querier) error {
		var err error
		if lacking, err = s.lacking(ctx, from, q.Namespace, q.Include.Vector); err != nil {
			return err
		}
		rows, err := from.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		groups, err = pgx.CollectRows(rows, pgx.RowToStructByName[Group])
		return err
	})
	if err != nil {
		return Count{}, err
	}
	if len(groups) > MaxGroups {
		return Count{}, &events.InvalidError{Field: "groupBy", Reason: fmt.Sprintf("gives more than %d groups: narrow the query, or list", MaxGroups)}
	}
	c := Count{Groups: groups, Lacking: lacking}
	for _, g := range groups {
		c.Count += g.Count
	}
	for _, g := range n.Groups {
		c.GroupBy = append(c.GroupBy, g.Name)
	}
	if len(n.Groups) == 0 {
		c.Groups = []Group{}
	}
	return c, nil
}

// counting is a CountQuery that was found right.
type counting struct {
	filter.Count
	namespace string
}

func (q CountQuery) compile(known askable) (counting, error) {
	if err := events.CheckID("namespace", q.Namespace, events.MaxNamespaceBytes); err != nil {
		return counting{}, err
	}
	c, err := filter.CompileCount(q.Query, q.GroupBy, known.options(1))
	return counting{c, q.Namespace}, err
}

func (n counting) statement() (string, []any) {
	var by, inOrder []string
	for _, g := range n.Groups {
		by, inOrder = append(by, g.SQL), append(inOrder, g.SQL+` COLLATE "C"`)
	}
	sql := "SELECT ARRAY[" + strings.Join(by, ", ") + "]::text[] AS group_values, count(*) AS executions FROM annals.executions WHERE namespace = $1 AND " + n.SQL
	if len(by) > 0 {
		sql += " GROUP BY " + strings.Join(by, ", ") + " ORDER BY executions DESC, " + strings.Join(inOrder, ", ") + fmt.Sprintf(" LIMIT %d", MaxGroups+1)
	}
	return sql, append([]any{n.namespace}, n.Args...)
}
