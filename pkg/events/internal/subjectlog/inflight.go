package subjectlog

import (
	"sync/atomic"

	"github.com/annals-io/annals/pkg/events"
)

// inFlight is the appends under way.
type inFlight struct {
	commits atomic.Int64
	bytes   atomic.Int64
}

// enter counts one more commit with so many bytes of events, or refuses it. One
// that is alone always enters: else a bound that is lower than the limit of a
// commit would refuse it for ever.
func (f *inFlight) enter(w events.Workflow, bytes int64, c Config) error {
	commits, all := f.commits.Add(1), f.bytes.Add(bytes)
	overCommits := c.MaxInFlightCommits > 0 && commits > int64(c.MaxInFlightCommits)
	overBytes := c.MaxInFlightBytes > 0 && all > c.MaxInFlightBytes && commits > 1
	if !overCommits && !overBytes {
		return nil
	}
	f.leave(bytes)
	return &events.OverloadedError{
		Workflow: w, Commits: commits - 1, MaxCommits: int64(max(c.MaxInFlightCommits, 0)), Bytes: all - bytes, MaxBytes: max(c.MaxInFlightBytes, 0),
	}
}

func (f *inFlight) leave(bytes int64) {
	f.commits.Add(-1)
	f.bytes.Add(-bytes)
}
