package storetest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/store"
)

func faultCases() []testCase {
	return named(storesOnceWhateverIsLost, settlesWhatIsUnknown, decidesAgainWhenOvertaken, holdsTheLimits)
}

// writes are a write of each kind to a workflow that they need as reached, each
// with a commit id if one is given.
func writes() map[string]func(ctx context.Context, s store.Store, w events.Workflow, id events.CommitID) (events.Result, error) {
	type write = func(ctx context.Context, s store.Store, w events.Workflow, id events.CommitID) (events.Result, error)
	return map[string]write{
		"save": func(ctx context.Context, s store.Store, w events.Workflow, id events.CommitID) (events.Result, error) {
			return s.SaveExecution(ctx, store.NewExecution{Workflow: w, Type: "T", CommitID: id, Events: []*events.Event{events.Signaled("s")}})
		},
		"append": func(ctx context.Context, s store.Store, w events.Workflow, id events.CommitID) (events.Result, error) {
			return s.AppendEvents(ctx, events.Request{Workflow: w, Expect: events.AtEnd(), CommitID: id, Events: []*events.Event{events.Signaled("s")}})
		},
		"pause": func(ctx context.Context, s store.Store, w events.Workflow, id events.CommitID) (events.Result, error) {
			return s.UpdateState(ctx, store.StateUpdate{Workflow: w, To: paused, CommitID: id})
		},
		"complete": func(ctx context.Context, s store.Store, w events.Workflow, id events.CommitID) (events.Result, error) {
			return s.UpdateState(ctx, store.StateUpdate{Workflow: w, To: completed, CommitID: id})
		},
		"continue": func(ctx context.Context, s store.Store, w events.Workflow, id events.CommitID) (events.Result, error) {
			return s.UpdateState(ctx, store.StateUpdate{Workflow: w, To: continued, CommitID: id})
		},
	}
}

// before is the workflow that a write needs.
func (c *scene) before(write string) events.Workflow {
	if write == "save" {
		return c.workflow()
	}
	w, _ := c.reach(running)
	return w
}

// storesOnceWhateverIsLost: a message or an acknowledgement that is lost on its
// way is found out about, and the write is there once.
func storesOnceWhateverIsLost(c *scene) {
	for name, write := range writes() {
		for _, lost := range []eventstest.Fault{eventstest.LoseMessage, eventstest.LoseAck} {
			for _, id := range []events.CommitID{"", "once"} {
				w := c.before(name)
				var tries atomic.Int32
				faulty := c.h.Open(c.T, Options{Options: eventstest.Options{Fault: func(events.CommitID) eventstest.Fault {
					if tries.Add(1) <= 3 {
						return lost
					}
					return eventstest.Deliver
				}}})
				res, err := write(c.ctx(), faulty, w, id)
				if err != nil {
					c.Fatalf("%s: %v", name, err)
				}
				if tries.Load() < 2 {
					c.Fatalf("%s: nothing was lost", name)
				}
				c.once(name, w, res)
			}
		}
	}
}

// settlesWhatIsUnknown: a write that ends unknown is sent again with the commit
// id that the error names, by another handle, and is there once.
func settlesWhatIsUnknown(c *scene) {
	for name, write := range writes() {
		for _, lost := range []eventstest.Fault{eventstest.LoseMessage, eventstest.LoseAck} {
			for _, given := range []events.CommitID{"", "once"} {
				w := c.before(name)
				ctx, cancel := context.WithCancel(c.ctx())
				faulty := c.h.Open(c.T, Options{Options: eventstest.Options{Fault: func(events.CommitID) eventstest.Fault {
					cancel()
					return lost
				}}})
				_, err := write(ctx, faulty, w, given)
				cancel()
				e := refused[*events.OutcomeUnknownError](c, name, err, events.ErrOutcomeUnknown)
				if e.CommitID == "" || given != "" && e.CommitID != given {
					c.Errorf("%s: unknown under the commit id %q", name, e.CommitID)
				}
				for range 2 {
					res, err := write(c.ctx(), c.h.Open(c.T, Options{}), w, e.CommitID)
					if err != nil {
						c.Fatalf("%s, again: %v", name, err)
					}
					if lost == eventstest.LoseAck && !res.Existed {
						c.Errorf("%s was stored twice", name)
					}
					c.once(name, w, res)
				}
			}
		}
	}
}

