package historytest

import (
	"fmt"
	"math/rand/v2"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	updatepb "go.temporal.io/api/update/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

// flow is one workflow: where its newest run stands, as far as an engine must
// know it to write events that make sense.
type flow struct {
	name   events.Workflow
	tame   bool
	resets bool
	cursor events.Cursor
	runs   int
	clock  time.Duration // since epoch

	run    events.RunID // newest
	open   bool
	paused bool
	next   int64 // event id
	task   int64 // last completed workflow task

	lengths map[events.RunID]int64 // of runs that have begun: their last event

	activities, timers, children, nexus, signals, cancels, updates []pending

	// of the commit under way
	*rand.Rand
	events []*events.Event
	starts int
}

// pending is what a later event ends.
type pending struct {
	opened, started int64
	name            string
}

// commit is the next append.
func (f *flow) commit(r *rand.Rand, moves, number int) events.Request {
	f.Rand, f.events, f.starts = r, nil, 0
	if f.lengths == nil {
		f.lengths = map[events.RunID]int64{}
	}
	if f.resets && len(f.lengths) > 0 && f.IntN(10) == 0 {
		return f.reset(number)
	}
	request := events.Request{
		Workflow: f.name, CommitID: events.CommitID(fmt.Sprintf("commit-%d", number)),
	}
	if !f.cursor.IsZero() {
		request.Expect = events.After(f.cursor)
	}
	if !f.open {
		f.start()
	}
	for range 1 + f.IntN(moves) {
		f.move()
		if !f.open {
			break
		}
	}
	if f.open && f.starts == 1 && f.IntN(6) == 0 { // a short life
		f.end()
	}
	if !f.open && f.starts < 2 && f.IntN(3) == 0 { // continue as new, retry, cron, terminate and start
		f.start()
		for range f.IntN(moves) {
			f.move()
			if !f.open {
				break
			}
		}
	}
	if f.starts > 0 {
		request.RunID = f.run
	}
	if f.IntN(2) == 0 { // the log assigns them
		for _, e := range f.events {
			e.EventId = 0
		}
	}
	request.Events = f.events
	return request
}

// reset is an append that begins the next run with the first events of an earlier one, or of the open one.
func (f *flow) reset(number int) events.Request {
	base := events.RunID(fmt.Sprintf("run-%d", 1+f.IntN(f.runs)))
	last := f.lengths[base]
	if base != f.run || !f.open {
		last-- // not with the event that closed it
	}
	if last < 1 {
		base, last = f.run, 1
	}
	f.runs++
	f.run = events.RunID(fmt.Sprintf("run-%d", f.runs))
	o := events.ResetOptions{RunID: f.run, Reason: f.text("again")}
	for range f.IntN(3) {
		o.Reapply = append(o.Reapply, events.Signaled(f.text("payment-received"), f.IntN(100)))
	}
	r := events.Reset(f.cursor, events.Base{Run: base, Event: events.EventID(1 + f.Int64N(last))}, o)
	r.CommitID = events.CommitID(fmt.Sprintf("commit-%d", number))
	// What the base has left open stays so: nothing of it is ended.
	f.open, f.paused, f.task = true, false, 0
	f.activities, f.timers, f.children, f.nexus, f.signals, f.cancels, f.updates = nil, nil, nil, nil, nil, nil, nil
	return r
}

// add writes an event of the open run and returns its id.
func (f *flow) add(e *events.Event) int64 {
	e.EventId = f.next
	f.next++
	f.clock += time.Duration(f.Int64N(int64(3 * time.Second)))
	at := epoch.Add(f.clock)
	switch {
	case f.tame:
	case f.IntN(10) == 0: // another machine's clock
		at = at.Add(-time.Duration(f.Int64N(int64(time.Minute))))
	case f.IntN(200) == 0:
		at = time.Date(1+f.IntN(9999), 1, 1, 0, 0, 0, f.IntN(1e9), time.UTC)
	}
	if e.EventTime = timestamppb.New(at); f.IntN(20) == 0 {
		e.EventTime = nil // the log assigns it
	}
	f.events = append(f.events, e)
	return e.EventId
}

// text is a name, sometimes an odd one.
func (f *flow) text(name string) string {
	if f.tame || f.IntN(12) > 0 {
		return name
	}
	return []string{name + "\x00", "\x00", "", "日本語", awkward[f.IntN(len(awkward))], name + `\u0000`}[f.IntN(6)]
}

func (f *flow) start() {
	f.runs++
	f.starts++
	last := f.run
	f.run = events.RunID(fmt.Sprintf("run-%d", f.runs))
	f.open, f.paused, f.next, f.task = true, false, 1, 0
	f.activities, f.timers, f.children, f.nexus, f.signals, f.cancels, f.updates = nil, nil, nil, nil, nil, nil, nil
	e := events.WorkflowStarted(f.text([]string{"Order", "Payment", "Shipment"}[f.IntN(3)]), f.text("orders"), map[string]any{"order": f.runs})
	a := e.GetWorkflowExecutionStartedEventAttributes()
	a.OriginalExecutionRunId = string(f.run)
	a.Identity = f.text("client-1")
	a.Attempt = int32(f.IntN(3))
	if f.IntN(2) == 0 {
		a.WorkflowExecutionTimeout, a.WorkflowRunTimeout, a.WorkflowTaskTimeout = durationpb.New(time.Hour), durationpb.New(time.Minute), durationpb.New(10*time.Second)
		a.FirstWorkflowTaskBackoff = durationpb.New(time.Duration(f.IntN(1e9)))
		a.RetryPolicy = &commonpb.RetryPolicy{InitialInterval: durationpb.New(time.Second), BackoffCoefficient: 1.5, MaximumAttempts: 3, NonRetryableErrorTypes: []string{f.text("Fatal")}}
		a.WorkflowExecutionExpirationTime = timestamppb.New(epoch.Add(f.clock + time.Hour))
		a.CronSchedule = f.text("*/5 * * * *")
		a.Priority = &commonpb.Priority{PriorityKey: 2, FairnessKey: f.text("gold"), FairnessWeight: 0.3}
	}
	if last != "" {
		a.ContinuedExecutionRunId, a.FirstExecutionRunId = string(last), "run-1"
	}
	if f.IntN(3) == 0 {
		a.ParentWorkflowNamespace = f.text("default")
		a.ParentWorkflowExecution = &commonpb.WorkflowExecution{WorkflowId: f.text("parent"), RunId: f.text("parent-run")}
		a.RootWorkflowExecution = &commonpb.WorkflowExecution{WorkflowId: f.text("root"), RunId: f.text("root-run")}
		a.ParentInitiatedEventId = 5
	}
	a.Memo = &commonpb.Memo{Fields: f.fields("note")}
	a.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: f.fields("Customer")}
	if !f.tame && f.IntN(8) == 0 {
		run := a.OriginalExecutionRunId
		f.wild(a.ProtoReflect())
		a.OriginalExecutionRunId = run
	}
	f.add(e)
}

