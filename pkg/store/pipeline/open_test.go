package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/pipeline"
)

func newLog(t *testing.T) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func open(t *testing.T, c pipeline.Config) *pipeline.Store {
	t.Helper()
	s, err := pipeline.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestOpen(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	url, _ := tables(t, log)
	s := open(t, pipeline.Config{Log: log, DatabaseURL: url, Pool: postgres.PoolConfig{MaxConns: 2, AcquireTimeout: time.Minute}})
	w := events.Workflow{Namespace: "n", ID: "w"}
	res, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: w, Type: "T"})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Query(t.Context(), store.Query{Namespace: "n"})
	if err != nil || len(list) != 1 || list[0].RunID != res.RunID {
		t.Errorf("listed %+v: %v", list, err)
	}
	s.Close()
	if _, err := s.Query(t.Context(), store.Query{Namespace: "n"}); err == nil {
		t.Error("a closed store answers")
	}
	if _, err := s.LoadExecution(t.Context(), w, ""); err != nil {
		t.Errorf("the log is the caller's: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	url := testenv.Postgres(t, pgtables.Empty)
	for _, tt := range []struct {
		field  string
		config pipeline.Config
	}{
		{"log", pipeline.Config{DatabaseURL: url}},
		{"databaseUrl", pipeline.Config{Log: log}},
		{"wait", pipeline.Config{Log: log, DatabaseURL: url, Wait: -1}},
		{"pool.maxConns", pipeline.Config{Log: log, DatabaseURL: url, Pool: postgres.PoolConfig{MaxConns: -1}}},
		{"pool.minConns", pipeline.Config{Log: log, DatabaseURL: url, Pool: postgres.PoolConfig{MinConns: -1}}},
		{"pool.maxConnLifetime", pipeline.Config{Log: log, DatabaseURL: url, Pool: postgres.PoolConfig{MaxConnLifetime: -1}}},
		{"pool.maxConnIdleTime", pipeline.Config{Log: log, DatabaseURL: url, Pool: postgres.PoolConfig{MaxConnIdleTime: -1}}},
		{"pool.acquireTimeout", pipeline.Config{Log: log, DatabaseURL: url, Pool: postgres.PoolConfig{AcquireTimeout: -1}}},
	} {
		s, err := pipeline.Open(t.Context(), tt.config)
		var e *events.InvalidError
		if !errors.As(err, &e) || e.Field != tt.field || s != nil {
			t.Errorf("got %v, %v; want what is wrong with %s", s, err, tt.field)
		}
	}
	if _, err := pipeline.New(t.Context(), nil, pipeline.Config{Log: log}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("without tables: %v", err)
	}
	if _, err := pipeline.Open(t.Context(), pipeline.Config{Log: log, DatabaseURL: testenv.Postgres(t)}); !errors.Is(err, projection.ErrVersion) {
		t.Errorf("on an empty database: %v", err)
	}
	var connect *pgconn.ConnectError
	if _, err := pipeline.Open(t.Context(), pipeline.Config{Log: log, DatabaseURL: "postgres://localhost:1/none?connect_timeout=5"}); !errors.As(err, &connect) {
		t.Errorf("without a server: %v", err)
	}
}

// TestOpenAnothersTables: positions in one log mean nothing in another.
func TestOpenAnothersTables(t *testing.T) {
	t.Parallel()
	one, another := newLog(t), newLog(t)
	url := testenv.Postgres(t, pgtables.Empty)
	pool, err := postgres.OpenPool(t.Context(), url, postgres.PoolConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	tables, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	open(t, pipeline.Config{Log: another, DatabaseURL: url}) // no projector has begun
	if _, err := tables.Checkpoint(t.Context(), one.Identity(), 0); err != nil {
		t.Fatal(err)
	}
	open(t, pipeline.Config{Log: one, DatabaseURL: url})
	_, err = pipeline.Open(t.Context(), pipeline.Config{Log: another, DatabaseURL: url})
	var wrong *events.WrongLogError
	if !errors.As(err, &wrong) || wrong.Want != one.Identity().LogID || wrong.Got != another.Identity().LogID {
		t.Errorf("another's tables: %v", err)
	}
}

// behindAfter is how long a query waits for what does not come: longer than it takes
// to ask how far the tables are, on a machine that is busy with other tests.
const behindAfter = 1200 * time.Millisecond

// TestBehind: without a projector what was written is in no answer, and the
// query says so instead of leaving it out.
func TestBehind(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	url := testenv.Postgres(t, pgtables.Empty)
	s := open(t, pipeline.Config{Log: log, DatabaseURL: url, Wait: behindAfter})
	if list, err := s.Query(t.Context(), store.Query{Namespace: "n"}); err != nil || list != nil {
		t.Errorf("with nothing to wait for: %v, %v", list, err)
	}
	res, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: events.Workflow{Namespace: "n", ID: "w"}, Type: "T"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Query(t.Context(), store.Query{Namespace: "n"})
	var behind *store.BehindError
	if !errors.Is(err, store.ErrBehind) || !errors.Is(err, projection.ErrBehind) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &behind) {
		t.Fatalf("without a projector: %v", err)
	}
	if len(behind.Behind) != 1 || behind.Behind[0] != (store.Behind{Wanted: res.Position}) {
		t.Errorf("behind: %+v", behind)
	}
	// What a handle found written is waited for as what it wrote.
	w := events.Workflow{Namespace: "n", ID: "w"}
	writes := map[string]func(s store.Store) (events.Result, error){
		"save": func(s store.Store) (events.Result, error) {
			return s.SaveExecution(t.Context(), store.NewExecution{Workflow: events.Workflow{Namespace: "n", ID: "another"}, Type: "T", CommitID: "save"})
		},
		"append": func(s store.Store) (events.Result, error) {
			return s.AppendEvents(t.Context(), events.Request{Workflow: w, Expect: events.AtEnd(), CommitID: "append", Events: []*events.Event{events.Signaled("s")}})
		},
		"update": func(s store.Store) (events.Result, error) {
			return s.UpdateState(t.Context(), store.StateUpdate{Workflow: w, To: enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, CommitID: "update"})
		},
		"continue": func(s store.Store) (events.Result, error) {
			return s.UpdateState(t.Context(), store.StateUpdate{Workflow: w, To: enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, CommitID: "continue"})
		},
	}
	for _, name := range []string{"save", "append", "update", "continue"} {
		for i := range 2 {
			s := open(t, pipeline.Config{Log: log, DatabaseURL: url, Wait: behindAfter})
			res, err := writes[name](s)
			if err != nil || res.Existed != (i > 0) {
				t.Fatalf("%s: %+v, %v", name, res, err)
			}
			if _, err := s.Query(t.Context(), store.Query{Namespace: "n"}); !errors.As(err, &behind) || behind.Behind[0].Wanted != res.Position {
				t.Errorf("%s, time %d: %v", name, i+1, err)
			}
		}
	}
	// Another handle that wrote nothing has nothing to wait for.
	if list, err := open(t, pipeline.Config{Log: log, DatabaseURL: url}).Query(t.Context(), store.Query{Namespace: "n"}); err != nil || list != nil {
		t.Errorf("of another handle: %v, %v", list, err)
	}
}

// TestSilentTables: tables that do not answer are behind as far as anybody can
// tell; a caller who gives up first gets his own error.
func TestSilentTables(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	pool, err := postgres.OpenPool(t.Context(), testenv.Postgres(t, pgtables.Empty), postgres.PoolConfig{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	tables, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pipeline.New(t.Context(), tables, pipeline.Config{Log: log, Wait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: events.Workflow{Namespace: "n", ID: "w"}, Type: "T"}); err != nil {
		t.Fatal(err)
	}
	held, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	var behind *store.BehindError
	if _, err := s.Query(t.Context(), store.Query{Namespace: "n"}); !errors.Is(err, store.ErrBehind) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &behind) || behind.Behind != nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("a query: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Query(ctx, store.Query{Namespace: "n"}); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrBehind) {
		t.Errorf("a query that was canceled: %v", err)
	}
}

// TestExhaustedPool: a query that finds no connection says so in time, and
// writing goes on.
func TestExhaustedPool(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	url := testenv.Postgres(t, pgtables.Empty)
	pool, err := postgres.OpenPool(t.Context(), url, postgres.PoolConfig{MaxConns: 1, AcquireTimeout: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	// Connecting may take longer than the limit; it goes on behind it.
	for {
		if err := pool.Ping(t.Context()); err == nil {
			break
		} else if !errors.Is(err, postgres.ErrAcquireTimeout) {
			t.Fatal(err)
		}
	}
	tables, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pipeline.New(t.Context(), tables, pipeline.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	held, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	var timeout *postgres.AcquireTimeoutError
	if _, err := s.Query(t.Context(), store.Query{Namespace: "n"}); !errors.Is(err, postgres.ErrAcquireTimeout) || !errors.As(err, &timeout) {
		t.Errorf("a query: %v", err)
	}
	if _, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: events.Workflow{Namespace: "n", ID: "w"}, Type: "T"}); err != nil {
		t.Errorf("a write: %v", err)
	}
	if _, err := s.Query(t.Context(), store.Query{Namespace: "n"}); !errors.Is(err, postgres.ErrAcquireTimeout) || errors.Is(err, store.ErrBehind) {
		t.Errorf("a query that waits for the write: %v", err)
	}
}
