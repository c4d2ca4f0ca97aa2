package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// ListCase is a page of a list.
type ListCase struct {
	Name    string
	Query   string
	OrderBy string // empty: the default order
	Page    int    // from 1
}

// String is the case's name.
func (c ListCase) String() string { return fmt.Sprintf("list/%s/page=%d", c.Name, c.Page) }

const (
	// deepPage is the page that is looked at beside the first.
	deepPage = 100
	// LeastExecutions have a hundredth page of each list that has one.
	LeastExecutions = 10_000
)

// shops are the runs of the tables in which lists are measured, and those that begin
// meanwhile.
func shops(executions int) (shop, live bulk.Shop) {
	const span = 30 * 24 * time.Hour
	begin := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	shop = bulk.Shop{Prefix: "run", Begin: begin, Every: span / time.Duration(executions)}
	return shop, bulk.Shop{Prefix: "live", Begin: shop.Start(executions), Every: time.Second}
}

// ListCases are those of a table of so many executions: what a support engineer
// asks for in a day, the first page, and the hundredth of what has as many.
func ListCases(executions int) []ListCase {
	shop, _ := shops(executions)
	middle := executions / 2
	lately := shop.Start(executions).Add(-14 * 24 * time.Hour).Format(time.RFC3339)
	var cases []ListCase
	for _, c := range []struct {
		name, query, order string
		short              bool
	}{
		{name: "recent"},
		{name: "started-last", order: "StartTime DESC"},
		{name: "failed-orders", query: "WorkflowType = 'Order' AND ExecutionStatus = 'Failed'"},
		{name: "open-longest", query: "ExecutionStatus = 'Running'", order: "StartTime"},
		{name: "timeouts-lately", query: "ExecutionStatus = 'Failed' AND CloseTime > '" + lately + "' AND LastFailure LIKE '%timeout%'"},
		{name: "charging", query: "HasPendingActivity = 'Charge'"},
		{name: "stuck", query: "ExecutionStatus = 'Running' AND EventType = 'WorkflowTaskFailed'"},
		{name: "region", query: "Region = 'north' AND ExecutionStatus = 'Failed'"},
		{name: "customer", query: "CustomerId = '" + shop.Customer(middle) + "'", short: true},
		{name: "workflow", query: "WorkflowId = '" + shop.Workflow(middle).ID + "'", short: true},
	} {
		cases = append(cases, ListCase{Name: c.name, Query: c.query, OrderBy: c.order, Page: 1})
		if !c.short {
			cases = append(cases, ListCase{Name: c.name, Query: c.query, OrderBy: c.order, Page: deepPage})
		}
	}
	return cases
}

// ListOptions say what is measured.
type ListOptions struct {
	// Executions are in the tables before any list is asked for, at least
	// LeastExecutions. A page has a ten thousandth of them, at most 100.
	Executions int
	// Rate is how many events a second are appended, and projected, meanwhile.
	Rate int
	// Filter keeps the cases whose names it matches; nil: all.
	Filter *regexp.Regexp
	// Duration is how long each case is measured, ours and raw each.
	Duration time.Duration
	// Logger gets the warnings of our own servers, and what is under way.
	Logger *slog.Logger
}

