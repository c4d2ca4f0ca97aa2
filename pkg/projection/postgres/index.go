package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// index is a statement of Definition.Indexes: what it makes, and of which table.
type index struct {
	name, table string
	// constraint: it is made by ALTER TABLE. Those that are no key may need the
	// keys of other tables.
	constraint, key bool
	sql             string
}

var (
	sqlComment    = regexp.MustCompile(`(?m)^\s*--.*$`)
	createIndex   = regexp.MustCompile(`(?is)^CREATE\s+(?:UNIQUE\s+)?INDEX\s+([a-z_][a-z0-9_]*)\s+ON\s+(?:ONLY\s+)?([a-z_][a-z0-9_]*)[\s(]`)
	addConstraint = regexp.MustCompile(`(?is)^ALTER\s+TABLE\s+([a-z_][a-z0-9_]*)\s+ADD\s+CONSTRAINT\s+([a-z_][a-z0-9_]*)\s+(PRIMARY\s+KEY\b|UNIQUE\b)?`)
)

// parseIndex tells what a statement makes; false if it is none of those that a
// definition may have.
func parseIndex(sql string) (index, bool) {
	sql = strings.TrimSpace(sqlComment.ReplaceAllString(sql, ""))
	if m := createIndex.FindStringSubmatch(sql); m != nil && !reserved(m[1]) {
		return index{name: m[1], table: m[2], sql: sql}, true
	}
	if m := addConstraint.FindStringSubmatch(sql); m != nil {
		return index{name: m[2], table: m[1], constraint: true, key: m[3] != "", sql: sql}, true
	}
	return index{}, false
}

// reserved are the words that stand where an index has its name: it has none, it
// is made outside of a transaction, or not made at all.
func reserved(word string) bool {
	switch strings.ToLower(word) {
	case "on", "concurrently", "if":
		return true
	}
	return false
}

// IndexProgress is how far BuildIndexes has come.
type IndexProgress struct {
	// Name is the index or the constraint that is there now, Table what it is of.
	Name, Table string
	// Took is how long it took to make; zero if it was there.
	Took time.Duration
	// Done of Total are there.
	Done, Total int
}

// BuildIndexes makes what Definition.Indexes says of a generation whose tables
// were made without, and has Postgres count what is in the tables, so that plans
// are made for as many rows as there are. It uses parallel connections of the
// pool, begins with the largest tables, makes constraints that are no keys last
// and one after the other, since they may need the keys of other tables, and tells
// progress, which is called by one goroutine at a time, of each that is there;
// nil: nobody is told.
//
// Each index is made whole or not at all. After any error, and after a crash, it
// is called again: it keeps those that are there. One that a server is still
// making for a process that is gone is waited for. While it works, nothing can be
// written to the table concerned.
func (p *Projection) BuildIndexes(ctx context.Context, generation, parallel int, progress func(IndexProgress)) error {
	if parallel < 1 {
		return fmt.Errorf("make indexes: on %d connections", parallel)
	}
	schema := SchemaOf(p.definition.Name, generation)
	indexes, err := p.indexes(ctx, schema)
	if err != nil {
		return fmt.Errorf("make indexes: %w", err)
	}
	var mu sync.Mutex // guards done, and has progress called by one at a time
	done := 0
	build := func(ctx context.Context, x index) error {
		took, err := p.makeIndex(ctx, schema, generation, x)
		if err != nil {
			return fmt.Errorf("make %s of %s: %w", x.name, x.table, err)
		}
		mu.Lock()
		defer mu.Unlock()
		done++
		if progress != nil {
			progress(IndexProgress{Name: x.name, Table: x.table, Took: took, Done: done, Total: len(indexes)})
		}
		return nil
	}
	g, together := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	var later []index
	for _, x := range indexes {
		if x.constraint && !x.key {
			later = append(later, x)
			continue
		}
		g.Go(func() error { return build(together, x) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, x := range later {
		if err := build(ctx, x); err != nil {
			return err
		}
	}
	return p.analyze(ctx, schema, parallel)
}

// indexes are those of the definition, those of the largest tables first.
func (p *Projection) indexes(ctx context.Context, schema string) ([]index, error) {
	list := make([]index, len(p.definition.Indexes))
	bytes := map[string]int64{} // by table
	for i, sql := range p.definition.Indexes {
		x, ok := parseIndex(sql)
		if !ok {
			return nil, fmt.Errorf("statement %d is no index", i)
		}
		list[i] = x
		if _, known := bytes[x.table]; known {
			continue
		}
		var size *int64
		if err := p.pool.QueryRow(ctx, `SELECT pg_relation_size(to_regclass($1))`, quoted(schema, x.table)).Scan(&size); err != nil {
			return nil, err
		}
		if size == nil {
			return nil, fmt.Errorf("%s.%s is not there", schema, x.table)
		}
		bytes[x.table] = *size
	}
	slices.SortStableFunc(list, func(a, b index) int { return cmp.Compare(bytes[b.table], bytes[a.table]) })
	return list, nil
}

// buildMemory is what a session may use to make an index, unless the server's
// own setting is more: with the default of 64 MiB ten million keys are sorted in
// pieces on the disk.
const buildMemory = "256MB"

// makeIndex makes an index unless it is there.
func (p *Projection) makeIndex(ctx context.Context, schema string, generation int, x index) (took time.Duration, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		// A session whose client is gone goes on with what it was told to do, and
		// holds this lock.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "annals index "+schema+"."+x.name); err != nil {
			return err
		}
		there, whole, err := isThere(ctx, tx, schema, x)
		if err != nil || there && whole {
			return err
		}
		if there { // CREATE INDEX CONCURRENTLY, which somebody may have run, leaves such a one behind
			if _, err := tx.Exec(ctx, "DROP INDEX "+quoted(schema, x.name)); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `
			SELECT set_config('maintenance_work_mem', $1, true)
			WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes($1)`, buildMemory); err != nil {
			return err
		}
		begin := time.Now()
		err = p.in(ctx, tx, generation, x.sql)
		took = time.Since(begin)
		return err
	})
	return took, err
}

// isThere reports whether an index or a constraint is there, and whether it is
// whole.
func isThere(ctx context.Context, tx pgx.Tx, schema string, x index) (there, whole bool, err error) {
	sql, args := `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)`, []any{quoted(schema, x.name)}
	if x.constraint { // one that is NOT VALID is as its statement says
		sql, args = `SELECT true FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2`, []any{quoted(schema, x.table), x.name}
	}
	err = tx.QueryRow(ctx, sql, args...).Scan(&whole)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, false, nil
	}
	return true, whole, err
}

// analyze has Postgres count what is in a schema's tables.
func (p *Projection) analyze(ctx context.Context, schema string, parallel int) error {
	rows, err := p.pool.Query(ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' ORDER BY relpages DESC`, quoted(schema))
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, table := range tables {
		g.Go(func() error {
			if _, err := p.pool.Exec(ctx, "ANALYZE "+quoted(schema, table)); err != nil {
				return fmt.Errorf("analyze %s: %w", table, err)
			}
			return nil
		})
	}
	return g.Wait()
}
