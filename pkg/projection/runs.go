package projection

import (
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

// Runs are the runs that the commit is of, the one that it closes first, each with
// all events that the run gains by it: a run that begins as a reset gains those of
// its base (BaseEvents) before its own. None for a void.
func (c Commit) Runs() []events.SegmentEvents {
	if c.Base == nil {
		return c.Segments
	}
	runs := slices.Clone(c.Segments)
	for i, s := range runs {
		if s.Segment == &c.Run {
			runs[i].Events = slices.Concat(c.BaseEvents, s.Events)
		}
	}
	return runs
}
