package temporal

import (
	"flag"
	"os"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
)

func TestMain(m *testing.M) {
	// Scenarios wait for the server, not for a processor: all at once take as long as
	// the longest.
	flag.Parse()
	if err := flag.Set("test.parallel", "64"); err != nil {
		panic(err)
	}
	code := testenv.Run(m)
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}
