package pgstore

import (
	"context"
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
	// GroupBy names fields, each once: ExecutionStatus, WorkflowType. Empty:
	// one number.
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
	// Lacking is what the numbers may lack of what they were asked to include; nil:
	// nothing.
	Lacking *Lacking `json:"lacking,omitempty"`
}

// Group is the executions that have these values of the fields grouped by, in
// the same order.
type Group struct {
	Values []string `db:"group_values" json:"values"`
	Count  int64    `db:"executions" json:"count"`
}

// Count counts executions, all groups at one moment. It fails as List does.
func (s *Store) Count(ctx context.Context, q CountQuery) (Count, error) {
	sql, args, err := q.statement()
	if err != nil {
		return Count{}, err
	}
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
	c := Count{Groups: groups, Lacking: lacking}
	for _, g := range groups {
		c.Count += g.Count
	}
	if len(q.GroupBy) == 0 {
		c.Groups = []Group{}
	}
	return c, nil
}

func (q CountQuery) statement() (string, []any, error) {
	if err := events.CheckID("namespace", q.Namespace, events.MaxNamespaceBytes); err != nil {
		return "", nil, err
	}
	columns, err := filter.ParseGroups(q.GroupBy)
	if err != nil {
		return "", nil, err
	}
	condition, err := filter.Compile(q.Query, 1)
	if err != nil {
		return "", nil, err
	}
	by := strings.Join(columns, ", ")
	sql := "SELECT ARRAY[" + by + "]::text[] AS group_values, count(*) AS executions FROM annals.executions WHERE namespace = $1 AND " + condition.SQL
	if by != "" {
		sql += " GROUP BY " + by + " ORDER BY executions DESC, " + by
	}
	return sql, append([]any{q.Namespace}, condition.Args...), nil
}
