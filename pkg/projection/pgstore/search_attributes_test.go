package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// keepRegistry keeps the registry of search attributes until stop is called.
func keepRegistry(t *testing.T, log events.Log, pool *pgxpool.Pool) (stop func() error) {
	t.Helper()
	k, err := projection.NewControlKeeper(log, storeOn(t, pool, pgstore.Config{}).Registry(), projection.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// registrar is one of a projector.
func registrar(log events.Control, name string) *searchattribute.Registrar {
	return searchattribute.NewRegistrar(log, name, quiet)
}

// contested is a log in which workflows in all partitions set attributes, each to
// values of its own type.
func contested(t *testing.T, workflows int) *memlog.Log {
	t.Helper()
	log := newLog(t, 3)
	values := []any{true, 7, 1.5, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), []string{"a", "b"}}
	for i := range workflows {
		attributes := map[string]any{"Contested": values[i%len(values)], fmt.Sprint("Own", i%4): values[i%4]}
		_, err := log.Append(t.Context(), events.Request{
			Workflow: events.Workflow{Namespace: "shop", ID: fmt.Sprint("w", i)},
			Events:   []*events.Event{events.WorkflowStarted("Order", "orders"), events.SearchAttributesUpserted(attributes)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return log
}

// verified fails unless the tables are as the log has them.
func verified(t *testing.T, store *pgstore.Store, log events.Log) pgstore.VerifyReport {
	t.Helper()
	r, err := store.Verify(t.Context(), log, pgstore.VerifyOptions{Wait: patience})
	if err != nil || len(r.Differences) > 0 {
		t.Fatalf("%+v, %v", r.Differences, err)
	}
	return r
}

// Two projectors that meet the same new attributes at once register each once; what
// is projected anew finds the same types, and registers nothing.
func TestTwoProjectorsRegisterTheSameTypes(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), contested(t, 60)
	store := storeOn(t, pool, pgstore.Config{})
	registrars := []*searchattribute.Registrar{registrar(log, "one"), registrar(log, "two")}
	var stops []func() error
	for _, r := range registrars {
		stops = append(stops, start(t, log, storeOn(t, pool, pgstore.Config{}), projection.Config{Attributes: r, BatchCommits: 3}).stop, keepRegistry(t, log, pool))
	}
	waitFor(t, store, ends(t, log))
	r := verified(t, store, log)
	if r.Rows["search_attributes"] != 5 || r.Rows["search_attribute_conflicts"] != 4 {
		t.Errorf("compared were %v", r.Rows)
	}
	for _, stop := range stops {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	if n := registrars[0].Stats().Registered + registrars[1].Stats().Registered; n != 5 {
		t.Errorf("%d registered 5", n)
	}
	first, err := searchattribute.Load(t.Context(), log, 0)
	if err != nil {
		t.Fatal(err)
	}

	empty(t, pool)
	again := registrar(log, "again")
	projector := start(t, log, store, projection.Config{Attributes: again})
	waitFor(t, store, ends(t, log))
	if err := projector.stop(); err != nil {
		t.Error(err)
	}
	second, err := searchattribute.Load(t.Context(), log, 0)
	if err != nil || second.Sequence() != first.Sequence() || again.Stats().Registered != 0 {
		t.Errorf("projected anew it decides %d times more (%v)", second.Sequence()-first.Sequence(), err)
	}
	verified(t, store, log)
}

// A projector that dies between registering and writing its batch leaves an attribute
// that its commit made necessary, and no rows; the next one goes on from there. While
// the control stream cannot be reached, nothing is projected that needs it.
func TestAProjectorDiesBetweenRegisteringAndWriting(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	plain := newLog(t, 1)
	var lost atomic.Int32
	log := plain.Open(memlog.Config{AppendTimeout: 20 * time.Millisecond, Hook: func(op memlog.Op) (bool, error) {
		if strings.HasPrefix(op.Subject, "annals-control.") && lost.Add(1) <= 3 {
			return false, errors.New("lost")
		}
		return true, nil
	}})
	res, err := plain.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "shop", ID: "w"}, Events: []*events.Event{
		events.WorkflowStarted("Order", "orders"), events.SearchAttributesUpserted(map[string]any{"Amount": 7}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	store := storeOn(t, pool, pgstore.Config{})
	died := make(chan struct{}, 1)
	var rows int64
	store.FailAt(func(int) error {
		if r, err := searchattribute.Load(context.Background(), plain, 0); err != nil || r.Sequence() != 1 {
			t.Errorf("before the batch is written: %+v, %v", r, err)
		}
		if err := pool.QueryRow(context.Background(), "SELECT count(*) FROM annals.executions").Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows are there: %v", rows, err)
		}
		select {
		case died <- struct{}{}:
		default:
		}
		return errors.New("killed")
	})
	first := start(t, log, store, projection.Config{Attributes: registrar(log, "first")})
	<-died
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	store.FailAt(nil)
	next := registrar(plain, "next")
	second := start(t, plain, store, projection.Config{Attributes: next})
	waitFor(t, store, ends(t, plain))
	stop := keepRegistry(t, plain, pool)
	verified(t, store, plain)
	if err := errors.Join(second.stop(), stop()); err != nil {
		t.Error(err)
	}
	a, ok := next.Registry().Attribute("shop", "Amount")
	if !ok || a.By != "first" || a.Cause != res.Position || a.Type != searchattribute.Int || next.Stats().Registered != 0 {
		t.Errorf("registered is %+v, and by the second %+v", a, next.Stats())
	}
	if lost.Load() <= 3 {
		t.Errorf("%d decisions were sent", lost.Load())
	}
}

// Every row of the registry that is not as the control stream says is a difference.
func TestVerifyComparesTheRegistry(t *testing.T) {
	t.Parallel()
	pool, log := newTables(t), contested(t, 10)
	store := storeOn(t, pool, pgstore.Config{})
	projector := start(t, log, store, projection.Config{Attributes: registrar(log, "test")})
	waitFor(t, store, ends(t, log))
	stop := keepRegistry(t, log, pool)
	verified(t, store, log)
	if err := errors.Join(projector.stop(), stop()); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	found := func(wait time.Duration) []string {
		t.Helper()
		r, err := store.Verify(t.Context(), log, pgstore.VerifyOptions{Wait: wait})
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, d := range r.Differences {
			where, _, _ := strings.Cut(d.Where, ":")
			out = append(out, d.Kind+": "+where)
		}
		return out
	}
	check := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, found(-1)); diff != "" {
			t.Errorf("differences (-want +got):\n%s", diff)
		}
	}
	exec(`UPDATE annals.search_attributes SET type = 'Text' WHERE name = 'Own0'`)
	exec(`DELETE FROM annals.search_attributes WHERE name = 'Own1'`)
	exec(`INSERT INTO annals.search_attributes VALUES ('shop', 'Extra', 'Text', 1, now(), 'x')`)
	exec(`UPDATE annals.search_attribute_conflicts SET cause_sequence = 99, noted_by = 'x' WHERE found = (SELECT min(found) FROM annals.search_attribute_conflicts)`)
	conflict := found(-1)[3]
	if !strings.HasPrefix(conflict, "wrong column: annals.search_attribute_conflicts namespace shop name Contested sort type found ") {
		t.Errorf("of the conflict: %s", conflict)
	}
	check("extra row: annals.search_attributes namespace shop name Extra", "wrong column: annals.search_attributes namespace shop name Own0 column type",
		"missing row: annals.search_attributes namespace shop name Own1", conflict, strings.Replace(conflict, "noted_by", "cause_sequence", 1))
	exec(`UPDATE annals.control_checkpoint SET commit_id = 'another'`)
	check("wrong checkpoint: control stream")
	exec(`UPDATE annals.control_checkpoint SET log_epoch = 9`)
	check("wrong checkpoint: control stream")
	exec(`DELETE FROM annals.control_checkpoint; DELETE FROM annals.search_attributes; DELETE FROM annals.search_attribute_conflicts`)
	check("lag: control stream")
	stop = keepRegistry(t, log, pool)
	verified(t, store, log)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
