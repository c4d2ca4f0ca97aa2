package execution

import (
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"

	"github.com/annals-io/annals/pkg/events"
)

// ActivityStatus is how far an activity has come. The numbers are part of the
// state's encoding.
type ActivityStatus uint8

// Only the first two are pending.
const (
	ActivityScheduled ActivityStatus = iota
	ActivityStarted
	ActivityCompleted
	ActivityFailed
	ActivityTimedOut
	ActivityCanceled
)

// String is the status as tables and JSON show it.
func (s ActivityStatus) String() string {
	return nameOf(s, "Scheduled", "Started", "Completed", "Failed", "TimedOut", "Canceled")
}

// Activity is an activity task of the run. The fields from CloseEventID on are
// set by the event that closes it, which also takes it out of the State.
type Activity struct {
	ScheduledEventID events.EventID `json:"scheduledEventId"`
	StartedEventID   events.EventID `json:"startedEventId"` // 0: not started, as far as the history tells
	ActivityID       string         `json:"activityId"`
	Type             string         `json:"activityType"`
	TaskQueue        string         `json:"taskQueue"`
	Status           ActivityStatus `json:"status"`
	ScheduledTime    time.Time      `json:"scheduledTime"`
	StartedTime      time.Time      `json:"startedTime"`
	Attempt          int32          `json:"attempt"` // from 1; 0: not started

	LastFailure    *failurepb.Failure `json:"lastFailure"`        // of an attempt
	WorkerIdentity string             `json:"lastWorkerIdentity"` // the newest that an event named

	CancelRequestedEventID events.EventID `json:"cancelRequestedEventId"` // 0: not requested
	CancelRequestedTime    time.Time      `json:"cancelRequestedTime"`

	ScheduleToClose time.Duration         `json:"scheduleToCloseTimeout"` // 0: none, as for the next three
	ScheduleToStart time.Duration         `json:"scheduleToStartTimeout"`
	StartToClose    time.Duration         `json:"startToCloseTimeout"`
	Heartbeat       time.Duration         `json:"heartbeatTimeout"`
	RetryPolicy     *commonpb.RetryPolicy `json:"retryPolicy"`
	Priority        *commonpb.Priority    `json:"priority"`

	CloseEventID events.EventID     `json:"closeEventId"`
	CloseTime    time.Time          `json:"closeTime"`
	Result       *commonpb.Payloads `json:"result"`  // Completed
	Details      *commonpb.Payloads `json:"details"` // Canceled
	Failure      *failurepb.Failure `json:"failure"` // Failed, TimedOut
	RetryState   enumspb.RetryState `json:"retryState"`
}

func (a *Activity) key() events.EventID { return a.ScheduledEventID }

func (s *State) activityScheduled(e *events.Event, ch *Changes) {
	a := e.GetActivityTaskScheduledEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.Activities++
	open(&s.Activities, ch.activities(), &Activity{
		ScheduledEventID: events.EventID(e.EventId),
		ActivityID:       a.GetActivityId(),
		Type:             a.GetActivityType().GetName(),
		TaskQueue:        a.GetTaskQueue().GetName(),
		ScheduledTime:    timeOf(e.EventTime),
		ScheduleToClose:  durationOf(a.GetScheduleToCloseTimeout()),
		ScheduleToStart:  durationOf(a.GetScheduleToStartTimeout()),
		StartToClose:     durationOf(a.GetStartToCloseTimeout()),
		Heartbeat:        durationOf(a.GetHeartbeatTimeout()),
		RetryPolicy:      a.GetRetryPolicy(),
		Priority:         a.GetPriority(),
	})
}

