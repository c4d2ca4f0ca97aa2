package memlog_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
	"github.com/annals-io/annals/pkg/events/memlog"
)

const (
	oldLeader = 25 * time.Second // how long it may answer, as the store says
	cutOffFor = 20 * time.Second // how long it does
)

// divided is a store that two servers answer for: the leader, and one that was it
// until it was cut off, and has what was stored till then. That one refuses what
// expects anything later, reads without it, and can store nothing.
type divided struct {
	subjectlog.Store
	has uint64       // the last sequence that the old leader has
	old func() bool  // whether it is the one that is asked
	way func() fault // what befalls what the leader is sent
}

type fault int

const (
	none fault = iota
	loseMessage
	loseAck
)

func (d *divided) OldLeader(context.Context, events.Partition) (time.Duration, error) {
	return oldLeader, nil
}

func (d *divided) Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error) {
	if d.old() {
		last, err := d.lastOf(ctx, m.Partition, m.Subject)
		if err == nil && last.Position.Sequence != m.Expected || errors.Is(err, subjectlog.ErrNone) && m.Expected > 0 {
			return 0, subjectlog.ErrMoved
		}
		return 0, errLost
	}
	switch d.way() {
	case loseMessage:
		return 0, errLost
	case loseAck:
		if _, err := d.Store.Publish(ctx, m); err != nil {
			return 0, err
		}
		return 0, errLost
	default:
		return d.Store.Publish(ctx, m)
	}
}

// lastOf is the last message of a subject that the old leader has.
func (d *divided) lastOf(ctx context.Context, p events.Partition, subject string) (last events.Message, err error) {
	for {
		m, err := d.Store.Next(ctx, p, subject, last.Position.Sequence+1)
		if errors.Is(err, subjectlog.ErrNone) || err == nil && m.Position.Sequence > d.has {
			break
		}
		if err != nil {
			return events.Message{}, err
		}
		last = m
	}
	if last.Position.Sequence == 0 {
		return events.Message{}, subjectlog.ErrNone
	}
	return last, nil
}

func (d *divided) Last(ctx context.Context, p events.Partition, subject string) (events.Message, error) {
	if d.old() {
		return d.lastOf(ctx, p, subject)
	}
	return d.Store.Last(ctx, p, subject)
}

// early hides what the old leader does not have, where it is asked.
func (d *divided) early(m events.Message, err error) (events.Message, error) {
	if err == nil && m.Position.Sequence > d.has && d.old() {
		return events.Message{}, subjectlog.ErrNone
	}
	return m, err
}

func (d *divided) Next(ctx context.Context, p events.Partition, subject string, from uint64) (events.Message, error) {
	return d.early(d.Store.Next(ctx, p, subject, from))
}

func (d *divided) Get(ctx context.Context, p events.Position) (events.Message, error) {
	return d.early(d.Store.Get(ctx, p))
}

func (d *divided) Scan(ctx context.Context, p events.Partition, subject string, from, to uint64, about int) iter.Seq2[events.Message, error] {
	return d.Store.Scan(ctx, p, subject, from, to, about) // of what the caller has found there
}

