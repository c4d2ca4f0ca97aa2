package temporal

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of what was asked of both stands in the document that says how filters
// differ, between two marks.
const (
	agreementFile  = "../../docs/queries.md"
	agreementBegin = "<!-- what e2e/temporal asks; go test . -update in that folder writes it -->\n"
	agreementEnd   = "<!-- end -->\n"
)

// agreement is the table. That it is true is what TestTemporalAsTheJudge shows: an
// answer that is no longer alike, and a difference that is gone, fail it.
func agreement() string {
	var b strings.Builder
	runs := 0
	for _, s := range scenarios {
		runs += len(s.runs)
	}
	fmt.Fprintf(&b, "%d scenarios with %d runs; of each run the description, and of all of them:\n\n", len(scenarios), runs)
	b.WriteString("| questions about | asked | answered alike | otherwise on purpose |\n|---|---:|---:|---:|\n")
	asked, otherwise := 0, 0
	var differences []string
	for _, about := range append(slices.Clone(filters), groups) {
		n := 0
		for _, q := range about.queries {
			if d, ok := meant[q]; ok {
				n++
				differences = append(differences, fmt.Sprintf("| `%s` | %s |\n", q, d.why))
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", about.about, len(about.queries), len(about.queries)-n, strings.TrimPrefix(fmt.Sprint(n), "0"))
		asked, otherwise = asked+len(about.queries), otherwise+n
	}
	fmt.Fprintf(&b, "| **in all** | **%d** | **%d** | **%d** |\n\n", asked, asked-otherwise, otherwise)
	b.WriteString("| question that is answered otherwise | why |\n|---|---|\n")
	b.WriteString(strings.Join(differences, ""))
	return b.String()
}

// The document's table is of the questions that are asked.
func TestAgreementIsInTheDocument(t *testing.T) {
	text, err := os.ReadFile(agreementFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(text, []byte(agreementBegin))
	written, tail, closed := bytes.Cut(rest, []byte(agreementEnd))
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", agreementFile)
	}
	if *update {
		all := slices.Concat(head, []byte(agreementBegin+agreement()+agreementEnd), tail)
		if err := os.WriteFile(agreementFile, all, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(written), agreement()); diff != "" {
		t.Errorf("%s (-written +asked); go test . -update writes it anew:\n%s", agreementFile, diff)
	}
}

// A difference is of a question that is asked, once.
func TestQuestionsAreAskedOnce(t *testing.T) {
	times := map[string]int{}
	for _, about := range append(slices.Clone(filters), groups) {
		for _, q := range about.queries {
			times[q]++
		}
	}
	for q, n := range times {
		if n > 1 {
			t.Errorf("%s is asked %d times", q, n)
		}
	}
	for q := range meant {
		if times[q] == 0 {
			t.Errorf("%s has a reason and is not asked", q)
		}
	}
}
