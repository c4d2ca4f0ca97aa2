package eventstest

import (
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

func alteredCases() []testCase {
	var cases []testCase
	for _, change := range []struct {
		name string
		do   func(c *scene, m *events.Message)
	}{
		{"a byte of the body", func(_ *scene, m *events.Message) { m.Body[len(m.Body)-1] ^= 1 }},
		{"the body", func(_ *scene, m *events.Message) { m.Body = nil }},
		{"the commit id", func(_ *scene, m *events.Message) { m.Header["A-Commit"] = []string{"another"} }},
		{"the workflow type", func(_ *scene, m *events.Message) { m.Header["A-Type"] = []string{"another"} }},
		{"the digest", func(_ *scene, m *events.Message) { m.Header["A-Digest"] = []string{"AAAAAAAAAAAAAAAA"} }},
		{"the hash", func(_ *scene, m *events.Message) { m.Header["A-Chain"] = []string{"AAAAAAAAAAAAAAAAAAAAAA"} }},
	} {
		for at := range 13 {
			cases = append(cases, testCase{fmt.Sprintf("%s of commit %d", change.name, at), func(c *scene) { altered(c, at, change.do) }})
		}
	}
	return append(cases, named(aGapIsFound, aSwapIsFound)...)
}

// tamper is a workflow of two runs, of 3 and 10 commits.
func tamper(c *scene) (events.Workflow, []*events.Commit) {
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	c.append(events.Request{Workflow: w, RunID: "one", Events: list(started("T"))})
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(2, "s")})
	c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: list(completed())})
	c.append(events.Request{Workflow: w, RunID: "two", Events: list(started("T"))})
	for range 9 {
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	}
	return w, c.commits(w)
}

// altered changes one commit and reads the run that it belongs to.
func altered(c *scene, i int, change func(*scene, *events.Message)) {
	w, commits := tamper(c)
	at := commits[i].Position
	c.h.Features.Alter(c, at, func(m *events.Message) { change(c, m) })
	// Whoever changes a hash breaks the link behind it, too.
	places := []events.Position{at}
	if i+1 < len(commits) {
		places = append(places, commits[i+1].Position)
	}
	broken(c, w, commits[i].Run.Run, places...)
	// Read with a limit, up to the altered commit and no further: it may only
	// give what is known to be right.
	for _, reverse := range []bool{false, true} {
		first := commits[i].Run.First
		for e, err := range c.log.Read(c.ctx(), w, events.ReadOptions{Run: commits[i].Run.Run, From: first, Limit: 1, Reverse: reverse}) {
			if err == nil {
				c.Errorf("read, reversed %t, gave event %d of the altered commit", reverse, e.EventId)
			}
		}
	}
}

// aGapIsFound: a commit in the middle is replaced by one of another workflow,
// as if it had never been.
func aGapIsFound(c *scene) {
	w, commits := tamper(c)
	c.h.Features.Alter(c, commits[5].Position, func(m *events.Message) { m.Body = commits[4].Body })
	broken(c, w, "two", commits[5].Position, commits[6].Position)
}

// aSwapIsFound: two commits of the same shape change places.
func aSwapIsFound(c *scene) {
	w, commits := tamper(c)
	a, b := commits[5], commits[6]
	c.h.Features.Alter(c, a.Position, func(m *events.Message) { m.Body, m.Header["A-Commit"] = b.Body, []string{string(b.ID)} })
	c.h.Features.Alter(c, b.Position, func(m *events.Message) { m.Body, m.Header["A-Commit"] = a.Body, []string{string(a.ID)} })
	broken(c, w, "two", a.Position, b.Position)
}