// TestAnOldLeaderSettlesNothing: at random, a leader that was cut off answers some
// requests of an append, of a void, or of a decision, whose messages and
// acknowledgements are lost now and then. What they are told is what is stored:
// done, not done, or unknown, which the token settles.
func TestAnOldLeaderSettlesNothing(t *testing.T) {
	seed := rand.Uint64()
	counts := map[string]int{}
	for round := range uint64(1500) {
		synctest.Test(t, func(t *testing.T) {
			s := settling{T: t, rng: rand.New(rand.NewPCG(seed, round)), counts: counts}
			s.run()
		})
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
	t.Log(counts)
	for _, what := range []string{"old leader asked", "message lost", "acknowledgement lost", "unknown", "stored", "existed", "refused", "void", "decision"} {
		if counts[what] < 20 {
			t.Errorf("%s: %d times, want 20 at least", what, counts[what])
		}
	}
}

// settling is a round of it.
type settling struct {
	*testing.T
	rng    *rand.Rand
	counts map[string]int
	log    *memlog.Log // as the leader has it
	mine   *memlog.Log // as both answer for it
	store  *divided
	w      events.Workflow
}

func (s *settling) run() {
	var err error
	if s.log, err = memlog.New(memlog.Config{Streams: 1}); err != nil {
		s.Fatal(err)
	}
	s.w = events.Workflow{Namespace: "n", ID: "w"}
	begin := time.Now()
	var asking sync.Mutex // several commits are asked for at a time
	s.store = &divided{
		old: func() bool {
			asking.Lock()
			defer asking.Unlock()
			old := time.Since(begin) < cutOffFor && s.rng.IntN(2) == 0
			if old {
				s.counts["old leader asked"]++
			}
			return old
		},
		way: func() fault {
			asking.Lock()
			defer asking.Unlock()
			f := fault(max(0, s.rng.IntN(5)-2))
			s.counts[[]string{"", "message lost", "acknowledgement lost"}[f]]++
			return f
		},
	}
	s.mine = s.log.Through(memlog.Config{CachedCursors: -s.rng.IntN(2)}, func(below subjectlog.Store) subjectlog.Store {
		s.store.Store = below
		return s.store
	})
	switch s.rng.IntN(6) {
	case 0:
		s.decision()
	case 1:
		s.void()
	default:
		s.append()
	}
}

// some appends a few commits, and closes the run at last, maybe.
func (s *settling) some(n int, end bool) {
	for range n {
		if tail, err := s.log.Tail(s.Context(), s.w); err != nil || !events.IsOpen(tail.Status()) {
			s.put(events.NewRun(), events.WorkflowStarted("T", "q"))
		} else {
			s.put(events.AtEnd(), signaled())
		}
	}
	if tail, err := s.log.Tail(s.Context(), s.w); end && err == nil && events.IsOpen(tail.Status()) {
		s.put(events.AtEnd(), events.WorkflowTerminated("end"))
	}
}

func (s *settling) put(x events.Expectation, list ...*events.Event) {
	s.Helper()
	if _, err := s.log.Append(s.Context(), events.Request{Workflow: s.w, Expect: x, Events: list}); err != nil {
		s.Fatal(err)
	}
}

func (s *settling) append() {
	s.some(s.rng.IntN(3), s.rng.IntN(4) == 0)
	if c, err := s.log.Tail(s.Context(), s.w); err == nil {
		s.store.has = c.Position().Sequence
		if _, err := s.mine.Tail(s.Context(), s.w); err != nil && !errors.Is(err, events.ErrNotFound) { // which is remembered
			s.Fatal(err)
		}
	}
	s.some(s.rng.IntN(3), s.rng.IntN(3) == 0)
	tail, err := s.log.Tail(s.Context(), s.w)
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		s.Fatal(err)
	}
	r := events.Request{Workflow: s.w, CommitID: "mine", Events: []*events.Event{signaled()}}
	switch {
	case tail.IsZero() && s.rng.IntN(2) == 0:
		r.Expect = events.NewWorkflow()
		r.Events[0] = events.WorkflowStarted("T", "q")
	case !events.IsOpen(tail.Status()):
		r.Events[0] = events.WorkflowStarted("T", "q")
		if !tail.IsZero() && s.rng.IntN(2) == 0 {
			r.Expect = events.After(tail)
		}
	default:
		r.Expect = []events.Expectation{
			events.After(tail), events.AtEnd(), events.AfterEvent(tail.Run(), tail.LastEventID()), events.AtEndOf(tail.Run()),
		}[s.rng.IntN(4)]
	}
	var res events.Result
	for again := false; ; again = true {
		ctx, cancel := context.WithTimeout(s.Context(), s.patience())
		res, err = s.mine.Append(ctx, r)
		cancel()
		var doubt *events.OutcomeUnknownError
		if !errors.As(err, &doubt) {
			break
		}
		s.counts["unknown"]++
		if r.Expect = doubt.Expectation; s.rng.IntN(3) == 0 {
			s.some(1, false) // others go on meanwhile
		}
		if again && s.rng.IntN(2) == 0 {
			time.Sleep(time.Second)
		}
	}
	stored := s.stored()
	switch {
	case err == nil && len(stored) == 1 && stored[0] == res.Position:
		s.counts["stored"]++
		if res.Existed {
			s.counts["existed"]++
		}
	case err == nil:
		s.Errorf("%s gave %+v, stored is %v", r.Expect, res, stored)
	case errors.Is(err, events.ErrCorrupt):
		s.Errorf("%s gave %v, stored is %v", r.Expect, err, stored)
	case len(stored) > 0:
		s.Errorf("%s gave %v, and is stored at %v", r.Expect, err, stored)
	default:
		s.counts["refused"]++ // as what was read says, and nothing is stored
	}
	if !tail.IsZero() || err == nil {
		eventstest.CheckWorkflow(s, s.log, s.w)
	}
}

