package execution

import (
	"time"

	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

func timerCases() []foldCase {
	start := func(id int64) *events.Event {
		return event(id, &historypb.TimerStartedEventAttributes{TimerId: "t", StartToFireTimeout: seconds64(90)})
	}
	running := []*events.Event{order()[0], start(2)}
	one := func(id int64, change func(*Timer)) *Timer {
		t := &Timer{StartedEventID: events.EventID(id), TimerID: "t", StartedTime: at(id), StartToFire: 90 * time.Second, FireTime: at(id + 90)}
		change(t)
		return t
	}
	nothing := func(*Timer) {}
	ended := func(status TimerStatus, id int64) func(*Timer) {
		return func(t *Timer) { t.Status, t.CloseEventID, t.CloseTime = status, events.EventID(id), at(id) }
	}
	return []foldCase{
		{
			name:    "due when it is due",
			before:  order()[:1],
			event:   start(2),
			want:    func(s *State) { s.Timers = []*Timer{one(2, nothing)}; s.Counts.Timers = 1 },
			changes: Changes{Timers: []*Timer{one(2, nothing)}},
		},
		{
			name:    "by the event that started it",
			before:  running,
			event:   event(3, &historypb.TimerFiredEventAttributes{TimerId: "t", StartedEventId: 2}),
			want:    func(s *State) { s.Timers = nil },
			changes: Changes{Timers: []*Timer{one(2, ended(TimerFired, 3))}},
		},
		{
			name:    "by its id, where an engine leaves the event out: the newest",
			before:  append(running[:2:2], start(3)),
			event:   event(4, &historypb.TimerFiredEventAttributes{TimerId: "t"}),
			want:    func(s *State) { s.Timers = []*Timer{one(2, nothing)} },
			changes: Changes{Timers: []*Timer{one(3, ended(TimerFired, 4))}},
		},
		{
			name:   "one that is not pending, whatever its id",
			before: running,
			event:  event(3, &historypb.TimerFiredEventAttributes{TimerId: "t", StartedEventId: 1}),
			want:   func(s *State) { s.Counts.MissingReferences = 1 },
		},
		{
			name:    "a pending one",
			before:  running,
			event:   event(3, &historypb.TimerCanceledEventAttributes{TimerId: "t", StartedEventId: 2}),
			want:    func(s *State) { s.Timers = nil },
			changes: Changes{Timers: []*Timer{one(2, ended(TimerCanceled, 3))}},
		},
	}
}
