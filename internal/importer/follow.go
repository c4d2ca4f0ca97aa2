package importer

import (
	"cmp"
	linked "container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/temporal"
	"github.com/annals-io/annals/pkg/events"
)

// FollowConfig is how a server is followed. Zero fields mean the default.
type FollowConfig struct {
	// LongPolls is how many open runs the server is asked about at the same moment,
	// each time until something happens or some seconds are over; where more are
	// open they take turns; 100.
	LongPolls int
	// Every is how often the list is asked for runs that began or ended; 1 second.
	Every time.Duration
	// Overlap is how far back it is asked each time: how late the server's list may
	// show a run; 1 minute.
	Overlap time.Duration
	// Whole is how often the whole list is asked for, which finds what came later
	// still, and runs of which the query became true meanwhile; 10 minutes.
	Whole time.Duration
	// Standing, if set, is told now and then how many runs are open, and how many
	// wait to be taken.
	Standing func(open, waiting int)
	Logger   *slog.Logger // nil: slog.Default
}

func (c FollowConfig) withDefaults() (FollowConfig, error) {
	if c.LongPolls < 0 || c.Every < 0 || c.Overlap < 0 || c.Whole < 0 {
		return c, fmt.Errorf("follow: a setting is negative")
	}
	c.LongPolls = cmp.Or(c.LongPolls, 100)
	c.Every = cmp.Or(c.Every, time.Second)
	c.Overlap = cmp.Or(c.Overlap, time.Minute)
	c.Whole = cmp.Or(c.Whole, 10*time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Standing == nil {
		c.Standing = func(int, int) {}
	}
	return c, nil
}

// FollowServer imports as RunServer does, and keeps up: with the runs that it took
// until they are closed, with those that they continue as, with those that the query
// becomes true of, and with those that are open in the log. It ends with the context,
// without an error then; with one if the server or the log denies it. The summary has
// each run once, when it is closed or cannot go on, and in the end those that are open.
func FollowServer(ctx context.Context, log FollowedLog, server *temporal.Server, query string, c Config, fc FollowConfig) (Summary, error) {
	c, err := c.withDefaults()
	if err != nil {
		return Summary{}, err
	}
	if fc, err = fc.withDefaults(); err != nil {
		return Summary{}, err
	}
	f := &following{importing: &importing{log: log, config: c}, source: log, server: server, query: query, how: fc, lanes: map[string]*lane{}, seen: map[[16]byte]struct{}{}}
	f.changed.L = &f.mu
	if err := server.Probe(ctx, query, probeTime); err != nil {
		if ctx.Err() != nil {
			err = nil
		}
		return f.summary, err
	}
	g, gctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(gctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	})
	defer stop()
	g.Go(func() error { return f.list(gctx) })
	for range c.Workflows {
		g.Go(func() error { return f.work(gctx, ready) })
	}
	for range fc.LongPolls {
		g.Go(func() error { return f.work(gctx, waiting) })
	}
	err = g.Wait()
	f.leave()
	if ctx.Err() != nil {
		err = nil
	}
	return f.summary, err
}

// FollowedLog is what following needs of a log: it says which runs are open.
type FollowedLog interface {
	Log
	events.Source
}

// place is where a lane is.
type place int

const (
	nowhere place = iota // with a worker, or asleep
	ready                // its first run is to be taken, as far as it is
	waiting              // its first run is open: it is to be asked what happens
)

// following is a server that is followed.
type following struct {
	*importing
	source events.Source
	server *temporal.Server
	query  string
	how    FollowConfig

	mu      sync.Mutex // guards what follows; nothing is asked or appended meanwhile
	changed sync.Cond  // the queues grew
	lanes   map[string]*lane
	queues  [waiting + 1]linked.List // of *lane; not of nowhere
	seen    map[[16]byte]struct{}    // runs that are or were in a lane
	open    int                      // runs that were taken as far as they are, and are open

	newest time.Time // of the times in the list: the lister's own
}

// names is a run, in 16 bytes: millions are remembered.
func names(workflow string, run events.RunID) [16]byte {
	sum := sha256.Sum256([]byte(workflow + "\x00" + string(run)))
	return [16]byte(sum[:16])
}

// offer puts a run that was not seen before into its lane, and has one that ended
// asked about at once. The caller holds mu.
func (f *following) offer(workflow string, r *served) {
	name, l := names(workflow, r.id), f.lanes[workflow]
	if _, ok := f.seen[name]; ok {
		if l != nil {
			f.update(l, r)
		}
		return
	}
	f.seen[name] = struct{}{}
	if l == nil {
		l = &lane{workflow: workflow, runs: []*served{r}}
		f.lanes[workflow] = l
		f.queue(l, ready)
		return
	}
	l.runs = append(l.runs, r)
	f.hurry(l) // the first run has ended, as another one began
}

