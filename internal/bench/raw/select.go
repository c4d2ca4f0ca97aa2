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

// Indexes are those that the statement's plan uses, each once, in the plan's order.
func Indexes(ctx context.Context, conn *pgx.Conn, sql string, args []any) ([]string, error) {
	var text []byte
	if err := conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+sql, args...).Scan(&text); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	type node struct {
		Index    string `json:"Index Name"`
		Children []node `json:"Plans"`
	}
	var plans []struct {
		Plan node `json:"Plan"`
	}
	if err := json.Unmarshal(text, &plans); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	var names []string
	var visit func(node)
	visit = func(n node) {
		if n.Index != "" && !slices.Contains(names, n.Index) {
			names = append(names, n.Index)
		}
		for _, c := range n.Children {
			visit(c)
		}
	}
	for _, p := range plans {
		visit(p.Plan)
	}
	return names, nil
}
