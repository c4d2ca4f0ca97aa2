package memstore_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/memstore"
	"github.com/annals-io/annals/pkg/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLost = errors.New("lost")

// harness is the suite's harness on a store in memory.
func harness(t testing.TB, c memlog.Config) storetest.Harness {
	t.Helper()
	log, err := memlog.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return storetest.Harness{
		Open: func(t testing.TB, o storetest.Options) store.Store {
			t.Helper()
			c := memlog.Config{Limits: o.Limits, LookBack: o.LookBack}
			if o.Fault != nil {
				c.Hook = func(op memlog.Op) (bool, error) {
					switch o.Fault(op.CommitID) {
					case eventstest.LoseMessage:
						return false, errLost
					case eventstest.LoseAck:
						return true, errLost
					default:
						return true, nil
					}
				}
			}
			s, err := memstore.New(memstore.Config{Log: log.Open(c), Wait: o.Wait})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Features: storetest.Features{Faults: true},
	}
}

func TestStore(t *testing.T) {
	for name, c := range map[string]memlog.Config{"default": {}, "one stream": {Streams: 1}} {
		t.Run(name, func(t *testing.T) { storetest.Run(t, harness(t, c)) })
	}
}

func TestStoreReopenedBetweenSteps(t *testing.T) {
	storetest.Run(t, storetest.Reopened(harness(t, memlog.Config{Streams: 3})))
}