func (s *State) activityStarted(e *events.Event, ch *Changes) {
	a := e.GetActivityTaskStartedEventAttributes()
	i, found := search(s.Activities, events.EventID(a.GetScheduledEventId()))
	if !found {
		s.missing()
		return
	}
	p := change(s.Activities, ch.activities(), i)
	p.Status = ActivityStarted
	p.StartedEventID = events.EventID(e.EventId)
	p.StartedTime = timeOf(e.EventTime)
	p.Attempt = a.GetAttempt()
	p.WorkerIdentity = a.GetIdentity()
	if f := a.GetLastFailure(); f != nil {
		p.LastFailure = f
		s.failed(e, f)
	}
}

func (s *State) activityCompleted(e *events.Event, ch *Changes) {
	a := e.GetActivityTaskCompletedEventAttributes()
	if p := s.endActivity(ActivityCompleted, a.GetScheduledEventId(), a.GetStartedEventId(), e, ch); p != nil {
		p.Result = a.GetResult()
		p.WorkerIdentity = firstOf(a.GetIdentity(), p.WorkerIdentity)
	}
}

func (s *State) activityFailed(e *events.Event, ch *Changes) {
	a := e.GetActivityTaskFailedEventAttributes()
	s.failed(e, a.GetFailure())
	if p := s.endActivity(ActivityFailed, a.GetScheduledEventId(), a.GetStartedEventId(), e, ch); p != nil {
		p.Failure = a.GetFailure()
		p.LastFailure = p.Failure
		p.RetryState = a.GetRetryState()
		p.WorkerIdentity = firstOf(a.GetIdentity(), p.WorkerIdentity)
	}
}

func (s *State) activityTimedOut(e *events.Event, ch *Changes) {
	a := e.GetActivityTaskTimedOutEventAttributes()
	s.failed(e, a.GetFailure())
	if p := s.endActivity(ActivityTimedOut, a.GetScheduledEventId(), a.GetStartedEventId(), e, ch); p != nil {
		p.Failure = a.GetFailure()
		p.LastFailure = p.Failure
		p.RetryState = a.GetRetryState()
	}
}

func (s *State) activityCanceled(e *events.Event, ch *Changes) {
	a := e.GetActivityTaskCanceledEventAttributes()
	s.refer(a.GetLatestCancelRequestedEventId(), e)
	if p := s.endActivity(ActivityCanceled, a.GetScheduledEventId(), a.GetStartedEventId(), e, ch); p != nil {
		p.Details = a.GetDetails()
		p.WorkerIdentity = firstOf(a.GetIdentity(), p.WorkerIdentity)
	}
}

// activityCancelRequested may come when the activity is over already.
func (s *State) activityCancelRequested(e *events.Event, ch *Changes) {
	a := e.GetActivityTaskCancelRequestedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	i, found := search(s.Activities, events.EventID(a.GetScheduledEventId()))
	if !found {
		s.refer(a.GetScheduledEventId(), e)
		return
	}
	p := change(s.Activities, ch.activities(), i)
	p.CancelRequestedEventID = events.EventID(e.EventId)
	p.CancelRequestedTime = timeOf(e.EventTime)
}

func (s *State) activityModified(e *events.Event, ch *Changes) {
	a := e.GetActivityPropertiesModifiedExternallyEventAttributes()
	i, found := search(s.Activities, events.EventID(a.GetScheduledEventId()))
	if !found {
		s.missing()
		return
	}
	if policy := a.GetNewRetryPolicy(); policy != nil {
		change(s.Activities, ch.activities(), i).RetryPolicy = policy
	}
}

// endActivity takes the activity out of the State and returns it for its
// outcome, or nil if it is not pending or nobody collects changes.
func (s *State) endActivity(status ActivityStatus, scheduled, started int64, e *events.Event, ch *Changes) *Activity {
	s.refer(started, e)
	i, found := search(s.Activities, events.EventID(scheduled))
	if !found {
		s.missing()
		return nil
	}
	p := take(&s.Activities, ch.activities(), i)
	if p != nil {
		p.Status = status
		p.CloseEventID = events.EventID(e.EventId)
		p.CloseTime = timeOf(e.EventTime)
	}
	return p
}
