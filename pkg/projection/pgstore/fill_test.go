package pgstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// indexes are those of the tables, and their keys.
func indexes(t failer, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(context.Background(), `
		SELECT pg_get_indexdef(indexrelid) || coalesce(' constraint ' || conname || ' ' || contype::text, '') || ' valid ' || indisvalid
		FROM pg_index JOIN pg_class AS c ON c.oid = indrelid LEFT JOIN pg_constraint ON conindid = indexrelid
		WHERE c.relnamespace = 'annals_executions_1'::regnamespace ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// withoutIndexes makes the tables those that a rebuild fills.
func withoutIndexes(t failer, pool *pgxpool.Pool) {
	t.Helper()
	if modeOf(t, pool) == pgstore.EventsFull {
		if _, err := pool.Exec(context.Background(), `ALTER TABLE annals_executions_1.commits DROP CONSTRAINT commits_pkey`); err != nil {
			t.Fatal(err)
		}
	}
	_, err := pool.Exec(context.Background(), `
		ALTER TABLE annals_executions_1.run_events DROP CONSTRAINT run_events_pkey;
		ALTER TABLE annals_executions_1.signals DROP CONSTRAINT signals_pkey;
		DO $$
		DECLARE name regclass;
		BEGIN
			FOR name IN
				SELECT indexrelid FROM pg_index JOIN pg_class AS c ON c.oid = indrelid
				WHERE c.relnamespace = 'annals_executions_1'::regnamespace AND NOT indisprimary
			LOOP
				EXECUTE 'DROP INDEX ' || name;
			END LOOP;
		END $$`)
	if err != nil {
		t.Fatal(err)
	}
}

func buildIndexes(t failer, pool *pgxpool.Pool) {
	t.Helper()
	p, err := postgres.Open(pool, pgstore.DefinitionOf(modeOf(t, pool)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.BuildIndexes(context.Background(), 1, 2, nil); err != nil {
		t.Fatal(err)
	}
}

func catchUp(t failer, log events.Source, target projection.Target, c projection.Config) error {
	t.Helper()
	c.Logger = quiet
	p, err := projection.New(log, target, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.CatchUp(ctx)
}

// What a rebuild does: fill tables without indexes, going on after each crash, a few
// partitions at a time, then make the indexes. The tables are those of a projector
// that had the indexes all the time.
func TestFilledAndIndexedIsAsProjected(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		mode  pgstore.EventsMode
		steps int
		fills map[string]projection.Config
	}{
		{"index", pgstore.EventsIndex, 400, map[string]projection.Config{
			"one batch a partition":      {Parallel: 1},
			"batches of 64 commits":      {Parallel: 2, BatchCommits: 64},
			"a buffer of less than that": {Parallel: 3, BatchCommits: 64, BufferBytes: 20_000},
			"a buffer of one commit":     {BufferBytes: 1},
		}},
		{"full", pgstore.EventsFull, 200, map[string]projection.Config{"batches of 64 commits": {Parallel: 2, BatchCommits: 64}}},
		{"none", pgstore.EventsNone, 200, map[string]projection.Config{"batches of 64 commits": {Parallel: 2, BatchCommits: 64}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			steps := tc.steps
			if *long {
				steps = 1500
			}
			filledAndIndexed(t, tc.mode, steps, tc.fills)
		})
	}
}

func filledAndIndexed(t *testing.T, mode pgstore.EventsMode, steps int, fills map[string]projection.Config) {
	t.Helper()
	pool := newTablesIn(t, mode)
	log, workflows := written(t, historytest.Seeded(3, steps), historytest.Options{Workflows: 40})
	store := storeOn(t, pool, pgstore.Config{CacheRuns: 7})
	projectAll(t, log, store, 0)
	want, wantIndexes := dump(t, pool), indexes(t, pool)
	for name, c := range fills {
		empty(t, pool)
		withoutIndexes(t, pool)
		if got := indexes(t, pool); len(got) != 8 {
			t.Fatalf("%s: the keys without which rows cannot be updated are %q", name, got)
		}
		crashes := 0
		var visits [3]int // of each place in a transaction, by all partitions
		var mu sync.Mutex // guards both
		store.FailAt(func(place int) error {
			mu.Lock()
			defer mu.Unlock()
			visits[place]++
			if visits[place]%15 == 2 {
				crashes++
				return errCrash
			}
			return nil
		})
		if err := catchUp(t, log, store, c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		store.FailAt(nil)
		if crashes == 0 {
			t.Errorf("%s: nothing failed", name)
		}
		buildIndexes(t, pool)
		if diff := cmp.Diff(wantIndexes, indexes(t, pool)); diff != "" {
			t.Errorf("%s: indexes of tables that always had them (-) and of those that were filled (+):\n%s", name, diff)
		}
		if diff := cmp.Diff(want, dump(t, pool)); diff != "" {
			t.Fatalf("%s: projected (-) and filled (+):\n%s", name, diff)
		}
		if err := catchUp(t, log, store, c); err != nil || !cmp.Equal(want, dump(t, pool)) {
			t.Errorf("%s: with nothing to catch up with: %v, or other tables", name, err)
		}
	}
	mustAgree(t, log, store, pool, workflows)
}

// To catch up a batch is written when it is full, and not before; so many
// partitions are worked on at a time as was said, and what comes meanwhile is left.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	log := newLog(t, 4)
	g := historytest.New(historytest.Options{Workflows: 60})
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(4, 600)); err != nil {
		t.Fatal(err)
	}
	before := ends(t, log).Positions()
	store := storeOn(t, newTables(t), pgstore.Config{})
	var mu sync.Mutex // guards all of these
	var late bool
	working, most := map[events.Partition]bool{}, 0
	wrote := map[events.Partition][]uint64{}
	target := watched{store, func(c projection.Checkpoint, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		if !late {
			late = true
			if err := g.AppendAll(t.Context(), log, historytest.Seeded(5, 200)); err != nil {
				t.Error(err)
			}
		}
		working[c.Partition] = true
		most = max(most, len(working))
		wrote[c.Partition] = append(wrote[c.Partition], c.Sequence)
		for _, end := range before {
			if c.Position() == end {
				delete(working, c.Partition)
			}
		}
	}}
	if err := catchUp(t, log, target, projection.Config{Parallel: 2, BatchCommits: 50}); err != nil {
		t.Fatal(err)
	}
	if most > 2 {
		t.Errorf("%d partitions were worked on at a time, want 2", most)
	}
	want := map[events.Partition][]uint64{}
	for _, end := range before {
		for n := uint64(50); n < end.Sequence; n += 50 {
			want[end.Partition] = append(want[end.Partition], n)
		}
		want[end.Partition] = append(want[end.Partition], end.Sequence)
	}
	if diff := cmp.Diff(want, wrote); diff != "" {
		t.Errorf("batches ended at (-want +got):\n%s", diff)
	}
}

// What stops a partition, and what ends the whole, is said.
func TestCatchUpThatCannot(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log, _ := written(t, historytest.Seeded(6, 100), historytest.Options{})
	store := storeOn(t, pool, pgstore.Config{})
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	p, err := projection.New(log, watched{store, func(projection.Checkpoint, error) { cancel(enough) }}, projection.Config{Logger: quiet, BatchCommits: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CatchUp(ctx); !errors.Is(err, enough) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE annals.generations SET version = 77`); err != nil {
		t.Fatal(err)
	}
	if err := catchUp(t, log, store, projection.Config{}); !errors.Is(err, projection.ErrVersion) {
		t.Errorf("tables of another version: %v", err)
	}
}
