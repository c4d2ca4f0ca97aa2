package testenv

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/internal/scratch"
)

// shared are the servers of this test binary, in the order of their start.
var shared struct {
	mu   sync.Mutex // guards stop
	stop []func() error
}

// atEnd has [Main] call stop after the tests.
func atEnd(stop func() error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.stop = append(shared.stop, stop)
}

// left are goroutines of a server's own that may outlive it: one that is stopped while it takes up or makes a
// stream does not close that stream's files (nats-server 2.15.2), and tests stop servers at any moment.
var left = []goleak.Option{
	goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
	goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
}

// Main runs a package's tests, stops the servers that they started, and exits: with the tests' code, or 1
// if a server did not stop or a goroutine is left. More options for goleak each need a reason beside them.
func Main(m *testing.M, options ...goleak.Option) {
	code := Run(m)
	// A failed test may have left what a passed one would have ended: one complaint is enough.
	if code == 0 {
		if err := goleak.Find(append(options, left...)...); err != nil {
			fmt.Fprintln(os.Stderr, "testenv:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Run is [Main] for packages that start another project's server, which leaves goroutines of
// many sorts: it does not look for them. It gives the code to exit with.
func Run(m *testing.M) int {
	if conf := os.Getenv(processEnv); conf != "" {
		os.Exit(serveProcess(conf))
	}
	waitAtOnce()
	if err := keepTemplates(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	return code
}

// waitAtOnce has four tests that may run beside others do so, unless the command line says how many: they
// wait for servers more than they work.
func waitAtOnce() {
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return
	}
	// Where flags have not been parsed yet, what the command line says comes after this.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err) // there is such a flag
	}
}

// keepTemplates has every PostgreSQL that a test starts, in whatever process, begin with a copy of what
// initdb made for the first one.
func keepTemplates() error {
	if os.Getenv(embedpg.TemplatesEnv) != "" {
		return nil
	}
	folder, err := scratch.New("templates", scratch.Options{Memory: true})
	if err != nil {
		return err
	}
	atEnd(folder.Remove)
	return os.Setenv(embedpg.TemplatesEnv, folder.Path)
}

func stopShared() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var errs []error
	for i := len(shared.stop) - 1; i >= 0; i-- {
		errs = append(errs, shared.stop[i]())
	}
	shared.stop = nil
	return errors.Join(errs...)
}
