package workerjs

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// faulty is the API in front of a log in memory, where answers get lost: those
// of the log on their way to the API, or those of the API on their way to the
// worker.
type faulty struct {
	log     *memlog.Log
	url     string
	stored  bool         // whether what the log does not answer was stored
	logLost atomic.Bool  // the log's answers
	appends atomic.Int64 // by the API
	unknown atomic.Int64 // appends that the API could not tell the outcome of
	cut     atomic.Int64 // appends that the worker heard no answer to

	// before, if there is one, is called with each call of the worker, e.g.
	// "Append", before the API gets it. It may change the request, or answer it
	// itself and say so.
	before atomic.Pointer[func(call string, w http.ResponseWriter, r *http.Request) (answered bool)]
}

// serveFaulty serves it until the test's end. Each may say, by the number of the
// append, whether the log's answers are lost from there until the API has said
// that it does not know, and whether the API's answer is lost.
func serveFaulty(t *testing.T, stored bool, logLost, answerLost func(n int64) bool) *faulty {
	t.Helper()
	f := &faulty{stored: stored}
	var err error
	f.log, err = memlog.New(memlog.Config{Streams: 2, Hook: func(memlog.Op) (bool, error) {
		if f.logLost.Load() {
			return f.stored, errors.New("the answer was lost")
		}
		return true, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t, pgtables.Empty))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	tables, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	projector, err := projection.New(f.log, tables, projection.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	api, err := ingest.New(ingest.Config{Log: f.log, Tables: tables, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := f.before.Load(); before != nil && (*before)(path.Base(r.URL.Path), w, r) {
			return
		}
		if !strings.HasSuffix(r.URL.Path, "/Append") {
			api.ServeHTTP(w, r)
			return
		}
		n := f.appends.Add(1)
		if logLost(n) {
			f.logLost.Store(true)
		}
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r)
		if answer.Code == http.StatusServiceUnavailable && strings.Contains(answer.Body.String(), "OutcomeUnknown") {
			f.unknown.Add(1)
			f.logLost.Store(false)
		}
		if answerLost(n) {
			f.cut.Add(1)
			panic(http.ErrAbortHandler) // the connection ends in the middle
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func never(int64) bool { return false }

// check holds that the history is the one of a worker that nothing happened to:
// three workflow tasks, two activities, nothing twice.
func (f *faulty) check(t *testing.T, w *worker) {
	t.Helper()
	w.await("completed with")
	if code := w.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	evs := history(t, f.log, "s-1")
	if n := scheduled(evs); len(evs) != 17 || n["charge"] != 1 || n["pack"] != 1 {
		t.Errorf("%d events, activities scheduled: %v; want 17, each once", len(evs), n)
	}
}

// The answer to every second append is lost on its way: the worker sends the
// same again, and it is there already.
func TestWorkerSettlesLostAnswers(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, func(n int64) bool { return n%2 == 1 })
	w := start(t, f.url, "s-1", "PARCEL_MS=1")
	w.await("had been started") // the first append was stored, and not answered
	f.check(t, w)
	if f.cut.Load() < 5 {
		t.Errorf("only %d answers were lost: this shows little", f.cut.Load())
	}
}

// The service does not know whether an append was stored, and says so: the worker
// sends it again with the expectation, and it is stored once, whatever happened.
func TestWorkerSettlesUnknownOutcomes(t *testing.T) {
	t.Parallel()
	node(t)
	for name, stored := range map[string]bool{"stored": true, "not stored": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveFaulty(t, stored, func(n int64) bool { return n == 1 || n == 4 }, never)
			w := start(t, f.url, "s-1", "PARCEL_MS=1", "ANNALS_TIMEOUT_MS=1000")
			f.check(t, w)
			if f.unknown.Load() != 2 {
				t.Errorf("%d outcomes were unknown, want 2", f.unknown.Load())
			}
		})
	}
}
