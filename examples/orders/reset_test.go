package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Of an order that was reset, what came after the base no longer counts, and what
// came before counts once; the first of two orders in a row under one id stays.
func TestAResetCountsOnce(t *testing.T) {
	t.Parallel()
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	w, end := events.Workflow{Namespace: "default", ID: "order"}, events.Cursor{}
	write := func(r events.Request) {
		t.Helper()
		res, err := log.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		end = res.Cursor
	}
	started := events.WorkflowStarted("Order", "orders", order{Customer: "ada"})
	write(events.Request{Workflow: w, RunID: "done", Events: []*events.Event{started, events.Custom("OrderPaid", payment{Cents: 1}), events.WorkflowCompleted()}})
	write(events.Request{Workflow: w, RunID: "a", Expect: events.After(end), Events: []*events.Event{
		events.WorkflowStarted("Order", "orders", order{Customer: "ada"}), events.Custom("OrderPaid", payment{Cents: 10}), events.Custom("OrderPaid", payment{Cents: 100}),
	}})
	for _, run := range []events.RunID{"b", "c"} { // a reset, and a reset of what both begin with
		write(events.Reset(end, events.Base{Run: "a", Event: 2}, events.ResetOptions{RunID: run}))
		write(events.Request{Workflow: w, Expect: events.After(end), Events: []*events.Event{events.Custom("OrderPaid", payment{Cents: 1000})}})
	}

	pool, err := postgres.OpenPool(t.Context(), testenv.Postgres(t), postgres.PoolConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	p, err := postgres.Open(pool, ordersByCustomer(2))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := serve(t.Context(), log, p, handler{2})
	if err != nil {
		t.Fatal(err)
	}
	waited := included(t.Context(), p, end.Vector())
	if err := s.stop(); err != nil || waited != nil {
		t.Fatal(err, waited)
	}
	rows, err := pool.Query(t.Context(), `SELECT run_id || ' ' || status || ' ' || paid_cents FROM shop.orders ORDER BY run_id`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"c Paid 1010", "done Completed 1"}, got); diff != "" {
		t.Errorf("wanted (-) and there (+):\n%s", diff)
	}
}