// update keeps what the list says of a run that is in its lane.
func (f *following) update(l *lane, listed *served) {
	for i, r := range l.runs {
		if r.id != listed.id {
			continue
		}
		if !listed.began.IsZero() {
			r.began, r.ours = listed.began, false
		}
		if i == 0 && listed.closed {
			f.hurry(l)
		}
	}
}

// hurry has a lane that waits for its turn taken now.
func (f *following) hurry(l *lane) {
	if l.place == waiting {
		f.unqueue(l)
		f.queue(l, ready)
	}
}

// queue puts a lane at the end of a queue.
func (f *following) queue(l *lane, p place) {
	l.place, l.element = p, f.queues[p].PushBack(l)
	f.changed.Broadcast()
}

func (f *following) unqueue(l *lane) {
	f.queues[l.place].Remove(l.element)
	l.place, l.element = nowhere, nil
}

// next gives the first lane of a queue, once there is one, with its first run, and
// whether others wait behind it; none if the context ends.
func (f *following) next(ctx context.Context, p place) (l *lane, r *served, others bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.queues[p].Len() == 0 {
		if ctx.Err() != nil {
			return nil, nil, false
		}
		f.changed.Wait()
	}
	if ctx.Err() != nil {
		return nil, nil, false
	}
	l = f.queues[p].Front().Value.(*lane)
	f.unqueue(l)
	l.sort()
	return l, l.runs[0], f.queues[p].Len() > 0
}

// How long the server waits for an event of an open run: as long as it does for
// anybody, and less where other runs wait for their turn.
const (
	longWait  = 20 * time.Second
	shortWait = time.Second
)

// sleep is how long a run is left alone that the server cannot be asked to wait for,
// as it does not while a run is paused; and the most between two attempts in vain.
const sleep = 5 * time.Second

// work takes lanes of a queue, one after the other.
func (f *following) work(ctx context.Context, p place) error {
	for {
		l, r, others := f.next(ctx, p)
		if l == nil {
			return context.Cause(ctx)
		}
		wait := longWait
		if others || p == ready {
			wait = shortWait
		}
		err := f.advance(ctx, l.workflow, r, wait)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := f.settle(l, r, err); err != nil {
			return err
		}
	}
}

// errAsleep: the run is open, and the server cannot be asked to wait for it.
var errAsleep = errors.New("the run is open, and is not waited for")

// advance takes what there is of an open run, page by page, or all of one that is
// closed.
func (f *following) advance(ctx context.Context, workflow string, r *served, wait time.Duration) error {
	if r.stream == nil {
		f.mu.Lock()
		r.stream, r.token = f.newStream(workflow, r.id, r.began), nil
		f.mu.Unlock()
	}
	if r.closed {
		return r.stream.fetch(ctx, f.server)
	}
	for {
		more, err := f.page(ctx, workflow, r, wait)
		if err != nil || !more {
			return err
		}
	}
}

// page takes a page of an open run. It reports whether the next one is probably there:
// a run that is long is not taken a page a turn.
func (f *following) page(ctx context.Context, workflow string, r *served, wait time.Duration) (more bool, err error) {
	s := r.stream
	wait = min(wait<<min(r.late, 6), temporal.MaxWait)
	page, err := f.server.History(ctx, temporal.Request{Workflow: workflow, Run: string(r.id), Token: r.token, Wait: wait})
	if err != nil {
		return false, err
	}
	if page.Late {
		r.late++
		s.pause()
		return false, nil
	}
	r.late = 0
	evs := page.Events
	if r.again {
		had := len(evs)
		evs = slices.DeleteFunc(slices.Clone(evs), func(e *events.Event) bool { return events.EventID(e.GetEventId()) <= s.last })
		if had > 0 {
			r.again = len(evs) == 0
		}
	}
	from := s.last
	if err := s.addServed(ctx, f.server, evs); err != nil {
		return false, err
	}
	if err := s.flush(ctx); err != nil {
		return false, err
	}
	r.token = page.Next
	r.went(from)
	switch {
	case s.over:
		return false, nil
	case len(page.Next) == 0:
		s.pause()
		r.again = true
		return false, errAsleep
	case page.Full || len(page.Events) > 0 && s.stored != nil:
		return true, nil
	}
	s.pause()
	return false, nil
}

