package embednats

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv/faultproxy"
)

func startThree(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := StartCluster(within(t), 3, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func connectCluster(t *testing.T, c *Cluster, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := c.Connect(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// lastSequence asks the stream's leader. A question that is put while servers come and go may get lost,
// and is put again.
func lastSequence(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	whole := within(t)
	for brief := 2 * time.Second; ; brief *= 2 {
		ctx, cancel := context.WithTimeout(whole, brief)
		s, err := js.Stream(ctx, "S")
		cancel()
		if err == nil {
			return s.CachedInfo().State.LastSeq
		}
		if !errors.Is(err, context.DeadlineExceeded) || whole.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestServersReachEachOtherByTheGivenWaysOnly: they lose each other while those
// are cut, and find each other again.
func TestServersReachEachOtherByTheGivenWaysOnly(t *testing.T) {
	t.Parallel()
	ways := map[[2]int]*faultproxy.Proxy{}
	c := startThree(t, Options{Route: func(from, to int, addr string) string {
		ways[[2]int{from, to}] = faultproxy.New(t, addr)
		return ways[[2]int{from, to}].Addr()
	}})
	if len(ways) != 6 {
		t.Errorf("%d ways were asked for", len(ways))
	}
	for _, p := range ways {
		p.Sever()
	}
	if err := poll(within(t), "servers alone", func() bool {
		for _, s := range c.running() {
			if s.nats.NumRemotes() != 0 {
				return false
			}
		}
		return true
	}); err != nil {
		t.Error(err)
	}
	for _, p := range ways {
		p.Pass()
	}
	if err := c.WaitReady(within(t)); err != nil {
		t.Error(err)
	}
}

func TestClusterReplicates(t *testing.T) {
	t.Parallel()
	c := startThree(t, Options{SyncAlways: true})
	js := streams(t, connectCluster(t, c))
	stream(t, js, 3)
	publish(t, js, "one")
	s, err := js.Stream(within(t), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.CachedInfo().Cluster.Replicas); n != 2 {
		t.Errorf("%d replicas beside the leader, want 2", n)
	}
	for i := range c.Len() {
		if !c.Server(i).nats.JetStreamConfig().SyncAlways {
			t.Errorf("server %d does not sync always", i)
		}
	}
}

func TestClusterStepDown(t *testing.T) {
	t.Parallel()
	c := startThree(t, Options{})
	js := streams(t, connectCluster(t, c))
	stream(t, js, 3)
	publish(t, js, "before")
	for range 3 {
		if err := c.WaitStream(within(t), GlobalAccount, "S"); err != nil {
			t.Fatal(err)
		}
		from := c.StreamLeader(GlobalAccount, "S")
		if err := c.StepDown(within(t), GlobalAccount, "S"); err != nil {
			t.Fatal(err)
		}
		if to := c.StreamLeader(GlobalAccount, "S"); to == from {
			t.Errorf("server %d still leads", from)
		}
	}
	if seq := publish(t, js, "after"); seq != 2 {
		t.Errorf("sequence %d after the moves, want 2", seq)
	}
}

func TestClusterSurvivesTheLossOfItsLeader(t *testing.T) {
	t.Parallel()
	c := startThree(t, Options{})
	js := streams(t, connectCluster(t, c))
	stream(t, js, 3)
	publish(t, js, "before")
	if err := c.WaitStream(within(t), GlobalAccount, "S"); err != nil {
		t.Fatal(err)
	}
	lost := c.StreamLeader(GlobalAccount, "S")
	if err := c.StopServer(lost); err != nil {
		t.Fatal(err)
	}
	if err := c.StopServer(lost); !errors.Is(err, ErrStopped) {
		t.Errorf("stopped twice: %v, want ErrStopped", err)
	}
	if err := c.WaitStream(within(t), GlobalAccount, "S"); err != nil {
		t.Fatal(err)
	}
	if leader := c.StreamLeader(GlobalAccount, "S"); leader == lost {
		t.Errorf("server %d leads although it is stopped", lost)
	}
	// A connection of its own: what the first one has in flight when its server goes is lost.
	js = streams(t, connectCluster(t, c))
	if last := lastSequence(t, js); last != 1 {
		t.Errorf("%d messages are left, want 1", last)
	}
	publish(t, js, "meanwhile")

	if err := c.StartServer(within(t), lost); err != nil {
		t.Fatal(err)
	}
	if err := c.StartServer(within(t), lost); err == nil {
		t.Error("started twice")
	}
	if err := c.WaitStream(within(t), GlobalAccount, "S"); err != nil {
		t.Fatal(err)
	}
	// The restarted server alone is asked for what it has.
	nc, err := nats.Connect(c.URLs()[lost])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if last := lastSequence(t, streams(t, nc)); last != 2 {
		t.Errorf("%d messages through the restarted server, want 2", last)
	}
}

func TestClusterWaitsNoLongerThanAsked(t *testing.T) {
	t.Parallel()
	c := startThree(t, Options{})
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(within(t))
	cancel(enough)
	for _, wait := range []func() error{
		func() error { return c.WaitStream(ctx, GlobalAccount, "none") },
		func() error { return c.StepDown(ctx, GlobalAccount, "none") },
	} {
		if err := wait(); !errors.Is(err, ErrNoLeader) || !errors.Is(err, enough) {
			t.Errorf("got %v, want ErrNoLeader and the cause", err)
		}
	}
}

func TestClusterIsReopened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startThree(t, Options{StoreDir: dir})
	js := streams(t, connectCluster(t, c))
	stream(t, js, 3)
	publish(t, js, "kept")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	again := startThree(t, Options{StoreDir: dir})
	if err := again.WaitStream(within(t), GlobalAccount, "S"); err != nil {
		t.Fatal(err)
	}
	if seq := lastSequence(t, streams(t, connectCluster(t, again))); seq != 1 {
		t.Errorf("%d messages, want 1", seq)
	}
}

func TestClusterAccountsShareNothing(t *testing.T) {
	t.Parallel()
	c := startThree(t, Options{Accounts: true})
	dir := c.folder.Path
	for _, name := range []string{"A", "B"} {
		if err := c.AddAccount(name); err != nil {
			t.Fatal(err)
		}
		js := streams(t, connectCluster(t, c, nats.UserInfo(name, "")))
		stream(t, js, 3)
		if seq := publish(t, js, name); seq != 1 {
			t.Errorf("account %s sees %d messages of another", name, seq-1)
		}
		if err := js.DeleteStream(within(t), "S"); err != nil {
			t.Fatal(err)
		}
		if err := c.RemoveAccount(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}
