package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Migrate brings the database to what this program needs: the bookkeeping by
// numbered migrations, and a first generation of the projection's tables, live
// and empty, if there is none. It is idempotent, and safe when several processes
// do it at once. It fails with projection.ErrVersion if the live tables are of
// another version, or kept in another mode (*projection.ModeError).
func (p *Projection) Migrate(ctx context.Context) error {
	live := p.At(0)
	if err := migrate(ctx, p.pool); err != nil {
		return err
	}
	_, err := live.checked(ctx)
	if err != nil && !errors.Is(err, errNoTables) {
		return err
	}
	if err == nil {
		if err := live.checkMode(ctx, p.pool); err != nil {
			return err
		}
		there, err := p.viewsAreThere(ctx)
		if err != nil || there {
			return err
		}
	}
	if err := p.createFirst(ctx); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	_, err = live.checked(ctx)
	return err
}

// createFirst makes the first generation and the views, unless another process
// just has.
func (p *Projection) createFirst(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		generation, err := p.live(ctx, tx)
		if err != nil {
			return err
		}
		if generation == 0 {
			if generation, err = p.create(ctx, tx, "live"); err != nil {
				return err
			}
			if err := p.index(ctx, tx, generation); err != nil {
				return err
			}
		} else if err := p.At(generation).checkMode(ctx, tx); err != nil {
			return err
		}
		return p.show(ctx, tx, generation)
	})
}

// live is the live generation's number, 0 if there is none.
func (p *Projection) live(ctx context.Context, q Querier) (int, error) {
	rows, err := q.Query(ctx, `SELECT generation FROM annals.generations WHERE projection = $1 AND state = 'live'`, p.definition.Name)
	if err != nil {
		return 0, err
	}
	generation, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return generation, err
}

// create makes the next generation's tables, empty and without indexes.
func (p *Projection) create(ctx context.Context, tx pgx.Tx, state string) (generation int, err error) {
	if _, err := tx.Exec(ctx, `INSERT INTO annals.projections (name) VALUES ($1) ON CONFLICT DO NOTHING`, p.definition.Name); err != nil {
		return 0, err
	}
	// The row is the lock, and what remembers which numbers were used.
	err = tx.QueryRow(ctx, `UPDATE annals.projections SET last_generation = last_generation + 1 WHERE name = $1 RETURNING last_generation`,
		p.definition.Name).Scan(&generation)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO annals.generations (projection, generation, version, state, mode, live_at)
		VALUES ($1, $2, $3, $4, $5, CASE WHEN $4 = 'live' THEN clock_timestamp() END)`,
		p.definition.Name, generation, p.definition.Version, state, p.definition.Mode)
	if err != nil {
		return 0, err
	}
	// What a database has in such a schema without a row that says so was left
	// behind by one whose bookkeeping was dropped.
	schema := quoted(SchemaOf(p.definition.Name, generation))
	if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return 0, err
	}
	return generation, p.in(ctx, tx, generation, p.definition.Tables)
}

// index makes a generation's indexes.
func (p *Projection) index(ctx context.Context, tx pgx.Tx, generation int) error {
	return p.in(ctx, tx, generation, p.definition.Indexes...)
}

// in runs statements in which names without a schema are a generation's.
func (p *Projection) in(ctx context.Context, tx pgx.Tx, generation int, statements ...string) error {
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+quoted(SchemaOf(p.definition.Name, generation))+", public"); err != nil {
		return err
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, "SET LOCAL search_path TO DEFAULT")
	return err
}

func (p *Projection) viewsAreThere(ctx context.Context) (bool, error) {
	for _, view := range p.definition.Views {
		var there bool
		err := p.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, quoted(p.definition.Schema, view)).Scan(&there)
		if err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

// show makes the views show a generation: each column by its name, with its
// comment, behind the guard.
func (p *Projection) show(ctx context.Context, tx pgx.Tx, generation int) error {
	if len(p.definition.Views) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoted(p.definition.Schema)); err != nil {
		return err
	}
	sql, err := p.showing(ctx, tx, generation, nil)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, sql)
	return err
}
