package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// payments counts the custom events of each workflow.
var payments = postgres.Definition{
	Name: "payments", Version: 1, Schema: "shop", Views: []string{"payments"},
	Tables: `CREATE TABLE payments (workflow_id text PRIMARY KEY, paid bigint NOT NULL CHECK (paid < 5))`,
}

func countPayments(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	for _, c := range commits {
		for _, s := range c.Segments {
			for _, e := range s.Events {
				if e.GetMarkerRecordedEventAttributes().GetMarkerName() != "Paid" {
					continue
				}
				_, err := tx.Exec(ctx, `INSERT INTO payments AS p VALUES ($1, 1) ON CONFLICT (workflow_id) DO UPDATE SET paid = p.paid + 1`, c.Workflow.ID)
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// paid is a log in which workflow w0 paid once, w1 twice, and so on.
func paid(t *testing.T, workflows int) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range workflows {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprint("w", i)}
		es := []*events.Event{events.WorkflowStarted("Order", "orders", i)}
		for range i + 1 {
			es = append(es, events.Custom("Paid", i))
		}
		if _, err := log.Append(t.Context(), events.Request{Workflow: w, Events: es}); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

// project runs a projector until the checkpoint has reached the log's end, or
// the projector has ended.
func project(t *testing.T, log *memlog.Log, p *postgres.Projection, h postgres.Handler) error {
	t.Helper()
	target, err := postgres.NewTarget(p, h, postgres.TargetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return projectOn(t, log, p, target)
}

// projectOn is project by a target.
func projectOn(t *testing.T, log *memlog.Log, p *postgres.Projection, target projection.Target) error {
	t.Helper()
	projector, err := projection.New(log, target, projection.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	end, err := log.Bounds(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		default:
		}
		cs, err := p.Checkpoints(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(cs) == 1 && cs[0].Sequence == end.Last {
			cancel()
			return <-ended
		}
	}
}

func rowsOf(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT workflow_id || ' ' || paid FROM shop.payments ORDER BY workflow_id`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, ", ")
}

func TestAHandlersRows(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, payments)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := project(t, paid(t, 3), p, postgres.HandlerFunc(countPayments)); err != nil {
		t.Fatal(err)
	}
	if got, want := rowsOf(t, pool), "w0 1, w1 2, w2 3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// An error of the network's kind is tried again, and counts nothing twice.
func TestAHandlerIsCalledAgain(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, payments)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	failures := 2
	err := project(t, paid(t, 2), p, postgres.HandlerFunc(func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
		err := countPayments(ctx, tx, commits)
		if failures--; failures >= 0 && err == nil {
			err = errors.New("the weather")
		}
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rowsOf(t, pool), "w0 1, w1 2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// spoilt is what a handler does that cannot take the workflow w1's second
// payment; nil once it is mended.
type spoilt struct {
	broken atomic.Pointer[func(context.Context, pgx.Tx, projection.Commit) error]
}

func (s *spoilt) Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	if broken := s.broken.Load(); broken != nil {
		for _, c := range commits {
			if c.Workflow.ID == "w1" {
				return (*broken)(ctx, tx, c)
			}
		}
	}
	return countPayments(ctx, tx, commits)
}

func (*spoilt) Forget(ctx context.Context, tx pgx.Tx, w events.Workflow) error {
	_, err := tx.Exec(ctx, `DELETE FROM payments WHERE workflow_id = $1`, w.ID)
	return err
}

// Whatever way a handler says that a commit cannot become rows, that workflow
// waits alone, the reason is on record, and once the handler is mended the
// workflow is healed.
func TestWhatAHandlerCannotApplyWaitsAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		broken func(context.Context, pgx.Tx, projection.Commit) error
		reason string
	}{
		{"it panics", func(context.Context, pgx.Tx, projection.Commit) error { panic("no change left") }, "the handler panicked: no change left\n"},
		{"it panics with the place", func(context.Context, pgx.Tx, projection.Commit) error { panic("?") }, "handler_test.go"},
		{"it refuses", func(_ context.Context, _ pgx.Tx, c projection.Commit) error {
			return postgres.Refuse(c, errors.New("closed on Fridays"))
		}, "closed on Fridays"},
		{"a constraint refuses", func(ctx context.Context, tx pgx.Tx, _ projection.Commit) error {
			_, err := tx.Exec(ctx, `INSERT INTO payments VALUES ('w1', 5)`)
			return err
		}, "payments_paid_check"},
		{"it refuses a commit that it was not given", func(_ context.Context, _ pgx.Tx, c projection.Commit) error {
			return &projection.CannotApplyError{Position: events.Position{Sequence: c.Position.Sequence + 1000}, Cause: errors.New("some other one")}
		}, "some other one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool, h := newPool(t), &spoilt{}
			p := openNotes(t, pool, payments)
			if err := p.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.broken.Store(&tt.broken)
			log, w := paid(t, 4), events.Workflow{Namespace: "default", ID: "w1"}
			if err := project(t, log, p, h); err != nil {
				t.Fatal(err)
			}
			if got, want := rowsOf(t, pool), "w0 1, w2 3, w3 4"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			page, err := p.Quarantined(t.Context(), postgres.QuarantineQuery{})
			if err != nil || len(page.Entries) != 1 || page.Entries[0].Workflow != w || page.Entries[0].Kind != projection.KindRefused || !strings.Contains(page.Entries[0].Reason, tt.reason) {
				t.Fatalf("quarantined: %+v, %v", page.Entries, err)
			}
			checkLacking(t, log, p, w)
			target, err := postgres.NewTarget(p, h, postgres.TargetConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := target.Heal(t.Context(), log, w); !errors.Is(err, projection.ErrNotHealed) {
				t.Errorf("healed before the handler was mended: %v", err)
			}
			h.broken.Store(nil)
			healed, err := target.Heal(t.Context(), log, w)
			if err != nil || healed.Was == nil || healed.Commits != 1 {
				t.Fatalf("healed: %+v, %v", healed, err)
			}
			if got, want := rowsOf(t, pool), "w0 1, w1 2, w2 3, w3 4"; got != want {
				t.Errorf("healed: %s, want %s", got, want)
			}
		})
	}
}

// checkLacking checks that who waits for what the log holds of a quarantined workflow
// is told, and who waits for something before that is not.
func checkLacking(t *testing.T, log *memlog.Log, p *postgres.Projection, w events.Workflow) {
	t.Helper()
	tail, err := log.Tail(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	lacking, err := p.WaitFor(t.Context(), events.VectorOf(tail.Position()))
	var which *projection.QuarantinedError
	if err != nil || !errors.As(lacking.Of(w), &which) || which.First != tail.Position().Sequence {
		t.Errorf("waiting for what %s has: %+v, %v", w, lacking, err)
	}
	if err := lacking.Of(events.Workflow{Namespace: "default", ID: "w0"}); err != nil {
		t.Errorf("the tables lack w0: %v", err)
	}
	lacking, err = p.WaitFor(t.Context(), events.VectorOf(events.Position{Sequence: tail.Position().Sequence - 1}))
	if err != nil || len(lacking) > 0 {
		t.Errorf("waiting for what was before it: %+v, %v", lacking, err)
	}
}

// The next version's program heals in the tables that it fills, beside live ones that are
// not its own.
func TestHealingInTheTablesOfTheNextVersion(t *testing.T) {
	t.Parallel()
	pool, h := newPool(t), &spoilt{}
	p := openNotes(t, pool, payments)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	log, w := paid(t, 3), events.Workflow{Namespace: "default", ID: "w1"}
	refuses := func(_ context.Context, _ pgx.Tx, c projection.Commit) error {
		return postgres.Refuse(c, errors.New("not yet"))
	}
	h.broken.Store(&refuses)
	if err := project(t, log, p, h); err != nil {
		t.Fatal(err)
	}
	second := payments
	second.Version = 2
	next := openNotes(t, pool, second)
	target := func(at *postgres.Projection) *postgres.Target {
		target, err := postgres.NewTarget(at, h, postgres.TargetConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	fill := func(ctx context.Context, o postgres.RebuildOptions) (postgres.Rebuilt, error) {
		o.Logger = slog.New(slog.DiscardHandler)
		o.Projector.Logger = o.Logger
		return next.Rebuild(ctx, log, func(at *postgres.Projection) projection.Target { return target(at) }, o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := fill(ctx, postgres.RebuildOptions{Progress: func(p postgres.RebuildProgress) {
		if p.Phase == postgres.RebuildIndexing {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	h.broken.Store(nil)
	healed, err := target(next).Heal(t.Context(), log, w)
	if err != nil || healed.Was == nil || healed.Checkpoint.Generation != 2 || healed.Building != nil {
		t.Fatalf("healed: %+v, %v", healed, err)
	}
	if got, want := rowsOf(t, pool), "w0 1, w2 3"; got != want {
		t.Errorf("the live tables: %s, want %s", got, want)
	}
	if _, err := fill(t.Context(), postgres.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := rowsOf(t, pool), "w0 1, w1 2, w2 3"; got != want {
		t.Errorf("after the swap: %s, want %s", got, want)
	}
}

// A handler that cannot forget a workflow says so, and what to do instead.
func TestWhatCannotForgetIsRebuilt(t *testing.T) {
	t.Parallel()
	p := openNotes(t, newPool(t), payments)
	target, err := postgres.NewTarget(p, postgres.HandlerFunc(countPayments), postgres.TargetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Heal(t.Context(), paid(t, 1), events.Workflow{Namespace: "default", ID: "w0"})
	if !errors.Is(err, projection.ErrNotHealed) || !strings.Contains(err.Error(), "rebuild the projection") {
		t.Errorf("%v", err)
	}
}

// The transaction is not the handler's to end; what it does in savepoints is its own.
func TestAHandlerCannotEndItsTransaction(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, payments)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var ended []error
	err := project(t, paid(t, 2), p, postgres.HandlerFunc(func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
		ended = append(ended, tx.Commit(ctx), tx.Rollback(ctx))
		return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error { return countPayments(ctx, inner, commits) })
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range ended {
		if err == nil {
			t.Error("a handler ended the transaction")
		}
	}
	if got, want := rowsOf(t, pool), "w0 1, w1 2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWaitingForOnesOwnProjection(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	p := openNotes(t, pool, payments)
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := paid(t, 2)
	if err := project(t, log, p, postgres.HandlerFunc(countPayments)); err != nil {
		t.Fatal(err)
	}
	r, err := log.Append(t.Context(), events.Request{
		Workflow: events.Workflow{Namespace: "default", ID: "w9"}, Events: []*events.Event{events.WorkflowStarted("Order", "orders", 9), events.Custom("Paid", 9)},
	})
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.WaitFor(short, r.Vector()); err == nil {
		t.Error("it waited for nothing, and nobody projects")
	}
	waited := make(chan error, 1)
	go func() {
		lacking, err := p.WaitFor(t.Context(), r.Vector())
		if len(lacking) > 0 {
			err = lacking.Of(lacking[0].Workflow)
		}
		waited <- err
	}()
	if err := project(t, log, p, postgres.HandlerFunc(countPayments)); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if got, want := rowsOf(t, pool), "w0 1, w1 2, w9 1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := p.WaitFor(t.Context(), paidElsewhere(t)); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("of another log: %v", err)
	}
}

// paidElsewhere is the vector of an append to another log.
func paidElsewhere(t *testing.T) events.Vector {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := log.Append(t.Context(), events.Request{Workflow: events.Workflow{Namespace: "default", ID: "w"}, Events: []*events.Event{events.WorkflowStarted("Order", "orders", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Vector()
}
