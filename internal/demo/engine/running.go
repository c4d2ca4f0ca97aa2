package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// running is an open workflow in a worker: one goroutine decides and appends,
// others do what takes time and tell it what has come of it.
//
//	load ▶ decide ▶ launch ▶ wait ─┬─ an outcome ▶ append it ─┐
//	 ▲       ▲                     ├─ a timer is due ▶ append ─┤
//	 │       └─────────────────────┼───────────────────────────┘
//	 └── somebody else appended ◀──┘
type running struct {
	*Worker
	workflow events.Workflow
	cursor   events.Cursor
	state    *execution.State
	history  []*events.Event

	outcomes chan outcomeEvents
	moved    chan struct{}                         // somebody has appended; holds one
	newest   atomic.Uint64                         // the highest sequence of the workflow that the worker has seen
	launched map[events.EventID]context.CancelFunc // by the command's event
	others   sync.WaitGroup
}

// outcomeEvents is what has come of a command that was pending.
type outcomeEvents struct {
	run     events.RunID
	command events.EventID
	events  func(*running) []*events.Event // none: there is nothing to record
}

func (w *Worker) newRunning(workflow events.Workflow) *running {
	return &running{
		Worker: w, workflow: workflow, outcomes: make(chan outcomeEvents), moved: make(chan struct{}, 1),
		launched: map[events.EventID]context.CancelFunc{},
	}
}

