package eventstest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/annals-io/annals/pkg/events"
)

func voidCases() []testCase {
	return named(voidIsRefusedWhereNothingIsWrong, voidCoversSeveralMessages, voidOfAMessageAfterAClose,
		voidOfAMessageAfterAVoid, voidIsRecognisedWhenRepeated, voidRefusesBadInput, sixteenRacersVoidOneMessage, voidTakesNoAppendBack,
		aForgedVoidOfCommitsIsCorrupt, aForgedVoidThatMiscountsIsCorrupt, appendsFromBeforeAVoid, startsOfAWorkflowOfVoids, commitIdsAreFoundPastVoids, voidsAmongManyCommitsReadInEveryWay,
		coveringTellsVoidFromForeign)
}

func voidOutcomeCases() []testCase {
	return named(aVoidOfUnknownOutcomeIsSettled, anAppendIsSettledPastAVoid)
}

// foreign puts a message that is no commit on a workflow's subject.
func (c *scene) foreign(w events.Workflow) events.Position {
	c.Helper()
	p := c.log.Identity().Map.Partition(w.Slot())
	return events.Position{Partition: p, Sequence: c.h.Put(c, p, w.Subject(), events.Header{"Content-Type": {"text/plain"}}, []byte("hello"))}
}

// void must succeed.
func (c *scene) void(w events.Workflow) events.VoidResult {
	c.Helper()
	res, err := c.log.Void(c.ctx(), events.VoidRequest{Workflow: w, Reason: "somebody's script"})
	if err != nil {
		c.Fatalf("void of %s: %v", w, err)
	}
	return res
}

// voided checks that a void voids exactly the messages at these positions.
func voided(c *scene, res events.VoidResult, at ...events.Position) {
	c.Helper()
	if int(res.Messages) != len(at) || len(res.Voided) != len(at) || res.Existed {
		c.Fatalf("result is %+v, want %d messages to be void", res, len(at))
	}
	for i, v := range res.Voided {
		if v.Position != at[i] || v.Reason == "" || v.Time.IsZero() {
			c.Errorf("voided %+v, want the message at %s", v, at[i])
		}
	}
	if last := at[len(at)-1]; res.Position.Sequence <= last.Sequence || res.Position.Partition != last.Partition || res.Cursor.Position() != res.Position || res.CommitID == "" {
		c.Errorf("result is %+v, behind %s", res, last)
	}
}

func voidIsRefusedWhereNothingIsWrong(c *scene) {
	w := c.workflow("w")
	_, err := c.log.Void(c.ctx(), events.VoidRequest{Workflow: w})
	notFound(c, err, events.NotFoundError{Workflow: w})
	c.start(w, signaled("s"))
	_, err = c.log.Void(c.ctx(), events.VoidRequest{Workflow: w})
	got := as[*events.NotVoidableError](c, err, events.ErrNotVoidable, "void")
	if got.Workflow != w || got.Position != (events.Position{}) || got.Reason == "" {
		c.Errorf("error is %+v", got)
	}
	c.foreign(w)
	c.void(w)
	_, err = c.log.Void(c.ctx(), events.VoidRequest{Workflow: w})
	as[*events.NotVoidableError](c, err, events.ErrNotVoidable, "void again")
	if n := len(c.commits(w)); n != 2 {
		c.Errorf("%d commits, want 2", n)
	}
}

func voidCoversSeveralMessages(c *scene) {
	w := c.workflow("w")
	one := c.start(w, signals(2, "s")...)
	at := []events.Position{c.foreign(w), c.foreign(w), c.foreign(w)}
	res := c.void(w)
	voided(c, res, at...)
	cursor := res.Cursor
	if cursor.Run() != one.RunID || cursor.LastEventID() != 3 || cursor.Status() != one.Cursor.Status() || cursor.Size() != one.Cursor.Size() || cursor.RunFirst() != one.Position.Sequence || cursor.WorkflowType() != "T" {
		c.Errorf("cursor is %s, want that of %s", cursor, one.Cursor)
	}
	next := c.append(events.Request{Workflow: w, Expect: events.After(cursor), Events: signals(1, "t")})
	if next.FirstEventID != 4 || next.RunID != one.RunID {
		c.Errorf("the next append gave %+v", next)
	}
	commits := c.commits(w)
	if len(commits) != 3 || commits[1].Kind != events.KindVoid || string(commits[1].Body) != "somebody's script" || commits[1].Count() != 0 {
		c.Errorf("the commits are %+v", commits)
	}
}