// fields are some payloads by key.
func (f *flow) fields(name string) map[string]*commonpb.Payload {
	out := map[string]*commonpb.Payload{}
	for range f.IntN(3) {
		p, err := events.Payload([]any{"x", f.IntN(1000), []string{"a", "b"}, nil, map[string]any{"k": "\x00"}}[f.IntN(5)])
		if err != nil {
			panic(err) // of constants
		}
		out[f.text(fmt.Sprint(name, f.IntN(3)))] = p
	}
	if f.IntN(4) == 0 {
		p, err := events.Payload([]string{"change-1", "change-2"}[:1+f.IntN(2)])
		if err != nil {
			panic(err)
		}
		out["TemporalChangeVersion"] = p
	}
	return out
}

// move is what happens next: 1 to 3 events.
func (f *flow) move() {
	if f.paused && f.IntN(2) == 0 {
		f.paused = false
		f.add(events.WorkflowUnpaused(f.text("go on")))
		return
	}
	moves := [...]func(){
		f.workflowTask, f.workflowTask, f.scheduleActivity, f.scheduleActivity, f.activity, f.activity, f.activity,
		f.startTimer, f.timer, f.initiateChild, f.child, f.child, f.signal, f.marker, f.update, f.nexusOperation, f.external,
		f.upsert, f.modify, f.pause, f.cancelRequest, f.odd, f.odd, f.close,
	}
	moves[f.IntN(len(moves))]()
}

