package pgstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// newIndexed is a store whose lists go by indexes, however few rows there are: those
// find where a page begins by rules of their own.
func newIndexed(t testing.TB) (*pgstore.Store, *pgxpool.Pool) {
	t.Helper()
	c, err := pgxpool.ParseConfig(testenv.Postgres(t, pgtables.Empty))
	if err != nil {
		t.Fatal(err)
	}
	c.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	c.ConnConfig.RuntimeParams["enable_bitmapscan"] = "off"
	c.ConnConfig.RuntimeParams["enable_sort"] = "off"
	c.ConnConfig.RuntimeParams["jit"] = "off" // which the costs of what is off would have it do
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return storeOn(t, pool, pgstore.Config{}), pool
}

// Going through pages, in any order, lists each run once that is there all along and
// keeps its place, and none twice, whatever begins, goes away, closes or changes
// between two pages. A run that closes is not missed in the default order.
func TestPagesWhileRowsChange(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) (*pgstore.Store, *pgxpool.Pool){"as planned": newQueries, "by index": newIndexed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := open(t)
			stage := newStage(t, pool)
			namespaces := 0
			rapid.Check(t, func(rt *rapid.T) {
				namespaces++
				namespace := fmt.Sprintf("n%d", namespaces)
				c := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "choices"), 0))
				stage.register(rt, namespace)
				runs := knownRuns(c, 40)
				for _, r := range runs {
					delete(r.attributes, divisionField)
				}
				later := runs[len(runs)/2:] // that begin meanwhile
				runs = runs[:len(runs)/2]
				stage.play(rt, namespace, runs...)
				text, by, _ := orderOf(c)
				isDefault := len(by) == 0

				kept, closed := map[string]bool{}, map[string]bool{}
				for _, r := range runs {
					kept[r.id()] = true
				}
				times := map[string]int{}
				q := pgstore.ListQuery{Namespace: namespace, OrderBy: text, Limit: 1 + c.IntN(4)}
				pages(rt, s, q, func(p pgstore.ExecutionPage) {
					for _, id := range ids(p) {
						times[id]++
					}
					if len(later) > 0 {
						stage.play(rt, namespace, later[0])
						later = later[1:]
					}
					r := pick(c, runs)
					of := []any{int16(events.Workflow{Namespace: namespace, ID: r.workflow}.Slot()), namespace, r.workflow, r.run}
					const which = ` WHERE (slot, namespace, workflow_id, run_id) = ($1, $2, $3, $4)`
					switch {
					case !kept[r.id()]:
					case c.IntN(3) == 0: // its place may be that of the token
						delete(kept, r.id())
						stage.exec(rt, `DELETE FROM annals.executions`+which, of...)
					case isDefault && r.isOpen():
						delete(kept, r.id())
						closed[r.id()] = true
						stage.exec(rt, `UPDATE annals.executions SET status = 'Completed', state = NULL, close_time = now()`+which, of...)
					default: // what no order goes by
						stage.exec(rt, `UPDATE annals.executions SET cancel_requested = NOT cancel_requested, updated_at = now()`+which, of...)
					}
				})
				for id, n := range times {
					if n > 1 && !closed[id] {
						rt.Errorf("ordered by %q: %s was listed %d times", text, id, n)
					}
				}
				for id := range kept {
					if times[id] != 1 {
						rt.Errorf("ordered by %q: %s was there all along and listed %d times", text, id, times[id])
					}
				}
				for id := range closed {
					if times[id] == 0 {
						rt.Errorf("%s closed meanwhile and was never listed", id)
					}
				}
			})
		})
	}
}

// An offset counts from the token, in any order and through its parts.
func TestOffsetsInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) (*pgstore.Store, *pgxpool.Pool){"as planned": newQueries, "by index": newIndexed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := open(t)
			stage := newStage(t, pool)
			stage.register(t, "default")
			c := seeded()
			runs := knownRuns(c, 30)
			for _, r := range runs {
				delete(r.attributes, divisionField)
			}
			stage.play(t, "default", runs...)
			for range 40 {
				text, by, _ := orderOf(c)
				var want []string
				for _, r := range inOrder(runs, by) {
					want = append(want, r.id())
				}
				first, offset := 1+c.IntN(len(runs)-1), c.IntN(10)
				page, err := s.List(t.Context(), pgstore.ListQuery{Namespace: "default", OrderBy: text, Limit: first})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(ids(page), want[:first]) {
					t.Fatalf("ordered by %q it begins with %v, want %v", text, ids(page), want[:first])
				}
				page, err = s.List(t.Context(), pgstore.ListQuery{Namespace: "default", OrderBy: text, Offset: offset, Limit: 7, PageToken: page.NextPageToken})
				if err != nil {
					t.Fatal(err)
				}
				rest := want[min(first+offset, len(want)):]
				rest = rest[:min(7, len(rest))]
				if !slices.Equal(ids(page), append([]string{}, rest...)) {
					t.Errorf("ordered by %q, %d after the first %d: %v, want %v", text, offset, first, ids(page), rest)
				}
			}
		})
	}
}
