package eventstest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

func controlCases() []testCase {
	return named(
		decidesAndTellsWhatWasDecided, oneOfManyDecidersWins, aDecisionIsRecognisedWhenRepeated, aDecisionBehindAnotherSaysSo,
		decisionsOfAnyKindAreKept, decisionsKeepTheirOrderAndHaveNoGaps, followsDecisions, whatIsNoDecisionIsToldAndPassed,
		decisionsBeyondTheEndAreAnotherLogs, badDecisionsAreRefused,
	)
}

func controlOutcomeCases() []testCase {
	return named(aLostDecisionIsSentAgain, aDecisionOfUnknownOutcomeIsSettledByRepeating, aDecisionWithoutADeadlineEnds, faultsAmongManyDecisions)
}

// topic is one of the case's namespace.
func (c *scene) topic(key string) events.Topic {
	return events.Topic{Namespace: c.ns, Kind: "suite", Key: key}
}

// decision is one on a topic of the case's.
func (c *scene) decision(key, content string) events.Decision {
	return events.Decision{Topic: c.topic(key), Content: []byte(content)}
}

// decide must succeed.
func (c *scene) decide(d events.Decision, after uint64) events.StoredDecision {
	c.Helper()
	s, existed, err := c.log.Decide(c.ctx(), d, after)
	if err != nil || existed {
		c.Fatalf("decide on %s after %d: existed %t, %v", d.Topic, after, existed, err)
	}
	return s
}

// decided are the decisions on topics of the case.
func (c *scene) decided(after uint64) []events.StoredDecision {
	c.Helper()
	var got []events.StoredDecision
	for d, err := range c.log.Decisions(c.ctx(), after) {
		if err != nil && !errors.Is(err, events.ErrCorrupt) {
			c.Fatalf("decisions after %d: %v", after, err)
		}
		if err == nil && d.Topic.Namespace == c.ns {
			got = append(got, d)
		}
	}
	return got
}

// lastDecision is where the control stream ends.
func (c *scene) lastDecision() uint64 {
	c.Helper()
	b, err := c.log.DecisionBounds(c.ctx())
	if err != nil || b.First != 1 {
		c.Fatalf("bounds of the decisions: %+v, %v", b, err)
	}
	return b.Last
}

func decidesAndTellsWhatWasDecided(c *scene) {
	before := c.lastDecision()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_999, time.UTC)
	d := events.Decision{
		Topic: events.Topic{Namespace: c.ns, Kind: "suite-2", Key: "a key. with * and > and % and ü"}, CommitID: "an id of it",
		Time: at, Cause: events.Position{Partition: 3, Sequence: 1042}, By: "somebody, ü", Content: []byte(`{"a":1}`),
	}
	first := c.decide(d, 0)
	d.Time = at.Truncate(time.Microsecond)
	want := events.StoredDecision{Decision: d, Sequence: first.Sequence}
	c.same("what was decided", want, first)
	second := c.decide(events.Decision{Topic: d.Topic, Content: []byte(`{"a":2}`)}, first.Sequence)
	if second.CommitID == "" || second.Time.IsZero() || second.Previous != first.Sequence || second.Sequence <= first.Sequence {
		c.Errorf("the second is %+v", second)
	}
	c.same("what is read", []events.StoredDecision{want, second}, c.decided(before))
	c.same("what is read from the second on", []events.StoredDecision{second}, c.decided(first.Sequence))
	if got := c.decided(c.lastDecision()); len(got) != 0 {
		c.Errorf("behind the end are %+v", got)
	}
}

func oneOfManyDecidersWins(c *scene) {
	before := c.lastDecision()
	const deciders = 12
	var won atomic.Int32
	answers := make([]events.StoredDecision, deciders)
	var wg sync.WaitGroup
	for i := range deciders {
		log := c.h.Open(c, Options{})
		wg.Go(func() {
			d := c.decision("one", fmt.Sprintf(`{"n":%d}`, i))
			d.By = fmt.Sprint(i)
			s, existed, err := log.Decide(c.ctx(), d, 0)
			var other *events.DecidedError
			switch {
			case err == nil && !existed:
				won.Add(1)
				answers[i] = s
			case errors.As(err, &other) && errors.Is(err, events.ErrConflict):
				answers[i] = other.Actual
			default:
				c.Errorf("decider %d: existed %t, %v", i, existed, err)
			}
		})
	}
	wg.Wait()
	got := c.decided(before)
	if won.Load() != 1 || len(got) != 1 {
		c.Fatalf("%d won, and %d decisions are there", won.Load(), len(got))
	}
	for _, a := range answers {
		c.same("what each was told", got[0], a)
	}
}