func (f *flow) workflowTask() {
	s := f.add(events.WorkflowTaskScheduled(f.text("orders")))
	st := f.add(events.WorkflowTaskStarted(events.EventID(s), "worker-1"))
	switch f.IntN(6) {
	case 0:
		f.add(events.WorkflowTaskTimedOut(events.EventID(s), events.EventID(st)))
	case 1:
		e := events.WorkflowTaskFailed(events.EventID(s), events.EventID(st), fmt.Errorf("non-determinism: %w", errText(f.text("boom"))))
		if f.IntN(3) == 0 {
			a := e.GetWorkflowTaskFailedEventAttributes()
			a.Cause, a.BaseRunId, a.NewRunId = enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW, f.text("base"), string(f.run)
		}
		f.add(e)
	default:
		e := events.WorkflowTaskCompleted(events.EventID(s), events.EventID(st), "worker-1")
		//nolint:staticcheck // one of the places where workers have said which code they run.
		e.GetWorkflowTaskCompletedEventAttributes().BinaryChecksum = f.text(fmt.Sprint("build-", f.IntN(25)))
		if f.IntN(2) == 0 {
			f.versioned(e.GetWorkflowTaskCompletedEventAttributes())
		}
		f.task = f.add(e)
	}
}

// versioned has a worker say which code it is.
func (f *flow) versioned(a *historypb.WorkflowTaskCompletedEventAttributes) {
	a.DeploymentVersion = &deploymentpb.WorkerDeploymentVersion{DeploymentName: f.text("orders"), BuildId: fmt.Sprint("b", f.IntN(3))}
	a.VersioningBehavior = enumspb.VersioningBehavior(f.IntN(3))
	a.SdkMetadata = &sdkpb.WorkflowTaskCompletedMetadata{SdkName: f.text("temporal-go"), SdkVersion: "1.47.0"}
}

// errText is an error of nothing but a text.
type errText string

func (e errText) Error() string { return string(e) }

// decided marks an event as a command of the last workflow task.
func (f *flow) decided(e *events.Event) int64 {
	return f.add(events.DecidedBy(events.EventID(f.task), e)[0])
}

func (f *flow) scheduleActivity() {
	name := f.text([]string{"Charge", "Ship", "Notify"}[f.IntN(3)])
	e := events.ActivityScheduled(f.text(fmt.Sprint("activity-", f.next)), name, f.IntN(100))
	a := e.GetActivityTaskScheduledEventAttributes()
	a.TaskQueue = nil
	a.StartToCloseTimeout, a.ScheduleToCloseTimeout = durationpb.New(time.Minute), durationpb.New(time.Hour+time.Nanosecond)
	if f.IntN(2) == 0 {
		a.RetryPolicy = &commonpb.RetryPolicy{MaximumAttempts: int32(1 + f.IntN(5))}
		a.HeartbeatTimeout, a.ScheduleToStartTimeout = durationpb.New(time.Second), durationpb.New(-time.Second)
	}
	f.activities = append(f.activities, pending{opened: f.decided(e), name: name})
}

// pick takes one of a list, or tells that there is none.
func (f *flow) pick(list []pending) (int, bool) {
	if len(list) == 0 {
		return 0, false
	}
	return f.IntN(len(list)), true
}

