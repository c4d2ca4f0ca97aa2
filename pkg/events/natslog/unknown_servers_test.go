package natslog_test

import (
	"context"
	"errors"
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

// met is what a trouble gives that has happened.
func met() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// onLeader makes a log of one stream on a cluster, and says which server leads it.
func onLeader(t *testing.T, c *embednats.Cluster) (direct *nats.Conn, leader int) {
	t.Helper()
	direct = testenv.Connect(t, c.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond))
	create(t, direct, natslog.CreateOptions{Streams: 1, Replicas: 3})
	awaitStreams(t, c)
	return direct, c.StreamLeader(embednats.GlobalAccount, natslog.StreamName(0))
}

// awaitStreams returns when the log's streams have leaders.
func awaitStreams(t *testing.T, c *embednats.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, name := range []string{natslog.StreamName(0), natslog.HeartbeatStream} {
		if err := c.WaitStream(ctx, embednats.GlobalAccount, name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOutcomesOfALeaderWithoutQuorum: two of three servers are stopped, the one
// that is left leads the stream, and then one of them comes back.
func TestOutcomesOfALeaderWithoutQuorum(t *testing.T) {
	t.Parallel()
	cluster := testenv.OwnCluster(t, embednats.Options{})
	direct, leader := onLeader(t, cluster)
	others := []int{(leader + 1) % 3, (leader + 2) % 3}
	meet(t, direct, cluster.URLs()[leader], trouble{
		"without quorum", func(e *troubled) <-chan struct{} {
			for _, i := range others {
				if err := cluster.StopServer(i); err != nil {
					e.Error(err)
				}
			}
			return met()
		},
		nothing, func(e *troubled) {
			ctx, cancel := context.WithTimeout(e.Context(), patience)
			defer cancel()
			if err := cluster.StartServer(ctx, others[0]); err != nil {
				e.Fatal(err)
			}
			awaitStreams(t, cluster)
		}, unknownEither,
	})
}

// TestOutcomesOfALeaderThatIsCutOff: the others cannot hear it, nor it them, for
// less time than they take to elect another.
func TestOutcomesOfALeaderThatIsCutOff(t *testing.T) {
	t.Parallel()
	cluster := newDivided(t)
	direct, leader := onLeader(t, cluster.Cluster)
	var heal func() bool
	meet(t, direct, cluster.URLs()[leader], trouble{
		"cut off", func(*troubled) <-chan struct{} {
			heal = cluster.cutOff(leader)
			return met()
		},
		nothing, func(e *troubled) {
			if !heal() {
				e.Error("the servers had nothing to say to each other")
			}
		}, unknownEither,
	})
}

// TestOutcomesOfALogThatWasRestored: its streams say another epoch when the
// connection comes back. Nothing of the old epoch is taken.
func TestOutcomesOfALogThatWasRestored(t *testing.T) {
	t.Parallel()
	for name, servers := range map[string]struct {
		direct   func(testing.TB) *nats.Conn
		replicas int
	}{"R1": {testenv.NATS, 1}, "R3": {testenv.NATSCluster, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := servers.direct(t)
			create(t, direct, natslog.CreateOptions{Streams: 2, Replicas: servers.replicas})
			restored(t, direct)
		})
	}
}

func restored(t *testing.T, direct *nats.Conn) {
	proxies, urls := faultproxy.All(t, testenv.URL(direct))
	e := &troubled{T: t, direct: direct, sound: open(t, direct, natslog.Config{}), proxies: proxies, urls: urls}
	nc := testenv.Connect(t, urls, faultproxy.Options()...)
	log := open(t, nc, natslog.Config{AttemptTimeout: unknownAttempt})
	w := events.Workflow{Namespace: "n", ID: "w"}
	at, err := log.Append(t.Context(), request(w, events.NewRun(), started()))
	if err != nil {
		t.Fatal(err)
	}

	// Two appends of which nobody knows whether they are stored: one is.
	lost := e.lose(faultproxy.ToClient)
	ctx, giveUp := context.WithCancelCause(t.Context())
	doubtful := request(w, events.After(at.Cursor), signal())
	appended := make(chan error, 1)
	go func() {
		_, err := log.Append(ctx, doubtful)
		appended <- err
	}()
	<-lost
	giveUp(context.DeadlineExceeded)
	var doubt *events.OutcomeUnknownError
	if err = <-appended; !errors.As(err, &doubt) {
		t.Fatalf("append gave %v", err)
	}
	doubtful.CommitID, doubtful.Expect = doubt.CommitID, e.token(doubt.Expectation)
	atEnd := request(w, events.AtEnd().WithAttempt(events.Attempt{After: at.Cursor, Time: time.Now()}), signal())
	atEnd.CommitID = "at end"

	raiseEpoch(t, direct)
	connected := nc.StatusChanged(nats.CONNECTED)
	e.pass() // which cuts what lost something
	<-connected
	again := open(t, testenv.Connect(t, urls, faultproxy.Options()...), natslog.Config{AttemptTimeout: unknownAttempt})
	before := bounds(t, again)

	refused := func(what string, err error) {
		t.Helper()
		t.Run(what, func(t *testing.T) { wrongLog(t, err, "epoch") })
	}
	for name, r := range map[string]events.Request{
		"append after a cursor": request(w, events.After(at.Cursor), signal()),
		"append at the end":     request(w, events.AtEnd(), signal()),
		"append of a new run":   request(events.Workflow{Namespace: "n", ID: "v"}, events.NewRun(), started()),
	} {
		_, err := log.Append(t.Context(), r)
		refused(name, err)
	}
	for name, r := range map[string]events.Request{"append of unknown outcome": doubtful, "append at the end of unknown outcome": atEnd} {
		_, err := log.Append(t.Context(), r)
		refused(name, err)
		if !errors.Is(err, events.ErrOutcomeUnknown) {
			t.Errorf("%s: %v settles what the other epoch may hold", name, err)
		}
		_, err = again.Append(t.Context(), r)
		refused(name+", by a handle on the restored log", err)
	}
	_, err = log.Tail(t.Context(), w)
	refused("tail", err)
	_, err = log.Message(t.Context(), at.Position)
	refused("message at a position", err)
	_, err = log.Bounds(t.Context(), 0)
	refused("bounds", err)
	for _, err := range log.Read(t.Context(), w, events.ReadOptions{}) {
		refused("read", err)
	}
	for _, err := range log.Commits(t.Context(), w) {
		refused("commits", err)
	}
	for _, err := range log.Follow(t.Context(), at.Position.Partition, events.FollowOptions{After: at.Position.Sequence}) {
		refused("follow after a position", err)
	}
	_, err = again.Append(t.Context(), request(w, events.After(at.Cursor), signal()))
	refused("append after an old cursor, by a handle on the restored log", err)
	if after := bounds(t, again); after != before {
		t.Errorf("the log held %v, and holds %v: something was stored", before, after)
	}

	// Whoever reads again goes on.
	tail, err := again.Tail(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Append(t.Context(), request(w, events.After(tail), signal())); err != nil {
		t.Error(err)
	}
	eventstest.CheckWorkflow(t, again, w)
}

// bounds are the ends of the log's two partitions.
func bounds(t *testing.T, log *natslog.Log) (ends [2]events.Bounds) {
	t.Helper()
	for p := range ends {
		b, err := log.Bounds(t.Context(), events.Partition(p))
		if err != nil {
			t.Fatal(err)
		}
		ends[p] = events.Bounds{First: b.First, Last: b.Last} // when they were asked for does not matter
	}
	return ends
}

// raiseEpoch gives the log's streams the next epoch, as a restore does.
func raiseEpoch(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js := jetStream(t, nc)
	for _, name := range []string{natslog.StreamName(0), natslog.StreamName(1), natslog.HeartbeatStream, natslog.ControlStream} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		c.Metadata["annals.epoch"] = "2"
		if _, err := js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}