func voidOfAMessageAfterAClose(c *scene) {
	w := c.workflow("w")
	one := c.start(w, completed())
	at := c.foreign(w)
	voided(c, c.void(w), at)
	refused[*events.ClosedError](c, events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")}, events.ErrClosed)
	if n := len(c.history(w, "")); n != 2 {
		c.Errorf("the closed run has %d events, want 2", n)
	}
	two := c.start(w, signaled("s"))
	if two.Cursor.PrevRunFirst() != one.Position.Sequence {
		c.Errorf("cursor is %s, before it a run began at %d, want %d", two.Cursor, two.Cursor.PrevRunFirst(), one.Position.Sequence)
	}
	for run, n := range map[events.RunID]int{one.RunID: 2, two.RunID: 2} {
		if got := len(c.history(w, run)); got != n {
			c.Errorf("run %s has %d events, want %d", run, got, n)
		}
	}
}

func voidOfAMessageAfterAVoid(c *scene) {
	for _, first := range []bool{false, true} {
		w := c.workflow(fmt.Sprintf("first %t", first))
		if !first {
			c.start(w)
		}
		at := c.foreign(w)
		voided(c, c.void(w), at)
		at = c.foreign(w)
		_, err := c.log.Tail(c.ctx(), w)
		as[*events.CorruptError](c, err, events.ErrCorrupt, "tail")
		voided(c, c.void(w), at)
		if first {
			_, err := c.log.Tail(c.ctx(), w)
			notFound(c, err, events.NotFoundError{Workflow: w})
			c.start(w)
		}
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
		if n := len(c.history(w, "")); n != 2 {
			c.Errorf("%s has %d events, want 2", w, n)
		}
	}
}

func voidIsRecognisedWhenRepeated(c *scene) {
	w := c.workflow("w")
	c.append(events.Request{Workflow: w, CommitID: "start", Events: list(started("T"))})
	at := c.foreign(w)
	r := events.VoidRequest{Workflow: w, CommitID: "void", Reason: "r"}
	first, err := c.log.Void(c.ctx(), r)
	if err != nil {
		c.Fatal(err)
	}
	voided(c, first, at)
	want := first
	want.Existed = true
	for i := range 3 {
		again, err := c.log.Void(c.ctx(), r)
		if err != nil {
			c.Fatal(err)
		}
		c.same(fmt.Sprintf("repeated with %d commits behind it", i), want, again)
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	}
	for _, other := range []events.VoidRequest{{Workflow: w, CommitID: "void", Reason: "other"}, {Workflow: w, CommitID: "start"}} {
		_, err := c.log.Void(c.ctx(), other)
		as[*events.CommitIDReusedError](c, err, events.ErrCommitIDReused, "void with the id of something else")
	}
	refused[*events.CommitIDReusedError](c, events.Request{Workflow: w, CommitID: "void", Expect: events.AtEnd(), Events: signals(1, "s")}, events.ErrCommitIDReused)
}

func voidRefusesBadInput(c *scene) {
	w := c.workflow("w")
	long := make([]byte, events.MaxVoidReasonBytes+1)
	for i := range long {
		long[i] = 'x'
	}
	for field, r := range map[string]events.VoidRequest{
		"commitId": {Workflow: w, CommitID: "a\x00b"}, "reason": {Workflow: w, Reason: string(long)}, "namespace": {},
	} {
		_, err := c.log.Void(c.ctx(), r)
		if got := as[*events.InvalidError](c, err, events.ErrInvalid, "void"); got.Field != field {
			c.Errorf("error is %v, want one about %s", got, field)
		}
	}
}

func sixteenRacersVoidOneMessage(c *scene) {
	for _, id := range []events.CommitID{"", "the same"} {
		w := c.workflow("w" + string(id))
		c.start(w)
		at := c.foreign(w)
		var wins atomic.Int32
		out := race(c, 16, func(int) (events.Result, error) {
			res, err := c.log.Void(c.ctx(), events.VoidRequest{Workflow: w, CommitID: id})
			if err == nil && !res.Existed {
				wins.Add(1)
			}
			return events.Result{Position: res.Position, Existed: res.Existed}, err
		})
		for _, o := range out {
			if o.err != nil && (id != "" || !errors.Is(o.err, events.ErrNotVoidable)) {
				c.Errorf("id %q: a racer got %v", id, o.err)
			}
		}
		if n := len(c.commits(w)); n != 2 || wins.Load() > 1 {
			c.Errorf("id %q: %d commits and %d winners behind %s, want 2 and at most 1", id, n, wins.Load(), at)
		}
	}
}

// voidTakesNoAppendBack: a message that looks like a commit was followed by an
// append, whose caller knows that it is stored.
func voidTakesNoAppendBack(c *scene) {
	c.sound = false
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	at := c.start(w)
	body := c.commits(w)[0].Body
	forged := events.Commit{
		Workflow: w, Kind: events.KindEvents, ID: "forged", Back: at.Cursor.Back(), Body: body,
		Run: events.Segment{Run: at.RunID, First: 2, Last: 2, Type: "T", Before: 1, After: 1, Size: at.Cursor.Size() + 10, RunFirst: at.Cursor.RunFirst()},
	}
	seq := c.h.Put(c, at.Position.Partition, w.Subject(), events.EncodeHeader(&forged), body)
	next := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	c.foreign(w)
	_, err := c.log.Void(c.ctx(), events.VoidRequest{Workflow: w})
	got := as[*events.NotVoidableError](c, err, events.ErrNotVoidable, "void")
	if got.Position != next.Position {
		c.Errorf("error is %+v, want one about %s behind %d", got, next.Position, seq)
	}
}

// voidTakesNoAppendBackBehindDamage: the commit that an append followed is
// damaged so that it is none any more. The append, which looks right by itself, is
// one that somebody knows to be stored.
func voidTakesNoAppendBackBehindDamage(c *scene) {
	for _, n := range []int{1, 2} { // commits behind the damage
		for _, first := range []bool{false, true} {
			c.sound = false
			w := events.Workflow{Namespace: c.ns, ID: fmt.Sprint("w", n, first)}
			damaged := c.start(w)
			if !first {
				damaged = c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
			}
			next := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
			for range n - 1 {
				c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
			}
			c.h.Features.Alter(c, damaged.Position, func(m *events.Message) { m.Header = events.Header{} })
			_, err := c.log.Void(c.ctx(), events.VoidRequest{Workflow: w})
			got := as[*events.NotVoidableError](c, err, events.ErrNotVoidable, "void")
			if got.Position != next.Position {
				c.Errorf("error is %+v, want one about %s behind %s", got, next.Position, damaged.Position)
			}
		}
	}
}

// coveringTrustsNoHint: the void names an earlier commit as the one before it.
func coveringTrustsNoHint(c *scene) {
	c.sound = false
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	one := c.start(w)
	two := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	foreign := c.foreign(w)
	void := c.void(w)
	c.h.Features.Alter(c, void.Position, func(m *events.Message) { m.Header["A-Back"] = []string{fmt.Sprint(one.Position.Sequence)} })
	if got, err := c.log.Covering(c.ctx(), w, two.Position); !errors.Is(err, events.ErrNotFound) {
		c.Errorf("the commit at %s is covered by %+v, %v", two.Position, got, err)
	}
	if got, err := c.log.Covering(c.ctx(), w, foreign); err != nil || got.Position != void.Position {
		c.Errorf("the message at %s is covered by %+v, %v", foreign, got, err)
	}
}

// aForgedVoidOfCommitsIsCorrupt: a void with a right chain hides a commit.
func aForgedVoidOfCommitsIsCorrupt(c *scene) {
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	one := c.start(w, signaled("s"))
	two := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	forged := events.Commit{
		Workflow: w, Kind: events.KindVoid, ID: "forged", Back: one.Cursor.Back(), Void: &events.Void{Messages: 1, Last: two.Position.Sequence},
		Run: events.Segment{
			Run: one.RunID, First: 3, Last: 2, Type: "T", Before: one.Cursor.Status(), After: one.Cursor.Status(), Size: one.Cursor.Size(), RunFirst: one.Position.Sequence,
		},
	}
	forged.Hash = forged.ChainHash(one.Cursor.Hash())
	seq := c.h.Put(c, one.Position.Partition, w.Subject(), events.EncodeHeader(&forged), nil)
	broken(c, w, "", events.Position{Partition: one.Position.Partition, Sequence: seq})
	voided(c, c.void(w), events.Position{Partition: one.Position.Partition, Sequence: seq})
	if n := len(c.history(w, "")); n != 3 {
		c.Errorf("%d events, want 3", n)
	}
	CheckWorkflow(c, c.log, w)
}

// aForgedVoidThatMiscountsIsCorrupt: it follows, and voids fewer messages than
// there are, or more.
func aForgedVoidThatMiscountsIsCorrupt(c *scene) {
	for _, n := range []uint64{1, 3} {
		w := events.Workflow{Namespace: c.ns, ID: fmt.Sprint("w", n)}
		one := c.start(w)
		c.start(events.Workflow{Namespace: c.ns, ID: fmt.Sprint("another", n)}) // room for a third message between
		first := c.foreign(w)
		second := c.foreign(w)
		forged := events.Commit{
			Workflow: w, Kind: events.KindVoid, ID: "forged", Back: one.Cursor.Back(), Void: &events.Void{Messages: n, Last: second.Sequence},
			Run: events.Segment{Run: one.RunID, First: 2, Last: 1, Type: "T", Before: 1, After: 1, Size: one.Cursor.Size(), RunFirst: one.Position.Sequence},
		}
		if n > second.Sequence-one.Position.Sequence {
			continue // no void can say so
		}
		forged.Hash = forged.ChainHash(one.Cursor.Hash())
		seq := c.h.Put(c, first.Partition, w.Subject(), events.EncodeHeader(&forged), nil)
		broken(c, w, "", first)
		voided(c, c.void(w), first, second, events.Position{Partition: first.Partition, Sequence: seq})
		CheckWorkflow(c, c.log, w)
	}
}

// appendsFromBeforeAVoid: a cursor that the void has overtaken conflicts, and
// the one that the error carries goes on.
func appendsFromBeforeAVoid(c *scene) {
	w := c.workflow("w")
	one := c.start(w)
	c.foreign(w)
	res := c.void(w)
	got := refused[*events.ConflictError](c, events.Request{Workflow: w, Expect: events.After(one.Cursor), Events: signals(1, "s")}, events.ErrConflict)
	c.same("the actual cursor", res.Cursor, got.Actual)
	refused[*events.ConflictError](c, events.Request{Workflow: w, Events: list(started("T"))}, events.ErrConflict)
	c.append(events.Request{Workflow: w, Expect: events.After(got.Actual), Events: signals(1, "s")})
	c.append(events.Request{Workflow: w, Expect: events.AfterEvent(one.RunID, 2), Events: signals(1, "s")})
	c.append(events.Request{Workflow: w, Expect: events.AtEndOf(one.RunID), Events: list(completed())})

	// The same where the void is all that there is.
	w = c.workflow("first")
	c.foreign(w)
	empty := c.void(w)
	for range 2 { // the second time the handle has seen the end
		for _, r := range []events.Request{
			{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")},
			{Workflow: w, Expect: events.AfterEvent("", 0), Events: list(started("T"))},
		} {
			_, err := c.log.Append(c.ctx(), r)
			notFound(c, err, events.NotFoundError{Workflow: w})
		}
	}
	if empty.Cursor.Run() != "" || empty.Cursor.IsZero() {
		c.Errorf("cursor is %s", empty.Cursor)
	}
	first := c.append(events.Request{Workflow: w, Expect: events.After(empty.Cursor), Events: list(started("T"))})
	if first.FirstEventID != 1 || first.Cursor.PrevRunFirst() != 0 {
		c.Errorf("result is %+v", first)
	}
	refused[*events.ConflictError](c, events.Request{Workflow: w, Expect: events.After(empty.Cursor), Events: list(started("T"))}, events.ErrConflict)
	if commits := c.commits(w); len(commits) != 2 || commits[0].Count() != 0 || commits[1].Count() != 1 {
		c.Errorf("the commits are %+v", commits)
	}
}

// startsOfAWorkflowOfVoids: a workflow without a run is as one that is not there,
// whichever way it is started.
func startsOfAWorkflowOfVoids(c *scene) {
	for i, p := range policies {
		for _, signaling := range []bool{false, true} {
			for n := 1; n < 3; n++ {
				if signaling && p.conflict == fail {
					continue
				}
				w := c.workflow(fmt.Sprint(i, signaling, n))
				for range n {
					c.foreign(w)
					c.void(w)
				}
				r := events.StartRequest{Workflow: w, Reuse: p.reuse, Conflict: p.conflict, CommitID: "mine", Events: list(started("T"))}
				start := func() (events.StartResult, error) {
					if signaling {
						return events.SignalWithStart(c.ctx(), c.log, r, signaled("s"))
					}
					return events.Start(c.ctx(), c.log, r)
				}
				first, err := start()
				if err != nil || first.Outcome != events.RunStarted || first.Existed {
					c.Errorf("%s: %+v, %v", w, first, err)
				}
				if again, err := start(); err != nil || !again.Existed || again.Position != first.Position {
					c.Errorf("%s, again: %+v, %v", w, again, err)
				}
			}
		}
	}
	w := c.workflow("new workflow")
	c.foreign(w)
	c.void(w)
	r := events.Request{Workflow: w, CommitID: "mine", Expect: events.NewWorkflow(), Events: list(started("T"))}
	first := c.append(r)
	c.foreign(w)
	c.void(w)
	if again := c.append(r); !again.Existed || again.Position != first.Position {
		c.Errorf("again: %+v", again)
	}
	r.CommitID = "another"
	refused[*events.ConflictError](c, r, events.ErrConflict)
}

func commitIdsAreFoundPastVoids(c *scene) {
	w := c.workflow("w")
	start := events.Request{Workflow: w, CommitID: "start", RunID: "r", Events: list(started("T"))}
	first := c.append(start)
	signal := events.Request{Workflow: w, CommitID: "signal", Expect: events.AtEnd(), Events: signals(1, "s")}
	second := c.append(signal)
	after := events.Request{Workflow: w, CommitID: "after", Expect: events.After(second.Cursor), Events: signals(1, "s")}
	third := c.append(after)
	for range 3 {
		c.foreign(w)
		c.void(w)
		for r, want := range map[*events.Request]events.Result{&start: first, &signal: second, &after: third} {
			if got := c.append(*r); !got.Existed || got.Position != want.Position {
				c.Errorf("%s, repeated, gave %+v, want %+v", r.CommitID, got, want)
			}
		}
	}
}

func voidsAmongManyCommitsReadInEveryWay(c *scene) {
	s := newStory(c, "w")
	void := func(n int) {
		for range n {
			s.foreign(s.w)
		}
		s.at.Cursor = s.void(s.w).Cursor
	}
	void(2)
	s.at.Cursor = events.Cursor{} // so that the story begins as every story does
	s.tell(started("T"), signaled("s"))
	for i := range 11 {
		s.tell(signaled("s"))
		if i%3 == 0 {
			void(i/3 + 1)
		}
	}
	s.tell(continuedAs(""), started("T"))
	void(1)
	void(12)
	for range 9 {
		s.tell(signals(2, "s")...)
	}
	s.tell(completed())
	void(1)
	s.tell(started("T"))
	void(1)
	for _, run := range s.ids {
		want := s.runs[run]
		for _, from := range []int{0, 2, len(want), len(want) + 1} {
			for _, reverse := range []bool{false, true} {
				s.checkRead(run, want, events.ReadOptions{Run: run, From: events.EventID(from), Reverse: reverse})
			}
		}
		s.checkRead(run, want, events.ReadOptions{Run: run, Limit: 1})
		s.checkRead(run, want, events.ReadOptions{Run: run, Limit: 1, Reverse: true})
	}
}

func coveringTellsVoidFromForeign(c *scene) {
	w := c.workflow("w")
	covering := func(p events.Position) *events.Commit {
		c.Helper()
		got, err := c.log.Covering(c.ctx(), w, p)
		if errors.Is(err, events.ErrNotFound) {
			return nil
		}
		if err != nil {
			c.Fatal(err)
		}
		return got
	}
	if got := covering(events.Position{Sequence: 1}); got != nil {
		c.Errorf("covered by %+v in a workflow that is not there", got)
	}
	one := c.start(w)
	first, second := c.foreign(w), c.foreign(w)
	for _, p := range []events.Position{one.Position, first, second} {
		if got := covering(p); got != nil {
			c.Errorf("%s is covered before there is a void, by %+v", p, got)
		}
	}
	a := c.void(w)
	third := c.foreign(w)
	b := c.void(w)
	two := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	for p, want := range map[events.Position]events.Position{first: a.Position, second: a.Position, third: b.Position} {
		got := covering(p)
		if got == nil || got.Position != want || len(got.Back) == 0 || got.Back[0] >= p.Sequence {
			c.Errorf("%s is covered by %+v, want %s", p, got, want)
		}
	}
	for _, p := range []events.Position{one.Position, a.Position, b.Position, two.Position} {
		if got := covering(p); got != nil {
			c.Errorf("the commit %s is covered by %+v", p, got)
		}
	}
}

// aVoidOfUnknownOutcomeIsSettled: the fault hits, and nobody waits for another
// attempt; the same request, sent again, finds what became of it.
func aVoidOfUnknownOutcomeIsSettled(c *scene) {
	for fault, name := range map[Fault]string{LoseMessage: "message", LoseAck: "ack"} {
		w := c.workflow(name)
		c.start(w)
		c.foreign(w)
		ctx, cancel := context.WithCancel(c.ctx())
		log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
			if fault == LoseMessage {
				cancel()
			}
			return fault
		}})
		res, err := log.Void(ctx, events.VoidRequest{Workflow: w, Reason: "r"})
		cancel()
		if fault == LoseAck {
			// The look that comes before the next attempt finds it.
			if err != nil || !res.Existed || res.Messages != 1 {
				c.Errorf("lost %s: %+v, %v", name, res, err)
			}
			continue
		}
		got := as[*events.OutcomeUnknownError](c, err, events.ErrOutcomeUnknown, "void")
		if got.CommitID == "" || got.Workflow != w {
			c.Fatalf("error is %+v", got)
		}
		settled, err := c.log.Void(c.ctx(), events.VoidRequest{Workflow: w, CommitID: got.CommitID, Reason: "r"})
		if err != nil || settled.Existed || settled.Messages != 1 {
			c.Errorf("settled as %+v, %v", settled, err)
		}
	}
}

