package natslog_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/faultproxy"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// divided is a cluster whose servers can be kept from each other.
type divided struct {
	*embednats.Cluster
	ways map[[2]int]*faultproxy.Proxy // by which the first reaches the second
}

func newDivided(t *testing.T) *divided {
	t.Helper()
	d := &divided{ways: map[[2]int]*faultproxy.Proxy{}}
	d.Cluster = testenv.OwnCluster(t, embednats.Options{Route: func(from, to int, addr string) string {
		p := faultproxy.New(t, addr)
		d.ways[[2]int{from, to}] = p
		return p.Addr()
	}})
	return d
}

// cutOff keeps what the i-th server and the others send each other from
// arriving, and gives what lets it. No connection breaks, as when packets are
// lost in a network that is mended later. Met says whether there was something.
func (d *divided) cutOff(i int) (heal func() (met bool)) {
	var hits []<-chan struct{}
	var between []*faultproxy.Proxy
	for way, p := range d.ways {
		if way[0] == i || way[1] == i {
			between = append(between, p)
			hits = append(hits, p.Hold(faultproxy.ToServer), p.Hold(faultproxy.ToClient))
		}
	}
	return func() (met bool) {
		for _, p := range between {
			p.Pass()
		}
		for _, hit := range hits {
			select {
			case <-hit:
				met = true
			default:
			}
		}
		return met
	}
}

// sever closes the connections between the i-th server and the others, and keeps
// them from being made again until heal: as in a network whose parts know that they
// are apart. It returns when nothing that is published at the i-th server reaches
// another one.
func (d *divided) sever(t *testing.T, ctx context.Context, i int) (heal func()) {
	t.Helper()
	at := testenv.Connect(t, d.URLs()[i], nats.IgnoreDiscoveredServers())
	var probes []string
	for j, url := range d.URLs() {
		if j == i {
			continue
		}
		nc := testenv.Connect(t, url, nats.IgnoreDiscoveredServers())
		probe := nc.NewInbox()
		if _, err := nc.Subscribe(probe, func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		probes = append(probes, probe)
	}
	for way, p := range d.ways {
		if way[0] == i || way[1] == i {
			p.Sever()
		}
	}
	for _, probe := range probes {
		for {
			attempt, cancel := context.WithTimeout(ctx, time.Second)
			_, err := at.RequestWithContext(attempt, probe, nil)
			cancel()
			if errors.Is(err, nats.ErrNoResponders) {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("server %d still reaches another one: %v", i, err)
			}
		}
	}
	return func() {
		for way, p := range d.ways {
			if way[0] == i || way[1] == i {
				p.Pass()
			}
		}
	}
}

// TestLinearizableWritesUnderPartition: one of three servers is cut off from the
// others again and again, for moments, and once its leader for so long that the
// others elect another one. Reads are left out: until it knows that it leads no
// more, a leader may answer them with the past.
//
// It runs alone: other clusters on a busy machine make elections of their own.
func TestLinearizableWritesUnderPartition(t *testing.T) {
	stream := natslog.StreamName(0)
	cluster := newDivided(t)
	direct := testenv.Connect(t, cluster.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond))
	create(t, direct, natslog.CreateOptions{Streams: 1, Replicas: 3})
	l := newLinear(t, *linearFaults)
	l.sound = open(t, direct, natslog.Config{})
	for _, url := range cluster.URLs() {
		l.connect(3, url)
	}
	whole := func() bool { return l.did(cluster.WaitStream(l.ctx, embednats.GlobalAccount, stream)) }
	l.run(*linearOperations/10, eventstest.Concurrent{WritesOnly: true, Patience: 100 * time.Millisecond}, func() {
		l.each("a server cut off for a moment", func() bool {
			i := rand.IntN(cluster.Len())
			if rand.IntN(2) == 0 {
				i = max(0, cluster.StreamLeader(embednats.GlobalAccount, stream))
			}
			heal := cluster.cutOff(i)
			l.lasting()
			return heal()
		})
		if !whole() {
			return
		}
		old := cluster.StreamLeader(embednats.GlobalAccount, stream)
		heal := cluster.cutOff(old)
		defer heal()
		other := cluster.URLs()[(old+1)%cluster.Len()]
		if !l.did(awaitLeader(l.ctx, t, other, stream, cluster.Server(old).Name())) {
			return
		}
		l.operations(50)
		heal()
		l.operations(50)
		if whole() {
			t.Logf("the leader was cut off until another was elected")
		}
	})
}

// TestAnOldLeaderSettlesNoAppend: what was stored since the leader was cut off is sent
// to it again. It has not got what that expects, which decides nothing: the append
// stays unknown until who leads now is asked.
func TestAnOldLeaderSettlesNoAppend(t *testing.T) {
	t.Parallel()
	stream := natslog.StreamName(0)
	cluster := newDivided(t)
	direct, old := onLeader(t, cluster.Cluster)
	at := func(i int) *natslog.Log {
		return open(t, testenv.Connect(t, cluster.URLs()[i], nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1)), natslog.Config{})
	}
	former, other := at(old), at((old+1)%cluster.Len())
	w := events.Workflow{Namespace: "n", ID: "w"}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := former.Append(ctx, request(w, events.NewRun(), started())); err != nil {
		t.Fatal(err)
	}
	heal := cluster.cutOff(old)
	defer heal()
	if err := awaitLeader(ctx, t, cluster.URLs()[(old+1)%cluster.Len()], stream, cluster.Server(old).Name()); err != nil {
		t.Fatal(err)
	}
	through := func(log *natslog.Log, r events.Request) events.Result {
		t.Helper()
		res, err := log.Append(ctx, r)
		for errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrOutcomeUnknown) {
			var doubt *events.OutcomeUnknownError
			if errors.As(err, &doubt) {
				r.CommitID, r.Expect = doubt.CommitID, doubt.Expectation
			}
			if ctx.Err() != nil {
				break
			}
			res, err = log.Append(ctx, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	since := through(other, request(w, events.AtEnd(), signal()))
	r := request(w, events.After(since.Cursor), signal())
	r.CommitID = "mine"
	stored := through(other, r)

	brief, stop := context.WithTimeout(ctx, 3*time.Second)
	defer stop()
	_, err := former.Append(brief, r)
	if !events.SafeToRetry(err) {
		t.Fatalf("by way of the old leader: %v", err)
	}
	t.Logf("by way of the old leader: %v", err)
	var doubt *events.OutcomeUnknownError
	if errors.As(err, &doubt) {
		r.Expect = doubt.Expectation
	}
	heal()
	if again := through(former, r); again.Position != stored.Position || !again.Existed {
		t.Errorf("it was stored as %+v, and is settled as %+v", stored, again)
	}
	eventstest.CheckWorkflow(t, open(t, direct, natslog.Config{}), w)
}

// awaitLeader returns when the server at the URL knows a leader of the stream
// that is not old.
func awaitLeader(ctx context.Context, t *testing.T, url, stream, old string) error {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(patience))
	if err != nil {
		return err
	}
	defer nc.Close()
	js := jetStream(t, nc)
	for brief := 250 * time.Millisecond; ; brief = min(2*brief, 10*time.Second) {
		try, cancel := context.WithTimeout(ctx, brief)
		s, err := js.Stream(try, stream)
		if err == nil {
			if now := s.CachedInfo().Cluster.Leader; now != "" && now != old {
				cancel()
				return nil
			}
		}
		<-try.Done()
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
