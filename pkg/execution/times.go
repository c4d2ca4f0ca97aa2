package execution

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
)

const (
	nanosPerSecond = 1_000_000_000
	firstSecond    = -62135596800 // 0001-01-01T00:00:00Z
	lastSecond     = 253402300799 // 9999-12-31T23:59:59Z
)

// timeOf is the zero time for what is absent or outside the years that RFC 3339
// and Postgres both hold.
func timeOf(ts *timestamppb.Timestamp) time.Time {
	if ts == nil {
		return time.Time{}
	}
	sec, nanos := ts.Seconds, ts.Nanos
	if sec < firstSecond || sec > lastSecond || nanos < 0 || nanos >= nanosPerSecond {
		return time.Time{}
	}
	return time.Unix(sec, int64(nanos)).UTC()
}

// durationOf is zero for what is absent and the nearest that Go holds for what
// is too long.
func durationOf(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.AsDuration()
}

// later is t and d, zero if t is zero, and held within the years of [timeOf].
func later(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	sum := t.Add(d)
	switch sec := sum.Unix(); {
	case sec > lastSecond:
		return time.Unix(lastSecond, nanosPerSecond-1).UTC()
	case sec < firstSecond:
		return time.Unix(firstSecond, 1).UTC()
	}
	return sum
}

// TimeOf is the time of an event, zero where it is absent or outside the years
// 1 to 9999.
func TimeOf(e *events.Event) time.Time { return timeOf(e.GetEventTime()) }