// anAppendIsSettledPastAVoid: while the outcome of an append is unknown,
// somebody writes past the library, and somebody mends that.
func anAppendIsSettledPastAVoid(c *scene) {
	for fault, stored := range map[Fault]bool{LoseMessage: false, LoseAck: true} {
		for _, kind := range []string{"first run", "first run of all", "after", "after an event", "at end"} {
			w := c.workflow(fmt.Sprintf("%s, stored %t", kind, stored))
			r := events.Request{Workflow: w, CommitID: "mine", Events: signals(1, "mine")}
			switch kind {
			case "first run", "first run of all":
				r.Events = list(started("T"))
				if kind != "first run" {
					r.Expect = events.NewWorkflow()
				}
			case "after":
				r.Expect = events.After(c.start(w).Cursor)
			case "after an event":
				r.Expect = events.AfterEvent(c.start(w).RunID, 1)
			default:
				c.start(w)
				r.Expect = events.AtEnd()
			}
			expect := r.Expect
			doubt := doubtfully(c, r, fault, 0)
			c.foreign(w)
			r.Expect = doubt.Expectation
			if !stored {
				// Another message stands where the append would have: it is not
				// known yet what that means.
				refused[*events.CorruptError](c, r, events.ErrCorrupt)
			}
			c.void(w)
			if !stored && kind == "after" {
				refused[*events.ConflictError](c, r, events.ErrConflict)
				continue
			}
			if !stored && kind == "after an event" {
				// The void is no event: a repetition that knows nothing of the
				// attempt is stored behind it.
				again := r
				again.Expect = expect
				if res := c.append(again); res.Existed {
					c.Errorf("%s: %+v, and it was not stored", w, res)
				}
				if res := c.append(r); !res.Existed {
					c.Errorf("%s: settled as %+v, and a repetition was stored", w, res)
				}
				continue
			}
			if res := c.append(r); res.Existed != stored {
				c.Errorf("%s: settled as %+v, stored before: %t", w, res, stored)
			}
			if n := len(c.commitsWith(w, "mine")); n != 1 {
				c.Errorf("%s: stored %d times", w, n)
			}
		}
	}
}
