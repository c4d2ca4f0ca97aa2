package importer_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/pkg/events"
)

// Where a commit ends is decided by the events up to there: a longer export has
// the same commits, but for the last one of the shorter.
func TestCommitsDoNotDependOnTheLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{1, 10, 1000, 200_000, 600_000, 1_100_000}), 1, 350).Draw(t, "sizes")
		evs := []*events.Event{started("w", "A")}
		for _, n := range sizes {
			evs = append(evs, events.Signaled("s", strings.Repeat("x", n)))
		}
		history(noon, evs...)
		whole := importer.Bounds(evs)
		next := events.EventID(1)
		for _, b := range whole {
			if b[0] != next || b[1] < b[0] || b[1]-b[0] >= 100 {
				t.Fatalf("commits %v", whole)
			}
			next = b[1] + 1
		}
		if int(next) != len(evs)+1 {
			t.Fatalf("commits %v of %d events", whole, len(evs))
		}
		n := rapid.IntRange(1, len(evs)).Draw(t, "shorter")
		shorter := importer.Bounds(evs[:n])
		k := len(shorter) - 1
		if diff := cmp.Diff(whole[:k], shorter[:k]); diff != "" {
			t.Fatalf("the commits of %d events differ from those of %d:\n%s", n, len(evs), diff)
		}
	})
}

// The bounds and the ids are what other versions of this program will meet in
// logs: another rule makes no double, but new commits beside the old.
func TestCommitsAsTheyAreKept(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	f.history("w.json", open("w", "A", noon, 150))
	f.want(log, map[string]string{"w.json": "imported"})
	f.history("w.json", open("w", "A", noon, 230))
	f.want(log, map[string]string{"w.json": "extended"})
	want := []string{"A 1-100", "A 101-150", "A 151-200", "A 201-230"}
	if diff := cmp.Diff(want, commits(t, log, "w")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
	var ids []events.CommitID
	for c, err := range log.Commits(t.Context(), events.Workflow{Namespace: "default", ID: "w"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	golden := []events.CommitID{
		"import-r9Omz6m2mlKunPjkk4fiMw", "import-EGi5bjBD5Mq8KGcsoZn-QQ",
		"import-kMVI5FkEEXzfvX6jMHIoNw", "import-oKKyXhGHZ1hV13YbS7kGyw",
	}
	if diff := cmp.Diff(golden, ids); diff != "" {
		t.Errorf("commit ids (-want +got):\n%s", diff)
	}
}

// Any exports of one run, whichever lengths they have and in whatever order
// they come, leave the longest of them in the log.
func TestExportsOfOneRunInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 220), 1, 4).Draw(rt, "lengths")
		log := memory(t, nil)
		f := newFolder(t)
		longest := 0
		for _, n := range lengths {
			want := "present"
			switch {
			case longest == 0:
				want = "imported"
			case n > longest:
				want = "extended"
			}
			longest = max(longest, n)
			f.history("w.json", open("w", "A", noon, n))
			got, _ := f.run(log, importer.Config{})
			if got["w.json"] != want {
				rt.Fatalf("%d events: %s, want %s", n, got["w.json"], want)
			}
		}
		same(t, log, "w", "A", open("w", "A", noon, longest))
	})
}
