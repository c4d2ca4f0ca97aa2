package natslog_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// collect gives what a read yields before it ends.
func collect(ctx context.Context, log *natslog.Log, w events.Workflow, o events.ReadOptions) (got []*events.Event, err error) {
	for e, err := range log.Read(ctx, w, o) {
		if err != nil {
			return got, err
		}
		got = append(got, e)
	}
	return got, nil
}

// ways are those in which many messages are read: by pages, by a consumer.
var ways = map[string]int{"pages": math.MaxInt, "a consumer": 2}

// TestReadsAreTheSameInEveryWay: of a long history among others, with a message that
// was declared void, the start of another run in it, large commits, and a base.
func TestReadsAreTheSameInEveryWay(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	w, other := events.Workflow{Namespace: "n", ID: "w"}, events.Workflow{Namespace: "n", ID: "other"}
	var at events.Result
	var others events.Cursor
	add := func(r events.Request) {
		t.Helper()
		var err error
		if at, err = log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		q := request(other, events.After(others), signal())
		if others.IsZero() {
			q = request(other, events.NewRun(), started())
		}
		res, err := log.Append(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		others = res.Cursor
	}
	add(request(w, events.NewRun(), started()))
	first := at.RunID
	for i := range max(fewer(700), 300) {
		e := signal()
		if i%100 == 50 {
			e = sized(1_200_000)
		}
		add(request(w, events.After(at.Cursor), e))
		if i == 120 {
			put(t, nc, w.Subject(), nil, []byte("foreign"))
			res, err := log.Void(t.Context(), events.VoidRequest{Workflow: w})
			if err != nil {
				t.Fatal(err)
			}
			at.Cursor = res.Cursor
		}
	}
	add(events.Request{Workflow: w, Expect: events.After(at.Cursor), Base: &events.Base{Run: first, Event: 280}, Events: []*events.Event{terminated(), signal()}})
	for range 300 {
		add(request(w, events.After(at.Cursor), signal()))
	}
	for _, run := range []events.RunID{first, at.RunID} {
		var want []*events.Event
		for way, from := range ways {
			log.ReadByConsumer(from)
			got, err := collect(t.Context(), log, w, events.ReadOptions{Run: run})
			if err != nil {
				t.Fatalf("run %s by %s: %v", run, way, err)
			}
			if want == nil {
				want = got
			}
			if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
				t.Errorf("run %s by %s (-the other way +this):\n%s", run, way, d)
			}
			for i, e := range got {
				if e.EventId != int64(i+1) {
					t.Fatalf("run %s by %s: event %d came as number %d", run, way, e.EventId, i+1)
				}
			}
		}
	}
	for _, from := range ways {
		log.ReadByConsumer(from)
		eventstest.CheckWorkflow(t, log, w)
	}
}

