package importer

import (
	linked "container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/temporal"
	"github.com/annals-io/annals/pkg/events"
)

// probeTime is how long a server that does not answer is waited for at the start:
// what is misspelt is to be told soon.
const probeTime = 10 * time.Second

// RunServer imports the runs of a Temporal server that a query is true of, open ones
// as far as they are. Runs that cannot go in are refused one by one, those among them
// that the server has no answer for while it answers for others. It fails if the context
// ends, the server answers for none in time, or the server or the log denies it; what was imported until then is, and importing again goes on.
func RunServer(ctx context.Context, log Log, server *temporal.Server, query string, c Config) (Summary, error) {
	c, err := c.withDefaults()
	if err != nil {
		return Summary{}, err
	}
	im := &importing{log: log, config: c}
	if err := server.Probe(ctx, query, probeTime); err != nil {
		return im.summary, err
	}
	all, err := lanesOf(ctx, server, query)
	if err != nil {
		return im.summary, err
	}
	c.Found(all.runs)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.Workflows)
	for _, l := range all.lanes {
		g.Go(func() error {
			return im.takeLane(gctx, server, l)
		})
	}
	err = g.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return im.summary, err
}

// served is a run that the server has.
type served struct {
	id     events.RunID
	began  time.Time // zero: nobody said
	closed bool      // so the list says

	// Of a run that is followed:
	stream  *stream // nil: begin with the first event
	token   []byte
	again   bool // it gives events again that were taken
	before  tally
	ours    bool // only the log says that it is there
	counted bool // among those that are open
	late    int  // answers in a row that did not come in time
	tries   int  // in vain, since what failed last went well
	refused bool // in one of these, in a way that a second look may correct
	warned  bool // in one of these
	// reached is the last event that was taken when an attempt ended in vain.
	reached events.EventID
	trouble error // that the last attempt ended with, if it was not one of those that come and go
}

// lane is the runs of one workflow, in the order in which they began: one after the
// other, as the server had them.
type lane struct {
	workflow string
	runs     []*served
	place    place
	element  *linked.Element // where it is in a queue
}

// sort puts the runs in order.
func (l *lane) sort() {
	slices.SortStableFunc(l.runs, func(a, b *served) int { return a.began.Compare(b.began) })
}

// listTries is how often a list is begun anew whose page tokens became invalid.
const listTries = 3

// catalogue is the runs that a list has. They are all in memory, by their names: the
// server lists the last run of a workflow first.
type catalogue struct {
	lanes  []*lane // in the order in which the first run of each began
	runs   int
	newest time.Time // of all times at which a run began or ended
}

// lanesOf lists the runs that a query is true of.
func lanesOf(ctx context.Context, server *temporal.Server, query string) (c catalogue, err error) {
	for range listTries {
		if c, err = catalogueOf(ctx, server, query); !errors.Is(err, temporal.ErrToken) {
			break
		}
	}
	return c, err
}

func catalogueOf(ctx context.Context, server *temporal.Server, query string) (catalogue, error) {
	var c catalogue
	lanes := map[string]*lane{}
	for r, err := range server.List(ctx, query) {
		if err != nil {
			return c, err
		}
		for _, t := range []time.Time{r.Began, r.Closed} {
			if t.After(c.newest) {
				c.newest = t
			}
		}
		l := lanes[r.Workflow]
		if l == nil {
			l = &lane{workflow: r.Workflow}
			lanes[r.Workflow] = l
			c.lanes = append(c.lanes, l)
		}
		if !slices.ContainsFunc(l.runs, func(s *served) bool { return string(s.id) == r.ID }) {
			l.runs = append(l.runs, &served{id: events.RunID(r.ID), began: r.Began, closed: !r.Closed.IsZero()})
			c.runs++
		}
	}
	for _, l := range c.lanes {
		l.sort()
	}
	slices.SortStableFunc(c.lanes, func(a, b *lane) int { return a.runs[0].began.Compare(b.runs[0].began) })
	return c, nil
}

// takeLane imports the runs of a workflow, one after the other. Behind one that may go in
// later none is taken: the log takes no run that is older than one that it has.
func (im *importing) takeLane(ctx context.Context, server *temporal.Server, l *lane) error {
	var before *served // that is not finished
	for _, r := range l.runs {
		if before != nil {
			im.report(Result{
				Workflow: l.workflow, Run: string(r.id), Outcome: Refused, Failed: true,
				Reason: fmt.Sprintf("the run before it, %s, is not finished: import it again", before.id),
			})
		} else if finished, err := im.takeServed(ctx, server, l.workflow, r); err != nil {
			return err
		} else if !finished {
			before = r
		}
		im.config.Looked()
	}
	return nil
}

