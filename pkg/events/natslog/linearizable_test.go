package natslog_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
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

// What the checks below fail under, unless told otherwise: operations on three
// servers, and faults of each kind. Under -short a fifth of both; .ci/run's step
// faults asks for 20,000 and 20.
var (
	linearOperations = flag.Int("linear.operations", 6_000, "operations that are checked on three servers, a quarter of them on one")
	linearFaults     = flag.Int("linear.faults", 8, "faults of each kind on three servers, half of them on one")
)

// linearPatience ends a check whose faults do not come about. Under the race
// detector, beside other tests, they take minutes.
const linearPatience = 10 * time.Minute

// linear is one check under way: clients, and who does something to them.
type linear struct {
	t        *testing.T
	ctx      context.Context
	cancel   context.CancelFunc
	clients  []events.Log
	sound    events.Log
	progress chan struct{} // gets one for each operation, if somebody waits
	least    int           // faults of each kind

	mu     sync.Mutex // guards faults, which several count
	faults eventstest.Counts
}

func newLinear(t *testing.T, faults int) *linear {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), linearPatience)
	t.Cleanup(cancel)
	return &linear{t: t, ctx: ctx, cancel: cancel, progress: make(chan struct{}), least: fewer(faults), faults: eventstest.Counts{}}
}

// connect adds clients that reach the log by the URLs, and no other way.
func (l *linear) connect(n int, urls string) {
	l.t.Helper()
	for range n {
		nc := testenv.Connect(l.t, urls, faultproxy.Options()...)
		l.clients = append(l.clients, open(l.t, nc, natslog.Config{AttemptTimeout: 80 * time.Millisecond}))
	}
}

func (l *linear) count(kind string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults[kind] += n
}

// operations waits for so many.
func (l *linear) operations(n int) {
	for range n {
		select {
		case <-l.progress:
		case <-l.ctx.Done():
			return
		}
	}
}

// lasting is how long a fault lasts: from less than an attempt may take to more
// than an append may.
func (l *linear) lasting() {
	t := time.NewTimer(time.Duration(10+rand.IntN(240)) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.ctx.Done():
	}
}

// each brings about the fault as often as is asked for, with operations between.
// The fault says whether it was seen to happen.
func (l *linear) each(kind string, fault func() bool) {
	l.count(kind, 0) // one that never happens is missed
	for n := 0; n < l.least && l.ctx.Err() == nil && !l.t.Failed(); {
		l.operations(10)
		if fault() {
			l.count(kind, 1)
			n++
		}
	}
}

// onLinks brings about all faults of connections.
func (l *linear) onLinks(proxies []*faultproxy.Proxy) {
	for kind, fault := range map[string]func(*faultproxy.Proxy) <-chan struct{}{
		"answers lost, then the connections cut":  func(p *faultproxy.Proxy) <-chan struct{} { return p.Lose(faultproxy.ToClient) },
		"requests lost, then the connections cut": func(p *faultproxy.Proxy) <-chan struct{} { return p.Lose(faultproxy.ToServer) },
		"answers late":  func(p *faultproxy.Proxy) <-chan struct{} { return p.Hold(faultproxy.ToClient) },
		"requests late": func(p *faultproxy.Proxy) <-chan struct{} { return p.Hold(faultproxy.ToServer) },
	} {
		l.each(kind, func() bool {
			p := proxies[rand.IntN(len(proxies))]
			hit := fault(p)
			l.lasting()
			p.Pass()
			select {
			case <-hit:
				return true
			default:
				return false // nobody was on this way
			}
		})
	}
	l.each("connections cut", func() bool { return proxies[rand.IntN(len(proxies))].Cut() > 0 })
}

// run has the clients work until all faults have happened and as many
// operations have been done, and checks what they were told.
func (l *linear) run(operations int, o eventstest.Concurrent, faults ...func()) {
	l.t.Helper()
	least := fewer(operations)
	var under sync.WaitGroup
	var over atomic.Bool
	for _, f := range faults {
		under.Go(f)
	}
	go func() {
		under.Wait()
		over.Store(true)
	}()
	o.Clients, o.Sound = l.clients, l.sound
	o.Enough = func(n int) bool {
		select {
		case l.progress <- struct{}{}:
		default:
		}
		return l.ctx.Err() != nil || over.Load() && n >= least
	}
	counts := eventstest.Linearizable(l.t, o)
	l.cancel() // whoever still waits for operations, because the clients have failed
	under.Wait()
	l.t.Logf("checked %d operations:%v\nfaults:%v", counts.Operations(), counts, l.faults)
	if n := counts.Operations(); n < least {
		l.t.Errorf("%d operations were checked, want %d", n, least)
	}
	for kind, n := range l.faults {
		if n < l.least {
			l.t.Errorf("%d faults were: %s; want %d", n, kind, l.least)
		}
	}
	if len(l.faults) == 0 {
		l.t.Error("there was no fault")
	}
}

// TestLinearizableR1: one server, which is killed again and again.
func TestLinearizableR1(t *testing.T) {
	t.Parallel()
	server := testenv.NATSProcess(t, "")
	direct := testenv.Connect(t, server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond))
	create(t, direct, natslog.CreateOptions{Streams: 2})
	proxies, urls := faultproxy.All(t, server.URL())
	l := newLinear(t, (*linearFaults+1)/2)
	l.sound = open(t, direct, natslog.Config{})
	l.connect(6, urls)
	l.run(*linearOperations/4, eventstest.Concurrent{}, func() { l.onLinks(proxies) }, func() {
		l.each("server killed and started again", func() bool {
			server.Kill()
			server.Restart()
			return true
		})
	})
}

// TestLinearizableR3: three servers, whose leaders change and which are
// restarted.
func TestLinearizableR3(t *testing.T) {
	t.Parallel()
	const streams = 2
	cluster := testenv.OwnCluster(t, embednats.Options{})
	direct := testenv.Connect(t, cluster.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond))
	create(t, direct, natslog.CreateOptions{Streams: streams, Replicas: 3})
	proxies, urls := faultproxy.All(t, cluster.ClientURL())
	l := newLinear(t, *linearFaults)
	l.sound = open(t, direct, natslog.Config{})
	l.connect(9, urls)
	l.run(*linearOperations, eventstest.Concurrent{}, func() { l.onLinks(proxies) }, func() {
		l.each("leader of a stream stepped down", func() bool {
			return l.did(cluster.StepDown(l.ctx, embednats.GlobalAccount, natslog.StreamName(events.Partition(rand.IntN(streams)))))
		})
		l.each("server stopped and started again", func() bool {
			i := rand.IntN(cluster.Len())
			if !l.did(cluster.StopServer(i)) || !l.did(cluster.StartServer(l.ctx, i)) {
				return false
			}
			for p := range events.Partition(streams) {
				if !l.did(cluster.WaitStream(l.ctx, embednats.GlobalAccount, natslog.StreamName(p))) {
					return false
				}
			}
			return l.did(cluster.WaitStream(l.ctx, embednats.GlobalAccount, natslog.HeartbeatStream))
		})
	})
}

// did fails the check if the fault could not be brought about.
func (l *linear) did(err error) bool {
	if err != nil {
		l.t.Error(err)
	}
	return err == nil
}
