package engine

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Context is what a workflow function has of the world. It is for the goroutine
// that the function is called in, and not to be kept.
type Context struct {
	workflow events.Workflow
	run      events.RunID
	now      time.Time // of the workflow task that is being decided
	pause    func() bool

	queue    string
	issued   []*events.Event // commands since the function was last resumed
	next     events.EventID  // that the next command's event has
	waiting  map[events.EventID]*outcome
	signals  map[string]*inbox
	canceled outcome
}

// outcome is what becomes of a command, by its event.
type outcome struct {
	done   bool
	result *commonpb.Payloads
	err    error
}

// inbox is the signals of one name that were not received yet.
type inbox struct{ waiting []*commonpb.Payloads }

// Workflow is the workflow that runs.
func (c *Context) Workflow() events.Workflow { return c.workflow }

// RunID is its run.
func (c *Context) RunID() events.RunID { return c.run }

// Now is the time of the workflow task that is being decided: the same whenever
// the function is run over this history.
func (c *Context) Now() time.Time { return c.now }

// unwound ends a workflow function that is not resumed again.
type unwound struct{}

// Awaitable is what a workflow can wait for.
type Awaitable interface{ Ready() bool }

// Await returns when at least one of them is ready.
func Await(ctx *Context, any Awaitable, more ...Awaitable) {
	ready := func() bool {
		for _, a := range more {
			if a.Ready() {
				return true
			}
		}
		return any.Ready()
	}
	for !ready() {
		if !ctx.pause() {
			panic(unwound{})
		}
	}
}

// command issues one: it becomes the event whose id is returned.
func (c *Context) command(e *events.Event) events.EventID {
	id := c.next
	c.next++
	c.issued = append(c.issued, e)
	return id
}

// expect is where the outcome of a command will be.
func (c *Context) expect(id events.EventID) *outcome {
	o := &outcome{}
	c.waiting[id] = o
	return o
}

// CancelRequest is ready once somebody has asked the run to cancel itself. The
// workflow gives in by returning ErrCanceled, when it has tidied up.
func CancelRequest(ctx *Context) Awaitable { return (*cancelRequest)(ctx) }

type cancelRequest Context

func (c *cancelRequest) Ready() bool { return c.canceled.done }

// see takes note of what happened, and reports whether the function may have
// waited for it.
func (c *Context) see(e *events.Event) bool {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		a := e.GetWorkflowExecutionSignaledEventAttributes()
		box := c.inbox(a.GetSignalName())
		box.waiting = append(box.waiting, a.GetInput())
		return true
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
		c.canceled.done = true
		return true
	}
	command, result, err := outcomeOf(e)
	o := c.waiting[command]
	if o == nil || o.done {
		return false
	}
	*o = outcome{done: true, result: result, err: err}
	return true
}

func (c *Context) inbox(name string) *inbox {
	if c.signals[name] == nil {
		c.signals[name] = &inbox{}
	}
	return c.signals[name]
}
