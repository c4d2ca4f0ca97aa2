package postgres

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/generations.sql
var generationsSQL string

// Generation is a set of a projection's tables. Its JSON is stable: fields are
// only added.
type Generation struct {
	Projection string `json:"projection"`
	Generation int    `json:"generation"`
	Version    int    `json:"version"`
	State      string `json:"state"` // "building", "live" or "retired"
	// Mode is how they are kept, where the projection has several ways: see
	// Definition.
	Mode string `json:"mode"`
	// Schema is where its tables lie.
	Schema string `json:"schema"`
	// Tables is how many there are; fewer than there should be, if somebody
	// dropped some.
	Tables int `json:"tables"`
	// Bytes is what the tables and their indexes take on the disk.
	Bytes int64 `json:"bytes"`
	// Rows is how many there are in all tables, as Postgres last counted.
	Rows      int64      `json:"rows"`
	CreatedAt time.Time  `json:"createdAt"`
	IndexedAt *time.Time `json:"indexedAt"` // nil: it has no indexes yet, or was made with them
	LiveAt    *time.Time `json:"liveAt"`
	RetiredAt *time.Time `json:"retiredAt"`
}

// Generations are those of all projections of a database, by name and number.
func Generations(ctx context.Context, q Querier) ([]Generation, error) {
	rows, err := q.Query(ctx, generationsSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (Generation, error) {
		g, err := pgx.RowToStructByPos[Generation](r)
		g.CreatedAt = g.CreatedAt.UTC()
		for _, t := range []*time.Time{g.IndexedAt, g.LiveAt, g.RetiredAt} {
			if t != nil {
				*t = t.UTC()
			}
		}
		return g, err
	})
}

// numbered is what a rebuild has to know of a generation; zero if there is none.
type numbered struct {
	Generation, Version int
	State, Mode         string
	Indexed             bool
}

// inState is the generation that is live, or building.
func (p *Projection) inState(ctx context.Context, q Querier, state string) (numbered, error) {
	rows, err := q.Query(ctx, `SELECT generation, version, state, mode, indexed_at IS NOT NULL FROM annals.generations WHERE projection = $1 AND state = $2`, p.definition.Name, state)
	if err != nil {
		return numbered{}, err
	}
	g, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[numbered])
	if errors.Is(err, pgx.ErrNoRows) {
		return numbered{}, nil
	}
	return g, err
}

// ModeIn is the mode of the live generation, or of the one that the projection is at,
// as a connection or a transaction sees it; false if it is not there.
func (p *Projection) ModeIn(ctx context.Context, q Querier) (mode string, ok bool, err error) {
	rows, err := q.Query(ctx, `
		SELECT mode FROM annals.generations
		WHERE projection = $1 AND CASE WHEN $2 > 0 THEN generation = $2 ELSE state = 'live' END`, p.definition.Name, p.generation)
	if err != nil {
		return "", false, err
	}
	mode, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	return mode, err == nil, err
}
