package replay

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Task is a moment at which code decides.
type Task struct {
	Workflow events.Workflow
	Run      events.RunID
	Type     string // of the workflow
	// History is what was known: all events up to the start of the workflow
	// task, inclusive, or of an engine without workflow tasks all before what it
	// decided. Workflow tasks that failed or timed out are in it as they were.
	// It MUST NOT be changed.
	History []*events.Event
	// New is the end of History that the task before did not have: all of it,
	// from event 1, in a run's first task.
	New []*events.Event
	// Next is the id that the event of the first command has, or would have.
	Next events.EventID
	// Time is that of the task: of the start of the workflow task, else of
	// the last event known.
	Time time.Time
	// Recorded says that the history has what was decided, so that it will be
	// compared. In a run's last task it may be false: the history ends before
	// the task.
	Recorded bool
	// Markers are the markers that this very task recorded: what a
	// side effect or a version was, of which code needs to know when it repeats
	// the task.
	Markers []*events.Event
	// Versions are the versions of changes that the run has recorded, up to and
	// with this task; see Task.Version. It MUST NOT be changed.
	Versions map[string]int
}

// Code is a workflow's code as a function from a history to commands. It MUST
// decide from the task alone. For one run it is called task by task, in their
// order, by one goroutine, so that code with a state of its own can go on with
// New; of another run it hears when History is New.
//
// Where there is nothing to decide it returns no commands. An error says that
// the code has no answer to this history, which is a mismatch, and so is a
// panic; one that wraps ErrNotAsked says that the code could not be asked, which
// ends the check.
type Code func(ctx context.Context, t Task) ([]*Command, error)

// CheckOptions say how code is checked. The zero value compares what says which
// command a command is.
type CheckOptions struct {
	Compare Compare
	// Around is how many events before and after the first mismatch are told; 5.
	// Less than 0 is refused with events.ErrInvalid.
	Around int
	// Piecemeal says that the engine, one without workflow tasks, does not
	// record in one commit what it decides at once: what code asks for beyond
	// what was recorded is then to come, and no mismatch.
	Piecemeal bool
}

// Check holds code against a run (empty: the newest) of the log: it runs the
// code over the history, task by task, and compares what it asks for
// with what was recorded. It fails as events.Reader.Read does, and with what
// wraps ErrNotAsked. It is safe for concurrent use with code that is.
func Check(ctx context.Context, log events.Reader, w events.Workflow, run events.RunID, code Code, o CheckOptions) (*CheckReport, error) {
	if run == "" {
		tail, err := log.Tail(ctx, w)
		if err != nil {
			return nil, err
		}
		run = tail.Run() // so that the report names it
	}
	return CheckHistory(ctx, w, run, log.Read(ctx, w, events.ReadOptions{Run: run}), code, o)
}