// settle puts a lane where it belongs after its first run was worked on. It fails
// with what ends the following.
func (f *following) settle(l *lane, r *served, err error) error {
	switch {
	case err == nil && r.stream.over:
		f.finish(l, r, nil)
	case err == nil && r.closed:
		// The list has it closed, and the history does not: the one is ahead.
		r.closed = false
		f.restart(r)
		f.putLater(l, sleep)
	case err == nil:
		f.put(l, r)
	case errors.Is(err, errAsleep):
		f.count(r)
		f.putLater(l, sleep)
	case stays(err, r.refused):
		f.finish(l, r, err)
	case endsFollowing(err):
		return err
	default:
		f.putLater(l, f.tryAgain(l, r, err))
	}
	return nil
}

// longestSleep is the most between two attempts at what may take a person to mend.
const longestSleep = time.Minute

// tryAgain has a run begin anew that cannot be imported now, and says when. The log or
// the server is away or in trouble, or something changed under our hands.
func (f *following) tryAgain(l *lane, r *served, err error) time.Duration {
	r.tries++
	longest := longestSleep
	if isPassing(err) {
		longest, r.trouble = sleep, nil
	} else {
		r.trouble = err
	}
	r.refused = r.refused || isDoubted(err)
	if !r.warned && (r.trouble != nil || r.tries == 5) {
		r.warned = true
		f.how.Logger.Warn("a run cannot be imported now: it is tried again until it can", slog.String("workflow", l.workflow), slog.String("run", string(r.id)), slog.Any("reason", err))
	}
	f.restart(r)
	return min(longest, 10*time.Millisecond<<min(r.tries, 13))
}

// restart has a run begin with its first event again.
func (f *following) restart(r *served) {
	r.before.with(r.stream)
	r.reached = max(r.reached, r.stream.last)
	r.stream.close()
	r.stream, r.token, r.again = nil, nil, false
}

// went keeps that what came behind an event was taken, or that nothing came. What
// failed further on may do so again.
func (r *served) went(from events.EventID) {
	if from >= r.reached {
		r.tries, r.refused, r.warned, r.trouble = 0, false, false, nil
	}
}

// put has an open run wait for its turn.
func (f *following) put(l *lane, r *served) {
	f.count(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.began.IsZero() {
		r.began = r.stream.h.start
	}
	if len(l.runs) > 1 {
		f.queue(l, ready) // it has ended, as another one began; or another one is older
		return
	}
	f.queue(l, waiting)
}

func (f *following) putLater(l *lane, after time.Duration) {
	time.AfterFunc(after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.queue(l, ready)
	})
}

// count counts a run as open, once.
func (f *following) count(r *served) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.counted {
		r.counted = true
		f.open++
	}
}

// finish reports what became of a run, and goes on with the next one of its workflow.
func (f *following) finish(l *lane, r *served, err error) {
	f.mu.Lock()
	ours := r.ours
	f.mu.Unlock()
	s := r.stream
	result := r.before.with(s)
	s.close()
	switch {
	case errors.Is(err, temporal.ErrGone) && ours && result.Events == 0:
		// Of another origin, or its end is lost: who knows the log can tell.
		result.Outcome, result.Reason = Gone, "it is open in the log, and the server does not have it"
		f.report(result)
	case errors.Is(err, temporal.ErrGone) && result.Events == 0 && r.counted:
		result.Outcome, result.Reason = Refused, "the server does not have it any more, and had not closed it: the log has a part of it"
		f.report(result)
	case err != nil:
		f.giveUp(result, err)
	default:
		f.report(result)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.counted {
		f.open--
	}
	l.runs = slices.DeleteFunc(l.runs, func(x *served) bool { return x == r })
	if name := names(l.workflow, s.continues); err == nil && s.continues != "" {
		if _, ok := f.seen[name]; !ok {
			f.seen[name] = struct{}{}
			l.runs = append(l.runs, &served{id: s.continues, began: s.ended})
		}
	}
	if len(l.runs) == 0 {
		delete(f.lanes, l.workflow)
		return
	}
	f.queue(l, ready)
}

// leave reports the runs that are under way.
func (f *following) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lanes {
		for _, r := range l.runs {
			f.part(l, r)
		}
	}
}

// part reports a run that is under way, as far as it came.
func (f *following) part(l *lane, r *served) {
	if r.stream == nil {
		r.stream = f.newStream(l.workflow, r.id, r.began)
	}
	over := r.stream.over
	result := r.before.with(r.stream)
	r.stream.close()
	result.Events = max(result.Events, int(r.reached))
	switch {
	case r.trouble != nil && !over:
		result.Outcome, result.Reason, result.Failed = Refused, "not finished: "+r.trouble.Error(), true
	case result.Events == 0 && result.Appended == 0:
		return // nobody has come to it
	}
	if !over && result.Events > 0 {
		f.importing.mu.Lock()
		f.summary.Open++
		f.importing.mu.Unlock()
	}
	f.report(result)
}
