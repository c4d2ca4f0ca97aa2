package faultproxy

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Direction is one of the two that data flows in.
type Direction int

const (
	ToServer Direction = iota
	ToClient
)

// streams are the directions' names in toxiproxy.
var streams = [...]string{ToServer: "upstream", ToClient: "downstream"}

// Proxy is a way to one server. Its methods are safe for concurrent use; what they ask for holds for all of
// its connections, and for those to come.
type Proxy struct {
	proxy *toxiproxy.Proxy
	gates [2]*gate
	url   *url.URL
}

// New starts a proxy before the server, given as host:port or as a URL, on a free port of 127.0.0.1. It ends
// with the test.
func New(t testing.TB, server string) *Proxy {
	t.Helper()
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{url: u}
	p.proxy = toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "faults", "127.0.0.1:0", u.Host)
	for d, name := range streams {
		n := gateNumber.Add(1)
		p.gates[d] = newGate()
		gates.Store(n, p.gates[d])
		t.Cleanup(func() { gates.Delete(n) })
		settings := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"toxicity":1,"attributes":{"gate":%d}}`, name, toxicType, name, n)
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(settings)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Pass()
		p.proxy.Stop()
		p.Cut()
	})
	u.Host = p.proxy.Listen
	return p
}

// All starts one proxy before each of the servers, which are named by URLs with commas between them.
func All(t testing.TB, servers string) (proxies []*Proxy, urls string) {
	t.Helper()
	var all []string
	for server := range strings.SplitSeq(servers, ",") {
		p := New(t, server)
		proxies, all = append(proxies, p), append(all, p.URL())
	}
	return proxies, strings.Join(all, ",")
}

// Options have a client stay on its way, and come back soon when it was cut, as often as it takes.
func Options() []nats.Option {
	return []nats.Option{
		nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1), nats.ReconnectWait(5 * time.Millisecond),
		nats.ReconnectJitter(5*time.Millisecond, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the faults, which the client would print
	}
}

// URL is where clients connect, with the server's scheme and user.
func (p *Proxy) URL() string { return p.url.String() }

// Addr is the same as host:port.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// Lose has all data in this direction vanish from now on; no connection breaks. The channel is closed once
// something was lost.
func (p *Proxy) Lose(d Direction) <-chan struct{} { return p.gates[d].set(lose) }

// Hold has all data in this direction wait for [Proxy.Pass]. The channel is closed once something waits.
func (p *Proxy) Hold(d Direction) <-chan struct{} { return p.gates[d].set(hold) }

// Slow has each piece of data in this direction, of at most 32 KiB, wait for so long, one after the other; zero:
// none.
func (p *Proxy) Slow(d Direction, delay time.Duration) { p.gates[d].slow(delay) }

// Pass ends what Lose, Hold and Sever began: what waits goes on, and connections of which something was lost
// are cut.
func (p *Proxy) Pass() {
	for _, g := range p.gates {
		g.set(pass)
	}
}

// Cut closes the connections that are open, with what waits in them, and says how many there were. New ones
// are taken.
func (p *Proxy) Cut() int {
	n := p.gates[ToServer].cutAll()
	return max(n, p.gates[ToClient].cutAll())
}

// Sever closes the connections, and new ones at once, until [Proxy.Pass]. The channel is closed once one was.
func (p *Proxy) Sever() <-chan struct{} {
	p.gates[ToClient].set(sever)
	return p.gates[ToServer].set(sever)
}