// CheckHistory is Check of a history from anywhere. It begins with event 1; the
// workflow and the run are for the report and the tasks. A history that does not
// begin with a start, whose ids are not dense, or in which a workflow task's
// decision names no completed task and stands behind none, fails with
// events.ErrInvalid.
func CheckHistory(ctx context.Context, w events.Workflow, run events.RunID, history iter.Seq2[*events.Event, error], code Code, o CheckOptions) (*CheckReport, error) {
	switch {
	case o.Around < 0:
		return nil, &events.InvalidError{Field: "Around", Reason: fmt.Sprintf("is %d, want 0 or more", o.Around)}
	case o.Around == 0:
		o.Around = 5
	}
	c := checking{o: o, code: code, versions: map[string]int{}, report: &CheckReport{Workflow: w, Run: run}}
	for e, err := range history {
		if err != nil {
			return nil, err
		}
		c.history = append(c.history, e)
		switch {
		case e.GetEventId() == int64(len(c.history)):
		case len(c.history) == 1:
			return nil, &events.InvalidError{Field: "history", Reason: fmt.Sprintf("begins with event %d: a check needs all of it, from event 1", e.GetEventId())}
		default:
			return nil, &events.InvalidError{Field: "history", Reason: fmt.Sprintf("has event %d where %d is next", e.GetEventId(), len(c.history))}
		}
	}
	if len(c.history) == 0 {
		return nil, &events.InvalidError{Field: "history", Reason: "has no events"}
	}
	if !events.Opens(c.history[0]) {
		return nil, &events.InvalidError{Field: "history", Reason: "does not begin with the start of a run"}
	}
	c.report.Type = c.history[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
	c.report.Events = len(c.history)
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	if m := c.report.Mismatch; m != nil {
		m.Around = c.around(m.EventID)
	}
	return c.report, nil
}

// checking is a check under way.
type checking struct {
	o        CheckOptions
	code     Code
	history  []*events.Event
	given    int // events that the code has seen
	versions map[string]int
	noted    int // events whose versions are noted
	// late is what completed tasks decided that does not stand right behind
	// them, by the id of their completion.
	late   map[events.EventID][]*events.Event
	report *CheckReport
}

func (c *checking) run(ctx context.Context) error {
	next := c.nextBlock
	if c.hasTasks() {
		next = c.nextTask
		if err := c.findLate(); err != nil {
			return err
		}
	}
	for at := 0; ; {
		d, ok := next(at)
		if !ok {
			break
		}
		if end, err := c.compare(ctx, d); err != nil || c.report.Mismatch != nil {
			return err
		} else {
			at = end
		}
	}
	return c.ahead(ctx)
}

func (c *checking) hasTasks() bool {
	for _, e := range c.history {
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED {
			return true
		}
	}
	return false
}

// block is what was recorded at once.
type block struct {
	known    int // events that were known: history[:known]
	from, to int // what was decided: history[from:to], and late
	late     []*events.Event
	task     events.EventID
	// cut says that a reset has cut off what followed.
	cut bool
	// alone says that there are no workflow tasks, so that a marker in it may be
	// of anybody, and what was decided at once may be several tasks.
	alone bool
}

// recorded is all that was decided, in its order.
func (c *checking) recorded(d block) []*events.Event {
	return slices.Concat(c.history[d.from:d.to], d.late)
}

// behind is the id of the event behind what was decided.
func (d block) behind() events.EventID {
	if n := len(d.late); n > 0 {
		return events.EventID(d.late[n-1].GetEventId() + 1)
	}
	return events.EventID(d.to + 1)
}

// findLate finds what was decided and stands behind no completed workflow task:
// an engine may commit the end of a task and what it decided one after the
// other, so that something else comes between. Then the event says which task it
// is of; one that does not could be compared with nothing, so that the check
// fails and does not pass over it.
func (c *checking) findLate() error {
	c.late = map[events.EventID][]*events.Event{}
	for i := 0; i < len(c.history); i++ {
		e := c.history[i]
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			i = c.decidedBehind(i) - 1
			continue
		}
		if !decided(e) || resets(e) {
			continue
		}
		task := decidingTask(e)
		if task < 1 || task > int64(i) || c.history[task-1].GetEventType() != enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			reason := fmt.Sprintf("stands behind no completed workflow task, and its workflowTaskCompletedEventId is %d, which is none", task)
			return &events.InvalidError{Field: fmt.Sprintf("event %d (%s)", e.GetEventId(), e.GetEventType()), Reason: reason}
		}
		c.late[events.EventID(task)] = append(c.late[events.EventID(task)], e)
	}
	return nil
}

// decidingTask is the id of the completion of the workflow task that an event
// says it was decided by; 0: it does not say.
func decidingTask(e *events.Event) int64 {
	a := attributesOf(e.ProtoReflect())
	if a == nil {
		return 0
	}
	f := a.Descriptor().Fields().ByName("workflow_task_completed_event_id")
	if f == nil {
		return 0
	}
	return a.Get(f).Int()
}

// decidedBehind is the index behind what stands right behind the completion of a
// task, and was decided by it.
func (c *checking) decidedBehind(completed int) int {
	to := completed + 1
	for to < len(c.history) && (decided(c.history[to]) || atOnce(c.history[to])) {
		to++
	}
	return to
}

// nextTask is the next completed workflow task from an index on. What it decided
// stands right behind it, or says that it was decided by it.
func (c *checking) nextTask(at int) (block, bool) {
	for i := at; i < len(c.history); i++ {
		e := c.history[i]
		if e.GetEventType() != enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			continue
		}
		d := block{known: i, from: i + 1, to: c.decidedBehind(i), task: events.EventID(e.GetEventId())}
		d.late = c.late[d.task]
		d.cut = d.to < len(c.history) && resets(c.history[d.to])
		return d, true
	}
	return block{}, false
}

