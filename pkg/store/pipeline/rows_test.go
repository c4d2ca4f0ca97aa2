package pipeline_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/memstore"
	"github.com/annals-io/annals/pkg/store/storetest"
)

// sameRows checks that both stores list the same of one log, run for run, and
// load each as they list it but for what tables cannot show.
func sameRows(t *testing.T, log *memlog.Log, namespaces ...string) {
	t.Helper()
	_, tables := tables(t, log)
	piped := on(t, log, tables, storetest.Options{})
	mem, err := memstore.New(memstore.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	end, err := projection.End(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, ns := range namespaces {
		for offset := 0; ; offset += store.MaxLimit {
			q := store.Query{Namespace: ns, After: end, Limit: store.MaxLimit, Offset: offset}
			want, err := mem.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := piped.Query(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: in memory (-) and in the tables (+):\n%s", ns, diff)
			}
			for _, x := range got {
				l, err := piped.LoadExecution(t.Context(), x.Workflow, x.RunID)
				if err != nil {
					t.Fatal(err)
				}
				if l.Execution.Status != x.Status || l.Execution.HistoryLength != x.HistoryLength || l.Execution.HistorySizeBytes != x.HistorySizeBytes || int64(len(l.Events)) != x.HistoryLength {
					t.Errorf("loaded %+v, listed %+v", l.Execution, x)
				}
			}
			if total += len(got); len(got) < store.MaxLimit {
				break
			}
		}
	}
	if total == 0 {
		t.Fatal("nothing was compared")
	}
	t.Logf("%d runs", total)
}

// TestSameRowsOfRandomHistories: of what any engine may write, and of what none
// should.
func TestSameRowsOfRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		log := newLog(t)
		g := historytest.New(historytest.Options{Workflows: 24})
		if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, 600)); err != nil {
			t.Fatal(err)
		}
		namespaces := map[string]bool{}
		for _, w := range g.Workflows() {
			namespaces[w.Namespace] = true
		}
		var list []string
		for ns := range namespaces {
			list = append(list, ns)
		}
		sameRows(t, log, list...)
	}
}

// TestSameRowsOfRealHistories is about those in the folder that ANNALS_HISTORIES
// names.
func TestSameRowsOfRealHistories(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("ANNALS_HISTORIES")
	if dir == "" {
		dir = "../../../examples/histories"
	}
	log := newLog(t)
	if _, err := importer.Run(t.Context(), log, []string{dir}, importer.Config{Namespace: "real"}); err != nil {
		t.Fatal(err)
	}
	sameRows(t, log, "real")
}
