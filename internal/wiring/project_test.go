package wiring_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// A projection keeps heartbeats beside the rows of commits; and where heartbeats
// can be kept no more, commits are projected all the same, and the end says so.
func TestProjectKeepsHeartbeatsAndGoesOnWithoutThem(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	log, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := events.Workflow{Namespace: "default", ID: "w"}
	count := func(table string, want int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for n := -1; n != want; {
			// Until the tables are there, there are none.
			if err := pool.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil && ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	said := make(lines, 100)
	run := func(log events.Log) (stop func() error) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- wiring.Project(ctx, log, pool, wiring.ProjectOptions{Migrate: true, Logger: slog.New(slog.NewTextHandler(said, nil))})
		}()
		return func() error { cancel(); return <-done }
	}
	stop := run(log)
	if _, err := log.Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("T", "q")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := log.RecordHeartbeat(t.Context(), events.Heartbeat{Activity: events.Activity{Workflow: w, RunID: "r", ID: "a"}, Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	count("annals.events", 1)
	count("annals.activity_heartbeats", 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	stop = run(deaf{log})
	if _, err := log.Append(t.Context(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}}); err != nil {
		t.Fatal(err)
	}
	count("annals.events", 2)
	for line := range said {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, "keeping heartbeats has stopped") {
			break
		}
	}
	if err := stop(); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("at the end: %v", err)
	}
}

// lines are what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// deaf is a log whose stream of heartbeats turns out to be another's.
type deaf struct{ events.Log }

var errDeaf = &events.WrongLogError{What: "stream ANNALS_HEARTBEATS", Want: "this log's", Got: "another's"}

func (deaf) FollowHeartbeats(context.Context, uint64) iter.Seq2[events.StoredHeartbeat, error] {
	return func(yield func(events.StoredHeartbeat, error) bool) { yield(events.StoredHeartbeat{}, errDeaf) }
}

func (deaf) HeartbeatBounds(context.Context) (events.Bounds, error) { return events.Bounds{}, errDeaf }
