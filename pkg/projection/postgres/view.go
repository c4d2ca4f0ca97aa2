package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	//go:embed sql/views_to_drop.sql
	viewsToDropSQL string
	//go:embed sql/grants.sql
	grantsSQL string
)

//go:embed sql/showing.sql
var showingSQL string

// showing are the statements, in one text, that make the views show a generation.
// What they are made from is read from the database. Those named anew will have
// been dropped.
func (p *Projection) showing(ctx context.Context, q Querier, generation int, anew []string) (string, error) {
	var all []string
	for _, view := range p.definition.Views {
		rows, err := q.Query(ctx, showingSQL, p.definition.Schema, SchemaOf(p.definition.Name, generation), view, p.definition.Name, generation, slices.Contains(anew, view))
		if err != nil {
			return "", err
		}
		sql, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		if errors.Is(err, pgx.ErrNoRows) {
			return "", fmt.Errorf("show %s: the definition makes no such table", view)
		}
		if err != nil {
			return "", err
		}
		all = append(all, sql)
	}
	return strings.Join(all, ";\n"), nil
}

// replacing is how the views are made to show another generation. Views are
// replaced in place, which keeps who may read them and what others have made of
// them, where the new columns begin with the old ones; else they are dropped and
// made anew in the same transaction, and keep who may read them.
type replacing struct {
	drop []string           // names
	show string             // statements
	said map[string][]grant // of those that are dropped
}

// replacing prepares what replaceViews does, so that readers wait for that alone.
func (p *Projection) replacing(ctx context.Context, tx pgx.Tx, old, generation int) (r replacing, err error) {
	if p.definition.Schema == "" {
		return r, nil
	}
	if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoted(p.definition.Schema)); err != nil {
		return r, err
	}
	views := p.definition.Views
	if views == nil {
		views = []string{}
	}
	rows, err := tx.Query(ctx, viewsToDropSQL, p.definition.Schema, SchemaOf(p.definition.Name, old), SchemaOf(p.definition.Name, generation), views)
	if err != nil {
		return r, err
	}
	if r.drop, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return r, err
	}
	r.said = map[string][]grant{}
	for _, name := range r.drop {
		view := quoted(p.definition.Schema, name)
		if r.said[name], err = grantsOf(ctx, tx, view, view); err != nil {
			return r, err
		}
	}
	r.show, err = p.showing(ctx, tx, generation, r.drop)
	return r, err
}

// replaceViews makes the views show another generation than before. It fails with
// *DependentsError where somebody's own views depend on one that must be dropped.
func (p *Projection) replaceViews(ctx context.Context, tx pgx.Tx, r replacing) error {
	if len(r.drop) > 0 {
		names := make([]string, len(r.drop))
		for i, name := range r.drop {
			names[i] = quoted(p.definition.Schema, name)
		}
		if _, err := tx.Exec(ctx, "DROP VIEW "+strings.Join(names, ", ")); err != nil {
			return asDependents(err, names)
		}
	}
	if r.show == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, r.show); err != nil {
		return err
	}
	for _, view := range p.definition.Views {
		if err := repeat(ctx, tx, quoted(p.definition.Schema, view), r.said[view]); err != nil {
			return err
		}
	}
	return nil
}

// grant is a statement that gives a relation what another one had. Column is the
// one that it is about, if it is about one.
type grant struct {
	Column    *string
	Statement string
}

// grantsOf are what gives the relation to the owner, the options and the rights
// of another one.
func grantsOf(ctx context.Context, tx pgx.Tx, from, to string) ([]grant, error) {
	rows, err := tx.Query(ctx, grantsSQL, from, to)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[grant])
}

// repeat gives a relation what another one had, but for rights on columns that
// it does not have.
func repeat(ctx context.Context, tx pgx.Tx, relation string, said []grant) error {
	if len(said) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, relation)
	if err != nil {
		return err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, g := range said {
		if g.Column != nil && !slices.Contains(columns, *g.Column) {
			continue
		}
		if _, err := tx.Exec(ctx, g.Statement); err != nil {
			return fmt.Errorf("%s: %w", g.Statement, err)
		}
	}
	return nil
}

// asDependents makes *DependentsError of Postgres's refusal to drop something.
func asDependents(err error, of []string) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "2BP01" {
		return &DependentsError{Of: of, Objects: strings.Split(pgErr.Detail, "\n")}
	}
	return err
}