func remove(list *[]pending, i int) { *list = append((*list)[:i:i], (*list)[i+1:]...) }

func (f *flow) activity() {
	i, ok := f.pick(f.activities)
	if !ok {
		f.scheduleActivity()
		return
	}
	p := &f.activities[i]
	scheduled, started := events.EventID(p.opened), events.EventID(p.started)
	if p.started == 0 && f.IntN(5) > 0 {
		e := events.ActivityStarted(scheduled, int32(1+f.IntN(3)), f.text("worker-2"))
		if f.IntN(3) == 0 {
			e.GetActivityTaskStartedEventAttributes().LastFailure = events.Failure(errText(f.text("earlier")))
		}
		p.started = f.add(e)
		return
	}
	switch f.IntN(6) {
	case 0:
		f.decided(events.ActivityCancelRequested(scheduled))
		return
	case 1:
		e := events.ActivityFailed(scheduled, started, fmt.Errorf("card refused: %w", errText(f.text("no money"))))
		e.GetActivityTaskFailedEventAttributes().RetryState = enumspb.RetryState(f.IntN(4))
		f.add(e)
	case 2:
		f.add(events.ActivityTimedOut(scheduled, started, enumspb.TIMEOUT_TYPE_HEARTBEAT))
	case 3:
		f.add(events.ActivityCanceled(scheduled, started, "why"))
	default:
		f.add(events.ActivityCompleted(scheduled, started, f.IntN(100)))
	}
	remove(&f.activities, i)
}

func (f *flow) startTimer() {
	id := f.text(fmt.Sprint("timer-", f.next))
	f.timers = append(f.timers, pending{opened: f.decided(events.TimerStarted(id, time.Duration(f.Int64N(int64(time.Hour))))), name: id})
}

func (f *flow) timer() {
	i, ok := f.pick(f.timers)
	if !ok {
		f.startTimer()
		return
	}
	p := f.timers[i]
	if f.IntN(3) == 0 {
		f.decided(events.TimerCanceled(p.name, events.EventID(p.opened)))
	} else {
		f.add(events.TimerFired(p.name, events.EventID(p.opened)))
	}
	remove(&f.timers, i)
}

func (f *flow) initiateChild() {
	c := events.Child{Workflow: events.Workflow{Namespace: f.text(""), ID: f.text(fmt.Sprint("child-", f.next))}, Type: f.text("Shipment")}
	e := events.ChildInitiated(c)
	e.GetStartChildWorkflowExecutionInitiatedEventAttributes().ParentClosePolicy = enumspb.ParentClosePolicy(f.IntN(4))
	f.children = append(f.children, pending{opened: f.decided(e), name: c.Workflow.ID})
}

func (f *flow) child() {
	i, ok := f.pick(f.children)
	if !ok {
		f.initiateChild()
		return
	}
	p := &f.children[i]
	c := events.Child{Workflow: events.Workflow{ID: p.name}, Type: "Shipment", Run: "child-run", Initiated: events.EventID(p.opened), Started: events.EventID(p.started)}
	if p.started == 0 {
		if f.IntN(5) == 0 {
			f.add(&events.Event{
				EventType: enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
				Attributes: &historypb.HistoryEvent_StartChildWorkflowExecutionFailedEventAttributes{StartChildWorkflowExecutionFailedEventAttributes: &historypb.StartChildWorkflowExecutionFailedEventAttributes{
					InitiatedEventId: p.opened, Cause: enumspb.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS,
				}},
			})
			remove(&f.children, i)
			return
		}
		p.started = f.add(events.ChildStarted(c))
		return
	}
	switch f.IntN(5) {
	case 0:
		f.add(events.ChildFailed(c, errText(f.text("lost"))))
	case 1:
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
			Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionTerminatedEventAttributes{ChildWorkflowExecutionTerminatedEventAttributes: &historypb.ChildWorkflowExecutionTerminatedEventAttributes{
				InitiatedEventId: p.opened, StartedEventId: p.started,
			}},
		})
	case 2:
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
			Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionTimedOutEventAttributes{ChildWorkflowExecutionTimedOutEventAttributes: &historypb.ChildWorkflowExecutionTimedOutEventAttributes{
				InitiatedEventId: p.opened, StartedEventId: p.started,
			}},
		})
	case 3:
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
			Attributes: &historypb.HistoryEvent_ChildWorkflowExecutionCanceledEventAttributes{ChildWorkflowExecutionCanceledEventAttributes: &historypb.ChildWorkflowExecutionCanceledEventAttributes{
				InitiatedEventId: p.opened, StartedEventId: p.started,
			}},
		})
	default:
		f.add(events.ChildCompleted(c, "ok"))
	}
	remove(&f.children, i)
}

