package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// What an order's workflow records.
type (
	order   struct{ Customer string }
	payment struct{ Cents int64 }
	refund  struct{ Cents int64 }
)

// ordersByCustomer is the projection: what its tables are. In a service of your
// own the version is a constant, and a change of the tables or of the handler
// raises it. This one is told which, so that one program can show both.
func ordersByCustomer(version int) postgres.Definition {
	d := postgres.Definition{
		Name:    "orders_by_customer",
		Version: version,
		Tables: `
			CREATE TABLE orders (
				namespace   text   NOT NULL,
				workflow_id text   NOT NULL,
				run_id      text   NOT NULL,
				began       bigint NOT NULL, -- sequence of the run's first commit
				customer    text   NOT NULL,
				status      text   NOT NULL,
				paid_cents  bigint NOT NULL DEFAULT 0 CHECK (paid_cents >= 0),
				PRIMARY KEY (namespace, workflow_id, run_id)
			)`,
		Indexes: []string{`CREATE INDEX orders_of_customer ON orders (customer)`},
		Schema:  "shop", // shop.orders is what readers ask
		Views:   []string{"orders"},
	}
	if version >= 2 {
		d.Tables += `; ALTER TABLE orders ADD COLUMN refunded_cents bigint NOT NULL DEFAULT 0`
	}
	return d
}

// handler makes the rows. It is a pure function of the commits and the tables.
type handler struct{ version int }

var (
	_ postgres.Handler   = handler{}
	_ postgres.Forgetter = handler{}
)

// Apply is postgres.Handler's. It sends all that a batch changes at once.
func (h handler) Apply(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
	var rows pgx.Batch
	for _, c := range commits {
		for _, run := range c.Runs() {
			if run.Type != "Order" {
				continue
			}
			if err := h.apply(&rows, c, run); err != nil {
				return postgres.Refuse(c, fmt.Errorf("run %s: %w", run.Run, err))
			}
		}
	}
	return tx.SendBatch(ctx, &rows).Close()
}

// apply adds what a run gains by a commit.
func (h handler) apply(rows *pgx.Batch, c projection.Commit, run events.SegmentEvents) error {
	change := func(set string, args ...any) {
		key := []any{c.Workflow.Namespace, c.Workflow.ID, string(run.Run)}
		rows.Queue("UPDATE orders SET "+set+" WHERE (namespace, workflow_id, run_id) = ($1, $2, $3)", append(key, args...)...)
	}
	if c.Base != nil && run.Opens() {
		// A reset goes on from somewhere in an earlier run: what counts of that one
		// and of those after it is in the new one's events.
		rows.Queue("DELETE FROM orders WHERE (namespace, workflow_id) = ($1, $2) AND (run_id = $3 OR began > $4)",
			c.Workflow.Namespace, c.Workflow.ID, string(c.Base.Run), int64(c.Base.Sequence))
	}
	for _, e := range run.Events {
		if start := e.GetWorkflowExecutionStartedEventAttributes(); start != nil {
			var o order
			if len(start.GetInput().GetPayloads()) != 1 {
				return errors.New("an order has one input")
			}
			if err := events.Value(start.GetInput().GetPayloads()[0], &o); err != nil {
				return err
			}
			rows.Queue("INSERT INTO orders (namespace, workflow_id, run_id, began, customer, status) VALUES ($1, $2, $3, $4, $5, 'Open')",
				c.Workflow.Namespace, c.Workflow.ID, string(run.Run), int64(c.Position.Sequence), o.Customer)
			continue
		}
		switch e.GetMarkerRecordedEventAttributes().GetMarkerName() {
		case "OrderPaid":
			var p payment
			if err := events.CustomValue(e, &p); err != nil {
				return err
			}
			change("status = 'Paid', paid_cents = paid_cents + $4", p.Cents)
		case "OrderRefunded":
			var r refund
			if err := events.CustomValue(e, &r); err != nil {
				return err
			}
			if h.version == 1 {
				change("paid_cents = paid_cents - $4", r.Cents)
			} else {
				change("refunded_cents = refunded_cents + $4", r.Cents)
			}
		}
	}
	if !events.IsOpen(run.After) {
		change("status = $4", run.After.String())
	}
	return nil
}

// Forget makes it possible to mend one workflow: its rows are deleted, and made
// anew of its commits.
func (handler) Forget(ctx context.Context, tx pgx.Tx, w events.Workflow) error {
	_, err := tx.Exec(ctx, `DELETE FROM orders WHERE (namespace, workflow_id) = ($1, $2)`, w.Namespace, w.ID)
	return err
}
