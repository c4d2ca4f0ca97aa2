package eventstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// strangers are messages that are no commit: made from the envelope and the
// body that the next commit would have had.
var strangers = []struct {
	name string
	make func(h events.Header, body []byte) (events.Header, []byte)
}{
	{"without headers", func(_ events.Header, body []byte) (events.Header, []byte) { return nil, body }},
	{"with nothing at all", func(events.Header, []byte) (events.Header, []byte) { return nil, nil }},
	{"with headers of others", func(events.Header, []byte) (events.Header, []byte) {
		return events.Header{"Content-Type": {"text/plain"}}, []byte("hello")
	}},
	{"of a later format", replaced("Annals", "2 events")},
	{"of an unknown kind", replaced("Annals", "1 guess")},
	{"of a reserved kind", replaced("Annals", "1 anchor")},
	{"with a header that is not known", replaced("A-Base", "r 7 12")},
	{"without an expectation", without("Nats-Expected-Last-Subject-Sequence")},
	{"without a commit id", without("A-Commit")},
	{"without a run", without("A-Run")},
	{"without a digest", without("A-Digest")},
	{"without a hash", without("A-Chain")},
	{"with two runs", func(h events.Header, body []byte) (events.Header, []byte) {
		h["A-Run"] = []string{h["A-Run"][0], h["A-Run"][0]}
		return h, body
	}},
	{"with a hash that is cut", replaced("A-Chain", "AAAA")},
	{"with earlier commits that are later", replaced("A-Back", "1099511627776")},
	{"that claims the server's headers", func(_ events.Header, body []byte) (events.Header, []byte) {
		return events.Header{
			"Nats-Sequence": {"1"}, "Nats-Subject": {"annals.0.a.b"}, "Nats-Last-Sequence": {"77"}, "Nats-Time-Stamp": {"never"},
			"Nats-Num-Pending": {"0"}, "Status": {"204"}, "Description": {"EOB"},
		}, body
	}},
}

func replaced(name, value string) func(events.Header, []byte) (events.Header, []byte) {
	return func(h events.Header, body []byte) (events.Header, []byte) {
		h[name] = []string{value}
		return h, body
	}
}

func without(name string) func(events.Header, []byte) (events.Header, []byte) {
	return func(h events.Header, body []byte) (events.Header, []byte) {
		delete(h, name)
		return h, body
	}
}

func foreignCases() []testCase {
	var cases []testCase
	for _, s := range strangers {
		cases = append(cases,
			testCase{s.name + ", after commits", func(c *scene) { stranger(c, 3, s.make) }},
			testCase{s.name + ", as the first message", func(c *scene) { stranger(c, 0, s.make) }},
		)
	}
	return append(cases, named(aRepeatedMessageIsForeign, aForgedMessageBreaksTheChain, aBodyThatIsNoHistory)...)
}

