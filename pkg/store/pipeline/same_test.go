package pipeline_test

import (
	"flag"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/memstore"
	"github.com/annals-io/annals/pkg/store/storetest"
)

// checks has rapid run n times unless it is told otherwise.
func checks(t *testing.T, n string) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
}

func inMemory(t testing.TB, streams int) storetest.Harness {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	return storetest.Harness{Open: func(t testing.TB, o storetest.Options) store.Store {
		t.Helper()
		s, err := memstore.New(memstore.Config{Log: log.Open(memlog.Config{}), Wait: o.Wait})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

// TestSameAsInMemory: whatever is asked, the store in memory answers as the one
// on the pipeline does.
func TestSameAsInMemory(t *testing.T) {
	checks(t, "60")
	storetest.Same(t, inMemory(t, 2), memHarness(t, 2))
}

// TestSameOnJetStream is the same with the log that users have.
func TestSameOnJetStream(t *testing.T) {
	checks(t, "25")
	storetest.Same(t, inMemory(t, 2), natsHarness(t, testenv.NATS(t), natslog.CreateOptions{Streams: 2}))
}
