package wiring_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// said gives what is logged, as far as somebody waits for it.
type said struct {
	slog.Handler
	records chan string
}

func (s said) Enabled(context.Context, slog.Level) bool { return true }
func (s said) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	select {
	case s.records <- text:
	default:
	}
	return nil
}

// A projector that was told to keep events in another way than the tables do waits for the rebuild, says what is to be
// done, and goes on with the tables that it gets.
func TestAProjectorWaitsForTheModeThatItWants(t *testing.T) {
	for _, migrate := range []bool{true, false} {
		pool, err := pgxpool.New(t.Context(), testenv.Postgres(t, pgtables.Empty))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		log, err := memlog.New(memlog.Config{Streams: 1})
		if err != nil {
			t.Fatal(err)
		}
		appended, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: "w"}, Events: []*events.Event{events.WorkflowStarted("Order", "orders")}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		records, projected := make(chan string, 1), make(chan error, 1)
		go func() {
			projected <- wiring.Project(ctx, log, pool, wiring.ProjectOptions{Migrate: migrate, Events: pgstore.EventsFull, Logger: slog.New(said{slog.DiscardHandler, records})})
		}()
		select {
		case got := <-records:
			if !strings.Contains(got, "waiting for the tables to be rebuilt") || !strings.Contains(got, "annals projection rebuild --events full") {
				t.Errorf("it says %q", got)
			}
		case err := <-projected:
			t.Fatalf("it ended: %v", err)
		}
		full, err := pgstore.New(pool, pgstore.Config{Events: pgstore.EventsFull})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := full.Rebuild(t.Context(), log, postgres.RebuildOptions{Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		more, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: "w"}, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := appended.Vector().Merge(more.Vector())
		if err != nil {
			t.Fatal(err)
		}
		waiting, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		if err := full.WaitFor(waiting, v); err != nil {
			t.Fatal(err)
		}
		var commits int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM annals.commits").Scan(&commits); err != nil || commits != 2 {
			t.Errorf("%d commits, %v", commits, err)
		}
		cancel()
		if err := <-projected; err != nil {
			t.Error(err)
		}
	}
}