func (f *flow) signal() {
	e := events.Signaled(f.text("payment-received"), f.IntN(100))
	a := e.GetWorkflowExecutionSignaledEventAttributes()
	switch f.IntN(3) {
	case 0:
		a.Identity, a.RequestId = f.text("till"), fmt.Sprint("request-", f.next)
	case 1:
		a.ExternalWorkflowExecution = &commonpb.WorkflowExecution{WorkflowId: f.text("cart"), RunId: "cart-run"}
	}
	f.add(e)
}

func (f *flow) marker() {
	e := events.Custom(f.text("OrderPaid"), map[string]any{"amount": f.IntN(100)})
	if f.IntN(3) == 0 {
		e.GetMarkerRecordedEventAttributes().Failure = events.Failure(errText(f.text("local activity")))
	}
	f.decided(e)
}

func (f *flow) update() {
	i, ok := f.pick(f.updates)
	if !ok || f.IntN(2) == 0 {
		p := pending{name: fmt.Sprint("update-", f.next)}
		if f.IntN(3) == 0 { // as after a reset; else it is accepted at once
			p.opened = f.add(&events.Event{
				EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED,
				Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateAdmittedEventAttributes{WorkflowExecutionUpdateAdmittedEventAttributes: &historypb.WorkflowExecutionUpdateAdmittedEventAttributes{
					Request: &updatepb.Request{
						Meta: &updatepb.Meta{UpdateId: p.name, Identity: f.text("shop")}, Input: &updatepb.Input{Name: f.text("addItem")}, RequestId: f.text("request"),
					},
				}},
			})
		} else {
			p.started = f.add(events.UpdateAccepted(p.name, f.text("addItem"), 1))
		}
		f.updates = append(f.updates, p)
		return
	}
	p := &f.updates[i]
	switch {
	case p.started == 0 && f.IntN(2) == 0:
		p.started = f.add(events.UpdateAccepted(p.name, f.text("addItem"), 1))
		return
	case p.started == 0:
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED,
			Attributes: &historypb.HistoryEvent_WorkflowExecutionUpdateRejectedEventAttributes{WorkflowExecutionUpdateRejectedEventAttributes: &historypb.WorkflowExecutionUpdateRejectedEventAttributes{
				ProtocolInstanceId: p.name, Failure: events.Failure(fmt.Errorf("not that: %w", errText(f.text("refused")))),
			}},
		})
	case f.IntN(2) == 0:
		f.add(events.UpdateCompleted(p.name, events.EventID(p.started), "done"))
	default:
		f.add(events.UpdateFailed(p.name, events.EventID(p.started), errText(f.text("refused"))))
	}
	remove(&f.updates, i)
}

