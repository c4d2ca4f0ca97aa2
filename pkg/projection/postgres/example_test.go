package postgres_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// A projection of your own: how much each customer has paid. Only what it is to be
// tables and rows is yours; checkpoints, batches, rebuilds, waiting and the setting
// aside of what cannot be applied come with it.
func Example() {
	ctx := context.Background()
	paid := postgres.Definition{
		Name: "paid_by_customer", Version: 1,
		Tables: `CREATE TABLE paid (customer text PRIMARY KEY, cents bigint NOT NULL)`,
		Schema: "shop", Views: []string{"paid"}, // shop.paid is what readers ask
	}
	type payment struct {
		Customer string
		Cents    int64
	}
	handler := postgres.HandlerFunc(func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
		for _, c := range commits {
			for _, run := range c.Runs() {
				for _, e := range run.Events {
					if e.GetMarkerRecordedEventAttributes().GetMarkerName() != "Paid" {
						continue
					}
					var p payment
					if err := events.CustomValue(e, &p); err != nil {
						return postgres.Refuse(c, err) // that workflow waits, the others go on
					}
					_, err := tx.Exec(ctx, `INSERT INTO paid AS p VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET cents = p.cents + $2`, p.Customer, p.Cents)
					if err != nil {
						return err
					}
				}
			}
		}
		return nil
	})

	annals, err := memlog.New(memlog.Config{}) // natslog.Open for the one that lasts
	if err != nil {
		log.Fatal(err)
	}
	pool, closePool := exampleDatabase() // postgres.OpenPool
	defer closePool()

	p, err := postgres.Open(pool, paid)
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	target, err := postgres.NewTarget(p, handler, postgres.TargetConfig{})
	if err != nil {
		log.Fatal(err)
	}
	projector, err := projection.New(annals, target, projection.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(running) }()

	var written events.Vector
	for i, e := range []*events.Event{events.Custom("Paid", payment{"ada", 500}), events.Custom("Paid", payment{"grace", 100}), events.Custom("Paid", payment{"ada", 20})} {
		r, err := annals.Append(ctx, events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint("order-", i)},
			Events:   []*events.Event{events.WorkflowStarted("Order", "orders"), e},
		})
		if err != nil {
			log.Fatal(err)
		}
		if written, err = written.Merge(r.Vector()); err != nil {
			log.Fatal(err)
		}
	}

	if lacking, err := p.WaitFor(ctx, written); err != nil || len(lacking) > 0 { // read your own writes
		log.Fatal(err, lacking)
	}
	rows, err := pool.Query(ctx, `SELECT customer || ' ' || cents FROM shop.paid ORDER BY customer`)
	if err != nil {
		log.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	stop()
	fmt.Println(<-ended)

	// Output:
	// ada 520
	// grace 100
	// <nil>
}
