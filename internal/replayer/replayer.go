package replayer

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
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
	// MaxFailures is after how many histories about which the program failed the
	// others are not tried; 10. Those that cannot be read are not the program's.
	MaxFailures int
	// Report, if set, is told each result as it comes. It is called by one
	// goroutine at a time.
	Report func(Result)
}

// Result is what became of one history.
type Result struct {
	History History             // without its events
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
// with every way in which a process that has answered everything ended otherwise
// than it should.
func Run(ctx context.Context, histories iter.Seq[History], c Config) (Summary, error) {
	c.Program = c.Program.withDefaults()
	if c.Processes == 0 {
		c.Processes = runtime.GOMAXPROCS(0)
	}
	if c.MaxFailures == 0 {
		c.MaxFailures = 10
	}
	r := running{config: c, stop: make(chan struct{})}
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan History)
	g.Go(func() error {
		defer close(work)
		for h := range histories {
			select {
			case work <- h:
			case <-r.stop:
				r.leave()
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range c.Processes {
		g.Go(func() error { return r.worker(ctx, work) })
	}
	if err := g.Wait(); err != nil {
		return r.summary, err
	}
	if r.left {
		r.endings = append(r.endings, ErrStopped)
	}
	return r.summary, errors.Join(r.endings...)
}

type running struct {
	config Config
	stop   chan struct{} // closed: the program failed too often

	mu       sync.Mutex // guards the rest, and that one result is reported at a time
	summary  Summary
	failures int     // of the program
	left     bool    // a history was not tried
	endings  []error // of processes that answered everything, each text once
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
		if r.stopped() {
			r.leave()
			return nil
		}
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
		r.report(res)
	}
	if p == nil || r.stopped() {
		return nil
	}
	ending := p
	p = nil
	if err := ending.end(); err != nil {
		r.ended(err)
	}
	return nil
}

func (r *running) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// leave notes that there is a history that was not tried.
func (r *running) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
}

// ended notes how a process ended that had answered everything.
func (r *running) ended(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.endings, func(other error) bool { return other.Error() == err.Error() }) {
		r.endings = append(r.endings, err)
	}
}

// report counts and tells a result. What else fails while it stops is left out,
// so that the failures are as many however many processes there are.
func (r *running) report(res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(res.Err, replay.ErrNotAsked) {
		if r.failures == r.config.MaxFailures {
			r.left = true
			return
		}
		if r.failures++; r.failures == r.config.MaxFailures {
			close(r.stop)
		}
	}
	res.History.Events = nil // of a file it holds all events
	if res.Report != nil {
		res.Report.File = res.History.File
	}
	r.summary.count(res)
	if r.config.Report != nil {
		r.config.Report(res)
	}
}