func aDecisionIsRecognisedWhenRepeated(c *scene) {
	d := c.decision("r", `{"n":1}`)
	d.CommitID = "mine"
	first := c.decide(d, 0)
	c.decide(c.decision("r", `{"n":2}`), first.Sequence)
	last := c.decide(c.decision("r", `{"n":3}`), c.lastOn("r"))
	for _, after := range []uint64{0, first.Sequence, last.Sequence} {
		s, existed, err := c.log.Decide(c.ctx(), d, after)
		if err != nil || !existed {
			c.Errorf("the same again, after %d: existed %t, %v", after, existed, err)
		}
		c.same("the same again", first, s)
	}
	d.Content = []byte(`{"n":9}`)
	_, _, err := c.log.Decide(c.ctx(), d, last.Sequence)
	got := as[*events.DecisionReusedError](c, err, events.ErrCommitIDReused, "decide")
	c.same("what has the id", first, got.Stored)
	// An id is its topic's.
	c.decide(events.Decision{Topic: c.topic("other"), CommitID: "mine", Content: []byte(`{}`)}, 0)
}

// lastOn is the sequence of a topic's last decision.
func (c *scene) lastOn(key string) (last uint64) {
	for _, d := range c.decided(0) {
		if d.Topic == c.topic(key) {
			last = d.Sequence
		}
	}
	return last
}

func aDecisionBehindAnotherSaysSo(c *scene) {
	first := c.decide(c.decision("k", `{"n":1}`), 0)
	second := c.decide(c.decision("k", `{"n":2}`), first.Sequence)
	for after, stands := range map[uint64]events.StoredDecision{0: first, first.Sequence: second} {
		_, _, err := c.log.Decide(c.ctx(), c.decision("k", `{"n":3}`), after)
		got := as[*events.DecidedError](c, err, events.ErrConflict, "decide")
		c.same("what stands there", stands, got.Actual)
		if got.Expected != after || got.Topic != c.topic("k") {
			c.Errorf("the error is %+v", got)
		}
	}
	// What lies between is of other topics.
	c.decide(c.decision("other", `{}`), 0)
	c.decide(c.decision("k", `{"n":3}`), second.Sequence)
	// No message of the topic is where the expectation says.
	_, _, err := c.log.Decide(c.ctx(), c.decision("k", `{"n":4}`), c.lastDecision()+1000)
	as[*events.WrongLogError](c, err, events.ErrWrongLog, "decide")
}

func decisionsOfAnyKindAreKept(c *scene) {
	before := c.lastDecision()
	var want []events.StoredDecision
	for _, kind := range []string{"x", "of-a-later-version-9", strings.Repeat("k", events.MaxDecisionKindBytes)} {
		want = append(want, c.decide(events.Decision{Topic: events.Topic{Namespace: c.ns, Kind: kind, Key: "k"}, Content: []byte(`{"unheard":["of"]}`)}, 0))
	}
	c.same("what is there", want, c.decided(before))
}

func decisionsKeepTheirOrderAndHaveNoGaps(c *scene) {
	before := c.lastDecision()
	var want []events.StoredDecision
	for i := range c.h.times(40) {
		want = append(want, c.decide(c.decision(fmt.Sprint("k", i), `{}`), 0))
	}
	c.same("in order", want, c.decided(before))
	next := before
	for d, err := range c.log.Decisions(c.ctx(), before) {
		if next++; err != nil && !errors.Is(err, events.ErrCorrupt) || d.Sequence != next {
			c.Fatalf("sequence %d came, %d was due: %v", d.Sequence, next, err)
		}
	}
	// An iteration may be left.
	for range c.log.Decisions(c.ctx(), before) {
		break
	}
}

func followsDecisions(c *scene) {
	before := c.lastDecision()
	first := c.decide(c.decision("a", `{}`), 0)
	ctx, cancel := context.WithCancelCause(c.ctx())
	defer cancel(nil)
	next, stop := iter.Pull2(c.log.FollowDecisions(ctx, before))
	defer stop()
	follow := func(want events.StoredDecision) {
		c.Helper()
		for {
			d, err, ok := next()
			if !ok || err != nil && !errors.Is(err, events.ErrCorrupt) {
				c.Fatalf("following: %v", err)
			}
			if d.Topic.Namespace == c.ns {
				c.same("what was followed", want, d)
				return
			}
		}
	}
	follow(first)
	follow(c.decide(c.decision("b", `{}`), 0))
	follow(c.decide(c.decision("a", `{"n":2}`), first.Sequence))
	enough := errors.New("enough")
	cancel(enough)
	for {
		_, err, ok := next()
		if ok && err == nil { // of another case
			continue
		}
		if !errors.Is(err, enough) {
			c.Fatalf("the end is %v, want the context's", err)
		}
		return
	}
}