// stranger puts a message behind n commits of a workflow and goes through all
// that can be asked of it.
func stranger(c *scene, n int, change func(events.Header, []byte) (events.Header, []byte)) {
	c.sound = false
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	p := c.log.Identity().Map.Partition(w.Slot())
	neighbour := w
	for i := 0; neighbour == w || c.log.Identity().Map.Partition(neighbour.Slot()) != p; i++ {
		neighbour = events.Workflow{Namespace: c.ns, ID: fmt.Sprint("neighbour ", i)}
	}
	c.start(neighbour)

	var at events.Result
	for i := range n {
		if i == 0 {
			at = c.start(w)
		} else {
			at = c.append(events.Request{Workflow: w, Expect: events.After(at.Cursor), Events: signals(1, "s")})
		}
	}
	// The envelope and the body of a commit that would be right.
	next := events.Commit{
		Workflow: w, Kind: events.KindEvents, ID: "forged", Back: at.Cursor.Back(),
		Run: events.Segment{Run: "r", First: 1, Last: 1, After: 1, Size: 10},
	}
	if n > 0 {
		next.Run = events.Segment{
			Run: at.RunID, First: at.LastEventID + 1, Last: at.LastEventID + 1, Type: "T", Before: 1, After: 1,
			Size: at.Cursor.Size() + 10, RunFirst: at.Cursor.RunFirst(),
		}
	}
	next.Hash = next.ChainHash(at.Cursor.Hash())
	h, body := change(events.EncodeHeader(&next), next.Body)
	seq := c.h.Put(c, p, w.Subject(), h, body)
	position := events.Position{Partition: p, Sequence: seq}

	corrupt := func(what string, err error) {
		c.Helper()
		got := as[*events.CorruptError](c, err, events.ErrCorrupt, what)
		if got.Workflow != w || got.Position != position || got.Reason == "" {
			c.Errorf("%s: error is %+v, want %s at %s", what, got, w, position)
		}
	}
	expectations := []events.Expectation{events.NewRun(), events.AtEnd(), events.AtEndOf("r"), events.AfterEvent("r", 3)}
	if n > 0 {
		expectations = append(expectations, events.After(at.Cursor))
	}
	for _, expect := range expectations {
		r := events.Request{Workflow: w, Expect: expect, CommitID: "c", Events: signals(1, "s")}
		if expect.IsNewRun() {
			r.Events = list(started("T"))
		}
		_, err := c.log.Append(c.ctx(), r)
		corrupt("append "+expect.String(), err)
	}
	_, err := c.log.Tail(c.ctx(), w)
	corrupt("tail", err)
	for _, o := range []events.ReadOptions{{}, {Reverse: true}, {Run: at.RunID, Limit: 1}} {
		got, err := collect(c.log.Read(c.ctx(), w, o))
		corrupt("read", err)
		if len(got) != 0 {
			c.Errorf("read %+v gave %d events before it failed: with an unknown end nothing is known to be whole", o, len(got))
		}
	}
	_, err = collect(c.log.Commits(c.ctx(), w))
	corrupt("commits", err)

	// Nothing else is harmed, and who follows sees the message as it is.
	c.append(events.Request{Workflow: neighbour, Expect: events.AtEnd(), Events: signals(1, "s")})
	CheckWorkflow(c, c.log, neighbour)
	messages, err := collect(c.log.Follow(c.ctx(), p, events.FollowOptions{After: seq - 1, Until: seq}))
	if err != nil || len(messages) != 1 {
		c.Fatalf("followed %d messages, %v", len(messages), err)
	}
	one, err := c.log.Message(c.ctx(), position)
	if err != nil {
		c.Fatal(err)
	}
	for _, m := range []events.Message{messages[0], one} {
		if m.Position != position || m.Subject != w.Subject() || !slices.Equal(m.Body, body) || m.Time.IsZero() {
			c.Errorf("the message is %+v, it was stored at %s on %s", m, position, w.Subject())
		}
		if _, err := events.Decode(m); err == nil {
			c.Error("the message decodes as a commit")
		}
	}

	// A void mends it: the workflow goes on as if nothing had been there.
	voided(c, c.void(w), position)
	if n == 0 {
		c.start(w)
	} else {
		c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
	}
	CheckWorkflow(c, c.log, w)
	if got := len(c.history(w, "")); got != max(n+1, 1) {
		c.Errorf("the mended workflow has %d events, want %d", got, n+1)
	}
}

// broken checks that a workflow whose chain is broken at a position is not read
// past it in any way.
func broken(c *scene, w events.Workflow, run events.RunID, at ...events.Position) {
	c.Helper()
	c.sound = false
	check := func(what string, err error) {
		c.Helper()
		got := as[*events.CorruptError](c, err, events.ErrCorrupt, what)
		if !slices.Contains(at, got.Position) || got.Workflow != w {
			c.Errorf("%s: error is %v, want one at %v", what, got, at)
		}
	}
	_, err := collect(c.log.Commits(c.ctx(), w))
	check("commits", err)
	_, err = collect(c.log.Read(c.ctx(), w, events.ReadOptions{Run: run}))
	check("read", err)
	_, err = collect(c.log.Read(c.ctx(), w, events.ReadOptions{Run: run, Reverse: true}))
	check("read reversed", err)
}