// run goes on until the workflow's newest run is closed or another queue's (nil),
// the context ends (its error), or the workflow cannot go on.
func (r *running) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.others.Wait()
	defer cancel()
	if r.state == nil {
		if err := r.load(ctx); err != nil {
			return err
		}
	}
	for r.isOurs() {
		if err := r.decide(ctx); err != nil {
			return err
		}
		r.launch(ctx)
		if !r.isOurs() {
			break
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// load reads the workflow's newest run.
func (r *running) load(ctx context.Context) error {
	return persist(ctx, func() error {
		tail, err := r.config.Log.Tail(ctx, r.workflow)
		if err != nil {
			return err
		}
		state, history := execution.New(r.workflow, tail.Run()), make([]*events.Event, 0, tail.LastEventID()+8)
		for e, err := range r.config.Log.Read(ctx, r.workflow, events.ReadOptions{Run: tail.Run(), Limit: int(tail.LastEventID())}) {
			if err != nil {
				return err
			}
			state.Apply(e)
			history = append(history, e)
		}
		if r.state != nil && r.state.RunID != tail.Run() {
			r.cancelAll()
		}
		r.cursor, r.state, r.history = tail, state, history
		return nil
	})
}

// isOurs reports whether the run is open and of the worker's task queue.
func (r *running) isOurs() bool {
	queue := r.config.TaskQueue
	return r.state.IsOpen() && (queue == "" || queue == r.state.TaskQueue)
}

func (r *running) cancelAll() {
	for id, cancel := range r.launched {
		cancel()
		delete(r.launched, id)
	}
}

// next is the id of the event that is appended next.
func (r *running) next() events.EventID { return r.cursor.LastEventID() + 1 }

// decide does workflow tasks until nothing is due. Where somebody else was
// quicker it reads again and decides again.
func (r *running) decide(ctx context.Context) error {
	for r.isOurs() {
		now := time.Now()
		decision, err := r.config.Registry.Decide(r.workflow, r.state.RunID, r.history, now)
		if err != nil || !decision.Due {
			return err
		}
		if err = r.append(ctx, now, r.task(decision)...); errors.Is(err, events.ErrConflict) {
			err = r.load(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// task is a workflow task with what it decided, and the start of the next run
// where it continues as new.
func (r *running) task(d Decision) []*events.Event {
	scheduled := r.next()
	all := []*events.Event{
		events.WorkflowTaskScheduled(r.state.TaskQueue),
		events.WorkflowTaskStarted(scheduled, r.config.Identity),
		events.WorkflowTaskCompleted(scheduled, scheduled+1, r.config.Identity),
	}
	all = append(all, events.DecidedBy(scheduled+2, d.Commands...)...)
	if last := all[len(all)-1]; last.GetWorkflowExecutionContinuedAsNewEventAttributes() != nil {
		all = append(all, nextRun(r.state, r.history[0], last))
	}
	return all
}

// append stores events directly after the history that is known, as one commit.
// Nothing is known to have changed if it fails.
func (r *running) append(ctx context.Context, now time.Time, all ...*events.Event) error {
	id := r.next()
	for _, e := range all {
		if events.Opens(e) {
			id = 1
		}
		e.EventId = int64(id)
		events.At(now, e)
		id++
	}
	res, err := appendSettled(ctx, r.config.Log, events.Request{Workflow: r.workflow, Expect: events.After(r.cursor), Events: all})
	if err != nil {
		return err
	}
	r.cursor = res.Cursor
	for _, e := range all {
		if events.Opens(e) { // the next run
			r.cancelAll()
			r.state, r.history = execution.New(r.workflow, res.RunID), nil
		}
		r.state.Apply(e)
		r.history = append(r.history, e)
	}
	return nil
}

// launch has done what is pending and was not begun: activities are attempted,
// children started and waited for. What is not pending any more is given up.
func (r *running) launch(ctx context.Context) {
	pending := map[events.EventID]func(context.Context){}
	if r.isOurs() {
		for _, a := range r.state.Activities {
			pending[a.ScheduledEventID] = r.activity(a)
		}
		for _, c := range r.state.Children {
			pending[c.InitiatedEventID] = r.child(c)
		}
	}
	for id, cancel := range r.launched {
		if pending[id] == nil {
			cancel()
			delete(r.launched, id)
		}
	}
	for id, do := range pending {
		if r.launched[id] == nil {
			one, cancel := context.WithCancel(ctx)
			r.launched[id] = cancel
			r.others.Go(func() { do(one) })
		}
	}
}

// tell hands an outcome over; false if nobody wants it any more.
func (r *running) tell(ctx context.Context, run events.RunID, command events.EventID, outcome func(*running) []*events.Event) bool {
	select {
	case r.outcomes <- outcomeEvents{run, command, outcome}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *running) activity(pending *execution.Activity) func(context.Context) {
	a := &attempts{
		Worker: r.Worker, workflow: r.workflow, run: r.state.RunID, activity: *pending,
		input: r.history[pending.ScheduledEventID-1].GetActivityTaskScheduledEventAttributes().GetInput(),
	}
	return func(ctx context.Context) {
		if outcome := a.do(ctx); outcome != nil {
			r.tell(ctx, a.run, a.activity.ScheduledEventID, outcome)
		}
	}
}

// wait waits for one thing to happen, and appends it if it is for us to append.
func (r *running) wait(ctx context.Context) error {
	due := make(<-chan time.Time)
	if next, ok := r.nextTimer(); ok {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		due = t.C
	}
	select {
	case o := <-r.outcomes:
		return r.record(ctx, o)
	case <-due:
		return r.fire(ctx)
	case <-r.moved:
		if r.newest.Load() > r.cursor.Position().Sequence {
			return r.load(ctx)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// record appends an outcome, unless another worker has done so.
func (r *running) record(ctx context.Context, o outcomeEvents) error {
	for r.state.IsOpen() && r.state.RunID == o.run && r.pending(o.command) {
		all := o.events(r)
		if len(all) == 0 {
			return nil
		}
		err := r.append(ctx, time.Now(), all...)
		if !errors.Is(err, events.ErrConflict) {
			return err
		}
		if err := r.load(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) pending(command events.EventID) bool {
	return slices.ContainsFunc(r.state.Activities, func(a *execution.Activity) bool { return a.ScheduledEventID == command }) ||
		slices.ContainsFunc(r.state.Children, func(c *execution.Child) bool { return c.InitiatedEventID == command })
}

// nextTimer is when the first pending timer is due.
func (r *running) nextTimer() (at time.Time, ok bool) {
	for _, t := range r.state.Timers {
		if !ok || t.FireTime.Before(at) {
			at, ok = t.FireTime, true
		}
	}
	return at, ok
}

// fire appends that the timers which are due have fired.
func (r *running) fire(ctx context.Context) error {
	now := time.Now()
	var fired []*events.Event
	for _, t := range r.state.Timers {
		if !t.FireTime.After(now) {
			fired = append(fired, events.TimerFired(t.TimerID, t.StartedEventID))
		}
	}
	if len(fired) == 0 {
		return nil
	}
	err := r.append(ctx, now, fired...)
	if errors.Is(err, events.ErrConflict) {
		return r.load(ctx) // what is due then is seen then
	}
	return err
}