// patience is how long a call may take, often so short that nothing is sent twice.
func (s *settling) patience() time.Duration {
	return time.Duration(1+s.rng.IntN([]int{10, 8000}[s.rng.IntN(2)])) * time.Millisecond
}

// stored is where the commits are that have the id.
func (s *settling) stored() (at []events.Position) {
	for c, err := range s.log.Commits(s.Context(), s.w) {
		if errors.Is(err, events.ErrNotFound) {
			return nil
		}
		if err != nil {
			s.Fatal(err)
		}
		if c.ID == "mine" {
			at = append(at, c.Position)
		}
	}
	return at
}

func (s *settling) void() {
	s.counts["void"]++
	s.some(1+s.rng.IntN(2), false)
	s.store.has = uint64(s.rng.IntN(3))
	s.log.Put(0, s.w.Subject(), nil, []byte("foreign"))
	res, err := s.mine.Void(s.Context(), events.VoidRequest{Workflow: s.w, CommitID: "mine"})
	if errors.Is(err, events.ErrOutcomeUnknown) {
		time.Sleep(cutOffFor) // a commit id alone is looked for, and then found
		res, err = s.mine.Void(s.Context(), events.VoidRequest{Workflow: s.w, CommitID: "mine"})
	}
	var not *events.NotVoidableError
	switch {
	case err == nil:
		if at := s.stored(); len(at) != 1 || at[0] != res.Position {
			s.Errorf("void gave %+v, stored is %v", res, at)
		}
	case errors.As(err, &not), errors.Is(err, events.ErrNotFound): // as what was read at first says
		for c, err := range s.log.Commits(s.Context(), s.w) {
			if err == nil && c.ID == "mine" {
				s.Errorf("void gave %v, and is stored at %s", not, c.Position)
			}
		}
	default:
		s.Errorf("void gave %v", err)
	}
}

func (s *settling) decision() {
	s.counts["decision"]++
	topic := events.Topic{Namespace: "n", Kind: "kind", Key: "key"}
	var after uint64
	for i := range 3 {
		d, _, err := s.log.Decide(s.Context(), events.Decision{Topic: topic, Content: fmt.Appendf(nil, `{"n":%d}`, i)}, after)
		if err != nil {
			s.Fatal(err)
		}
		after = d.Sequence
	}
	s.store.has = uint64(s.rng.IntN(4))
	d := events.Decision{Topic: topic, CommitID: "mine", Content: []byte(`{"n":"mine"}`), Time: time.Now()}
	for {
		ctx, cancel := context.WithTimeout(s.Context(), s.patience())
		got, _, err := s.mine.Decide(ctx, d, after)
		cancel()
		if errors.Is(err, events.ErrOutcomeUnknown) {
			continue
		}
		if err != nil || got.Previous != after || got.Sequence != after+1 {
			s.Errorf("the decision gave %+v, %v", got, err)
		}
		return
	}
}

func signaled() *events.Event { return events.Signaled("s") }

// TestWhatIsGoneIsSaidToBeGone: the log was cut back, and no server has what an
// append expects. It says so once there can be no old leader any more, and not
// before.
func TestWhatIsGoneIsSaidToBeGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settling{T: t}
		var err error
		if s.log, err = memlog.New(memlog.Config{Streams: 1}); err != nil {
			t.Fatal(err)
		}
		s.w = events.Workflow{Namespace: "n", ID: "w"}
		s.some(3, false)
		tail, err := s.log.Tail(t.Context(), s.w)
		if err != nil {
			t.Fatal(err)
		}
		s.log.Truncate(0, 1)
		s.mine = s.log.Through(memlog.Config{}, func(below subjectlog.Store) subjectlog.Store {
			return &divided{Store: below, old: func() bool { return false }, way: func() fault { return none }}
		})
		r := events.Request{Workflow: s.w, Expect: events.After(tail), Events: []*events.Event{signaled()}}
		ctx, cancel := context.WithTimeout(t.Context(), oldLeader-time.Second)
		defer cancel()
		if _, err := s.mine.Append(ctx, r); !errors.Is(err, events.ErrUnavailable) || !events.SafeToRetry(err) {
			t.Errorf("while it is in doubt: %v", err)
		}
		begin := time.Now()
		if _, err := s.mine.Append(t.Context(), r); !errors.Is(err, events.ErrCorrupt) || time.Since(begin) < oldLeader {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}
