package replay_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/replay"
)

// resetLog is a log of one stream with a run of 4 events and a signal, closed by
// a reset of it at event 3, which is open at event 5.
func resetLog(t *testing.T) (*memlog.Log, events.Result) {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	one := add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"), events.Signaled("a"))
	one = add(t, log, events.After(one.Cursor), events.Signaled("b"), events.Signaled("c"))
	res, err := log.Append(t.Context(), events.Reset(one.Cursor, events.Base{Run: one.RunID, Event: 3}, events.ResetOptions{
		RunID: "again", Reapply: []*events.Event{events.Signaled("d")},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return log, res
}

// The state of a reset run is the fold of the base's events and its own.
func TestStateOfAReset(t *testing.T) {
	t.Parallel()
	log, res := resetLog(t)
	want := execution.New(order, "again")
	for e, err := range log.Read(t.Context(), order, events.ReadOptions{Run: "again"}) {
		if err != nil {
			t.Fatal(err)
		}
		want.Apply(e)
		want.AddBytes(events.StoredSize(e))
		got, err := replay.State(t.Context(), log, order, "again", replay.AtEvent(events.EventID(e.EventId)))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := encoded(t, want), encoded(t, got); a != b {
			t.Errorf("the state at event %d is not that of the history up to it", e.EventId)
		}
	}
	if want.LastEventID != 5 || want.Counts.Signals != 3 || want.Type != "Order" || want.HistorySizeBytes != res.Cursor.Size() {
		t.Errorf("the state is at event %d with %d signals, type %q and %d bytes; the cursor says %d bytes", want.LastEventID, want.Counts.Signals, want.Type, want.HistorySizeBytes, res.Cursor.Size())
	}
	s, cursor, err := replay.Load(t.Context(), log, order)
	if err != nil || cursor.Position() != res.Position || encoded(t, s) != encoded(t, want) {
		t.Errorf("loaded %+v at %s, %v", s, cursor, err)
	}
}

func encoded(t *testing.T, s *execution.State) string {
	t.Helper()
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVerifyLogHoldsResetsAgainstTheirBases(t *testing.T) {
	t.Parallel()
	log, _ := resetLog(t)
	r := check(t, log, replay.VerifyOptions{})
	if len(r.Differences) != 0 || r.Runs != 2 || r.Events != 7 {
		t.Fatalf("found %+v", r)
	}
	for _, tt := range []struct {
		why   string
		spoil func(c *events.Commit)
		kind  string
		says  string
	}{
		{"another hash", func(c *events.Commit) { c.Base.Hash[3] ^= 1 }, replay.KindBase, "no commit before it holds that"},
		{"another run", func(c *events.Commit) { c.Base.Run = "nobody" }, replay.KindBase, "no commit before it holds that"},
		{"an event more", func(c *events.Commit) { again(c, 4) }, replay.KindBody, "bytes, its envelope says"},
		{"an event of another commit", func(c *events.Commit) { again(c, 2) }, replay.KindBase, "no commit before it holds that"},
		{"another type", func(c *events.Commit) { c.Run.Type = "Payment" }, replay.KindBase, `it is of type "Payment"`},
		{"another size", func(c *events.Commit) { c.Run.Size++ }, replay.KindBody, "bytes, its envelope says"},
		{"another status", func(c *events.Commit) { c.Run.After = 8 }, replay.KindBody, "its envelope says Paused"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			log, res := resetLog(t)
			var before events.Hash
			for c, err := range log.Commits(t.Context(), order) {
				if err != nil {
					t.Fatal(err)
				}
				if c.Position != res.Position {
					before = c.Hash
					continue
				}
				tt.spoil(c)
				c.Hash = c.ChainHash(before)
				log.Alter(res.Position, func(m *events.Message) { m.Header, m.Body = events.EncodeHeader(c), c.Body })
			}
			for _, o := range []replay.VerifyOptions{{}, {Workflow: &order}} {
				ds := check(t, log, o).Differences
				if len(ds) != 1 || ds[0].Kind != tt.kind || ds[0].Position != res.Position || !strings.Contains(ds[0].Detail, tt.says) {
					t.Errorf("found %s", texts(ds))
				}
			}
		})
	}
	// A hint that does not hold is none of these: the base is found without it.
	log, res := resetLog(t)
	log.Alter(res.Position, func(m *events.Message) {
		f := strings.Split(m.Header["A-Base"][0], " ")
		m.Header["A-Base"] = []string{fmt.Sprintf("%s %s 1 %s", f[0], f[1], f[3])}
	})
	if ds := check(t, log, replay.VerifyOptions{}).Differences; len(ds) != 0 {
		t.Errorf("found %s", texts(ds))
	}
}

// again makes the reset one at another event, and its own events follow on.
func again(c *events.Commit, event events.EventID) {
	by := event - c.Base.Event
	c.Base.Event, c.Run.First, c.Run.Last = event, c.Run.First+by, c.Run.Last+by
	var h historypb.History
	if err := proto.Unmarshal(c.Body, &h); err != nil {
		panic(err)
	}
	for _, e := range h.Events[c.Closed.Count():] {
		e.EventId += int64(by)
	}
	var err error
	if c.Body, err = proto.Marshal(&h); err != nil {
		panic(err)
	}
}
