package replay_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/execution"
)

// folded are the states of the same histories, by the version of the fold.
var folded = map[int]string{
	1: "eadc493ecb3efd0464ebaa15c05bee7dc7681f8b1ca45b2345dfb4c50b8dd2b1",
}

// TestTheFoldIsOfItsVersion: a snapshot of an older fold must not be taken for one of
// this. If this fails because the fold or its encoding was changed, raise
// execution.FoldVersion and add what this prints; if only the generator was, replace it.
func TestTheFoldIsOfItsVersion(t *testing.T) {
	log := newLog(t)
	sum := sha256.New()
	types := map[string]bool{}
	for _, w := range appendAll(t, log, historytest.Seeded(2026, 600), historytest.Options{Workflows: 12, Resets: true}) {
		s := execution.New(w, "run")
		for c, err := range log.Commits(t.Context(), w) {
			if err != nil {
				t.Fatal(err)
			}
			parts, err := c.Segments()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range parts {
				for _, e := range p.Events {
					if e.EventId == 1 { // ids of runs are the log's, if the history does not say them
						s = execution.New(w, "run")
					}
					s.Apply(e)
					types[e.EventType.String()] = true
					sum.Write(encode(t, s))
				}
			}
		}
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if want := folded[execution.FoldVersion]; got != want {
		t.Errorf("states of version %d of the fold, of %d types of events, are %s, want %q", execution.FoldVersion, len(types), got, want)
	}
}
