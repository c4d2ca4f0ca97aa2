package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
)

//go:embed sql/writers_end.sql
var writersEndSQL string

// dropTries is how often dropping is tried while others hold the tables.
const dropTries = 5

// Drop drops a generation that was live once. It waits for nobody longer than
// lockTimeout at a time (0: 500 ms), several times, and then fails with ErrInUse
// (*InUseError). It fails with ErrGenerationLive, ErrNoGeneration,
// ErrRebuilding where the generation is not finished (see CancelRebuild), and
// *DependentsError where somebody's own views would be lost.
func (p *Projection) Drop(ctx context.Context, generation int, lockTimeout time.Duration) error {
	return p.drop(ctx, generation, lockTimeout, func(state string) error {
		switch state {
		case "live":
			return fmt.Errorf("%w: generation %d of %s", ErrGenerationLive, generation, p.definition.Name)
		case "building":
			return fmt.Errorf("%w: generation %d of %s is not finished: cancel the rebuild", ErrRebuilding, generation, p.definition.Name)
		}
		return nil
	})
}

// CancelRebuild drops the generation that a rebuild was filling, whether that
// runs or not; one that runs fails with ErrCanceled. Sessions of this role that
// write there for longer than lockTimeout, or make an index, are ended. It gives the generation, and
// fails with ErrNoGeneration if there is none, and else as Drop does.
func (p *Projection) CancelRebuild(ctx context.Context, lockTimeout time.Duration) (generation int, err error) {
	g, err := p.inState(ctx, p.pool, "building")
	if err != nil {
		return 0, err
	}
	if g.Generation == 0 {
		return 0, fmt.Errorf("%w: %s is not being rebuilt", ErrNoGeneration, p.definition.Name)
	}
	return g.Generation, p.dropBuilding(ctx, g.Generation, lockTimeout)
}

// dropBuilding drops a generation that is not finished.
func (p *Projection) dropBuilding(ctx context.Context, generation int, lockTimeout time.Duration) error {
	return p.drop(ctx, generation, lockTimeout, func(state string) error {
		if state != "building" {
			return fmt.Errorf("%w: generation %d of %s is %s", ErrNoGeneration, generation, p.definition.Name, state)
		}
		return nil
	})
}

func (p *Projection) drop(ctx context.Context, generation int, lockTimeout time.Duration, may func(state string) error) error {
	if lockTimeout == 0 {
		lockTimeout = defaultLockTimeout
	}
	schema := SchemaOf(p.definition.Name, generation)
	var tables []string
	delays := backoff.WithMaxRetries(backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxElapsedTime(0)), dropTries-1)
	err := backoff.Retry(func() error {
		err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) (err error) {
			tables, err = p.dropIn(ctx, tx, generation, lockTimeout, may)
			return err
		})
		if err != nil && !isLocked(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(delays, ctx))
	switch {
	case err == nil:
		return nil
	case isLocked(err):
		return p.inUse(ctx, err, schema, tables)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("drop generation %d of %s: %w", generation, p.definition.Name, err)
}

func (p *Projection) dropIn(ctx context.Context, tx pgx.Tx, generation int, lockTimeout time.Duration, may func(state string) error) (tables []string, err error) {
	if err := guardTransaction(ctx, tx, idleSession); err != nil {
		return nil, err
	}
	if err := limitLocks(ctx, tx, lockTimeout); err != nil {
		return nil, err
	}
	var state string
	err = tx.QueryRow(ctx, `SELECT state FROM annals.generations WHERE projection = $1 AND generation = $2 FOR UPDATE`, p.definition.Name, generation).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("%w: %d of %s", ErrNoGeneration, generation, p.definition.Name)
	}
	if err == nil {
		err = may(state)
	}
	if err != nil {
		return nil, err
	}
	// As whoever fills it does: the checkpoint first.
	if _, err := p.lockCheckpoints(ctx, tx, generation); err != nil {
		return nil, err
	}
	schema := quoted(SchemaOf(p.definition.Name, generation))
	relations := func(kinds ...string) ([]string, error) {
		rows, err := tx.Query(ctx, `SELECT format('%I.%I', relnamespace::regnamespace::text, relname) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind::text = ANY ($2) ORDER BY relname`, schema, kinds)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	views, err := relations("v")
	if err != nil {
		return nil, err
	}
	if tables, err = relations("r", "p"); err != nil {
		return nil, err
	}
	away := func() error {
		return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			for _, sql := range dropping(views, tables, schema) {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return asDependents(err, []string{SchemaOf(p.definition.Name, generation)})
				}
			}
			return nil
		})
	}
	err = away()
	if isLocked(err) && state == "building" {
		// Whoever fills it finds that the row is locked, waits, and then that it is gone.
		if _, err := tx.Exec(ctx, writersEndSQL, schema); err != nil {
			return tables, err
		}
		err = away()
	}
	if err != nil {
		return tables, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM annals.generations WHERE projection = $1 AND generation = $2`, p.definition.Name, generation)
	return tables, err
}

// dropping are the statements that drop a schema, and fail if others' views depend
// on its views and tables.
func dropping(views, tables []string, schema string) []string {
	var list []string
	if len(views) > 0 {
		list = append(list, "DROP VIEW "+strings.Join(views, ", "))
	}
	if len(tables) > 0 {
		list = append(list, "DROP TABLE "+strings.Join(tables, ", "))
	}
	return append(list, "DROP SCHEMA IF EXISTS "+schema+" CASCADE")
}
