package replay_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/replay"
)

func check(t failer, log events.Log, o replay.VerifyOptions) replay.LogReport {
	t.Helper()
	r, err := replay.VerifyLog(context.Background(), log, o)
	if err != nil {
		t.Fatalf("VerifyLog: %v", err)
	}
	return r
}

// Nothing is found where nothing is wrong, and everything is counted.
func TestVerifyLogOfASoundLog(t *testing.T) {
	t.Parallel()
	for _, tt := range logs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := tt.open(t)
			if r := check(t, log, replay.VerifyOptions{}); r.Commits != 0 || len(r.Differences) != 0 {
				t.Errorf("an empty log: %+v", r)
			}
			workflows := appendAll(t, log, historytest.Seeded(31, tt.steps), historytest.Options{Workflows: 8})
			runs, err := historytest.Facts(t.Context(), log, workflows)
			if err != nil {
				t.Fatal(err)
			}
			n := int64(0)
			for _, r := range runs {
				n += r.Events
			}
			var told atomic.Int64
			r := check(t, log, replay.VerifyOptions{Progress: func(n int) { told.Add(int64(n)) }})
			if r.Commits != int64(tt.steps) || r.Events != n || r.Runs != int64(len(runs)) || told.Load() != n || len(r.Differences) != 0 {
				t.Errorf("%+v; want %d commits, %d events (told %d), %d runs", r, tt.steps, n, told.Load(), len(runs))
			}
			for p, end := range r.Ends {
				if b, err := log.Bounds(t.Context(), events.Partition(p)); err != nil || b.Last != end {
					t.Errorf("partition %d was checked up to %d, it ends at %d (%v)", p, end, b.Last, err)
				}
			}
			for _, w := range workflows {
				one := check(t, log, replay.VerifyOptions{Workflow: &w})
				if len(one.Differences) != 0 {
					t.Errorf("%s alone: %v", w, one.Differences)
				}
				r.Commits -= one.Commits
				r.Events -= one.Events
			}
			if r.Commits != 0 || r.Events != 0 {
				t.Errorf("one by one the workflows have %d commits and %d events less than together", r.Commits, r.Events)
			}
			none := events.Workflow{Namespace: "default", ID: "none"}
			if r := check(t, log, replay.VerifyOptions{Workflow: &none}); r.Commits != 0 || len(r.Differences) != 0 {
				t.Errorf("a workflow that is not there: %+v", r)
			}
		})
	}
}

// spoiled is a log of one stream, which a test harms. Order has the commits at
// the positions.
type spoiled struct {
	*memlog.Log
	at []events.Position
}

func newSpoiled(t *testing.T) *spoiled {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &spoiled{Log: log}
	g := historytest.New(historytest.Options{Workflows: 4})
	between := func(seed uint64) {
		t.Helper()
		if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, 5)); err != nil {
			t.Fatal(err)
		}
	}
	between(1)
	put := func(expect events.Expectation, es ...*events.Event) {
		t.Helper()
		s.at = append(s.at, add(t, log, expect, es...).Position)
		between(uint64(len(s.at)) + 1)
	}
	put(events.NewRun(), events.WorkflowStarted("Order", "orders")) // 0
	put(events.AtEnd(), events.Signaled("a"))                       // 1
	put(events.AtEnd(), events.Signaled("b"))                       // 2
	put(events.AtEnd(), events.WorkflowCompleted(), events.WorkflowStarted("Order", "orders"))
	put(events.AtEnd(), events.Signaled("c")) // 4
	put(events.AtEnd(), events.Signaled("d")) // 5
	return s
}

// forge rewrites a commit as one who knows the format would, so that its own
// hash is right again: the hash of the one before it is taken from the log.
func (s *spoiled) forge(t *testing.T, i int, change func(*events.Commit, *historypb.History)) {
	t.Helper()
	var before events.Hash
	if i > 0 {
		before = s.commit(t, i-1).Hash
	}
	c := s.commit(t, i)
	var h historypb.History
	if err := proto.Unmarshal(c.Body, &h); err != nil {
		t.Fatal(err)
	}
	change(c, &h)
	var err error
	if c.Body, err = proto.Marshal(&h); err != nil {
		t.Fatal(err)
	}
	c.Hash = c.ChainHash(before)
	s.Alter(s.at[i], func(m *events.Message) { m.Header, m.Body = events.EncodeHeader(c), c.Body })
}

