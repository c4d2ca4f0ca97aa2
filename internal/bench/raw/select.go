package raw

import (
	"context"
	"fmt"
	"regexp"
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

// Explain asks for a statement's plan.
func Explain(ctx context.Context, conn *pgx.Conn, sql string, args []any) (Plan, error) {
	rows, err := conn.Query(ctx, "EXPLAIN (COSTS OFF) "+sql, args...)
	if err != nil {
		return Plan{}, fmt.Errorf("explain: %w", err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return Plan{}, fmt.Errorf("explain: %w", err)
	}
	p := Plan{Lines: lines}
	for _, line := range lines {
		if m := usedIndex.FindStringSubmatch(line); m != nil && !slices.Contains(p.Indexes, m[1]) {
			p.Indexes = append(p.Indexes, m[1])
		}
	}
	return p, nil
}

// usedIndex is what a node of a plan says of its index: "Index Scan using i on t",
// "Bitmap Index Scan on i".
var usedIndex = regexp.MustCompile(`^[ >-]*(?:Index(?: Only)? Scan(?: Backward)? using|Bitmap Index Scan on) (\S+)`)
