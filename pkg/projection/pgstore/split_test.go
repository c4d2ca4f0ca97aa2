package pgstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// One fixed log through everything, so that a failure without rapid in between
// can be looked at.
func TestSeededHistories(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log, workflows := written(t, historytest.Seeded(1, 1500), historytest.Options{Workflows: 40})
	store := storeOn(t, pool, pgstore.Config{CacheRuns: 5})
	projectAll(t, log, store, 37)
	mustAgree(t, log, store, pool, workflows)
	counts := verify(t, log, store, noWait).Rows
	t.Logf("rows: %v", counts)
	for _, table := range pgstore.Described() {
		if counts[table.Name] == 0 {
			t.Errorf("no row of %s was compared: the histories prove nothing about it", table.Name)
		}
	}
}

// schedule is how a partition's commits are cut into batches and what happens
// to each batch.
type schedule struct {
	sizes   *rapid.Generator[int]
	ahead   bool // fold the next batch before one is written
	restart *rapid.Generator[int]
	t       *rapid.T
}

var errCrash = errors.New("the process died")

// run projects a partition as the schedule says, beginning anew from the
// stored checkpoint after each crash, and counts the crashes and the batches.
func (s schedule) run(log events.Log, store *pgstore.Store, p events.Partition) (batches, crashes int) {
	ctx := context.Background()
	all := messages(s.t, log, p)
	for {
		c, err := store.Checkpoint(ctx, log.Identity(), p)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := projection.Check(ctx, log, c); err != nil {
			s.t.Fatal(err)
		}
		rest := all[c.Sequence:]
		if len(rest) == 0 {
			return batches, crashes
		}
		f := store.Folder(c)
		var waiting []projection.Batch
		write := func() bool {
			b := waiting[0]
			waiting = waiting[1:]
			where := s.restart.Draw(s.t, "crash")
			store.FailAt(func(place int) error {
				if place == where {
					return errCrash
				}
				return nil
			})
			err := b.Write(ctx)
			store.FailAt(nil)
			batches++
			if where > pgstore.AfterCommit { // none, or a restart between two batches
				if err != nil {
					s.t.Fatal(err)
				}
				return where == pgstore.AfterCommit+1
			}
			if !errors.Is(err, errCrash) {
				s.t.Fatalf("crash at %d: %v", where, err)
			}
			return false
		}
		alive := true
		for alive && len(rest) > 0 {
			n := min(s.sizes.Draw(s.t, "size"), len(rest))
			b, err := f.Fold(ctx, decoded(s.t, rest[:n]))
			if err != nil {
				s.t.Fatal(err)
			}
			rest = rest[n:]
			waiting = append(waiting, b)
			if len(waiting) == 2 || !s.ahead {
				alive = write()
			}
		}
		for alive && len(waiting) > 0 {
			alive = write()
		}
		if !alive {
			crashes++
		}
	}
}

// Whatever the batches, however much is cached, wherever the process dies and
// whether or not the transaction at which it died was stored: the tables are
// those of one batch, and what the log says. So they are if they had no indexes
// meanwhile.
func TestAnySplitAnyCrashSameTables(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	cases, batches, crashes := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		empty(t, pool)
		log, workflows := written(t, historytest.Drawn(t, 40), historytest.Options{Workflows: rapid.IntRange(1, 12).Draw(t, "workflows")})
		reference := storeOn(t, pool, pgstore.Config{})
		projectAll(t, log, reference, 0)
		want := dump(t, pool)
		mustAgree(t, log, reference, pool, workflows)

		empty(t, pool)
		bare := rapid.IntRange(0, 3).Draw(t, "indexes") == 0
		if bare {
			withoutIndexes(t, pool)
		}
		store := storeOn(t, pool, pgstore.Config{CacheRuns: rapid.SampledFrom([]int{1, 2, 10_000}).Draw(t, "cache")})
		store.CopyFrom(rapid.SampledFrom([]int{1, 4, 1000}).Draw(t, "copy from"))
		s := schedule{
			t: t, ahead: rapid.Bool().Draw(t, "ahead"),
			sizes: rapid.SampledFrom([]int{1, 1, 2, 3, 5, 9, 100}),
			// One in three batches meets a crash at one of the places or a
			// restart after it.
			restart: rapid.SampledFrom([]int{
				pgstore.AfterRows, pgstore.BeforeCommit, pgstore.AfterCommit, pgstore.AfterCommit + 2,
				pgstore.AfterCommit + 1, pgstore.AfterCommit + 1, pgstore.AfterCommit + 1, pgstore.AfterCommit + 1, pgstore.AfterCommit + 1, pgstore.AfterCommit + 1,
			}),
		}
		for p := range events.Partition(log.Identity().Map.Partitions()) {
			b, c := s.run(log, store, p)
			batches, crashes = batches+b, crashes+c
		}
		if bare {
			buildIndexes(t, pool)
		}
		if diff := cmp.Diff(want, dump(t, pool)); diff != "" {
			t.Fatalf("in one batch (-) and as scheduled (+):\n%s", diff)
		}
		cases++
	})
	t.Logf("%d logs, %d batches, %d crashes and restarts", cases, batches, crashes)
}