func (s *spoiled) commit(t *testing.T, i int) *events.Commit {
	t.Helper()
	m, err := s.Message(t.Context(), s.at[i])
	if err != nil {
		t.Fatal(err)
	}
	c, err := events.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// without is a log in which messages are missing.
type without struct {
	*memlog.Log
	gone []events.Position
}

func (w without) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for m, err := range w.Log.Follow(ctx, p, o) {
			if err == nil && slices.Contains(w.gone, m.Position) {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func TestVerifyLogFinds(t *testing.T) {
	t.Parallel()
	type found struct {
		kind string
		at   int    // index of order's commits
		says string // part of the detail
	}
	for _, tt := range []struct {
		name  string
		why   string
		spoil func(*testing.T, *spoiled) events.Log // nil: the log itself
		want  []found
	}{
		{"an altered body", "one field of one event", func(t *testing.T, s *spoiled) events.Log {
			s.Alter(s.at[2], func(m *events.Message) {
				var h historypb.History
				if err := proto.Unmarshal(m.Body, &h); err != nil {
					t.Fatal(err)
				}
				h.Events[0].TaskId++
				m.Body, _ = proto.Marshal(&h)
			})
			return nil
		}, []found{{replay.KindChain, 2, "altered"}}},
		{"an altered body of the last commit", "nothing follows it", func(_ *testing.T, s *spoiled) events.Log {
			s.Alter(s.at[5], func(m *events.Message) { m.Body = append(m.Body, 0) })
			return nil
		}, []found{{replay.KindChain, 5, "altered"}}},
		{"an altered header", "another commit id", func(_ *testing.T, s *spoiled) events.Log {
			s.Alter(s.at[1], func(m *events.Message) { m.Header["A-Commit"] = []string{"another"} })
			return nil
		}, []found{{replay.KindChain, 1, "altered"}}},
		{"an altered hash", "the next does not follow from it either", func(_ *testing.T, s *spoiled) events.Log {
			s.Alter(s.at[1], func(m *events.Message) { m.Header["A-Chain"] = []string{strings.Repeat("A", 22)} })
			return nil
		}, []found{{replay.KindChain, 1, "altered"}, {replay.KindChain, 2, "altered"}}},
		{"an envelope that cannot be read", "a header twice", func(_ *testing.T, s *spoiled) events.Log {
			s.Alter(s.at[1], func(m *events.Message) { m.Header["A-Run"] = append(m.Header["A-Run"], "x") })
			return nil
		}, []found{{replay.KindForeign, 1, "stands 2 times"}}},
		{"two swapped", "the one that came too early names a commit that is not there yet; what comes after an unreadable one cannot be judged, what comes after that can", func(t *testing.T, s *spoiled) events.Log {
			a, errA := s.Message(t.Context(), s.at[1])
			b, errB := s.Message(t.Context(), s.at[2])
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			s.Alter(s.at[1], func(m *events.Message) { m.Header, m.Body = b.Header, b.Body })
			s.Alter(s.at[2], func(m *events.Message) { m.Header, m.Body = a.Header, a.Body })
			return nil
		}, []found{{replay.KindForeign, 1, "is not before"}, {replay.KindChain, 3, "gone"}}},
		{"one missing", "a gap in the sequences, and in the chain", func(_ *testing.T, s *spoiled) events.Log {
			return without{s.Log, s.at[2:3]}
		}, []found{{replay.KindGap, -2, "are missing"}, {replay.KindChain, 3, "one between is gone"}}},
		{"the first missing", "the next names one before it", func(_ *testing.T, s *spoiled) events.Log {
			return without{s.Log, s.at[:1]}
		}, []found{{replay.KindGap, -1, "are missing"}, {replay.KindChain, 1, "one between is gone"}}},
		{"a foreign message", "published past the library", func(_ *testing.T, s *spoiled) events.Log {
			s.at = append(s.at, events.Position{Sequence: s.Put(0, order.Subject(), events.Header{"X": {"y"}}, []byte("hello"))})
			return nil
		}, []found{{replay.KindForeign, 6, "header Annals: is missing"}}},
		{"a commit copied to the end", "replayed by somebody", func(t *testing.T, s *spoiled) events.Log {
			m, err := s.Message(t.Context(), s.at[5])
			if err != nil {
				t.Fatal(err)
			}
			s.at = append(s.at, events.Position{Sequence: s.Put(0, order.Subject(), m.Header, m.Body)})
			return nil
		}, []found{{replay.KindChain, 6, "altered"}}},
		{"two runs open at once", "a start put behind an open run, with a right chain", func(t *testing.T, s *spoiled) events.Log {
			s.putForged(t, func(c *events.Commit, tail events.Cursor) *events.Event {
				c.Run = events.Segment{Run: "second", First: 1, Last: 1, Type: "Order", After: 1, PrevRunFirst: tail.RunFirst()}
				return events.WorkflowStarted("Order", "orders")
			})
			return nil
		}, []found{{replay.KindEnvelope, 6, "while run"}}},
		{"a run that goes on after another", "it is not the newest", func(t *testing.T, s *spoiled) events.Log {
			s.putForged(t, func(c *events.Commit, tail events.Cursor) *events.Event {
				c.Run = events.Segment{Run: "other", First: 4, Last: 4, Type: "Order", Before: 1, After: 1, RunFirst: tail.RunFirst(), PrevRunFirst: tail.PrevRunFirst()}
				e := events.Signaled("x")
				e.EventId = 4
				return e
			})
			return nil
		}, []found{{replay.KindEnvelope, 6, "it goes on with run other"}}},
		{"an event id left out", "the chain is right", func(t *testing.T, s *spoiled) events.Log {
			s.putForged(t, func(c *events.Commit, tail events.Cursor) *events.Event {
				c.Run = events.Segment{Run: tail.Run(), First: 9, Last: 9, Type: "Order", Before: 1, After: 1, RunFirst: tail.RunFirst(), PrevRunFirst: tail.PrevRunFirst()}
				e := events.Signaled("x")
				e.EventId = 9
				return e
			})
			return nil
		}, []found{{replay.KindEnvelope, 6, "it goes on with event 9 after 3"}}},
		{"commits named that are not its own", "hints that mislead", func(t *testing.T, s *spoiled) events.Log {
			s.forge(t, 5, func(c *events.Commit, _ *historypb.History) { c.Back[0]-- })
			return nil
		}, []found{{replay.KindEnvelope, 5, "as a commit before it"}}},
		{"too few commits named", "hints that end early", func(t *testing.T, s *spoiled) events.Log {
			s.forge(t, 5, func(c *events.Commit, _ *historypb.History) { c.Back = c.Back[:1] })
			return nil
		}, []found{{replay.KindEnvelope, 5, "it names 1 commits before it"}}},
		{"another id in the body", "the envelope says otherwise", func(t *testing.T, s *spoiled) events.Log {
			s.forge(t, 5, func(_ *events.Commit, h *historypb.History) { h.Events[0].EventId = 1 })
			return nil
		}, []found{{replay.KindBody, 5, "has id 1"}}},
		{"an event more in the body", "the envelope says otherwise", func(t *testing.T, s *spoiled) events.Log {
			s.forge(t, 5, func(_ *events.Commit, h *historypb.History) { h.Events = append(h.Events, h.Events[0]) })
			return nil
		}, []found{{replay.KindBody, 5, "body holds 2 events"}}},
		{"a status that its events do not give", "the envelope says otherwise", func(t *testing.T, s *spoiled) events.Log {
			s.forge(t, 5, func(c *events.Commit, _ *historypb.History) { c.Run.After = 2 })
			return nil
		}, []found{{replay.KindBody, 5, "after its events the run is Running, its envelope says Completed"}}},
		{"a size that its events do not have", "the envelope says otherwise", func(t *testing.T, s *spoiled) events.Log {
			s.forge(t, 5, func(c *events.Commit, _ *historypb.History) { c.Run.Size++ })
			return nil
		}, []found{{replay.KindBody, 5, "bytes, its envelope says"}}},
		{"a start in the middle of a run", "the envelope says otherwise", func(t *testing.T, s *spoiled) events.Log {
			s.forge(t, 5, func(_ *events.Commit, h *historypb.History) {
				e := events.WorkflowStarted("Order", "orders")
				e.EventId, e.EventTime = h.Events[0].EventId, h.Events[0].EventTime
				h.Events[0] = e
			})
			return nil
		}, []found{{replay.KindBody, 5, "is WorkflowExecutionStarted, where its envelope says otherwise"}}},
		{"a void of a commit", "with a right chain; it takes nothing back", func(t *testing.T, s *spoiled) events.Log {
			s.void(t, s.commit(t, 4), 1)
			return nil
		}, []found{{replay.KindVoid, 6, "it declares 1 messages void that are commits"}}},
		{"a void of more than there is", "one of them is a commit", func(t *testing.T, s *spoiled) events.Log {
			s.at = append(s.at, events.Position{Sequence: s.Put(0, order.Subject(), nil, nil)})
			s.void(t, s.commit(t, 4), 2)
			return nil
		}, []found{{replay.KindForeign, 6, "header Annals: is missing"}, {replay.KindVoid, 7, "it declares 2 messages void"}}},
		{"a void of another run", "with a right chain", func(t *testing.T, s *spoiled) events.Log {
			s.Put(0, order.Subject(), nil, nil)
			c := s.commit(t, 5)
			c.Run.Run = "another"
			s.void(t, c, 1)
			return nil
		}, []found{{replay.KindEnvelope, 6, "it goes on with run another after event"}}},
		{"a foreign message behind a void", "it is not covered", func(t *testing.T, s *spoiled) events.Log {
			s.Put(0, order.Subject(), nil, nil)
			s.void(t, s.commit(t, 5), 1)
			s.at = append(s.at, events.Position{Sequence: s.Put(0, order.Subject(), nil, nil)})
			return nil
		}, []found{{replay.KindForeign, 7, "header Annals: is missing"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpoiled(t)
			if ds := check(t, s, replay.VerifyOptions{}).Differences; len(ds) != 0 {
				t.Fatalf("before: %v", ds)
			}
			log := tt.spoil(t, s)
			if log == nil {
				log = s
			}
			for _, o := range []replay.VerifyOptions{{}, {Workflow: &order}} {
				var want []found
				for _, f := range tt.want {
					if o.Workflow == nil || f.kind != replay.KindGap { // gaps are the partition's
						want = append(want, f)
					}
				}
				ds := check(t, log, o).Differences
				if len(ds) != len(want) {
					t.Errorf("one workflow %v: found %s\nwant %v: %s", o.Workflow != nil, texts(ds), want, tt.why)
					continue
				}
				for i, f := range want {
					d := ds[i]
					at, w := events.Position{}, order
					if f.at >= 0 {
						at = s.at[f.at]
					} else { // what follows on the missing one
						at = events.Position{Sequence: gone(log) + 1}
						w = events.Workflow{}
					}
					if d.Kind != f.kind || d.Position != at || d.Workflow != w || !strings.Contains(d.Detail, f.says) {
						t.Errorf("found %s\nwant %s of %q at %s: %s", texts(ds[i:i+1]), f.kind, w, at, f.says)
					}
				}
			}
		})
	}
}

// void stores a void with a right chain that follows from a commit and covers so
// many messages up to the last one.
func (s *spoiled) void(t *testing.T, from *events.Commit, messages uint64) {
	t.Helper()
	b, err := s.Bounds(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &events.Commit{
		Workflow: order, Kind: events.KindVoid, ID: "forged", Run: from.Run, Back: from.Cursor(s.Identity()).Back(),
		Void: &events.Void{Messages: messages, Last: b.Last},
	}
	c.Run.First, c.Run.Before = c.Run.Last+1, c.Run.After
	c.Hash = c.ChainHash(from.Hash)
	s.at = append(s.at, events.Position{Sequence: s.Put(0, order.Subject(), events.EncodeHeader(c), nil)})
}

// What was declared void is counted and is no difference, whatever it looks like.
func TestVerifyLogPassesOverWhatIsVoid(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"), events.Signaled("a"))
	void := func(want uint64) {
		t.Helper()
		res, err := log.Void(t.Context(), events.VoidRequest{Workflow: order})
		if err != nil || res.Messages != want {
			t.Fatalf("void gave %+v, %v", res, err)
		}
	}
	p := log.Partition(order)
	log.Put(p, order.Subject(), nil, []byte("hello"))
	log.Put(p, order.Subject(), nil, nil)
	void(2)
	add(t, log, events.AtEnd(), events.Signaled("b"))
	// One that looks like a commit, but for its hash, and starts a run.
	tail, err := log.Tail(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	forged := &events.Commit{
		Workflow: order, Kind: events.KindEvents, ID: "forged", Back: tail.Back(),
		Run: events.Segment{Run: tail.Run(), First: 1, Last: 3, After: 2, Size: 9, PrevRunFirst: tail.RunFirst()},
	}
	log.Put(p, order.Subject(), events.EncodeHeader(forged), nil)
	void(1)
	add(t, log, events.AtEnd(), events.WorkflowCompleted())
	other := events.Workflow{Namespace: "default", ID: "void from the start"}
	log.Put(log.Partition(other), other.Subject(), nil, nil)
	if _, err := log.Void(t.Context(), events.VoidRequest{Workflow: other}); err != nil {
		t.Fatal(err)
	}
	r := check(t, log, replay.VerifyOptions{})
	if len(r.Differences) != 0 || r.Voided != 4 || r.Events != 4 || r.Runs != 1 || r.Commits != 6 {
		t.Errorf("found %+v", r)
	}
	r = check(t, log, replay.VerifyOptions{Workflow: &order})
	if len(r.Differences) != 0 || r.Voided != 3 {
		t.Errorf("of one workflow: %+v", r)
	}
}

func gone(log events.Log) uint64 { return log.(without).gone[0].Sequence }

// putForged stores a commit behind order's last one, with a right chain.
func (s *spoiled) putForged(t *testing.T, make func(*events.Commit, events.Cursor) *events.Event) {
	t.Helper()
	tail, err := s.Tail(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	c := &events.Commit{Workflow: order, Kind: events.KindEvents, ID: "forged", Back: tail.Back()}
	e := make(c, tail)
	if e.EventId == 0 {
		e.EventId = 1
	}
	if c.Body, err = proto.Marshal(&historypb.History{Events: []*events.Event{e}}); err != nil {
		t.Fatal(err)
	}
	c.Run.Size = events.StoredSize(e)
	if !c.Run.Opens() {
		c.Run.Size += tail.Size()
	}
	c.Hash = c.ChainHash(tail.Hash())
	s.at = append(s.at, events.Position{Sequence: s.Put(0, order.Subject(), events.EncodeHeader(c), c.Body)})
}

func texts(ds []replay.Difference) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "%s of %q run %q at %s: %s; ", d.Kind, d.Workflow, d.Run, d.Position, d.Detail)
	}
	return b.String()
}

// A foreign message on no workflow's subject, and one on a real server.
func TestVerifyLogOnAServer(t *testing.T) {
	t.Parallel()
	log := logs[1].open(t)
	add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	js, err := jetstream.New(log.(*natslog.Log).Conn())
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{order.Subject(), fmt.Sprintf("annals.%s.%%zz.w", order.Slot())} {
		if _, err := js.Publish(t.Context(), subject, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	p := events.Position{Partition: log.Identity().Map.Partition(order.Slot())}
	ds := check(t, log, replay.VerifyOptions{}).Differences
	if len(ds) != 2 || ds[0].Kind != replay.KindForeign || ds[0].Workflow != order || ds[1].Kind != replay.KindForeign || ds[1].Workflow != (events.Workflow{}) {
		t.Fatalf("found %s", texts(ds))
	}
	for i, d := range ds {
		p.Sequence = uint64(i) + 2
		if d.Position != p {
			t.Errorf("found %s, want it at %s", texts(ds[i:i+1]), p)
		}
	}
	// What an administrator purged is missed.
	s, err := js.Stream(t.Context(), natslog.StreamName(p.Partition))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(2)); err != nil {
		t.Fatal(err)
	}
	ds = check(t, log, replay.VerifyOptions{}).Differences
	if len(ds) == 0 || ds[0].Kind != replay.KindGap || !strings.Contains(ds[0].Detail, "the log begins here, not at 1: 1 messages are gone") {
		t.Errorf("after a purge: %s", texts(ds))
	}
}

func TestVerifyLogListsAThousandDifferences(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	for i := range 1300 {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprint("w", i)}
		log.Put(log.Partition(w), w.Subject(), nil, nil)
	}
	r := check(t, log, replay.VerifyOptions{})
	if len(r.Differences) != 1000 || r.Unlisted != 300 {
		t.Errorf("%d listed, %d not", len(r.Differences), r.Unlisted)
	}
	if !slices.IsSortedFunc(r.Differences, func(a, b replay.Difference) int {
		if a.Position.Partition != b.Position.Partition {
			return int(a.Position.Partition) - int(b.Position.Partition)
		}
		return int(a.Position.Sequence) - int(b.Position.Sequence)
	}) {
		t.Error("not in the order of positions")
	}
}

// cut is a log whose last messages were deleted: their numbers stay.
type cut struct {
	*memlog.Log
	after uint64 // the last that is left
}

func (c cut) Message(ctx context.Context, p events.Position) (events.Message, error) {
	if p.Sequence > c.after {
		return events.Message{}, events.ErrNotFound
	}
	return c.Log.Message(ctx, p)
}

func (c cut) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	var tail events.Cursor
	for m, err := range c.Follow(ctx, 0, events.FollowOptions{Until: c.after}) {
		if err != nil {
			return events.Cursor{}, err
		}
		if commit, err := events.Decode(m); err == nil && commit.Workflow == w {
			tail = commit.Cursor(c.Identity())
		}
	}
	if tail.IsZero() {
		return tail, events.ErrNotFound
	}
	return tail, nil
}

// watching remembers what it was given.
type watching struct {
	sequences []uint64
	end       int64
	fail      error
}

func (w *watching) Message(m events.Message) error {
	w.sequences = append(w.sequences, m.Position.Sequence)
	return w.fail
}

func (w *watching) End(last uint64) error {
	w.end = int64(last)
	return nil
}

// Messages deleted at the end are a gap that nothing follows, and no reason to
// wait for them; an observer is given what is there, and where that ends.
func TestVerifyLogWhoseEndWasDeleted(t *testing.T) {
	t.Parallel()
	s := newSpoiled(t)
	b, err := s.Bounds(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var own []uint64
	for _, at := range s.at {
		own = append(own, at.Sequence)
	}
	for _, tt := range []struct {
		name  string
		after uint64
		one   *events.Workflow
		gap   bool
		given int
	}{
		{"nothing deleted", b.Last, nil, false, int(b.Last)},
		{"the last", b.Last - 1, nil, true, int(b.Last) - 1},
		{"some", b.Last - 7, nil, true, int(b.Last) - 7},
		{"all", 0, nil, true, 0},
		{"nothing of a workflow", b.Last, &order, false, len(own)},
		{"a workflow's last", own[5] - 1, &order, true, 5},
		{"a workflow's all", own[0] - 1, &order, true, 0},
	} {
		w := &watching{end: -1}
		r := check(t, cut{s.Log, tt.after}, replay.VerifyOptions{Workflow: tt.one, Beside: func(events.Partition) replay.Observer { return w }})
		if len(w.sequences) != tt.given || !slices.IsSorted(w.sequences) || w.end != int64(tt.after) {
			t.Errorf("%s: the observer was given %v, and the end %d", tt.name, w.sequences, w.end)
		}
		if (len(r.Differences) == 1) != tt.gap || len(r.Differences) > 1 {
			t.Errorf("%s: found %s", tt.name, texts(r.Differences))
			continue
		}
		if tt.gap {
			d, says := r.Differences[0], fmt.Sprintf("sequences %d to %d are missing, and nothing comes after them", tt.after+1, b.Last)
			if d.Kind != replay.KindGap || d.Position.Sequence != b.Last || d.Detail != says {
				t.Errorf("%s: found %s, want %q", tt.name, texts(r.Differences), says)
			}
		}
	}
	w := &watching{fail: errors.New("full")}
	if _, err := replay.VerifyLog(t.Context(), s, replay.VerifyOptions{Beside: func(events.Partition) replay.Observer { return w }}); !errors.Is(err, w.fail) || len(w.sequences) != 1 {
		t.Errorf("an observer that failed after %d messages: %v", len(w.sequences), err)
	}
}

func TestVerifyLogEnds(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := replay.VerifyLog(ctx, log, replay.VerifyOptions{}); err == nil {
		t.Error("a check that was canceled ended without an error")
	}
}

// A log takes an id that an earlier run has only where it no longer looks that
// far back: then the check says so.
func TestVerifyLogFindsARunIDUsedTwice(t *testing.T) {
	t.Parallel()
	log, err := memlog.New(memlog.Config{Streams: 1, LookBack: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := events.Workflow{Namespace: "default", ID: "w"}
	var last events.Position
	for _, run := range []events.RunID{"a", "b", "c", "d", "a"} {
		res, err := log.Append(t.Context(), events.Request{
			Workflow: w, RunID: run, Events: []*events.Event{events.WorkflowStarted("T", "q"), events.WorkflowCompleted()},
		})
		if err != nil {
			t.Fatal(err)
		}
		last = res.Position
	}
	r := check(t, log, replay.VerifyOptions{})
	if len(r.Differences) != 1 || r.Differences[0].Run != "a" || r.Differences[0].Position != last || r.Differences[0].Workflow != w {
		t.Errorf("found %+v", r.Differences)
	}
}
