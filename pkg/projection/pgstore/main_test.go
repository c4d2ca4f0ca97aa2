package pgstore_test

import (
	"flag"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
)

// long has the proofs of exactly once and of outages take their time. The properties take as many cases as
// -rapid.checks says, and fewer than rapid's own default where it says nothing.
var long = flag.Bool("proof.long", false, "try more crashes, more often, and stay away for longer")

const (
	briefChecks = "30"
	shortChecks = "8" // where tests are run for something else than what is counted in them
)

func TestMain(m *testing.M) {
	flag.Parse()
	said := *long
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "rapid.checks" })
	if !said {
		checks := briefChecks
		if testing.Short() {
			checks = shortChecks
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err) // there is such a flag
		}
	}
	testenv.Main(m)
}