// TestAReadThatIsStoppedLeavesNothingBehind: neither a goroutine (see TestMain) nor a
// consumer, however it is read.
func TestAReadThatIsStoppedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	w := events.Workflow{Namespace: "n", ID: "w"}
	at, err := log.Append(t.Context(), request(w, events.NewRun(), started()))
	if err != nil {
		t.Fatal(err)
	}
	for range max(fewer(1500), 600) {
		if at, err = log.Append(t.Context(), request(w, events.After(at.Cursor), signal())); err != nil {
			t.Fatal(err)
		}
	}
	for way, from := range ways {
		log.ReadByConsumer(from)
		for _, after := range []int{1, 100, 400} {
			n := 0
			for _, err := range log.Read(t.Context(), w, events.ReadOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == after {
					break
				}
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			enough := errors.New("enough")
			n = 0
			var last error
			for _, err := range log.Read(ctx, w, events.ReadOptions{}) {
				if n++; n == after {
					cancel(enough)
				}
				last = err
			}
			if !errors.Is(last, enough) && !errors.Is(last, context.Canceled) && n != int(at.LastEventID) {
				t.Errorf("by %s, cancelled at event %d of %d: it ended with %v after %d", way, after, at.LastEventID, last, n)
			}
			cancel(nil)
		}
	}
	s, err := jetStream(t, nc).Stream(t.Context(), natslog.StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

// TestAReplicaThatIsBehindEndsNoHistory: one of three servers is severed from the others,
// and goes on to answer the direct gets of who is connected to it, with the part of
// two histories that it has, one long and one short. Who reaches the leader nowhere is
// told that the log is unavailable, wherever he takes the end from, and never gets part
// of a history as if it were all. Who reaches the leader on another way gets all of it.
// Then the server is let in.
func TestAReplicaThatIsBehindEndsNoHistory(t *testing.T) {
	t.Parallel()
	cluster := newDivided(t)
	direct, leader := onLeader(t, cluster.Cluster)
	behind := (leader + 1) % cluster.Len()
	connect := func(server int) *nats.Conn {
		return testenv.Connect(t, cluster.URLs()[server], nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1))
	}
	writer := open(t, connect(leader), natslog.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends := map[events.Workflow]events.Result{
		{Namespace: "n", ID: "long"}: {}, {Namespace: "n", ID: "short"}: {},
	}
	more := func(long, short int) {
		t.Helper()
		for w, at := range ends {
			n := long
			if w.ID == "short" {
				n = short
			}
			for range n {
				r := request(w, events.After(at.Cursor), signal())
				if at.Cursor.IsZero() {
					r = request(w, events.NewRun(), started())
				}
				at = appended(t, ctx, writer, r)
			}
			ends[w] = at
		}
	}
	more(41, 4)
	conn := connect(behind)
	readers, across := map[string]*natslog.Log{}, map[string]*natslog.Log{}
	for way, from := range ways {
		readers[way] = open(t, conn, natslog.Config{AttemptTimeout: 50 * time.Millisecond, ReadTimeout: 150 * time.Millisecond})
		readers[way].ReadByConsumer(from)
		across[way] = open(t, connect(leader), natslog.Config{}).DirectBy(readers[way])
	}
	awaitReplicas(t, ctx, direct, natslog.StreamName(0))
	had := map[events.Workflow]events.Result{}
	maps.Copy(had, ends)
	heal := cluster.sever(t, ctx, behind)
	for w, at := range had {
		awaitDirect(t, ctx, conn, w, at.Position)
	}
	more(60, 5)
	for w, at := range ends {
		if got := lastDirect(t, conn, 0, w.Subject()); got != had[w].Position.Sequence {
			t.Fatalf("the server that was severed has %d as the last of %s, want %d", got, w, had[w].Position.Sequence)
		}
		options := map[string]events.ReadOptions{"until the end": {Until: at.Cursor}, "whole": {}, "after the end": {After: at.Cursor}, "the last first": {Until: at.Cursor, Reverse: true}}
		for way := range ways {
			for name, o := range options {
				got, err := collect(ctx, readers[way], w, o)
				if !errors.Is(err, events.ErrUnavailable) || len(got) > int(had[w].LastEventID) {
					t.Errorf("%s by %s, %s: %d of %d events and %v, want that the log is unavailable", w, way, name, len(got), at.LastEventID, err)
				}
				want := int(at.LastEventID)
				if name == "after the end" {
					want = 0
				}
				if got, err = collect(ctx, across[way], w, o); err != nil || len(got) != want {
					t.Errorf("%s by %s, %s, and the leader on another way: %d of %d events, %v", w, way, name, len(got), want, err)
				}
			}
		}
	}
	heal()
	for w, at := range ends {
		for way, reader := range readers {
			for _, o := range []events.ReadOptions{{Until: at.Cursor}, {}} {
				var got []*events.Event
				var err error
				for ctx.Err() == nil {
					if got, err = collect(ctx, reader, w, o); !errors.Is(err, events.ErrUnavailable) {
						break
					}
				}
				if err != nil || len(got) != int(at.LastEventID) {
					t.Errorf("%s by %s, let in again: %d of %d events, %v", w, way, len(got), at.LastEventID, err)
				}
			}
		}
	}
}

// appended must succeed.
func appended(t *testing.T, ctx context.Context, log *natslog.Log, r events.Request) events.Result {
	t.Helper()
	res, err := log.Append(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// awaitReplicas returns when each of a stream's replicas has all that its leader has.
func awaitReplicas(t *testing.T, ctx context.Context, nc *nats.Conn, stream string) {
	t.Helper()
	js := jetStream(t, nc)
	await(t, ctx, "the replicas do not catch up", func() bool {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return false
		}
		c := s.CachedInfo().Cluster
		return c != nil && len(c.Replicas) == 2 && !slices.ContainsFunc(c.Replicas, func(p *jetstream.PeerInfo) bool { return !p.Current || p.Lag > 0 })
	})
}

// awaitDirect returns when direct gets on a connection are answered with a message as the
// last of a workflow.
func awaitDirect(t *testing.T, ctx context.Context, nc *nats.Conn, w events.Workflow, p events.Position) {
	t.Helper()
	await(t, ctx, "the replica has not got "+p.String(), func() bool {
		last, err := askDirect(nc, p.Partition, w.Subject())
		return err == nil && last == p.Sequence
	})
}

// await returns when what is waited for is so.
func await(t *testing.T, ctx context.Context, otherwise string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", otherwise, context.Cause(ctx))
		}
	}
}
