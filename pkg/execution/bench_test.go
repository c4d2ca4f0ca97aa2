package execution

import (
	"testing"

	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

// BenchmarkApply gives the time of one event.
func BenchmarkApply(b *testing.B) {
	all := order()
	b.Run("history=order", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; i < b.N; {
			s := New(testWF, testRun)
			for _, e := range all {
				s.Apply(e)
				i++
			}
		}
	})
	b.Run("history=order/changes=batch", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; i < b.N; {
			s := New(testWF, testRun)
			for n := 0; n < len(all); n += 3 {
				var ch Changes
				for _, e := range all[n:min(n+3, len(all))] {
					s.ApplyTo(e, &ch)
					i++
				}
			}
		}
	})
	b.Run("event=signal", func(b *testing.B) {
		s := fold(all[:8]...)
		e := event(9, &historypb.WorkflowExecutionSignaledEventAttributes{SignalName: "paid"})
		b.ReportAllocs()
		for b.Loop() {
			s.Apply(e)
		}
	})
	b.Run("event=name", func(b *testing.B) {
		s := fold(all[:11]...)
		for b.Loop() {
			_ = s.EventName(all[11])
		}
	})
	// An activity of a run in which a thousand are pending.
	b.Run("pending=1000", func(b *testing.B) {
		s := fold(all[0])
		for id := range int64(1000) {
			s.Apply(activityScheduled(id+2, 0))
		}
		opening, closing := activityScheduled(0, 0), event(0, &historypb.ActivityTaskCompletedEventAttributes{})
		completed := closing.GetActivityTaskCompletedEventAttributes()
		b.ReportAllocs()
		for i := 0; i < b.N; i += 2 {
			opening.EventId = int64(i) + 2000
			completed.ScheduledEventId, closing.EventId = opening.EventId, opening.EventId+1
			s.Apply(opening)
			s.Apply(closing)
		}
	})
}

// typical is an open run with three activities and a timer pending.
func typical() *State {
	s := fold(order()[:11]...)
	for _, e := range []*events.Event{activityScheduled(12, 4), activityScheduled(13, 4)} {
		s.Apply(e)
	}
	return s
}

func BenchmarkAppendBinary(b *testing.B) {
	s := typical()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = s.AppendBinary(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "bytes")
}

func BenchmarkUnmarshalBinary(b *testing.B) {
	data := encode(b, typical())
	b.ReportAllocs()
	for b.Loop() {
		var s State
		if err := s.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalJSON(b *testing.B) {
	s := typical()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}
