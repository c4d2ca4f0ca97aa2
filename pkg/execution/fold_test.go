package execution

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

// foldCase is one event and what it does to the state before it, beyond what
// every event does.
type foldCase struct {
	name    string
	before  []*events.Event
	event   *events.Event
	want    func(*State)
	changes Changes
}

func allCases() []foldCase {
	return slices.Concat(lifecycleCases(), taskCases(), activityCases(), timerCases(), childCases(), externalCases(),
		nexusCases(), updateCases(), attributeCases(), optionCases(), oddCases())
}

func TestFold(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.event.EventType.String()+"/"+c.name, func(t *testing.T) {
			got := fold(c.before...)
			want := got.Clone()
			want.EventCount++
			want.LastEventID = events.EventID(c.event.EventId)
			want.UpdatedAt = at(c.event.EventId)
			if c.want != nil {
				c.want(want)
			}
			plain := got.Clone()
			plain.Apply(c.event)

			var ch Changes
			got.ApplyTo(c.event, &ch)
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(got, plain, same); diff != "" {
				t.Errorf("Apply and ApplyTo differ:\n%s", diff)
			}
			if diff := cmp.Diff(c.changes, ch, same); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if got, want := got.Status, events.StatusAfter(fold(c.before...).Status, c.event); got != want {
				t.Errorf("status %v, the log says %v", got, want)
			}
		})
	}
}

// TestEveryEventType holds that a type of the API's is folded or listed with
// its reason, never both, and that each that is folded has a case above.
func TestEveryEventType(t *testing.T) {
	tested := map[enumspb.EventType]bool{}
	for _, c := range allCases() {
		tested[c.event.EventType] = true
	}
	values := enumspb.EVENT_TYPE_UNSPECIFIED.Descriptor().Values()
	for i := range values.Len() {
		typ := enumspb.EventType(values.Get(i).Number())
		folded := int(typ) < len(folds) && folds[typ] != nil
		reason, listed := untouched[typ]
		switch {
		case folded && listed:
			t.Errorf("%v is folded, and listed as untouched", typ)
		case !folded && !listed:
			t.Errorf("%v is neither folded nor listed as untouched: say what it does to the state", typ)
		case listed && reason == "":
			t.Errorf("%v is untouched without a reason", typ)
		case !tested[typ]:
			t.Errorf("%v has no case in TestFold", typ)
		}
	}
	for typ, f := range folds {
		if f != nil && values.ByNumber(protoreflect.EnumNumber(typ)) == nil {
			t.Errorf("the API has no event type %d", typ)
		}
	}
}

func oddCases() []foldCase {
	return []foldCase{
		{
			name:  "a type that a reader could not name",
			event: bare(1, enumspb.EVENT_TYPE_UNSPECIFIED),
			want:  func(s *State) { s.Counts.UnknownEvents = 1 },
		},
		{
			name:  "a type of a later version",
			event: bare(1, 9999),
			want:  func(s *State) { s.Counts.UnknownEvents = 1 },
		},
		{
			name:  "a negative type",
			event: bare(1, -1),
			want:  func(s *State) { s.Counts.UnknownEvents = 1 },
		},
		{
			name:  "changes nothing that is kept",
			event: event(1, &historypb.WorkflowExecutionTimeSkippingTransitionedEventAttributes{}),
		},
		{
			name: "attributes of another type count as none",
			event: func() *events.Event {
				e := bare(1, enumspb.EVENT_TYPE_TIMER_STARTED)
				e.Attributes = activityScheduled(1, 0).Attributes
				return e
			}(),
			want: func(s *State) {
				s.Counts.Timers = 1
				s.Timers = []*Timer{{StartedEventID: 1, StartedTime: at(1), FireTime: at(1)}}
			},
			changes: Changes{Timers: []*Timer{{StartedEventID: 1, StartedTime: at(1), FireTime: at(1)}}},
		},
		{
			name: "attributes that are a nil pointer count as none",
			event: func() *events.Event {
				e := bare(1, enumspb.EVENT_TYPE_MARKER_RECORDED)
				e.Attributes = (*historypb.HistoryEvent_MarkerRecordedEventAttributes)(nil)
				return e
			}(),
			want: func(s *State) { s.Counts.Markers = 1 },
		},
	}
}

func TestNoEvent(t *testing.T) {
	s := New(testWF, testRun)
	s.Apply(nil)
	if diff := cmp.Diff(New(testWF, testRun), s, same); diff != "" {
		t.Errorf("a nil event did something:\n%s", diff)
	}
}

func TestEventWithoutTime(t *testing.T) {
	s := fold(order()[:3]...)
	e := event(4, &historypb.WorkflowExecutionSignaledEventAttributes{})
	e.EventTime = nil
	s.Apply(e)
	if s.UpdatedAt != at(3) {
		t.Errorf("updated at %v, the newest time is %v", s.UpdatedAt, at(3))
	}
}

func TestTimesMayRunBackwards(t *testing.T) {
	s := fold(order()[:3]...)
	e := event(4, &historypb.WorkflowExecutionSignaledEventAttributes{})
	e.EventTime = order()[0].EventTime
	s.Apply(e)
	if s.UpdatedAt != at(1) {
		t.Errorf("updated at %v, the last event is of %v", s.UpdatedAt, at(1))
	}
}

func TestEndsBefore(t *testing.T) {
	e := event(5, &historypb.TimerFiredEventAttributes{})
	for _, c := range []struct {
		name string
		at   int64
		want bool
	}{{"earlier", 4, true}, {"the same instant is included", 5, false}, {"later", 6, false}} {
		if got := EndsBefore(e, at(c.at)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if EndsBefore(&events.Event{}, at(1)) {
		t.Error("an event without a time ended the prefix")
	}
}

func TestAddBytes(t *testing.T) {
	s := New(testWF, testRun)
	s.AddBytes(200)
	s.AddBytes(19)
	if s.HistorySizeBytes != 219 {
		t.Errorf("%d bytes", s.HistorySizeBytes)
	}
}

func TestFailureMessages(t *testing.T) {
	if diff := cmp.Diff([]string{"outer", "inner"}, FailureMessages(failure("outer", "inner"))); diff != "" {
		t.Error(diff)
	}
	if got := FailureMessages(nil); got != nil {
		t.Errorf("messages of no failure: %q", got)
	}
	endless := &failurepb.Failure{Message: "again"}
	endless.Cause = endless
	if got := len(FailureMessages(endless)); got != maxCauses {
		t.Errorf("%d messages of a chain that goes in a circle", got)
	}
}

// TestReset folds a reset history as Temporal writes it.
func TestReset(t *testing.T) {
	got := fold(reset()...)
	want := New(testWF, testRun)
	want.Apply(order()[0])
	want.EventCount, want.LastEventID, want.UpdatedAt = 11, 11, at(11)
	want.Counts = Counts{
		Resets: 1, Signals: 1, WorkflowTasksCompleted: 1, // no failed task
		UpdatesAdmitted: 1, UpdatesAccepted: 1, UpdatesCompleted: 1,
	}
	want.Reset = &Reset{EventID: 4, Time: at(4), BaseRunID: "run-0", NewRunID: testRun, Reason: "try again", Identity: "history-service"}
	want.WorkflowTasks = WorkflowTasks{LastCompletedEventID: 9, LastStartedEventID: 8}
	want.Worker.BuildIDTags = []string{"unversioned"}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