func whatIsNoDecisionIsToldAndPassed(c *scene) {
	before := c.lastDecision()
	t := c.topic("foreign")
	first := c.decide(c.decision("foreign", `{"n":1}`), 0)
	stray := c.h.PutDecision(c, t.Subject(), events.Header{"Annals": {"1 decision"}}, []byte("hello"))
	odd := "annals-control." + c.ns + ".No_Kind.x"
	stranger := c.h.PutDecision(c, odd, nil, nil)
	last := c.decide(c.decision("behind", `{}`), 0)
	type seen struct {
		sequence uint64
		topic    events.Topic
		corrupt  string
	}
	var got []seen
	for d, err := range c.log.Decisions(c.ctx(), before) {
		var bad *events.CorruptDecisionError
		switch {
		case errors.As(err, &bad) && errors.Is(err, events.ErrCorrupt) && bad.Sequence == d.Sequence && bad.Reason != "":
			if strings.Contains(bad.Subject, c.ns) {
				got = append(got, seen{d.Sequence, d.Topic, bad.Subject})
			}
		case err != nil:
			c.Fatal(err)
		case d.Topic.Namespace == c.ns:
			got = append(got, seen{d.Sequence, d.Topic, ""})
		}
	}
	if want := []seen{
		{first.Sequence, t, ""}, {stray, t, t.Subject()}, {stranger, events.Topic{}, odd}, {last.Sequence, c.topic("behind"), ""},
	}; !slices.Equal(want, got) {
		c.Errorf("got  %+v\nwant %+v", got, want)
	}
	// It takes a place, and decides nothing.
	_, _, err := c.log.Decide(c.ctx(), c.decision("foreign", `{"n":2}`), first.Sequence)
	conflict := as[*events.DecidedError](c, err, events.ErrConflict, "decide")
	if conflict.Actual.Sequence != stray || conflict.Actual.CommitID != "" {
		c.Errorf("what stands there is %+v", conflict.Actual)
	}
	c.decide(c.decision("foreign", `{"n":2}`), stray)
}

func decisionsBeyondTheEndAreAnotherLogs(c *scene) {
	beyond := c.lastDecision() + 1_000_000
	for _, err := range c.log.Decisions(c.ctx(), beyond) {
		as[*events.WrongLogError](c, err, events.ErrWrongLog, "decisions")
		return
	}
	c.Error("it ended without an error")
}

func badDecisionsAreRefused(c *scene) {
	before := c.lastDecision()
	long := strings.Repeat("x", 1001)
	for _, bad := range []struct {
		name, field string
		change      func(*events.Decision)
	}{
		{"no namespace", "namespace", func(d *events.Decision) { d.Topic.Namespace = "" }},
		{"no kind", "kind", func(d *events.Decision) { d.Topic.Kind = "" }},
		{"a kind with a dot", "kind", func(d *events.Decision) { d.Topic.Kind = "a.b" }},
		{"a kind in capitals", "kind", func(d *events.Decision) { d.Topic.Kind = "Kind" }},
		{"a long kind", "kind", func(d *events.Decision) { d.Topic.Kind = strings.Repeat("k", 41) }},
		{"no key", "key", func(d *events.Decision) { d.Topic.Key = "" }},
		{"a long key", "key", func(d *events.Decision) { d.Topic.Key = long }},
		{"a key with NUL", "key", func(d *events.Decision) { d.Topic.Key = "a\x00" }},
		{"a long commit id", "commitId", func(d *events.Decision) { d.CommitID = events.CommitID(long) }},
		{"a time before all", "time", func(d *events.Decision) { d.Time = time.Time{}.Add(-time.Hour) }},
		{"a cause that is no position", "cause", func(d *events.Decision) { d.Cause = events.Position{Partition: 1} }},
		{"a long name", "by", func(d *events.Decision) { d.By = long }},
		{"no content", "content", func(d *events.Decision) { d.Content = nil }},
		{"content that is no object", "content", func(d *events.Decision) { d.Content = []byte(`[1]`) }},
		{"content that is null", "content", func(d *events.Decision) { d.Content = []byte(`null`) }},
		{"too much content", "content", func(d *events.Decision) {
			d.Content = []byte(`{"a":"` + strings.Repeat("x", events.MaxDecisionBytes) + `"}`)
		}},
	} {
		d := c.decision("bad", `{}`)
		bad.change(&d)
		_, _, err := c.log.Decide(c.ctx(), d, 0)
		if got := as[*events.InvalidError](c, err, events.ErrInvalid, bad.name); got.Field != bad.field || got.Reason == "" {
			c.Errorf("%s: %v, want an invalid %s", bad.name, err, bad.field)
		}
	}
	if got := c.decided(before); len(got) != 0 {
		c.Errorf("stored was %+v", got)
	}
}

