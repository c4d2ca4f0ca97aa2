package importer

import "github.com/annals-io/annals/pkg/events"

// Bounds are the first and the last event of each commit that events are split into.
func Bounds(evs []*events.Event) [][2]events.EventID {
	var out [][2]events.EventID
	for _, c := range split(evs) {
		out = append(out, [2]events.EventID{c.first(), c.last()})
	}
	return out
}
