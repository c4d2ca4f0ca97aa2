package replay_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/execution"
)

// folded are digests of the states at every event of the histories in
// examples/histories, by the version of the fold.
var folded = map[int]string{
	1: "479ba40d892f5d32c17d1a404dbaa1c066f53d3345f249a7323f3f758b898cad",
}

// TestTheFoldIsOfItsVersion: a snapshot of an older fold must not be taken for one of
// this. If this fails because the fold or its encoding was changed, raise
// execution.FoldVersion and add what this prints; if only the histories were, replace
// it. A change that shows in none of them is not noticed here.
func TestTheFoldIsOfItsVersion(t *testing.T) {
	files, err := filepath.Glob("../../examples/histories/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	sum := sha256.New()
	types := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		history, _, err := eventjson.Decode(data, eventjson.Options{})
		if err != nil {
			t.Fatal(file, err)
		}
		s := execution.New(order, "run")
		for _, e := range history {
			s.Apply(e)
			s.AddBytes(events.StoredSize(e))
			types[e.EventType.String()] = true
			sum.Write(encode(t, s))
		}
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if want := folded[execution.FoldVersion]; got != want {
		t.Errorf("states of version %d of the fold, of %d types of events, are %s, want %q", execution.FoldVersion, len(types), got, want)
	}
}
