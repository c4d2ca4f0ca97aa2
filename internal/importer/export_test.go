package importer

import (
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Pause is how long the list is left alone after one that took so long.
func Pause(c FollowConfig, took time.Duration) time.Duration { return c.pause(took) }

// Bounds are the first and the last event of each commit that events are split into.
func Bounds(evs []*events.Event) [][2]events.EventID {
	var out [][2]events.EventID
	for _, c := range split(evs) {
		out = append(out, [2]events.EventID{c.first(), c.last()})
	}
	return out
}