func (f *flow) nexusOperation() {
	i, ok := f.pick(f.nexus)
	if !ok || f.IntN(4) == 0 {
		f.nexus = append(f.nexus, pending{opened: f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED,
			Attributes: &historypb.HistoryEvent_NexusOperationScheduledEventAttributes{NexusOperationScheduledEventAttributes: &historypb.NexusOperationScheduledEventAttributes{
				Endpoint: "billing", Service: "invoices", Operation: f.text("issue"), WorkflowTaskCompletedEventId: f.task, RequestId: f.text("request"),
				ScheduleToCloseTimeout: durationpb.New(time.Hour), ScheduleToStartTimeout: durationpb.New(time.Minute), StartToCloseTimeout: durationpb.New(time.Second),
			}},
		})})
		return
	}
	p := &f.nexus[i]
	if f.IntN(4) == 0 {
		f.cancelNexus(p.opened)
		return
	}
	if p.started == 0 && f.IntN(2) == 0 {
		p.started = f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_STARTED,
			Attributes: &historypb.HistoryEvent_NexusOperationStartedEventAttributes{NexusOperationStartedEventAttributes: &historypb.NexusOperationStartedEventAttributes{
				ScheduledEventId: p.opened, OperationToken: "token",
			}},
		})
		return
	}
	if f.IntN(2) == 0 {
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_COMPLETED,
			Attributes: &historypb.HistoryEvent_NexusOperationCompletedEventAttributes{NexusOperationCompletedEventAttributes: &historypb.NexusOperationCompletedEventAttributes{
				ScheduledEventId: p.opened,
			}},
		})
	} else {
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_FAILED,
			Attributes: &historypb.HistoryEvent_NexusOperationFailedEventAttributes{NexusOperationFailedEventAttributes: &historypb.NexusOperationFailedEventAttributes{
				ScheduledEventId: p.opened, Failure: events.Failure(fmt.Errorf("no invoice: %w", errText(f.text("handler")))),
			}},
		})
	}
	remove(&f.nexus, i)
}

// cancelNexus asks for an operation to be canceled, and the handler takes the request
// or does not.
func (f *flow) cancelNexus(scheduled int64) {
	requested := f.add(&events.Event{
		EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED,
		Attributes: &historypb.HistoryEvent_NexusOperationCancelRequestedEventAttributes{NexusOperationCancelRequestedEventAttributes: &historypb.NexusOperationCancelRequestedEventAttributes{
			ScheduledEventId: scheduled, WorkflowTaskCompletedEventId: f.task,
		}},
	})
	if f.IntN(2) == 0 {
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED,
			Attributes: &historypb.HistoryEvent_NexusOperationCancelRequestCompletedEventAttributes{NexusOperationCancelRequestCompletedEventAttributes: &historypb.NexusOperationCancelRequestCompletedEventAttributes{
				ScheduledEventId: scheduled, RequestedEventId: requested,
			}},
		})
		return
	}
	f.add(&events.Event{
		EventType: enumspb.EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED,
		Attributes: &historypb.HistoryEvent_NexusOperationCancelRequestFailedEventAttributes{NexusOperationCancelRequestFailedEventAttributes: &historypb.NexusOperationCancelRequestFailedEventAttributes{
			ScheduledEventId: scheduled, RequestedEventId: requested, Failure: events.Failure(errText(f.text("gone"))),
		}},
	})
}

func (f *flow) external() {
	if f.IntN(3) == 0 {
		f.externalCancel()
		return
	}
	if i, ok := f.pick(f.signals); ok && f.IntN(3) == 0 {
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
			Attributes: &historypb.HistoryEvent_SignalExternalWorkflowExecutionFailedEventAttributes{SignalExternalWorkflowExecutionFailedEventAttributes: &historypb.SignalExternalWorkflowExecutionFailedEventAttributes{
				InitiatedEventId: f.signals[i].opened, Cause: enumspb.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND,
			}},
		})
		remove(&f.signals, i)
		return
	} else if ok {
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
			Attributes: &historypb.HistoryEvent_ExternalWorkflowExecutionSignaledEventAttributes{ExternalWorkflowExecutionSignaledEventAttributes: &historypb.ExternalWorkflowExecutionSignaledEventAttributes{
				InitiatedEventId: f.signals[i].opened,
			}},
		})
		remove(&f.signals, i)
		return
	}
	f.signals = append(f.signals, pending{opened: f.add(&events.Event{
		EventType: enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
		Attributes: &historypb.HistoryEvent_SignalExternalWorkflowExecutionInitiatedEventAttributes{SignalExternalWorkflowExecutionInitiatedEventAttributes: &historypb.SignalExternalWorkflowExecutionInitiatedEventAttributes{
			WorkflowTaskCompletedEventId: f.task, SignalName: f.text("wake"), WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "other"},
		}},
	})})
}

