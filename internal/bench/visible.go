package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// VisibleCase is one way to append at a steady rate.
type VisibleCase struct {
	Rate   int // events a second
	Events int // of a commit, about 220 bytes each
}

// String is the case's name.
func (c VisibleCase) String() string {
	return fmt.Sprintf("visible/rate=%d/events=%d", c.Rate, c.Events)
}

// VisibleCases are all that there are.
func VisibleCases() []VisibleCase {
	return []VisibleCase{{500, 1}, {5000, 1}, {5000, 5}}
}

// VisibleOptions say what is measured.
type VisibleOptions struct {
	// Filter keeps the cases whose names it matches; nil: all.
	Filter *regexp.Regexp
	// Duration is how long each side of a case is measured; 10 s.
	Duration time.Duration
	// Within, if set, ends all of it after about this long, whatever Duration
	// says.
	Within time.Duration
	// Logger gets the warnings of our own servers, and of a rate that was not
	// reached.
	Logger *slog.Logger
}

const (
	// visibleWriters append at the same time, each to workflows of its own in turn.
	visibleWriters   = 64
	visibleWorkflows = 1024
)

// Visible measures the time from an append's acknowledgement to when a wait for
// its position ends, for every append at a steady rate, with a projector in the
// same process; beside an INSERT of one row, its COMMIT and polls by another
// connection, on the same server.
func Visible(ctx context.Context, o VisibleOptions, each func(Result) error) error {
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	cases := slices.DeleteFunc(VisibleCases(), func(c VisibleCase) bool { return o.Filter != nil && !o.Filter.MatchString(c.String()) })
	if len(cases) == 0 {
		return fmt.Errorf("%w: %s matches none of %s, …", ErrNoCase, o.Filter, VisibleCases()[0])
	}
	end := time.Now().Add(o.Within)
	err := onPipeline(ctx, o, func(log *natslog.Log, tables *pgstore.Store, pool *pgxpool.Pool) error {
		baseline, done, err := newVisible(ctx, pool)
		if err != nil {
			return err
		}
		defer done()
		for i, c := range cases {
			length := o.Duration
			if o.Within != 0 {
				length = max(min(length, time.Until(end)/time.Duration(2*(len(cases)-i))), leastVisible)
			}
			r, err := visibleCase(ctx, c, log, tables, baseline, length, o.Logger)
			if err != nil {
				return fmt.Errorf("%s: %w", c, err)
			}
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// leastVisible is the shortest useful measurement of a side.
const leastVisible = 100 * time.Millisecond

// onPipeline runs a log, tables and a projector on servers of our own.
func onPipeline(ctx context.Context, o VisibleOptions, do func(*natslog.Log, *pgstore.Store, *pgxpool.Pool) error) (err error) {
	s, err := start(ctx, setting{1, FsyncDefault}, o.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := natslog.Create(ctx, s.js, natslog.CreateOptions{Streams: int(streams)}); err != nil {
		return err
	}
	log, err := natslog.Open(ctx, s.js, natslog.Config{Logger: o.Logger})
	if err != nil {
		return err
	}
	pg, err := embedpg.Start(ctx, embedpg.Options{Logger: o.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	const database = "bench"
	if err := pg.CreateDatabase(ctx, database); err != nil {
		return err
	}
	// Each partition may write by its own connection, and is waited for by one.
	pool, err := postgres.OpenPool(ctx, pg.SocketConnString(database), postgres.PoolConfig{MaxConns: int32(streams) + 4})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pgstore.Migrate(ctx, pool); err != nil {
		return err
	}
	tables, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		return err
	}
	p, err := projection.New(log, tables, projection.Config{Logger: o.Logger})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	return do(log, tables, pool)
}

func newVisible(ctx context.Context, pool *pgxpool.Pool) (_ *raw.Visible, done func(), err error) {
	write, err := pool.Acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	read, err := pool.Acquire(ctx)
	if err != nil {
		write.Release()
		return nil, nil, err
	}
	done = func() { read.Release(); write.Release() }
	v, err := raw.NewVisible(ctx, write.Conn(), read.Conn())
	if err != nil {
		done()
		return nil, nil, err
	}
	return v, done, nil
}

func visibleCase(ctx context.Context, c VisibleCase, log *natslog.Log, tables *pgstore.Store, baseline *raw.Visible, length time.Duration, logger *slog.Logger) (Result, error) {
	writers := make([][]*writer, visibleWriters)
	for i := range visibleWorkflows {
		writers[i%visibleWriters] = append(writers[i%visibleWriters], &writer{log: log, w: newWorkflow(), events: c.Events})
	}
	// What is not measured: workflows that begin.
	if _, err := steadily(ctx, c, tables, writers, length/5); err != nil {
		return Result{}, err
	}
	var ours, theirs []time.Duration
	const rounds = 4
	for range rounds {
		began := time.Now()
		took, err := steadily(ctx, c, tables, writers, length/rounds)
		if err != nil {
			return Result{}, err
		}
		if reached := float64(len(took)*c.Events) / time.Since(began).Seconds(); reached < 0.9*float64(c.Rate) {
			logger.Warn("the rate was not reached", slog.String("case", c.String()), slog.Int("events", c.Rate), slog.Float64("reached", reached))
		}
		ours = append(ours, took...)
		body := make([]byte, c.Events*eventBytes)
		for end := time.Now().Add(length / rounds); time.Now().Before(end); {
			began := time.Now()
			if err := baseline.Once(ctx, body); err != nil {
				return Result{}, err
			}
			theirs = append(theirs, time.Since(began))
		}
	}
	return times(c.String(), ours, theirs), nil
}

// steadily appends at the case's rate, and gives how long after each
// acknowledgement a wait for the append ended.
func steadily(ctx context.Context, c VisibleCase, tables *pgstore.Store, writers [][]*writer, length time.Duration) ([]time.Duration, error) {
	every := time.Duration(float64(time.Second) * visibleWriters * float64(c.Events) / float64(c.Rate))
	var mu sync.Mutex // guards took
	var took []time.Duration
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i, mine := range writers {
		g.Go(func() error {
			due := began.Add(every * time.Duration(i) / visibleWriters)
			timer := time.NewTimer(0)
			defer timer.Stop()
			for n := 0; due.Sub(began) < length; n++ {
				timer.Reset(time.Until(due))
				select {
				case <-timer.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				w := mine[n%len(mine)]
				if err := w.append(ctx); err != nil {
					return err
				}
				acknowledged, v := time.Now(), w.at.Vector()
				g.Go(func() error {
					err := tables.WaitFor(ctx, v)
					visible := time.Since(acknowledged)
					mu.Lock()
					defer mu.Unlock()
					took = append(took, visible)
					return err
				})
				due = due.Add(every)
			}
			return nil
		})
	}
	err := g.Wait()
	return took, err
}
