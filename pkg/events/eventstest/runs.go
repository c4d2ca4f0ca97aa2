package eventstest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

func runCases() []testCase {
	return named(manyRunsReadInEveryWay, manyRunsReadInPages, aLongRunReadsInPages, continueAsNewIsOneCommit, twoRunsBeginInOneCommit,
		terminateAndStart, namespacesAreApart, readEndsWhereTheReaderStops)
}

// story appends commits to a workflow and keeps what its runs must hold.
type story struct {
	*scene
	w    events.Workflow
	at   events.Result
	runs map[events.RunID][]*events.Event
	ids  []events.RunID
}

func newStory(c *scene, id string) *story {
	return &story{scene: c, w: c.workflow(id), runs: map[events.RunID][]*events.Event{}}
}

// tell appends one commit; a start begins a run of the next name.
func (s *story) tell(list ...*events.Event) events.Result {
	s.Helper()
	expect, run := events.NewRun(), events.RunID("")
	if !s.at.Cursor.IsZero() {
		expect, run = events.After(s.at.Cursor), s.at.RunID
	}
	given := slices.Clone(list)
	var newest events.RunID
	for i, e := range given {
		if events.Opens(e) {
			run = events.RunID(fmt.Sprintf("run-%02d", len(s.ids)+1))
			s.ids, newest = append(s.ids, run), run
			e = startedAs(run)
		}
		given[i] = numbered(events.EventID(len(s.runs[run])+1), []*events.Event{e})[0]
		s.runs[run] = append(s.runs[run], given[i])
	}
	s.at = s.append(events.Request{Workflow: s.w, Expect: expect, RunID: newest, Events: given})
	return s.at
}

func manyRunsReadInEveryWay(c *scene) {
	s := newStory(c, "w")
	for round := range 3 {
		s.tell(started("T"))
		for i := range 4 + round {
			s.tell(signals(i%3+1, "s")...)
		}
		s.tell(signaled("s"), continuedAs(""), started("T"), signaled("s")) // the end of a run and the start of the next
		s.tell(signaled("s"))
		s.tell(terminated(), started("T"), completed()) // and one that ends where it begins
		s.tell(started("T"), completed())               // a run of one commit
		s.tell(started("T"), completed(), started("T")) // two that begin in one
		for range 9 * round {
			s.tell(signaled("s")) // more than an envelope names
		}
		s.tell(completed())
	}
	s.tell(started("T"), signaled("s"))
	if len(s.ids) != 19 {
		c.Fatalf("%d runs, want 19", len(s.ids))
	}
	for _, run := range append([]events.RunID{""}, s.ids[:c.h.times(len(s.ids))]...) {
		want := s.runs[run]
		if run == "" {
			want = s.runs[s.ids[len(s.ids)-1]]
		}
		n := len(want)
		for _, from := range []int{0, 2, n, n + 1} {
			for _, limit := range []int{0, 3} {
				if limit != 0 && from >= n {
					continue // there is one event left, or none
				}
				for _, reverse := range []bool{false, true} {
					s.checkRead(run, want, events.ReadOptions{Run: run, From: events.EventID(from), Limit: limit, Reverse: reverse})
				}
			}
		}
	}
}

// checkRead compares a read with what plain code takes from the whole history.
func (s *story) checkRead(run events.RunID, whole []*events.Event, o events.ReadOptions) {
	s.Helper()
	got, err := collect(s.log.Read(s.ctx(), s.w, o))
	if int(o.From) > len(whole) {
		var missing *events.NotFoundError
		if !errors.Is(err, events.ErrNotFound) || !errors.As(err, &missing) || missing.Event != o.From || len(got) != 0 {
			s.Fatalf("read %+v of %d events gave %d and %v, want not found", o, len(whole), len(got), err)
		}
		return
	}
	if err != nil {
		s.Fatalf("read %+v of %d events: %v", o, len(whole), err)
	}
	want := slices.Clone(whole)
	if o.Reverse {
		if o.From != 0 {
			want = want[:o.From]
		}
		slices.Reverse(want)
	} else if o.From != 0 {
		want = want[o.From-1:]
	}
	if o.Limit != 0 {
		want = want[:min(len(want), o.Limit)]
	}
	s.same(fmt.Sprintf("read %s %+v", run, o), want, got)
}

func aLongRunReadsInPages(c *scene) {
	s := newStory(c, "w")
	s.tell(started("T"))
	for i := range c.h.times(120) {
		s.tell(signals(i%7+1, fmt.Sprint(i))...)
	}
	whole := s.runs["run-01"]
	for _, page := range []int{1, 7, 100, len(whole)} {
		if page == 1 && len(whole) > 100 {
			page = 33
		}
		s.checkPages("", whole, page)
	}
}

// checkPages reads a run page by page, each from where the one before ended, in
// both directions: together they are the whole.
func (s *story) checkPages(run events.RunID, whole []*events.Event, page int) {
	s.Helper()
	for _, reverse := range []bool{false, true} {
		var got []*events.Event
		for o := (events.ReadOptions{Run: run, Limit: page, Reverse: reverse}); ; {
			part := s.read(s.w, o)
			got = append(got, part...)
			if len(part) < page || len(got) == len(whole) {
				break
			}
			if o.From = events.EventID(part[len(part)-1].EventId) + 1; reverse {
				o.From -= 2
			}
		}
		if reverse {
			slices.Reverse(got)
		}
		s.same(fmt.Sprintf("run %q in pages of %d, reversed %t", run, page, reverse), whole, got)
	}
}

