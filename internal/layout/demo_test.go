package layout

import (
	"slices"
	"strings"
	"testing"
)

// examples are packages that show what an application writes: of this module
// they import nothing else, and nothing from below internal but each other.
var examples = []layer{
	{"internal/demo/engine", []string{"pkg/events", "pkg/events/natslog", "pkg/execution", "pkg/replay"}},
	{"internal/demo/workflows", []string{"internal/demo/engine", "pkg/events"}},
}

func TestExamples(t *testing.T) {
	g := list(t)
	for _, violation := range checkExamples(g) {
		t.Error(violation)
	}
	for _, l := range examples {
		if !slices.Contains(own(g), l.pkg) {
			t.Errorf("%s is no package", l.pkg)
		}
	}
}

func checkExamples(g graph) (violations []string) {
	for _, l := range examples {
		violations = append(violations, checkLayer(g, examples, l.pkg)...)
	}
	return violations
}

// TestCheckExamples: an example that reaches for what an application does not
// have is found.
func TestCheckExamples(t *testing.T) {
	g := graph{
		module + "/internal/demo/engine":    {"context", module + "/pkg/events", module + "/internal/wiring"},
		module + "/internal/demo/workflows": {module + "/internal/demo/engine", module + "/pkg/events/memlog"},
	}
	got := checkExamples(g)
	want := []string{"internal/demo/engine imports internal/wiring", "internal/demo/workflows imports pkg/events/memlog"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range got {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("violation %q does not say %q", got[i], want[i])
		}
	}
}
