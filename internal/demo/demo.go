package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/dev"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Demo is what runs: Start it, Play once, Wait as long as it is to be kept, Stop.
type Demo struct {
	o         Options
	pipeline  *dev.Pipeline
	tables    *pgstore.Store
	customers customers

	mu      sync.Mutex // guards workers
	workers []*process // by index
	failed  chan error // the first thing that went wrong by itself
	aside   chan error // the first workflow that was set aside
}

// Start starts the servers and the workers, and returns when they are ready.
// What it has started is stopped if it fails. See dev.Start for its errors.
func Start(ctx context.Context, o Options) (*Demo, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	d := &Demo{o: o, customers: newCustomers(o.Workflows, o.Seed, o.Namespace), failed: make(chan error, 1), aside: make(chan error, 1), workers: make([]*process, o.Workers)}
	if d.pipeline, err = dev.Start(ctx, dev.Options{Ephemeral: true, HTTP: o.HTTP, Private: !o.Keep, Logger: o.Logger}); err != nil {
		return nil, err
	}
	if err := d.startWorkers(ctx); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	o.Phase(fmt.Sprintf("NATS, Postgres, ingest, the projector and %d workers started in %s", o.Workers, short(time.Since(began))))
	return d, nil
}

func (d *Demo) startWorkers(ctx context.Context) (err error) {
	if d.tables, err = pgstore.New(d.pipeline.Pool(), pgstore.Config{}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := range d.o.Workers {
		g.Go(func() error {
			_, _, err := d.startWorker(ctx, i)
			return err
		})
	}
	return g.Wait()
}

// startWorker starts a worker and returns when it has read the log.
func (d *Demo) startWorker(ctx context.Context, index int) (*process, []ResumedRun, error) {
	p, err := startProcess(d.o, d.pipeline.NATSURL(), index, func(m message) {
		if m.Aside != nil {
			first(d.aside, &AsideError{Workflow: m.Aside.Workflow, Reason: m.Aside.Reason})
		}
	})
	if err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	d.workers[index] = p
	d.mu.Unlock()
	resumed, err := p.awaitReady(ctx)
	if err != nil {
		return nil, nil, err
	}
	go func() {
		<-p.done
		d.mu.Lock()
		current := d.workers[index] == p
		d.mu.Unlock()
		if current {
			d.fail(p.ended())
		}
	}()
	return p, resumed, nil
}

// dismiss takes a worker out of those that must go on.
func (d *Demo) dismiss(index int) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.workers[index]
	d.workers[index] = nil
	return p
}

func (d *Demo) fail(err error) { first(d.failed, err) }

// first keeps the first error that comes.
func first(kept chan<- error, err error) {
	select {
	case kept <- err:
	default:
	}
}

// Wait returns nil when the context ends, or before that with what went wrong by
// itself: a server or a worker has ended (*dev.EndedError, *WorkerError). What
// somebody starts in a demo that is kept may be what no worker can go on with:
// the worker logs that, and goes on with the others.
func (d *Demo) Wait(ctx context.Context) error {
	select {
	case err := <-d.failed:
		return err
	case err := <-d.pipeline.Ended():
		return err
	case <-ctx.Done():
		return nil
	}
}

// Exports are lines that export the servers' URLs to a shell.
func (d *Demo) Exports() string { return d.pipeline.Exports() }

// Stop ends the workers, then the servers, and returns when they are gone.
func (d *Demo) Stop() error {
	var g errgroup.Group
	for i := range d.workers {
		if p := d.dismiss(i); p != nil {
			g.Go(p.stop)
		}
	}
	return errors.Join(g.Wait(), d.pipeline.Stop())
}

// Play has the customers come, kills a worker in the middle and starts it
// again, waits until every workflow has ended, and checks what there is then.
// What is found to be wrong is in the summary; an error means that it could not
// be shown to the end, for the reasons that Wait has, because a workflow cannot
// go on (*AsideError), or because the context ended, whose cause it wraps.
func (d *Demo) Play(whole context.Context) (Summary, error) {
	ctx, cancel := context.WithCancelCause(whole)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.Wait(ctx) })
	g.Go(func() error {
		select {
		case err := <-d.aside:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	s := &showing{Demo: d, group: g}
	s.observer = newObserver(d.pipeline.Log(), d.customers.starts, func(c *events.Commit) { s.met(ctx, c) })
	g.Go(func() error { return s.observer.run(ctx) })
	g.Go(func() error {
		if err := s.show(ctx); err != nil {
			return err
		}
		cancel(errShown)
		return nil
	})
	err := g.Wait()
	cancel(nil)
	switch {
	case errors.Is(err, errShown):
		return s.summary, nil
	case whole.Err() != nil:
		return s.summary, fmt.Errorf("interrupted: %w", context.Cause(whole))
	}
	return s.summary, err
}

// errShown ends what goes on while the demo is shown.
var errShown = errors.New("shown")

// short is a duration for people.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
