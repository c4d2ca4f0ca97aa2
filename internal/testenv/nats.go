package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
)

// startPatience bounds the start of one server, and whatever else tests wait for, on a machine that is busy with
// other tests.
const startPatience = 2 * time.Minute

// accounts is where tests' accounts are made: a server or a cluster.
type accounts interface {
	AddAccount(name string) error
	RemoveAccount(name string) error
	ClientURL() string
	Stop() error
}

var (
	oneServer = sync.OnceValues(func() (accounts, error) {
		return keep(func(ctx context.Context) (accounts, error) {
			return embednats.Start(ctx, embednats.Options{Accounts: true})
		})
	})
	threeServers = sync.OnceValues(func() (accounts, error) {
		return keep(func(ctx context.Context) (accounts, error) {
			return embednats.StartCluster(ctx, 3, embednats.Options{Accounts: true})
		})
	})
	accountNumber atomic.Int64
)

func keep(start func(context.Context) (accounts, error)) (accounts, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	a, err := start(ctx)
	if err != nil {
		return nil, err
	}
	atEnd(a.Stop)
	return a, nil
}

// NATS gives the test a connection to one server (R1), in an account of its own: there is no stream, and
// none of another test will appear. The connection is closed and the account's streams are deleted at the
// test's end. The server acknowledges before it syncs; for tests of durability see [NATSProcess].
func NATS(t testing.TB) *nats.Conn {
	t.Helper()
	return Connect(t, NATSURL(t))
}

// NATSURL is [NATS] for tests that connect themselves, or have another program connect: every connection
// to the URL is in the test's account.
func NATSURL(t testing.TB) string {
	t.Helper()
	return account(t, oneServer)
}

// NATSCluster gives the test a connection to three servers that replicate (R3), in an account of its own,
// as [NATS] does. Streams want Replicas: 3. The servers are shared: a test that stops one takes
// [OwnCluster].
func NATSCluster(t testing.TB) *nats.Conn {
	t.Helper()
	return Connect(t, NATSClusterURL(t))
}

// NATSClusterURL is to [NATSCluster] what [NATSURL] is to [NATS].
func NATSClusterURL(t testing.TB) string {
	t.Helper()
	return account(t, threeServers)
}

// URL is what the connection was opened with: with [Connect] it opens another to the same account.
func URL(nc *nats.Conn) string { return strings.Join(nc.Opts.Servers, ",") }

// connectPatience bounds one attempt to connect, on a machine that is busy with other tests.
const connectPatience = 30 * time.Second

// Connect opens one more connection to any server, closed at the test's end.
func Connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.Timeout(connectPatience)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// OwnServer starts a server for this test alone, with the options; it is stopped at the test's end.
func OwnServer(t testing.TB, o embednats.Options) *embednats.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	s, err := embednats.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	stopWith(t, s.Stop)
	return s
}

// OwnCluster starts three servers for this test alone, in some tenths of a second, which it may stop and
// start again one by one.
func OwnCluster(t testing.TB, o embednats.Options) *embednats.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	c, err := embednats.StartCluster(ctx, 3, o)
	if err != nil {
		t.Fatal(err)
	}
	stopWith(t, c.Stop)
	return c
}

func stopWith(t testing.TB, stop func() error) {
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// StepDown has the leader of a stream give up, in the connection's account on the shared cluster, and
// returns when another server answers for the stream. Appends that are in flight meanwhile have an
// unknown outcome.
func StepDown(t testing.TB, nc *nats.Conn, stream string) {
	t.Helper()
	a, err := threeServers()
	if err != nil {
		t.Fatal(err)
	}
	name, err := accountOf(URL(nc))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	before, err := leader(ctx, nc, stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.(*embednats.Cluster).StepDown(ctx, name, stream); err != nil {
		t.Fatal(err)
	}
	// The elected server says so to the others before it answers.
	for {
		switch after, err := leader(ctx, nc, stream); {
		case err != nil:
			t.Fatal(err)
		case after != "" && after != before:
			return
		}
	}
}

// leader asks who leads the stream; empty: nobody at this moment. A question that no server feels
// responsible for, because the leader is changing, is put again.
func leader(ctx context.Context, nc *nats.Conn, stream string) (string, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return "", err
	}
	for brief := 250 * time.Millisecond; ; brief = min(2*brief, 10*time.Second) {
		try, cancel := context.WithTimeout(ctx, brief)
		s, err := js.Stream(try, stream)
		cancel()
		if err == nil {
			return s.CachedInfo().Cluster.Leader, nil
		}
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return "", fmt.Errorf("leader of %s: %w", stream, err)
		}
	}
}

// account makes one for the test and gives its URL.
func account(t testing.TB, servers func() (accounts, error)) string {
	t.Helper()
	a, err := servers()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test-%d", accountNumber.Add(1))
	if err := a.AddAccount(name); err != nil {
		t.Fatal(err)
	}
	urls := strings.Split(a.ClientURL(), ",")
	for i, u := range urls {
		urls[i] = strings.Replace(u, "nats://", "nats://"+name+":test@", 1)
	}
	all := strings.Join(urls, ",")
	stopWith(t, func() error { return errors.Join(deleteStreams(a, all), a.RemoveAccount(name)) })
	return all
}

func accountOf(urls string) (string, error) {
	first, _, _ := strings.Cut(urls, ",")
	u, err := url.Parse(first)
	if err != nil {
		return "", err
	}
	if u.User == nil {
		return "", fmt.Errorf("%s names no account", first)
	}
	return u.User.Username(), nil
}

// deleteStreams deletes all streams of an account, at once: in a cluster each waits for its servers.
func deleteStreams(a accounts, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	nc, err := nats.Connect(url, nats.Timeout(connectPatience))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	list := js.ListStreams(ctx)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards errs
	var errs []error
	var groups []string
	for info := range list.Info() {
		if info.Cluster != nil && info.Cluster.RaftGroup != "" {
			groups = append(groups, info.Cluster.RaftGroup)
		}
		wg.Go(func() {
			if err := js.DeleteStream(ctx, info.Config.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("delete stream %s: %w", info.Config.Name, err))
			}
		})
	}
	wg.Wait()
	errs = append(errs, list.Err())
	if c, ok := a.(*embednats.Cluster); ok {
		errs = append(errs, c.WaitEnded(ctx, groups...))
	}
	return errors.Join(errs...)
}