func (f *flow) externalCancel() {
	if i, ok := f.pick(f.cancels); ok {
		f.add(&events.Event{
			EventType: enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
			Attributes: &historypb.HistoryEvent_ExternalWorkflowExecutionCancelRequestedEventAttributes{ExternalWorkflowExecutionCancelRequestedEventAttributes: &historypb.ExternalWorkflowExecutionCancelRequestedEventAttributes{
				InitiatedEventId: f.cancels[i].opened,
			}},
		})
		remove(&f.cancels, i)
		return
	}
	f.cancels = append(f.cancels, pending{opened: f.add(&events.Event{
		EventType: enumspb.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
		Attributes: &historypb.HistoryEvent_RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{RequestCancelExternalWorkflowExecutionInitiatedEventAttributes: &historypb.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes{
			WorkflowTaskCompletedEventId: f.task, Reason: f.text("late"), WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "other", RunId: "other-run"},
		}},
	})})
}

func (f *flow) upsert() {
	if f.IntN(2) == 0 {
		f.decided(&events.Event{
			EventType: enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
			Attributes: &historypb.HistoryEvent_UpsertWorkflowSearchAttributesEventAttributes{UpsertWorkflowSearchAttributesEventAttributes: &historypb.UpsertWorkflowSearchAttributesEventAttributes{
				SearchAttributes: &commonpb.SearchAttributes{IndexedFields: f.fields("Customer")},
			}},
		})
		return
	}
	f.decided(&events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
		Attributes: &historypb.HistoryEvent_WorkflowPropertiesModifiedEventAttributes{WorkflowPropertiesModifiedEventAttributes: &historypb.WorkflowPropertiesModifiedEventAttributes{
			UpsertedMemo: &commonpb.Memo{Fields: f.fields("note")},
		}},
	})
}

func (f *flow) modify() {
	f.add(&events.Event{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY,
		Attributes: &historypb.HistoryEvent_WorkflowPropertiesModifiedExternallyEventAttributes{WorkflowPropertiesModifiedExternallyEventAttributes: &historypb.WorkflowPropertiesModifiedExternallyEventAttributes{
			NewTaskQueue: f.text("orders-2"), NewWorkflowRunTimeout: durationpb.New(time.Duration(f.Int64N(int64(time.Hour)))),
		}},
	})
}

func (f *flow) pause() {
	f.paused = true
	f.add(events.WorkflowPaused(f.text("audit")))
}

func (f *flow) cancelRequest() { f.add(events.CancelRequested(f.text("customer"))) }

func (f *flow) close() {
	if f.IntN(2) == 0 { // most runs live longer
		f.signal()
		return
	}
	f.end()
}

func (f *flow) end() {
	f.open = false
	switch f.IntN(7) {
	case 0:
		f.decided(events.WorkflowFailed(fmt.Errorf("gave up: %w", errText(f.text("no stock")))))
	case 1:
		f.add(events.WorkflowTimedOut())
	case 2:
		f.decided(events.WorkflowCanceled("asked"))
	case 3:
		f.add(events.WorkflowTerminated(f.text("operator")))
	case 4, 5:
		e := events.ContinuedAsNew("Order", "orders")
		e.GetWorkflowExecutionContinuedAsNewEventAttributes().NewExecutionRunId = fmt.Sprintf("run-%d", f.runs+1)
		f.decided(e)
	default:
		f.decided(events.WorkflowCompleted("ok"))
	}
}
