// Orders is a service that keeps orders by customer in a table of its own, made
// from the log: a projection of your own.
//
//	annals dev --ephemeral -- go run ./examples/orders
//
// It writes some orders, projects them, and asks the table. Then its definition
// changes: a new version adds a column. Its tables are filled beside the old ones,
// which are read and kept up to date until the new ones take their place.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv("NATS_URL"), os.Getenv("DATABASE_URL"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, natsURL, databaseURL string, out io.Writer) error {
	nc, err := nats.Connect(natsURL)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	annals, err := natslog.Open(ctx, js, natslog.Config{})
	if err != nil {
		return err
	}
	pool, err := postgres.OpenPool(ctx, databaseURL, postgres.PoolConfig{})
	if err != nil {
		return err
	}
	defer pool.Close()

	serving, err := first(ctx, annals, pool, out)
	if err != nil {
		return err
	}
	err = second(ctx, annals, pool, out)
	return errors.Join(err, serving.stop())
}

// first is the service as it was written first. It goes on projecting.
func first(ctx context.Context, annals *natslog.Log, pool *pgxpool.Pool, out io.Writer) (*service, error) {
	p, err := postgres.Open(pool, ordersByCustomer(1))
	if err != nil {
		return nil, err
	}
	if err := p.Migrate(ctx); err != nil {
		return nil, err
	}
	s, err := serve(ctx, annals, p, handler{1})
	if err != nil {
		return nil, err
	}
	written, err := shop(ctx, annals, 0, 24)
	if err == nil {
		err = included(ctx, p, written) // read your own writes
	}
	if err == nil {
		fmt.Fprintln(out, "version 1:")
		err = show(ctx, pool, out, `SELECT customer, count(*), sum(paid_cents)::bigint FROM shop.orders GROUP BY 1 ORDER BY 1`, "customer", "orders", "paid")
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// second is the service after its definition has changed. The first one serves
// until the new tables are as far as its own, while orders come in.
func second(ctx context.Context, annals *natslog.Log, pool *pgxpool.Pool, out io.Writer) error {
	p, err := postgres.Open(pool, ordersByCustomer(2))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nversion 2, at first: %v\n", p.CheckVersion(ctx))

	written, more := events.Vector{}, make(chan error, 1)
	go func() {
		var err error
		written, err = shop(ctx, annals, 24, 48)
		more <- err
	}()
	rebuilt, err := p.Rebuild(ctx, annals, func(at *postgres.Projection) projection.Target {
		return target(at, handler{2})
	}, postgres.RebuildOptions{})
	if err := errors.Join(err, <-more); err != nil {
		return err
	}
	fmt.Fprintf(out, "generation %d has taken the place of generation %d\n\n", rebuilt.Generation, rebuilt.Replaced)

	s, err := serve(ctx, annals, p, handler{2})
	if err != nil {
		return err
	}
	if err = included(ctx, p, written); err == nil {
		fmt.Fprintln(out, "version 2:")
		err = show(ctx, pool, out, `SELECT customer, count(*), sum(paid_cents)::bigint, sum(refunded_cents)::bigint FROM shop.orders GROUP BY 1 ORDER BY 1`, "customer", "orders", "paid", "refunded")
	}
	return errors.Join(err, s.stop())
}

// included returns once the tables have all that was written.
func included(ctx context.Context, p *postgres.Projection, written events.Vector) error {
	lacking, err := p.WaitFor(ctx, written)
	if err == nil && len(lacking) > 0 {
		err = fmt.Errorf("%d workflows wait to be healed, the first: %s", len(lacking), lacking[0])
	}
	return err
}

// service keeps the tables up to date until it is stopped.
type service struct {
	cancel context.CancelFunc
	ended  chan error
}

func serve(ctx context.Context, annals events.Source, p *postgres.Projection, h handler) (*service, error) {
	projector, err := projection.New(annals, target(p, h), projection.Config{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &service{cancel: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- projector.Run(ctx) }()
	return s, nil
}

// stop ends it. That a newer version's tables have taken the place of its own is
// no error: it is why it ends.
func (s *service) stop() error {
	s.cancel()
	if err := <-s.ended; !errors.Is(err, projection.ErrVersion) {
		return err
	}
	return nil
}

func target(p *postgres.Projection, h handler) projection.Target {
	t, err := postgres.NewTarget(p, h, postgres.TargetConfig{})
	if err != nil {
		panic(err) // of what this program wrote itself
	}
	return t
}

// show prints what a query answers.
func show(ctx context.Context, pool *pgxpool.Pool, out io.Writer, sql string, columns ...any) error {
	rows, err := pool.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(values []any) {
		for _, v := range values {
			fmt.Fprintf(w, "%v\t", v)
		}
		fmt.Fprintln(w)
	}
	line(columns)
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		line(values)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return w.Flush()
}
