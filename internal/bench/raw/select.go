package raw

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Select sends a statement and takes its rows, without looking into them.
func Select(ctx context.Context, conn *pgx.Conn, sql string, args []any) error {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return rows.Err()
}

// Plan is how Postgres answers a statement.
type Plan struct {
	Lines   []string // of EXPLAIN, without costs
	Indexes []string // those it uses, each once, in the plan's order
}

// Explain asks for a statement's plan: for people, and for its indexes as JSON, since a
// line of the first may as well be part of a value.
func Explain(ctx context.Context, conn *pgx.Conn, sql string, args []any) (p Plan, err error) {
	rows, err := conn.Query(ctx, "EXPLAIN (COSTS OFF) "+sql, args...)
	if err != nil {
		return Plan{}, fmt.Errorf("explain: %w", err)
	}
	if p.Lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return Plan{}, fmt.Errorf("explain: %w", err)
	}
	var text []byte
	if err := conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+sql, args...).Scan(&text); err != nil {
		return Plan{}, fmt.Errorf("explain: %w", err)
	}
	var plans []struct {
		Plan node `json:"Plan"`
	}
	if err := json.Unmarshal(text, &plans); err != nil {
		return Plan{}, fmt.Errorf("explain: %w", err)
	}
	for _, one := range plans {
		p.visit(one.Plan)
	}
	return p, nil
}

// node is one of a plan in JSON.
type node struct {
	Index    string `json:"Index Name"`
	Children []node `json:"Plans"`
}

func (p *Plan) visit(n node) {
	if n.Index != "" && !slices.Contains(p.Indexes, n.Index) {
		p.Indexes = append(p.Indexes, n.Index)
	}
	for _, c := range n.Children {
		p.visit(c)
	}
}