// takeServed imports a run as far as it is and reports what became of it: not finished is
// one that may go in when it is imported again. It fails only with what ends the whole
// import.
func (im *importing) takeServed(ctx context.Context, server *temporal.Server, workflow string, r *served) (finished bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, im.config.Timeout)
	defer cancel()
	result, _, err := im.fetch(bounded, server, workflow, r)
	switch {
	case err == nil:
		im.report(result)
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case isFinal(err):
		im.giveUp(result, err)
	case errors.Is(err, events.ErrWrongLog), isServers(err):
		return false, err
	default:
		result.Outcome, result.Reason, result.Failed = Refused, fmt.Sprintf("not finished within %s, import it again: %v", im.config.Timeout, err), true
		im.report(result)
		return false, nil
	}
	return true, nil
}

// isFinal reports whether err is about one run, and will be the same next time.
func isFinal(err error) bool {
	return errors.Is(err, temporal.ErrGone) || errors.Is(err, temporal.ErrRefused) || isRefusal(err)
}

// giveUp reports a run that cannot go in, or cannot go on.
func (im *importing) giveUp(result Result, err error) {
	result.Outcome, result.Reason = Refused, err.Error()
	switch {
	case errors.Is(err, temporal.ErrGone) && result.Events == 0:
		result.Outcome, result.Reason = Gone, "the server does not have it any more: it was deleted, or its retention is over"
	case errors.Is(err, temporal.ErrGone):
		result.Reason = fmt.Sprintf("the server does not have it any more, and had not closed it: the log has it up to event %d", result.Events)
	}
	im.report(result)
}

// fetch takes a run from its first event to the last one that the server has, and
// begins anew where the log, or the server, changed meanwhile. It says whether that
// event closes the run.
func (im *importing) fetch(ctx context.Context, server *temporal.Server, workflow string, r *served) (result Result, over bool, err error) {
	var before tally
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(10*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	var last error
	retryErr := backoff.Retry(func() error {
		s := im.newStream(workflow, r.id, r.began)
		defer s.close()
		last = s.fetch(ctx, server)
		result, over = before.with(s), s.over
		if last == nil {
			return nil
		}
		if isPassing(last) {
			return last
		}
		return backoff.Permanent(last)
	}, backoff.WithContext(delays, ctx))
	if retryErr == nil {
		return result, over, nil
	}
	return result, over, last
}

// tally is what earlier attempts at a run did.
type tally struct {
	appended int
	outcome  Outcome
}

// with adds an attempt, and gives the result of all.
func (t *tally) with(s *stream) Result {
	t.appended += s.appended
	if t.outcome == "" {
		t.outcome = s.outcome
	}
	r := s.result()
	r.Appended = t.appended
	if t.outcome != "" {
		r.Outcome = t.outcome
	}
	return r
}

// isPassing reports whether to begin with the run anew helps.
func isPassing(err error) bool {
	return errors.Is(err, errMoved) || errors.Is(err, temporal.ErrToken) || events.SafeToRetry(err)
}

// fetch takes all pages of the run.
func (s *stream) fetch(ctx context.Context, server *temporal.Server) error {
	var token []byte
	for {
		others := s.importing.answered.Load()
		page, err := server.History(ctx, temporal.Request{Workflow: s.h.workflow.ID, Run: string(s.run), Token: token})
		if temporal.MayAnswerLater(err) && s.importing.answered.Load() > others {
			return &onlyThisError{err}
		}
		if err != nil {
			return err
		}
		s.importing.answered.Add(1)
		if err := s.addServed(ctx, server, page.Events); err != nil {
			return err
		}
		if token = page.Next; len(token) == 0 {
			break
		}
	}
	if s.last == 0 {
		return refuseUntil(lookedAt, "the server gives no events")
	}
	err := s.flush(ctx)
	s.pause()
	return err
}

// addServed is add, and where another run of the workflow is open in the log it
// takes that one to its end first: the server began this one behind it.
func (s *stream) addServed(ctx context.Context, server *temporal.Server, evs []*events.Event) error {
	err := s.add(ctx, evs)
	var open *openError
	if !errors.As(err, &open) {
		return err
	}
	result, over, err := s.importing.fetch(ctx, server, s.h.workflow.ID, &served{id: open.run})
	switch {
	case errors.Is(err, temporal.ErrGone):
		return refuse("another run, %s, is open in the log, and the server does not have its end any more", open.run)
	case isRefusal(err):
		return fmt.Errorf("another run, %s, is open in the log: %w", open.run, err)
	case err != nil:
		return err
	case !over:
		return refuseUntil(waited, "another run, %s, is open, in the log and in the server", open.run)
	}
	s.report(result)
	return errMoved
}
