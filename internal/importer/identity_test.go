package importer_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/pkg/events"
)

func TestWorkflowAndRun(t *testing.T) {
	base := closed("w", "A", noon, 6)
	nameless := func(n int) []*events.Event { return open("", "", noon, n) }
	type id struct{ Workflow, Run string }
	for _, tc := range []struct {
		name, why string
		file      string
		events    []*events.Event
		files     bool // --ids file
		want      id
	}{
		{"from the start event", "it says both", "x.json", open("order/7 ü", "A", noon, 2), false, id{"order/7 ü", "A"}},
		{"from the file's name", "the start event has no workflow id", "a.b.json", open("", "A", noon, 2), false, id{"a.b", "A"}},
		{"from the file's name by wish", "--ids file", "sub/x.json", open("w", "A", noon, 2), true, id{"x", "A"}},
		{"of a reset", "its start event is its base's", "x.json", reset(base, 3, "A", "B"), false, id{"w", "B"}},
		{"of a reset of a reset", "the last one counts", "x.json", reset(reset(base, 3, "A", "B"), 4, "B", "C"), false, id{"w", "C"}},
		{"of a reset that names no run", "the start event is the next to say it", "x.json", reset(base, 3, "A", ""), false, id{"w", "A"}},
		{"derived", "nothing names the run", "x.json", nameless(2), false, id{"x", "dcf3715b-4fce-5e9b-a7f1-a3621ada0acd"}},
		{"derived from a longer export", "it is the same run", "x.json", nameless(5), false, id{"x", "dcf3715b-4fce-5e9b-a7f1-a3621ada0acd"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFolder(t)
			f.history(tc.file, tc.events)
			var got []id
			_, err := importer.Run(t.Context(), memory(t, nil), []string{f.dir}, importer.Config{
				Namespace: "default", IDsFromFiles: tc.files,
				Report: func(r importer.Result) { got = append(got, id{r.Workflow, r.Run}) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]id{tc.want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// Two runs that nothing names are two runs if their start events differ.
func TestDerivedRunsOfDifferentStartsDiffer(t *testing.T) {
	log := memory(t, nil)
	f := newFolder(t)
	f.history("a/x.json", history(noon, events.WorkflowStarted("Order", "orders", 1), events.WorkflowCompleted()))
	f.history("b/x.json", history(noon, events.WorkflowStarted("Order", "orders", 2), events.WorkflowCompleted()))
	f.want(log, map[string]string{"a/x.json": "imported", "b/x.json": "imported"})
}
