package main

import (
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// Three versions of the code of one workflow: what to do next, decided from the
// history alone. The engine in run.go appends what they return, and the check in
// main.go compares it with what was recorded.

// first charges the card, ships, and is done.
func first(t replay.Task) []*events.Event {
	return next(t, "charge", "ship")
}

// careless is first with a change: orders are screened before they are charged.
// Runs that had charged already would be screened now, so it does not do what
// they have recorded.
func careless(t replay.Task) []*events.Event {
	return next(t, "screen", "charge", "ship")
}

// screening is the name of the change.
const screening = "screen-orders"

// careful makes the same change, and has each run record whether it takes it:
// one that is past the point where it would matter goes on as it began.
func careful(t replay.Task) []*events.Event {
	version, recorded := t.Versions[screening]
	switch {
	case recorded:
	case !t.Recorded && !has(t, "charge"):
		// A new task, before the point: the run takes the change, and says so first.
		return append([]*events.Event{replay.VersionMarker(screening, 1)}, next(t, "screen", "charge", "ship")...)
	default:
		version = replay.DefaultVersion // it was past the point, or this very task was made, without
	}
	if version == replay.DefaultVersion {
		return next(t, "charge", "ship")
	}
	return next(t, "screen", "charge", "ship")
}

// next is the first step that was not taken yet, nothing while one is under way,
// and the end after the last.
func next(t replay.Task, steps ...string) []*events.Event {
	for _, step := range steps {
		switch {
		case !has(t, step):
			return []*events.Event{events.ActivityScheduled(step, step)}
		case !done(t, step):
			return nil
		}
	}
	return []*events.Event{events.WorkflowCompleted("shipped")}
}

// has says whether an activity was scheduled.
func has(t replay.Task, step string) bool { return scheduled(t, step) != 0 }

func scheduled(t replay.Task, step string) int64 {
	for _, e := range t.History {
		if e.GetActivityTaskScheduledEventAttributes().GetActivityId() == step {
			return e.GetEventId()
		}
	}
	return 0
}

// done says whether it has completed.
func done(t replay.Task, step string) bool {
	id := scheduled(t, step)
	for _, e := range t.History {
		if a := e.GetActivityTaskCompletedEventAttributes(); a != nil && a.GetScheduledEventId() == id {
			return true
		}
	}
	return false
}