// manyRunsReadInPages: pages of one run hold nothing of its neighbours, which
// share commits with it.
func manyRunsReadInPages(c *scene) {
	s := newStory(c, "w")
	s.tell(started("T"))
	for i := range 4 {
		s.tell(signals(i+1, "s")...)
		s.tell(signaled("s"), continuedAs(""), started("T"), signaled("s"))
	}
	s.tell(signals(3, "s")...)
	for _, run := range s.ids {
		for _, page := range []int{1, 2, 3, len(s.runs[run])} {
			s.checkPages(run, s.runs[run], page)
		}
	}
}

func continueAsNewIsOneCommit(c *scene) {
	s := newStory(c, "w")
	first := s.tell(started("T"), signaled("a"))
	res := s.tell(signaled("b"), continuedAs("run-02"), started("T"))
	if res.RunID != "run-02" || res.FirstEventID != 1 || res.LastEventID != 1 || res.Cursor.PrevRunFirst() != first.Position.Sequence || res.Cursor.RunFirst() != res.Position.Sequence {
		c.Errorf("result is %+v, cursor %s", res, res.Cursor)
	}
	commits := c.commits(s.w)
	if len(commits) != 2 {
		c.Fatalf("%d commits, want 2", len(commits))
	}
	closed := commits[1].Closed
	if closed == nil || closed.Run != "run-01" || closed.First != 3 || closed.Last != 4 || closed.After.String() != "ContinuedAsNew" {
		c.Errorf("the closed run's part is %+v", closed)
	}
	for run, want := range s.runs {
		c.same("run "+string(run), want, c.history(s.w, run))
	}
}

func twoRunsBeginInOneCommit(c *scene) {
	w := c.workflow("w")
	res := c.append(events.Request{Workflow: w, CommitID: "x", Events: list(started("A"), completed(), started("B"), completed())})
	commit := c.commits(w)[0]
	if commit.Closed == nil || commit.Closed.Run == res.RunID || commit.Closed.Run == "" || commit.Closed.Type != "A" || commit.Run.Type != "B" {
		c.Fatalf("commit is %+v, result %+v", commit, res)
	}
	if n := len(c.history(w, commit.Closed.Run)); n != 2 {
		c.Errorf("the first of both runs has %d events, want 2", n)
	}
	if n := len(c.history(w, res.RunID)); n != 2 {
		c.Errorf("the second of both runs has %d events, want 2", n)
	}
	c.append(events.Request{Workflow: w, Events: list(startedAs("C"), completed(), startedAs("D"))})
	for run, n := range map[events.RunID]int{"C": 2, "": 1, commit.Closed.Run: 2, res.RunID: 2} {
		if got := len(c.history(w, run)); got != n {
			c.Errorf("run %q has %d events, want %d", run, got, n)
		}
	}
}

func terminateAndStart(c *scene) {
	w := c.workflow("w")
	one := c.start(w, signals(3, "s")...)
	two := c.append(events.Request{Workflow: w, Expect: events.After(one.Cursor), RunID: "next", Events: list(terminated(), started("T"), signaled("s"))})
	if two.RunID != "next" || two.LastEventID != 2 {
		c.Errorf("result is %+v", two)
	}
	if got := c.history(w, one.RunID); len(got) != 5 || !events.Closes(got[4]) {
		c.Errorf("the terminated run has %d events", len(got))
	}
	refused[*events.ConflictError](c, events.Request{Workflow: w, Expect: events.After(one.Cursor), Events: list(terminated(), started("T"))}, events.ErrConflict)
}

func namespacesAreApart(c *scene) {
	workflows := []events.Workflow{
		{Namespace: c.ns, ID: "b.c"}, {Namespace: c.ns + ".b", ID: "c"}, {Namespace: c.ns + ".b.c", ID: "c"}, {Namespace: c.ns + ".b", ID: "b.c"},
	}
	for i, w := range workflows {
		c.append(events.Request{Workflow: w, RunID: "r", CommitID: "x", Events: signalsAfterStart(i)})
	}
	for i, w := range workflows {
		if n := len(c.history(w, "r")); n != i+1 {
			c.Errorf("%s has %d events, want %d", w, n, i+1)
		}
	}
}

// readEndsWhereTheReaderStops: breaking out of a read leaves nothing behind and
// is no error.
func readEndsWhereTheReaderStops(c *scene) {
	w := c.workflow("w")
	c.start(w, signals(5, "s")...)
	for _, reverse := range []bool{false, true} {
		n := 0
		for _, err := range c.log.Read(c.ctx(), w, events.ReadOptions{Reverse: reverse}) {
			if err != nil {
				c.Fatal(err)
			}
			if n++; n == 3 {
				break
			}
		}
		if n != 3 {
			c.Errorf("%d events, want 3", n)
		}
	}
	for _, err := range c.log.Commits(c.ctx(), w) {
		if err != nil {
			c.Fatal(err)
		}
		break
	}
}