// once checks that a write is there, and once.
func (c *scene) once(name string, w events.Workflow, res events.Result) {
	c.Helper()
	l := c.load(w, "")
	if l.Cursor.Position() != res.Position || l.Execution.RunID != res.RunID || l.Execution.HistoryLength != int64(res.LastEventID) {
		c.Errorf("%s: answered %+v, and the log ends at %s", name, res, l.Cursor)
	}
	want := map[string]int64{"save": 2, "append": 2, "pause": 2, "complete": 2, "continue": 1}[name]
	if l.Execution.HistoryLength != want {
		c.Errorf("%s: %d events", name, l.Execution.HistoryLength)
	}
	runs := 0
	for _, x := range c.query(store.Query{Limit: store.MaxLimit, After: res.Vector()}) {
		if x.Workflow == w {
			runs++
		}
	}
	if want := map[bool]int{false: 1, true: 2}[name == "continue"]; runs != want {
		c.Errorf("%s: %d runs", name, runs)
	}
}

// decidesAgainWhenOvertaken: something else is stored between the decision and
// its commit.
func decidesAgainWhenOvertaken(c *scene) {
	signal := func(w events.Workflow) error {
		_, err := c.store.AppendEvents(c.ctx(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
		return err
	}
	to := func(status events.Status, id events.CommitID) func(events.Workflow) error {
		return func(w events.Workflow) error {
			_, err := c.store.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: status, CommitID: id})
			return err
		}
	}
	for _, tt := range []struct {
		name     string
		to       events.Status
		overtake func(events.Workflow) error
		from     events.Status // where the update is refused; 0: it is not
		existed  bool
		events   int64
	}{
		{"by what is beside it", paused, signal, 0, false, 3},
		{"by what is beside its continuation", continued, signal, 0, false, 1},
		{"by the same of another", paused, to(paused, "another"), paused, false, 2},
		{"by the end of the run", paused, to(completed, "another"), completed, false, 2},
		{"by the end of the run, to its end", completed, to(failed, "another"), failed, false, 2},
		{"by the next run", completed, to(continued, "another"), continued, false, 1},
		{"by itself", paused, to(paused, "own"), 0, true, 2},
		{"by itself, continuing", continued, to(continued, "own"), 0, true, 1},
		{"by itself, and more", paused, func(w events.Workflow) error {
			return errors.Join(to(paused, "own")(w), to(running, "")(w), signal(w))
		}, 0, true, 4},
	} {
		for _, id := range []events.CommitID{"own", ""} {
			if id == "" && tt.existed {
				continue
			}
			w, run := c.reach(running)
			var overtaken atomic.Bool
			s := c.h.Open(c.T, Options{Options: eventstest.Options{Fault: func(events.CommitID) eventstest.Fault {
				if !overtaken.Swap(true) {
					if err := tt.overtake(w); err != nil {
						c.Errorf("%s: %v", tt.name, err)
					}
				}
				return eventstest.Deliver
			}}})
			res, err := s.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: tt.to, CommitID: id})
			switch {
			case tt.from != 0:
				if e := refused[*store.TransitionError](c, tt.name, err, store.ErrTransition); e.From != tt.from || e.To != tt.to || e.Run != run {
					c.Errorf("%s: %+v", tt.name, e)
				}
			case err != nil || res.Existed != tt.existed:
				c.Errorf("%s: %+v, %v", tt.name, res, err)
			}
			if x := c.load(w, "").Execution; x.HistoryLength != tt.events {
				c.Errorf("%s: %d events, want %d", tt.name, x.HistoryLength, tt.events)
			}
		}
	}
}

func holdsTheLimits(c *scene) {
	s := c.h.Open(c.T, Options{Options: eventstest.Options{Limits: events.Limits{CommitBytes: 2000, MaxEvents: 4, WarnEvents: 3}}})
	w := c.workflow()
	_, err := s.SaveExecution(c.ctx(), store.NewExecution{Workflow: w, Type: "T", Tags: map[string]string{"large": string(make([]byte, 3000))}})
	if e := refused[*events.LimitError](c, "large tags", err, events.ErrLimit); e.Max != 2000 {
		c.Errorf("large tags: %+v", e)
	}
	c.nothing(w)
	signals := []*events.Event{events.Signaled("a"), events.Signaled("b"), events.Signaled("c"), events.Signaled("d")}
	_, err = s.SaveExecution(c.ctx(), store.NewExecution{Workflow: w, Type: "T", Events: signals})
	refused[*events.LimitError](c, "too many events", err, events.ErrLimit)
	c.nothing(w)
	res, err := s.SaveExecution(c.ctx(), store.NewExecution{Workflow: w, Type: "T", Events: signals[:3]})
	if err != nil || res.Warning == "" {
		c.Fatalf("at the limit: %+v, %v", res, err)
	}
	_, err = s.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: paused})
	refused[*events.LimitError](c, "one event more", err, events.ErrLimit)
	if _, err := s.UpdateState(c.ctx(), store.StateUpdate{Workflow: w, To: continued}); err != nil {
		c.Errorf("a run at its limit cannot be continued: %v", err)
	}
	if errors.Is(err, store.ErrTransition) {
		c.Errorf("a limit is no transition: %v", err)
	}
}
