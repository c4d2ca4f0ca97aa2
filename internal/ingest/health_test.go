package ingest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// onlyUnready holds that of all conditions exactly one does not hold, and says
// why, and that each alone says the same.
func (i *instance) onlyUnready(t *testing.T, name string) {
	t.Helper()
	states := i.ready(t, "/readyz", http.StatusServiceUnavailable)
	for _, want := range []string{"accepting", "log", "tables"} {
		state, there := states[want]
		if !there || state.OK != (want != name) || (state.Reason == "") != state.OK {
			t.Errorf("%s: %+v", want, state)
		}
		status := http.StatusOK
		if want == name {
			status = http.StatusServiceUnavailable
		}
		if alone := i.ready(t, "/readyz/"+want, status); len(alone) != 1 || alone[want].OK != state.OK {
			t.Errorf("/readyz/%s: %+v", want, alone)
		}
	}
}

// TestReadiness takes away what each condition is about, and that alone.
func TestReadiness(t *testing.T) {
	t.Parallel()
	t.Run("the NATS server is killed", func(t *testing.T) {
		t.Parallel()
		server := testenv.NATSProcess(t, "")
		nc := testenv.Connect(t, server.URL())
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 1}); err != nil {
			t.Fatal(err)
		}
		service := serve(t, ingest.Config{Log: openNATS(t, nc)})
		service.ready(t, "/readyz", http.StatusOK)
		server.Kill()
		service.onlyUnready(t, "log") // though the question about it takes all of its time

		server.Restart()
		until := time.Now().Add(time.Minute)
		for service.get(t, "/readyz").status != http.StatusOK {
			if time.Now().After(until) {
				t.Fatal("it is back, and not ready")
			}
		}
	})
	t.Run("the log is not open yet", func(t *testing.T) {
		t.Parallel()
		log := wiring.NewPendingLog()
		service := serve(t, ingest.Config{Log: log})
		service.onlyUnready(t, "log")
		if e := service.post(t, "QueryService/CountExecutions", `{"waitFor": "now"}`).fault(t, nil); e.Code != "unavailable" || !strings.Contains(e.Message, "not open yet") {
			t.Errorf("a query that waits for the log: %s, %s", e.Code, e.Message)
		}
		service.post(t, "QueryService/CountExecutions", `{}`).ok(t)
		log.Open(newMemlog(t, memlog.Config{}))
		service.ready(t, "/readyz", http.StatusOK)
		service.post(t, "QueryService/CountExecutions", `{"waitFor": "now"}`).ok(t)
	})
	t.Run("Postgres is away", func(t *testing.T) {
		t.Parallel()
		config := newPool(t).Config()
		config.ConnConfig.Host = "/nowhere"
		serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), Tables: newTables(t, poolOf(t, config))}).onlyUnready(t, "tables")
	})
	t.Run("the tables are not there", func(t *testing.T) {
		t.Parallel()
		pool := newPool(t)
		if _, err := pool.Exec(t.Context(), "DROP SCHEMA annals CASCADE"); err != nil {
			t.Fatal(err)
		}
		serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), Tables: newTables(t, pool)}).onlyUnready(t, "tables")
	})
	t.Run("it drains", func(t *testing.T) {
		t.Parallel()
		service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), DrainDelay: 3 * time.Second})
		service.ready(t, "/readyz", http.StatusOK)
		done := make(chan struct{})
		go func() {
			defer close(done)
			service.stop()
		}()
		for service.get(t, "/readyz/accepting").status == http.StatusOK {
		}
		service.onlyUnready(t, "accepting")
		<-done
	})
}
