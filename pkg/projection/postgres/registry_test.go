package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// patience ends what should never take as long.
const patience = time.Minute

var quiet = slog.New(slog.DiscardHandler)

// newRegistryPool is a pool on a database of the test's own with the bookkeeping.
func newRegistryPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := newPool(t)
	if err := openNotes(t, pool, notes).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return pool
}

func newControlLog(t *testing.T) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func register(t *testing.T, log events.Control, name string, kind searchattribute.Type) {
	t.Helper()
	if _, _, err := searchattribute.NewRegistrar(log, "test", quiet).Register(t.Context(), "shop", name, kind); err != nil {
		t.Fatal(err)
	}
}

// keep runs a keeper until stop is called, which gives what Run did.
func keep(t *testing.T, log projection.ControlSource, target projection.ControlTarget) (k *projection.ControlKeeper, stop func() error) {
	t.Helper()
	k, err := projection.NewControlKeeper(log, target, projection.Config{MaxBackoff: 50 * time.Millisecond, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	return k, func() error { cancel(); return <-done }
}

// reached waits until the tables have come to the end of the control stream.
func reached(t *testing.T, pool *pgxpool.Pool, log projection.ControlSource) {
	t.Helper()
	b, err := log.DecisionBounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, func(ctx context.Context) bool {
		c, there, err := postgres.ReadControlCheckpoint(ctx, pool)
		if err != nil {
			t.Fatal(err)
		}
		return there && c.Sequence == b.Last && c.LogID == log.Identity().LogID
	})
}

// until asks until it is so.
func until(t *testing.T, is func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !is(ctx) {
		if ctx.Err() != nil {
			t.Fatal("it never was so")
		}
	}
}

// equalsTheStream fails unless the tables are what the control stream says.
func equalsTheStream(t *testing.T, pool *pgxpool.Pool, log events.Control) {
	t.Helper()
	r, err := searchattribute.Load(t.Context(), log, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := postgres.ReadRegistry(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	want := projection.RegistryRows{Attributes: slices.Collect(r.Attributes("")), Conflicts: slices.Collect(r.Conflicts(""))}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the registry (-control stream +tables):\n%s", diff)
	}
}

// Two keepers on the same tables, one of which has every second write fail, half of
// them though they were committed: each decision is in the tables once.
func TestTheRegistryIsKeptExactlyOnce(t *testing.T) {
	t.Parallel()
	pool, log := newRegistryPool(t), newControlLog(t)
	register(t, log, "Before", searchattribute.Bool)
	failing := postgres.NewRegistry(pool, postgres.RegistryConfig{})
	var n atomic.Int32
	var failures [2]atomic.Int32
	failing.Fail(func(committed bool) error {
		i := n.Add(1)
		if committed == (i%4 < 2) {
			failures[map[bool]int{true: 1}[committed]].Add(1)
			return errors.New("the connection broke")
		}
		return nil
	})
	_, stopFailing := keep(t, log, failing)
	for i := range 10 {
		register(t, log, fmt.Sprint("A", i), searchattribute.Keyword)
		reached(t, pool, log)
	}
	_, stop := keep(t, log, postgres.NewRegistry(pool, postgres.RegistryConfig{}))
	r := searchattribute.NewRegistrar(log, "projector", quiet)
	for i := range 10 {
		register(t, log, fmt.Sprint("B", i), searchattribute.Int)
		e := events.SearchAttributesUpserted(map[string]any{fmt.Sprint("B", i): "no number"})
		if err := r.Meet(t.Context(), events.Workflow{Namespace: "shop", ID: "w"}, events.Position{Sequence: uint64(i + 1)}, e); err != nil {
			t.Fatal(err)
		}
	}
	log.PutDecision("annals-control.of.nobody", nil, nil)
	reached(t, pool, log)
	equalsTheStream(t, pool, log)
	if err := errors.Join(stop(), stopFailing()); err != nil {
		t.Error(err)
	}
	if failures[0].Load() == 0 || failures[1].Load() == 0 {
		t.Errorf("%d writes failed before they were committed, %d after", failures[0].Load(), failures[1].Load())
	}
	// One that begins again finds everything.
	_, stop = keep(t, log, postgres.NewRegistry(pool, postgres.RegistryConfig{}))
	register(t, log, "Last", searchattribute.Text)
	reached(t, pool, log)
	equalsTheStream(t, pool, log)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Tables of another log are emptied and filled anew, but not while a projection
// still shows what came from that log.
func TestTheRegistryOfAnotherLog(t *testing.T) {
	t.Parallel()
	pool, old, log := newRegistryPool(t), newControlLog(t), newControlLog(t)
	register(t, old, "Old", searchattribute.Bool)
	register(t, log, "New", searchattribute.Text)
	_, stop := keep(t, old, postgres.NewRegistry(pool, postgres.RegistryConfig{}))
	reached(t, pool, old)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := openNotes(t, pool, notes).Checkpoint(t.Context(), old.Identity(), 0); err != nil {
		t.Fatal(err)
	}
	k, stop := keep(t, log, postgres.NewRegistry(pool, postgres.RegistryConfig{}))
	until(t, func(context.Context) bool { return errors.Is(k.Status().Err, projection.ErrWrongCheckpoint) })
	if phase := k.Status().Phase; phase != projection.PhaseWaiting {
		t.Errorf("it is %s", phase)
	}
	equalsTheStream(t, pool, old)
	exec(t, pool, `UPDATE annals.checkpoints SET log_id = $1`, log.Identity().LogID) // as a rebuild does
	reached(t, pool, log)
	equalsTheStream(t, pool, log)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// What the control stream has lost stays in the tables, and is said.
func TestTheRegistryOfAControlStreamThatWasCutShort(t *testing.T) {
	t.Parallel()
	pool, log := newRegistryPool(t), newControlLog(t)
	register(t, log, "A", searchattribute.Bool)
	register(t, log, "B", searchattribute.Bool)
	_, stop := keep(t, log, postgres.NewRegistry(pool, postgres.RegistryConfig{}))
	reached(t, pool, log)
	if err := stop(); err != nil {
		t.Error(err)
	}
	before, err := postgres.ReadRegistry(t.Context(), pool)
	if err != nil || len(before.Attributes) != 2 {
		t.Fatalf("%+v, %v", before, err)
	}
	log.TruncateDecisions(1)
	for _, then := range []func(){func() {}, func() { register(t, log, "C", searchattribute.Bool) }} {
		then()
		k, err := projection.NewControlKeeper(log, postgres.NewRegistry(pool, postgres.RegistryConfig{}), projection.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := k.Run(ctx); !errors.Is(err, projection.ErrWrongCheckpoint) || k.Status().Phase != projection.PhaseStopped {
			t.Errorf("it ended with %v, %s", err, k.Status().Phase)
		}
		cancel()
		after, err := postgres.ReadRegistry(t.Context(), pool)
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("%v (-before +after):\n%s", err, diff)
		}
	}
	// Who has seen to that has the tables made anew.
	exec(t, pool, `DELETE FROM annals.control_checkpoint`)
	_, stop = keep(t, log, postgres.NewRegistry(pool, postgres.RegistryConfig{}))
	reached(t, pool, log)
	equalsTheStream(t, pool, log)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