// nextBlock is the next block of commands of an engine without workflow tasks.
func (c *checking) nextBlock(at int) (block, bool) {
	for i := at; i < len(c.history); i++ {
		if !commands(c.history[i]) {
			continue
		}
		d := block{known: i, from: i, to: i, alone: true}
		for d.to < len(c.history) && commands(c.history[d.to]) {
			d.to++
		}
		d.cut = d.to < len(c.history) && resets(c.history[d.to])
		return d, true
	}
	return block{}, false
}

// commands says whether an event was decided, by its type alone.
func commands(e *events.Event) bool { return commandTypes[e.GetEventType()] != 0 && !resets(e) }

// resets says whether a reset run's own events begin with this one.
func resets(e *events.Event) bool {
	return e.GetMarkerRecordedEventAttributes().GetMarkerName() == events.MarkerReset ||
		e.GetWorkflowTaskFailedEventAttributes().GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
}

// decided says whether an event right behind a completed workflow task was
// decided by it. A marker says so itself, or is a fact that somebody else
// recorded; which task it names is not asked, as no SDK asks it.
func decided(e *events.Event) bool {
	if m := e.GetMarkerRecordedEventAttributes(); m != nil {
		return m.GetWorkflowTaskCompletedEventId() != 0
	}
	return commands(e)
}

// atOnce says whether an event is one that a server writes among the commands of
// a task: what became of an update, or of the cancellation of something that
// nobody had begun.
func atOnce(e *events.Event) bool {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED, enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCELED:
		return true
	}
	return false
}

// pair is a recorded event with the command that it was written for.
type pair struct {
	event   *events.Event
	command *Command
}

// compare compares one, and gives the index from which to look for the next.
func (c *checking) compare(ctx context.Context, d block) (int, error) {
	recorded, next := c.recorded(d), d.from
	if len(recorded) > 0 {
		next = c.index(recorded[0])
	}
	issued, failed, err := c.ask(ctx, d.known, next, recorded, true)
	if err != nil {
		return 0, err
	}
	was := compared(recorded)
	if failed != "" {
		c.mismatch(d, was, issued, 0, failed)
		return 0, nil
	}
	is := make([]*Command, 0, len(issued))
	for _, cmd := range issued {
		if a := cmd.GetRecordMarkerCommandAttributes(); a != nil {
			if change, v, ok := commandVersion(a); ok && !c.has(change, v) {
				c.mismatch(d, was, issued, 0, "the run has not recorded this version")
				c.report.Mismatch.Issued = cmd
				if len(recorded) > 0 {
					c.report.Mismatch.Recorded, c.report.Mismatch.EventID = recorded[0], events.EventID(recorded[0].GetEventId())
				}
				return 0, nil
			}
		}
		if !recordsVersion(cmd) && !rejects(cmd) {
			is = append(is, cmd)
		}
	}
	for i := 0; i < max(len(was), len(is)); i++ {
		switch {
		case i == len(was):
			if d.cut || d.alone && c.o.Piecemeal {
				return d.to, nil
			}
			c.mismatch(d, was, is, i, "the code asks for more than was recorded")
		case i < len(is) && c.agree(was[i].command, is[i]):
			c.report.Commands++
			continue
		case d.alone && c.isFact(was[i].command, is[min(i, len(is)):]):
			return c.index(was[i].event) + 1, nil // the code may know it now
		case d.alone && i > 0 && i == len(is):
			return c.index(was[i].event), nil // what was decided next, without anything having happened
		case i == len(is):
			c.mismatch(d, was, is, i, "the code does not ask for what was recorded")
		case was[i].command.GetCommandType() != is[i].GetCommandType():
			c.mismatch(d, was, is, i, "the code asks for a command of another type")
		default:
			c.mismatch(d, was, is, i, "the code asks for a command of that type with other values")
			c.report.Mismatch.Fields = c.o.Compare.differences(was[i].command, is[i])
		}
		return 0, nil
	}
	return d.to, nil
}

func (c *checking) agree(was, is *Command) bool {
	return was.GetCommandType() == is.GetCommandType() && len(c.o.Compare.differences(was, is)) == 0
}

// isFact says whether a recorded marker is one that somebody else than the code
// recorded, as far as anybody can tell without workflow tasks: the code does not
// ask for it.
func (c *checking) isFact(was *Command, rest []*Command) bool {
	return was.GetCommandType() == enumspb.COMMAND_TYPE_RECORD_MARKER &&
		!slices.ContainsFunc(rest, func(is *Command) bool { return c.agree(was, is) })
}

