package projectiontest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Earlier is a version of the projection that came before the one to be tested.
type Earlier struct {
	Definition postgres.Definition
	Handler    postgres.Handler
}

// OnPostgres is a Subject's Open for a definition and a handler. database gives a
// pool on a database that is empty, and closes it when the test ends; it is asked
// once a test. The suite opens the projection under other names and for readers in other
// schemas, so that it has tables of its own each time.
//
// An upgrade is tried from each earlier version; if none is given, from one that
// is the same but for its number.
func OnPostgres(database func(t *testing.T) *pgxpool.Pool, d postgres.Definition, h postgres.Handler, earlier ...Earlier) func(*testing.T) Tables {
	o := &onPostgres{definition: d, handler: h, earlier: earlier}
	if len(earlier) == 0 {
		o.definition.Version++
		o.earlier = []Earlier{{d, h}}
	}
	return func(t *testing.T) Tables {
		t.Helper()
		if o.pool == nil {
			o.pool = database(t)
			t.Cleanup(func() { o.pool = nil })
		}
		o.opened++
		p := o.open(t, o.definition, 0)
		if err := p.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		f := &failing{Handler: h}
		tables := Tables{
			Target: targetOf(t, p, f),
			Fail:   f.fails.Store,
			Dump:   func(ctx context.Context) ([]string, error) { return dumpLive(ctx, p) },
			Rebuild: func(ctx context.Context, source events.Source) error {
				return rebuild(ctx, t, source, p, h)
			},
		}
		if _, can := h.(postgres.Forgetter); can {
			tables.Heal = func(ctx context.Context, log events.Log, w events.Workflow) error {
				_, err := targetOf(t, p, h).Heal(ctx, log, w)
				return err
			}
		}
		for i, e := range o.earlier {
			tables.Upgrades = append(tables.Upgrades, func(ctx context.Context, source events.Source, project func(projection.Target) error) error {
				p = o.open(t, o.definition, i+1)
				return o.upgrade(ctx, t, source, project, o.open(t, e.Definition, i+1), e.Handler, p)
			})
		}
		return tables
	}
}

// failing is a handler whose transactions are rolled back if it is told so.
type failing struct {
	postgres.Handler
	fails atomic.Bool
}

var errRolledBack = errors.New("projectiontest: rolled back")

func (f *failing) Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	err := f.Handler.Apply(ctx, tx, commits)
	if err == nil && f.fails.Load() {
		err = errRolledBack
	}
	return err
}

// onPostgres is a projection that is opened again and again.
type onPostgres struct {
	pool       *pgxpool.Pool
	definition postgres.Definition
	handler    postgres.Handler
	earlier    []Earlier
	opened     int
}

// open is a version of the projection as the suite names it this time.
func (o *onPostgres) open(t *testing.T, d postgres.Definition, again int) *postgres.Projection {
	t.Helper()
	d.Name = fmt.Sprintf("suite_%d_%d", o.opened, again)
	if len(d.Views) > 0 {
		d.Schema = "shown_by_" + d.Name
	}
	p, err := postgres.Open(o.pool, d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// upgrade replaces tables that an earlier version has made.
func (o *onPostgres) upgrade(ctx context.Context, t *testing.T, source events.Source, project func(projection.Target) error, from *postgres.Projection, h postgres.Handler, to *postgres.Projection) error {
	t.Helper()
	if err := from.Migrate(ctx); err != nil {
		return err
	}
	if err := project(targetOf(t, from, h)); err != nil {
		return fmt.Errorf("the earlier version: %w", err)
	}
	if err := to.Migrate(ctx); !errors.Is(err, projection.ErrVersion) {
		return fmt.Errorf("tables of an earlier version are taken: %w, want ErrVersion", err)
	}
	if err := rebuild(ctx, t, source, to, o.handler); err != nil {
		return err
	}
	if err := from.CheckVersion(ctx); !errors.Is(err, projection.ErrVersion) {
		return fmt.Errorf("the earlier version takes the tables: %w, want ErrVersion", err)
	}
	return nil
}

func targetOf(t *testing.T, p *postgres.Projection, h postgres.Handler) *postgres.Target {
	t.Helper()
	target, err := postgres.NewTarget(p, h, postgres.TargetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func rebuild(ctx context.Context, t *testing.T, source events.Source, p *postgres.Projection, h postgres.Handler) error {
	t.Helper()
	_, err := p.Rebuild(ctx, source, func(at *postgres.Projection) projection.Target { return targetOf(t, at, h) },
		postgres.RebuildOptions{Logger: slog.New(slog.DiscardHandler)})
	return err
}

// dumpLive is every row of every table of the live generation, as JSON behind the
// table's name.
func dumpLive(ctx context.Context, p *postgres.Projection) ([]string, error) {
	cs, err := p.Checkpoints(ctx)
	if err != nil || len(cs) == 0 {
		return nil, err
	}
	schema := postgres.SchemaOf(p.Name(), cs[0].Generation)
	rows, err := p.Pool().Query(ctx, `SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'`, schema)
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var out []string
	for _, table := range tables {
		rows, err := p.Pool().Query(ctx, fmt.Sprintf("SELECT $1 || ' ' || to_jsonb(t)::text FROM %s AS t", pgx.Identifier{schema, table}.Sanitize()), table)
		if err != nil {
			return nil, err
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}