func aLostDecisionIsSentAgain(c *scene) {
	for name, fault := range map[string]Fault{"message": LoseMessage, "acknowledgement": LoseAck} {
		before := c.lastDecision()
		var n atomic.Int32
		log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
			if n.Add(1) == 1 {
				return fault
			}
			return Deliver
		}})
		s, _, err := log.Decide(c.ctx(), c.decision(name, `{"n":1}`), 0)
		if err != nil {
			c.Fatalf("a lost %s: %v", name, err)
		}
		c.same("stored once after a lost "+name, []events.StoredDecision{s}, c.decided(before))
	}
}

func aDecisionOfUnknownOutcomeIsSettledByRepeating(c *scene) {
	before := c.lastDecision()
	ctx, cancel := context.WithCancel(c.ctx())
	log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
		cancel() // nobody waits for another attempt
		return LoseMessage
	}})
	d := c.decision("k", `{}`)
	_, _, err := log.Decide(ctx, d, 0)
	unknown := as[*events.DecisionUnknownError](c, err, events.ErrOutcomeUnknown, "decide")
	if unknown.Topic != d.Topic || unknown.After != 0 || unknown.CommitID == "" || !events.SafeToRetry(err) {
		c.Errorf("the error is %+v", unknown)
	}
	d.CommitID = unknown.CommitID
	s := c.decide(d, unknown.After)
	c.same("stored once", []events.StoredDecision{s}, c.decided(before))
	// Nothing was sent: that is known, unless the id says that it may have been.
	ended, cancel := context.WithCancel(c.ctx())
	cancel()
	_, _, err = c.log.Decide(ended, c.decision("never", `{}`), 0)
	if !errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrOutcomeUnknown) {
		c.Errorf("with an ended context: %v", err)
	}
	d = c.decision("never", `{}`)
	d.CommitID = "perhaps sent before"
	if _, _, err := c.log.Decide(ended, d, 0); !errors.Is(err, events.ErrOutcomeUnknown) {
		c.Errorf("with an ended context and a commit id: %v", err)
	}
}

func aDecisionWithoutADeadlineEnds(c *scene) {
	log := c.h.Open(c, Options{AppendTimeout: 50 * time.Millisecond, Fault: func(events.CommitID) Fault { return LoseMessage }})
	_, _, err := log.Decide(c.ctx(), c.decision("k", `{}`), 0)
	as[*events.DecisionUnknownError](c, err, events.ErrOutcomeUnknown, "decide")
}

// faultsAmongManyDecisions: every third message or acknowledgement is lost, and
// each topic is decided once a round, by one of many.
func faultsAmongManyDecisions(c *scene) {
	before := c.lastDecision()
	var n atomic.Int32
	log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault { return Fault(n.Add(1) % 3) }})
	const deciders, rounds = 6, 3
	var wg sync.WaitGroup
	for i := range deciders {
		wg.Go(func() {
			after := uint64(0)
			for round := range rounds {
				d := c.decision("k", fmt.Sprintf(`{"by":%d,"round":%d}`, i, round))
				s, _, err := log.Decide(c.ctx(), d, after)
				var other *events.DecidedError
				if errors.As(err, &other) {
					s, err = other.Actual, nil
				}
				if err != nil {
					c.Errorf("decider %d: %v", i, err)
					return
				}
				after = s.Sequence
			}
		})
	}
	wg.Wait()
	got := c.decided(before)
	if len(got) != rounds {
		c.Fatalf("%d decisions are there, want %d: %+v", len(got), rounds, got)
	}
	for i := 1; i < rounds; i++ {
		if got[i].Previous != got[i-1].Sequence {
			c.Errorf("the one at %d follows %d, not %d", got[i].Sequence, got[i].Previous, got[i-1].Sequence)
		}
	}
}