// has says whether the run has recorded a version of a change.
func (c *checking) has(change string, version int) bool {
	v, ok := c.versions[change]
	return ok && v == version
}

// index is an event's place in the history: ids are dense.
func (c *checking) index(e *events.Event) int { return int(e.GetEventId()) - 1 }

// compared are the recorded commands that code must ask for: not those about
// versions, which are code's to read, and not rejections of updates, which
// Temporal does not record.
func compared(recorded []*events.Event) []pair {
	var all []pair
	for _, e := range recorded {
		if cmd := CommandOf(e); cmd != nil && !recordsVersion(cmd) && !rejects(cmd) {
			all = append(all, pair{e, cmd})
		}
	}
	return all
}

func rejects(c *Command) bool {
	return strings.HasSuffix(c.GetProtocolMessageCommandAttributes().GetMessageId(), rejectMessage)
}

// ask has the code decide with the first events of the history known, what comes
// next being the event at an index. Failed is why it has no answer.
func (c *checking) ask(ctx context.Context, known, next int, decided []*events.Event, recorded bool) (issued []*Command, failed string, err error) {
	for ; c.noted < known; c.noted++ {
		noteVersion(c.versions, c.history[c.noted])
	}
	for _, e := range decided {
		noteVersion(c.versions, e)
	}
	t := Task{
		Workflow: c.report.Workflow, Run: c.report.Run, Type: c.report.Type,
		History: c.history[:known:known], New: c.history[c.given:known:known], Next: events.EventID(next + 1),
		Recorded: recorded, Versions: maps.Clone(c.versions),
	}
	for _, e := range decided {
		if e.GetEventType() == enumspb.EVENT_TYPE_MARKER_RECORDED {
			t.Markers = append(t.Markers, e)
		}
	}
	if last := c.history[known-1]; last.GetEventTime() != nil {
		t.Time = last.GetEventTime().AsTime()
	}
	c.given = known
	c.report.Tasks++
	issued, err = c.call(ctx, t)
	switch {
	case err == nil:
		return issued, "", nil
	case ctx.Err() != nil:
		return nil, "", context.Cause(ctx)
	case errors.Is(err, ErrNotAsked):
		return nil, "", err
	}
	return nil, "the code has no answer: " + err.Error(), nil
}

// call makes an error of a panic.
func (c *checking) call(ctx context.Context, t Task) (issued []*Command, err error) {
	defer func() {
		if p := recover(); p != nil {
			issued, err = nil, fmt.Errorf("it panics: %v\n%s", p, debug.Stack())
		}
	}()
	return c.code(ctx, t)
}

// ahead asks the code what it would do where the history ends, if anything has
// happened since it last decided.
func (c *checking) ahead(ctx context.Context) error {
	last := c.history[len(c.history)-1]
	if events.Closes(last) {
		return nil
	}
	end := len(c.history)
	quiet := true // but for what was decided
	for _, e := range c.history[c.given:] {
		quiet = quiet && (commandTypes[e.GetEventType()] != 0 || e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
	}
	if quiet {
		return nil
	}
	issued, failed, err := c.ask(ctx, end, end, nil, false)
	if err != nil {
		return err
	}
	if failed != "" {
		c.mismatch(block{known: end, from: end, to: end}, nil, nil, 0, failed)
		return nil
	}
	c.report.Ahead = issued
	return nil
}

// mismatch notes where code and history part: at the i-th command of a task.
func (c *checking) mismatch(d block, was []pair, is []*Command, i int, reason string) {
	m := &Mismatch{TaskEventID: d.task, Reason: reason, AllIssued: is}
	for _, p := range was {
		m.AllRecorded = append(m.AllRecorded, p.command)
	}
	m.EventID = d.behind()
	if i < len(was) {
		m.Recorded = was[i].event
		m.EventID = events.EventID(was[i].event.GetEventId())
	}
	if i < len(is) {
		m.Issued = is[i]
	}
	c.report.Mismatch = m
}

// around are the events about an id.
func (c *checking) around(id events.EventID) []*events.Event {
	i := int(id) - 1
	return slices.Clone(c.history[max(0, min(i, len(c.history))-c.o.Around):min(len(c.history), i+1+c.o.Around)]) // a report outlives the history
}