// aRepeatedMessageIsForeign: somebody publishes the message of a commit again,
// which ends all that can be asked of the workflow.
func aRepeatedMessageIsForeign(c *scene) {
	for _, i := range []int{0, 1} { // an earlier one, the last one
		w := events.Workflow{Namespace: c.ns, ID: fmt.Sprint("w", i)}
		c.start(w)
		last := c.append(events.Request{Workflow: w, Expect: events.AtEnd(), Events: signals(1, "s")})
		m, err := c.log.Message(c.ctx(), c.commits(w)[i].Position)
		if err != nil {
			c.Fatal(err)
		}
		h := maps.Clone(m.Header)
		maps.DeleteFunc(h, func(name string, _ []string) bool { return strings.HasPrefix(name, "Nats-") })
		seq := c.h.Put(c, last.Position.Partition, w.Subject(), h, m.Body)
		broken(c, w, "", events.Position{Partition: last.Position.Partition, Sequence: seq})
		for _, expect := range []events.Expectation{events.After(last.Cursor), events.AtEnd()} {
			refused[*events.CorruptError](c, events.Request{Workflow: w, Expect: expect, Events: signals(1, "s")}, events.ErrCorrupt)
		}
	}
}

// aForgedMessageBreaksTheChain: an envelope that is right but for its hash.
func aForgedMessageBreaksTheChain(c *scene) {
	w := events.Workflow{Namespace: c.ns, ID: "w"}
	at := c.start(w)
	body := c.commits(w)[0].Body
	forged := events.Commit{
		Workflow: w, Kind: events.KindEvents, ID: "forged", Back: at.Cursor.Back(), Body: body,
		Run: events.Segment{Run: at.RunID, First: 2, Last: 2, Type: "T", Before: 1, After: 1, Size: at.Cursor.Size() + 10, RunFirst: at.Cursor.RunFirst()},
	}
	position := events.Position{Partition: at.Position.Partition, Sequence: c.h.Put(c, at.Position.Partition, w.Subject(), events.EncodeHeader(&forged), body)}
	broken(c, w, "", position)
	// Whoever knows what it should follow does not take it for a commit.
	r := events.Request{Workflow: w, Expect: events.After(at.Cursor), CommitID: "forged", Events: signals(1, "s")}
	got := refused[*events.CorruptError](c, r, events.ErrCorrupt)
	if got.Position != position {
		c.Errorf("error is %+v, want one at %s", got, position)
	}
	voided(c, c.void(w), position)
	refused[*events.ConflictError](c, r, events.ErrConflict)
	r.Expect = events.AtEnd()
	c.append(r)
	CheckWorkflow(c, c.log, w)
}

// aBodyThatIsNoHistory: an envelope and a hash that are right around a body
// that is not.
func aBodyThatIsNoHistory(c *scene) {
	for name, body := range map[string][]byte{"garbage": []byte("\xffgarbage"), "empty": nil} {
		w := events.Workflow{Namespace: c.ns, ID: name}
		at := c.start(w)
		forged := events.Commit{
			Workflow: w, Kind: events.KindEvents, ID: "forged", Back: at.Cursor.Back(), Body: body,
			Run: events.Segment{Run: at.RunID, First: 2, Last: 2, Type: "T", Before: 1, After: 1, Size: at.Cursor.Size() + 10, RunFirst: at.Cursor.RunFirst()},
		}
		forged.Hash = forged.ChainHash(at.Cursor.Hash())
		seq := c.h.Put(c, at.Position.Partition, w.Subject(), events.EncodeHeader(&forged), body)
		for _, reverse := range []bool{false, true} {
			_, err := collect(c.log.Read(c.ctx(), w, events.ReadOptions{Reverse: reverse}))
			got := as[*events.CorruptError](c, err, events.ErrCorrupt, "read")
			if got.Position.Sequence != seq {
				c.Errorf("error is %v, want one at %d", got, seq)
			}
		}
	}
}