// List measures pages of lists while a projector writes to the tables, beside the same
// statement, sent by the client library alone and with its rows left unread.
func List(ctx context.Context, o ListOptions, each func(Result) error) error {
	var cases []ListCase
	for _, c := range ListCases(max(o.Executions, 1)) {
		if o.Filter == nil || o.Filter.MatchString(c.String()) {
			cases = append(cases, c)
		}
	}
	switch {
	case len(cases) == 0:
		return fmt.Errorf("%w: %s matches none", ErrNoCase, o.Filter)
	case o.Executions < LeastExecutions || o.Rate < 1:
		return fmt.Errorf("%w: %d executions, %d events a second: at least %d and 1", ErrNoCase, o.Executions, o.Rate, LeastExecutions)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	shop, live := shops(o.Executions)
	write := func(log events.Appender) error {
		o.Logger.LogAttrs(ctx, slog.LevelInfo, "writing the log", slog.Int("executions", o.Executions))
		return shopWrites(ctx, log, shop, o.Executions)
	}
	return onTables(ctx, o.Logger, write, func(m *making) error {
		o.Logger.LogAttrs(ctx, slog.LevelInfo, "filling the tables")
		if err := m.fill(ctx); err != nil {
			return err
		}
		return m.whileProjecting(ctx, live, o.Rate, func(ctx context.Context) error {
			l := &listing{making: m, limit: min(o.Executions/LeastExecutions, pgstore.DefaultLimit), length: o.Duration}
			for _, c := range cases {
				r, err := l.measure(ctx, c)
				if err != nil {
					return fmt.Errorf("%s: %w", c, err)
				}
				if err := each(r); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// shopWrites appends so many runs, a number of them at a time.
func shopWrites(ctx context.Context, log events.Appender, shop bulk.Shop, runs int) error {
	const writers = 64
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range writers {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < runs; i = int(next.Add(1)) - 1 {
				if _, err := log.Append(ctx, shop.Run(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// fill makes the tables from the log, by a rebuild, and cleans them up, as autovacuum
// does in time.
func (m *making) fill(ctx context.Context) error {
	attributes := searchattribute.NewRegistrar(m.log, "annals bench list", m.logger)
	made, err := m.store.Rebuild(ctx, m.log, postgres.RebuildOptions{Projector: projection.Config{Attributes: attributes}, Logger: m.logger})
	if err != nil {
		return err
	}
	if err := m.keepRegistry(ctx, attributes.Registry()); err != nil {
		return err
	}
	rows, err := m.pool.Query(ctx, "SELECT format('VACUUM (ANALYZE) %s.%I', relnamespace::regnamespace, relname) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'",
		postgres.SchemaOf(pgstore.Name, made.Generation))
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if _, err := m.pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// keepRegistry brings the registry of search attributes into the tables.
func (m *making) keepRegistry(ctx context.Context, registry *searchattribute.Registry) error {
	k, err := projection.NewControlKeeper(m.log, m.store.Registry(), projection.Config{Logger: m.logger})
	if err != nil {
		return err
	}
	var last uint64
	for a := range registry.Attributes("") {
		last = max(last, a.Sequence)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- k.Run(running) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for k.Status().Checkpoint.Sequence < last {
		select {
		case <-tick.C:
		case err := <-ended:
			return errors.Join(err, context.Cause(ctx))
		}
	}
	stop()
	return <-ended
}

// whileProjecting does something while runs of the shop are appended at a steady rate
// and projected.
func (m *making) whileProjecting(ctx context.Context, shop bulk.Shop, rate int, do func(context.Context) error) error {
	p, err := projection.New(m.log, m.store, projection.Config{Logger: m.logger})
	if err != nil {
		return err
	}
	g, running := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(running)
	g.Go(func() error { return p.Run(running) })
	g.Go(func() error { return steadyRuns(running, m.log, shop, rate) })
	g.Go(func() error {
		defer stop()
		return do(running)
	})
	return g.Wait()
}

// steadyRuns appends runs so that there are so many events a second, until ctx ends.
func steadyRuns(ctx context.Context, log events.Appender, shop bulk.Shop, rate int) error {
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		r := shop.Run(i)
		if _, err := log.Append(ctx, r); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		due = due.Add(time.Duration(len(r.Events)) * time.Second / time.Duration(rate))
		timer.Reset(time.Until(due))
	}
}

// listing is pages being asked for.
type listing struct {
	*making
	limit  int
	length time.Duration
}

func (l *listing) measure(ctx context.Context, c ListCase) (Result, error) {
	q := pgstore.ListQuery{Namespace: "default", Query: c.Query, OrderBy: c.OrderBy, Limit: l.limit}
	for page := 1; page < c.Page; page++ {
		got, err := l.store.List(ctx, q)
		if err != nil {
			return Result{}, err
		}
		if got.NextPageToken == "" {
			return Result{}, fmt.Errorf("there are %d pages: ask for more executions", page)
		}
		q.PageToken = got.NextPageToken
	}
	sql, args, err := l.store.ListStatement(ctx, q)
	if err != nil {
		return Result{}, err
	}
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return Result{}, err
	}
	defer conn.Release()
	ours := func(ctx context.Context) error {
		page, err := l.store.List(ctx, q)
		if err == nil && len(page.Executions) == 0 {
			err = errors.New("the page is empty")
		}
		return err
	}
	theirs := func(ctx context.Context) error { return raw.Select(ctx, conn.Conn(), sql, args) }
	runtime.GC()
	const rounds = 4
	o, r, err := turns(ctx, l.length, rounds, []operation{ours}, []operation{theirs})
	if err != nil {
		return Result{}, err
	}
	result := times(c.String(), o.took, r.took)
	plan, err := raw.Explain(ctx, conn.Conn(), sql, args)
	result.Indexes, result.Plan = plan.Indexes, plan.Lines
	return result, err
}
