package replayer

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// History is what the program is held against.
type History struct {
	File     string // where it is from; empty: from the log
	Workflow events.Workflow
	Run      events.RunID
	Events   iter.Seq2[*events.Event, error]
}

// Config is how a program is held against histories.
type Config struct {
	Program Program
	Check   replay.CheckOptions
	// Processes is how many run side by side at most; GOMAXPROCS.
	Processes int
	// MaxFailures is after how many histories that could not be checked the
	// others are not tried; 10.
	MaxFailures int
	// Report, if set, is told each result as it comes. It is called by one
	// goroutine at a time.
	Report func(Result)
}

// Result is what became of one history.
type Result struct {
	History History
	Report  *replay.CheckReport // nil if it could not be checked
	Err     error               // why not
}

// Summary counts results.
type Summary struct {
	Agree, Differ, Failed, Events int
}

func (s *Summary) count(r Result) {
	switch {
	case r.Err != nil:
		s.Failed++
		return
	case r.Report.Agrees():
		s.Agree++
	default:
		s.Differ++
	}
	s.Events += r.Report.Events
}

// Run holds the program against all histories. A history that cannot be checked
// is a result with an error. It fails if the context ends, with ErrStopped, and
// if a process that has answered everything ends otherwise than it should.
func Run(ctx context.Context, histories iter.Seq[History], c Config) (Summary, error) {
	c.Program = c.Program.withDefaults()
	if c.Processes == 0 {
		c.Processes = runtime.GOMAXPROCS(0)
	}
	if c.MaxFailures == 0 {
		c.MaxFailures = 10
	}
	r := running{config: c}
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan History)
	g.Go(func() error {
		defer close(work)
		for h := range histories {
			select {
			case work <- h:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range c.Processes {
		g.Go(func() error { return r.worker(ctx, work) })
	}
	err := g.Wait()
	return r.summary, err
}

type running struct {
	config Config

	mu      sync.Mutex // guards summary, and that one result is reported at a time
	summary Summary
}

// worker asks one process after the other, each until it fails.
func (r *running) worker(ctx context.Context, work <-chan History) error {
	var p *process
	defer func() {
		if p != nil {
			p.kill()
		}
	}()
	for h := range work {
		var err error
		if p == nil {
			p, err = r.config.Program.start()
		}
		res := Result{History: h, Err: err}
		if err == nil {
			res.Report, res.Err = replay.CheckHistory(ctx, h.Workflow, h.Run, h.Events, p.code, r.config.Check)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if p != nil && errors.Is(res.Err, replay.ErrNotAsked) {
			p.kill()
			p = nil
		}
		if err := r.report(res); err != nil {
			return err
		}
	}
	if p == nil {
		return nil
	}
	ending := p
	p = nil
	return ending.end()
}

func (r *running) report(res Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.count(res)
	if r.config.Report != nil {
		r.config.Report(res)
	}
	if r.summary.Failed >= r.config.MaxFailures {
		return ErrStopped
	}
	return nil
}
