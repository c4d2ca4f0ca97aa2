package eventstest

import (
	"errors"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

func readCases() []testCase {
	return named(readsBetweenCursors, readsBetweenCursorsRefused, sparseHistoriesAreRead, longHistoriesAreRead)
}

// place is the end of a workflow after a commit, and how many events each run had then.
type place struct {
	at   events.Cursor
	runs map[events.RunID]int
}

// place is the one that the story has come to.
func (s *story) place() place {
	p := place{at: s.at.Cursor, runs: map[events.RunID]int{}}
	for run, list := range s.runs {
		p.runs[run] = len(list)
	}
	return p
}

// readsBetweenCursors reads from every end of a workflow to every later one, of all
// runs, among which are resets, with foreign messages that were declared void between.
func readsBetweenCursors(c *scene) {
	s := newStory(c, "w")
	var places []place
	told := func() { places = append(places, s.place()) }
	s.tell(started("T"), signaled("a"))
	told()
	for range 11 {
		s.tell(signals(2, "b")...)
		told()
	}
	c.foreign(s.w)
	res := c.void(s.w)
	s.at.Cursor = res.Cursor
	told()
	s.tell(signaled("c"), continuedAs(""), started("T"), signaled("d"))
	told()
	s.tell(signaled("e"))
	told()
	s.reset(events.Base{Run: "run-01", Event: 9}, list(terminated()), marked(1), signaled("f"))
	told()
	s.tell(signals(3, "g")...)
	told()
	s.tell(completed())
	told()
	s.tell(started("T"))
	told()
	for i, from := range places {
		for _, to := range places[i:] {
			for _, run := range append([]events.RunID{""}, s.ids...) {
				of := run
				if run == "" {
					of = to.at.Run()
				}
				o := events.ReadOptions{Run: run, After: from.at, Until: to.at}
				if to.runs[of] == 0 {
					if _, err := collect(c.log.Read(c.ctx(), s.w, o)); !errors.Is(err, events.ErrNotFound) {
						c.Fatalf("run %s, which had not begun at %s: %v", of, to.at, err)
					}
					continue
				}
				whole := s.runs[of][:to.runs[of]]
				c.same("between two ends", slices.Clone(whole[from.runs[of]:]), nonNil(c.read(s.w, o)))
				o.Limit = 1
				c.same("the first between two ends", slices.Clone(whole[from.runs[of]:min(len(whole), from.runs[of]+1)]), nonNil(c.read(s.w, o)))
				c.same("up to an end", whole, c.read(s.w, events.ReadOptions{Run: run, Until: to.at}))
				if to.at.Position() == places[len(places)-1].at.Position() {
					c.same("after an end", slices.Clone(whole[from.runs[of]:]), nonNil(c.read(s.w, events.ReadOptions{Run: run, After: from.at})))
				}
				reversed := slices.Clone(whole)
				slices.Reverse(reversed)
				c.same("back from an end", reversed, c.read(s.w, events.ReadOptions{Run: run, Until: to.at, Reverse: true}))
			}
		}
	}
}

func nonNil(list []*events.Event) []*events.Event {
	if list == nil {
		return []*events.Event{}
	}
	return list
}

func readsBetweenCursorsRefused(c *scene) {
	w, other := c.workflow("w"), c.workflow("other")
	first := c.start(w)
	second := c.append(events.Request{Workflow: w, Expect: events.After(first.Cursor), Events: signals(1, "s")})
	elsewhere := c.start(other)
	for name, tt := range map[string]struct {
		o    events.ReadOptions
		want error
	}{
		"after another workflow's end":   {events.ReadOptions{After: elsewhere.Cursor}, events.ErrInvalid},
		"until another workflow's end":   {events.ReadOptions{Until: elsewhere.Cursor}, events.ErrInvalid},
		"after an end, from an event":    {events.ReadOptions{After: first.Cursor, From: 1}, events.ErrInvalid},
		"after an end, reversed":         {events.ReadOptions{After: first.Cursor, Reverse: true}, events.ErrInvalid},
		"after an end, until one before": {events.ReadOptions{After: second.Cursor, Until: first.Cursor}, events.ErrConflict},
	} {
		if got, err := collect(c.log.Read(c.ctx(), w, tt.o)); !errors.Is(err, tt.want) || len(got) != 0 {
			c.Errorf("%s: %d events, %v; want %v", name, len(got), err, tt.want)
		}
	}
}

// sparseHistoriesAreRead: with so many messages of others between their commits that
// nobody would look for them there.
func sparseHistoriesAreRead(c *scene) {
	s := newStory(c, "w")
	others := func() {
		for range c.h.times(130) {
			c.h.Put(c, s.at.Position.Partition, s.w.Subject()+"-other", nil, []byte("x"))
		}
	}
	s.tell(started("T"))
	for range 12 {
		others()
		s.tell(signaled("s"))
	}
	s.tell(completed())
	others()
	s.tell(started("T"), signaled("s"))
	others()
	s.tell(signaled("s"))
	others()
	s.reset(events.Base{Run: "run-01", Event: 8}, list(terminated()), signaled("s"))
	others()
	s.tell(signaled("s"))
	s.agrees()
}

// longHistoriesAreRead: longer than what is asked for at a time, in one commit each.
func longHistoriesAreRead(c *scene) {
	s := newStory(c, "w")
	s.tell(started("T"))
	for range c.h.times(320) {
		s.tell(signaled("s"))
	}
	s.reset(events.Base{Run: "run-01", Event: 5}, list(terminated()), signaled("s"))
	s.tell(signaled("s"))
	s.agrees()
}
