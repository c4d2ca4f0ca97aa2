// Package readme holds README.md to what it says.
package readme

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// blocks are the fenced blocks of README.md in this language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

func TestExampleIsTheOneThatIsCompiledAndPrintsWhatReadmeSays(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(root + "/examples/quickstart/main.go")
	if err != nil {
		t.Fatal(err)
	}
	code := blocks(t, "go")
	if len(code) != 1 {
		t.Fatalf("README.md has %d blocks of Go, want 1", len(code))
	}
	_, body, _ := strings.Cut(string(source), "\npackage ")
	if diff := cmp.Diff("package "+body, code[0]); diff != "" {
		t.Errorf("examples/quickstart/main.go (-) and README.md (+):\n%s", diff)
	}
	run := exec.Command("go", "run", "./examples/quickstart")
	run.Dir = root
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if printed := blocks(t, ""); len(printed) == 0 || printed[0] != string(out) {
		t.Errorf("README.md says that it prints\n%s\nit prints\n%s", printed, out)
	}
}

// Every relative link leads somewhere.
func TestLinksOfDocuments(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(root + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(root + "/" + m[1]); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

// The files of examples/histories are what their program makes.
func TestExampleHistoriesAreWhatTheirProgramMakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := exec.Command("go", "run", "./examples/histories/make", dir)
	run.Dir = root
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := os.ReadDir(dir)
	if err != nil || len(made) == 0 {
		t.Fatalf("nothing was made: %v", err)
	}
	for _, f := range made {
		want, err := os.ReadFile(dir + "/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(root + "/examples/histories/" + f.Name())
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale; run go run ./examples/histories/make:\n%s", f.Name(), diff)
		}
	}
}
