package engine

import (
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Decision is what a workflow task comes to.
type Decision struct {
	// Due says that something has happened since the last workflow task. If not
	// there is nothing to decide.
	Due bool
	// Commands are the events that the code asks for, in order. Those that
	// refer to each other do so by the ids that they get if a workflow task
	// (three events) and then they are appended directly after the history.
	Commands []*events.Event
}

// taskEvents is how many events a workflow task has, before its commands.
const taskEvents = 3

// Decide runs a workflow's code over the history of a run, all of it from its
// first event on, and says what it asks for next; now is what it takes for the
// time then. It fails with *NondeterminismError, *PanicError or
// *UnknownTypeError. It changes nothing and is safe for concurrent use.
func (r *Registry) Decide(w events.Workflow, run events.RunID, history []*events.Event, now time.Time) (Decision, error) {
	m := &machine{registry: r, ctx: &Context{workflow: w, run: run, waiting: map[events.EventID]*outcome{}, signals: map[string]*inbox{}}}
	defer m.end()
	due := false
	for i := 0; i < len(history); i++ {
		e := history[i]
		switch {
		case events.Opens(e):
			if err := m.begin(e); err != nil {
				return Decision{}, err
			}
			due = true
		case events.Closes(e):
			return Decision{}, nil
		case e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:
			m.ctx.now = e.GetEventTime().AsTime()
		case e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			n, err := m.repeat(history[i:])
			if err != nil {
				return Decision{}, err
			}
			i += n
			due = false
			if m.done {
				return Decision{}, nil
			}
		case m.ctx.see(e):
			due = true
		}
	}
	if !due {
		return Decision{}, nil
	}
	m.ctx.now = now
	if err := m.resume(events.EventID(len(history)) + taskEvents); err != nil {
		return Decision{}, err
	}
	for _, e := range m.ctx.issued {
		if err := events.ValueError(e); err != nil {
			return Decision{}, fmt.Errorf("run %s of %s: a command: %w", run, w, err)
		}
	}
	return Decision{Due: true, Commands: m.ctx.issued}, nil
}

// machine is a workflow function that runs over a history.
type machine struct {
	registry *Registry
	ctx      *Context
	next     func() (struct{}, bool) // until the function waits or ends
	stop     func()
	done     bool // the function has returned
	broken   *PanicError
}

// begin prepares the function that the start event asks for.
func (m *machine) begin(e *events.Event) error {
	a := e.GetWorkflowExecutionStartedEventAttributes()
	code, ok := m.registry.workflows[a.GetWorkflowType().GetName()]
	if !ok {
		return &UnknownTypeError{Kind: "workflow", Name: a.GetWorkflowType().GetName()}
	}
	m.ctx.queue = a.GetTaskQueue().GetName()
	m.next, m.stop = iter.Pull(m.body(code, a.GetInput()))
	return nil
}

// body is the function as a coroutine: it yields whenever it waits.
func (m *machine) body(code func(*Context, *commonpb.Payloads) (any, error), input *commonpb.Payloads) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		defer func() {
			switch p := recover().(type) {
			case nil, unwound:
			default:
				m.broken = &PanicError{Workflow: m.ctx.workflow, RunID: m.ctx.run, Value: p, Stack: string(debug.Stack())}
			}
		}()
		m.ctx.pause = func() bool { return yield(struct{}{}) }
		result, err := code(m.ctx, input)
		m.ctx.command(closing(m.ctx, result, err))
		m.done = true
	}
}

// resume lets the function go on after the workflow task that this event
// completes.
func (m *machine) resume(completed events.EventID) error {
	m.ctx.issued, m.ctx.next = nil, completed+1
	m.next()
	if m.broken != nil {
		return m.broken
	}
	return nil
}

func (m *machine) end() {
	if m.stop != nil {
		m.stop()
	}
}

// repeat resumes the function at a completed workflow task, and compares what
// it asks for with what the history has after that. It returns how many
// commands there are.
func (m *machine) repeat(history []*events.Event) (int, error) {
	completed := events.EventID(history[0].GetEventId())
	if err := m.resume(completed); err != nil {
		return 0, err
	}
	recorded := commandsOf(completed, history[1:])
	for i := range max(len(recorded), len(m.ctx.issued)) {
		was, is := "nothing more", "nothing more"
		if i < len(recorded) {
			was = describe(recorded[i])
		}
		if i < len(m.ctx.issued) {
			is = describe(m.ctx.issued[i])
		}
		if was != is {
			return 0, &NondeterminismError{
				Workflow: m.ctx.workflow, RunID: m.ctx.run, EventID: completed + 1 + events.EventID(i), Recorded: was, Issued: is,
			}
		}
	}
	return len(recorded), nil
}

// commandsOf are the events at the front that a workflow task decided.
func commandsOf(completed events.EventID, history []*events.Event) []*events.Event {
	for i, e := range history {
		if decidedBy(e) != completed {
			return history[:i]
		}
	}
	return history
}

// decidedBy is the completed workflow task that an event comes from, 0 if none.
func decidedBy(e *events.Event) events.EventID {
	if e.GetStartChildWorkflowExecutionFailedEventAttributes() != nil {
		return 0 // it names the task of the event that it answers
	}
	m := e.ProtoReflect()
	attributes := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	if attributes == nil {
		return 0
	}
	field := attributes.Message().Fields().ByName("workflow_task_completed_event_id")
	if field == nil {
		return 0
	}
	return events.EventID(m.Get(attributes).Message().Get(field).Int())
}

// describe says what a command asks for, as far as code and history must agree.
func describe(e *events.Event) string {
	name := e.GetEventType().String()
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		a := e.GetActivityTaskScheduledEventAttributes()
		return fmt.Sprintf("%s %s as %s", name, a.GetActivityType().GetName(), a.GetActivityId())
	case enumspb.EVENT_TYPE_TIMER_STARTED:
		return name + " " + e.GetTimerStartedEventAttributes().GetTimerId()
	case enumspb.EVENT_TYPE_TIMER_CANCELED:
		return name + " " + e.GetTimerCanceledEventAttributes().GetTimerId()
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
		a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes()
		return fmt.Sprintf("%s %s as %s", name, a.GetWorkflowType().GetName(), a.GetWorkflowId())
	default:
		return name
	}
}
