package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/pipeline"
	"github.com/annals-io/annals/pkg/store/storetest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var errLost = errors.New("lost")

// tables are a database that a projector keeps up to date with a log until the
// test's end.
func tables(t testing.TB, source events.Source) (url string, store *pgstore.Store) {
	t.Helper()
	url = testenv.Postgres(t, pgtables.Empty)
	pool, err := postgres.OpenPool(t.Context(), url, postgres.PoolConfig{MaxConns: 24})
	if err != nil {
		t.Fatal(err)
	}
	store, err = pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	projector, err := projection.New(source, store, projection.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the projector: %v", err)
		}
		pool.Close()
	})
	return url, store
}

func on(t testing.TB, log events.Log, tables *pgstore.Store, o storetest.Options) store.Store {
	t.Helper()
	s, err := pipeline.New(context.Background(), tables, pipeline.Config{Log: log, Wait: o.Wait})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// memHarness is the suite's harness on the log in memory and the tables, where
// faults can be had.
func memHarness(t testing.TB, streams int) storetest.Harness {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	_, tables := tables(t, log)
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
			return on(t, log.Open(c), tables, o)
		},
		Features: storetest.Features{Faults: true},
	}
}

// natsHarness is the suite's harness on JetStream and the tables.
func natsHarness(t testing.TB, nc *nats.Conn, o natslog.CreateOptions) storetest.Harness {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, o); err != nil {
		t.Fatal(err)
	}
	open := func(o storetest.Options) *natslog.Log {
		log, err := natslog.Open(context.Background(), js, natslog.Config{Limits: o.Limits, LookBack: o.LookBack})
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	_, tables := tables(t, open(storetest.Options{}))
	return storetest.Harness{
		Open: func(t testing.TB, o storetest.Options) store.Store {
			t.Helper()
			return on(t, open(o), tables, o)
		},
		Short: true,
	}
}

func TestStoreOnJetStream(t *testing.T) {
	t.Parallel()
	storetest.Run(t, natsHarness(t, testenv.NATS(t), natslog.CreateOptions{Streams: 4}))
}

func TestStoreOnThreeReplicas(t *testing.T) {
	t.Parallel()
	storetest.Run(t, natsHarness(t, testenv.NATSCluster(t), natslog.CreateOptions{Streams: 2, Replicas: 3}))
}

func TestStoreOnJetStreamReopenedBetweenSteps(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Reopened(natsHarness(t, testenv.NATS(t), natslog.CreateOptions{Streams: 2})))
}

func TestStoreOnTheLogInMemory(t *testing.T) {
	t.Parallel()
	h := memHarness(t, 3)
	h.Short = true
	storetest.Run(t, h)
}
