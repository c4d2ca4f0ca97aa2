package execution

import (
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// TimerStatus is how far a timer has come. The numbers are part of the state's
// encoding.
type TimerStatus uint8

// Only the first is pending.
const (
	TimerStarted TimerStatus = iota
	TimerFired
	TimerCanceled
)

// String is the status as tables and JSON show it.
func (s TimerStatus) String() string { return nameOf(s, "Started", "Fired", "Canceled") }

// Timer is a timer of the run. The fields from CloseEventID on are set by the
// event that closes it, which also takes it out of the State.
type Timer struct {
	StartedEventID events.EventID `json:"startedEventId"`
	TimerID        string         `json:"timerId"`
	Status         TimerStatus    `json:"status"`
	StartedTime    time.Time      `json:"startedTime"`
	StartToFire    time.Duration  `json:"startToFireTimeout"`
	FireTime       time.Time      `json:"fireTime"` // when it is due

	CloseEventID events.EventID `json:"closeEventId"`
	CloseTime    time.Time      `json:"closeTime"`
}

func (t *Timer) key() events.EventID { return t.StartedEventID }

func (s *State) timerStarted(e *events.Event, ch *Changes) {
	a := e.GetTimerStartedEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.Counts.Timers++
	t := &Timer{
		StartedEventID: events.EventID(e.EventId),
		TimerID:        a.GetTimerId(),
		StartedTime:    timeOf(e.EventTime),
		StartToFire:    durationOf(a.GetStartToFireTimeout()),
	}
	t.FireTime = later(t.StartedTime, t.StartToFire)
	open(&s.Timers, ch.timers(), t)
}

func (s *State) timerFired(e *events.Event, ch *Changes) {
	a := e.GetTimerFiredEventAttributes()
	s.endTimer(TimerFired, a.GetStartedEventId(), a.GetTimerId(), e, ch)
}

func (s *State) timerCanceled(e *events.Event, ch *Changes) {
	a := e.GetTimerCanceledEventAttributes()
	s.refer(a.GetWorkflowTaskCompletedEventId(), e)
	s.endTimer(TimerCanceled, a.GetStartedEventId(), a.GetTimerId(), e, ch)
}

func (s *State) endTimer(status TimerStatus, started int64, id string, e *events.Event, ch *Changes) {
	i, found := s.findTimer(started, id)
	if !found {
		s.missing()
		return
	}
	if t := take(&s.Timers, ch.timers(), i); t != nil {
		t.Status = status
		t.CloseEventID = events.EventID(e.EventId)
		t.CloseTime = timeOf(e.EventTime)
	}
}

// findTimer goes by the event that started the timer; an engine that leaves
// it out is helped by the timer's own id, the newest timer first.
func (s *State) findTimer(started int64, id string) (int, bool) {
	if started != 0 || id == "" {
		return search(s.Timers, events.EventID(started))
	}
	for i, t := range slices.Backward(s.Timers) {
		if t.TimerID == id {
			return i, true
		}
	}
	return 0, false
}
