package faultproxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// mode is what becomes of data that arrives at a gate.
type mode int

const (
	pass mode = iota
	lose
	hold
	sever // connections are closed, new ones at once
)

// gate decides about one direction of all connections of a proxy.
type gate struct {
	mu      sync.Mutex // guards the rest; a change of mode must be seen as one
	mode    mode
	changed chan struct{} // closed and replaced when mode changes
	cut     chan struct{} // closed and replaced to close what is open now
	hit     chan struct{} // closed when the mode has met data, or a connection
	open    int           // connections
	delay   time.Duration // of each chunk
}

func newGate() *gate {
	return &gate{changed: make(chan struct{}), cut: make(chan struct{}), hit: make(chan struct{})}
}

// set changes the mode and gives what tells that it met something.
func (g *gate) set(m mode) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode = m
	close(g.changed)
	g.changed, g.hit = make(chan struct{}), make(chan struct{})
	return g.hit
}

// cutAll closes what is open and says how many that were.
func (g *gate) cutAll() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.cut)
	g.cut = make(chan struct{})
	return g.open
}

// enter counts a connection in, and gives what will cut it.
func (g *gate) enter() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open++
	return g.cut
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
}

// now is the mode and what tells of the next one.
func (g *gate) now() (mode, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mode, g.changed
}

// met says that the mode m has met something.
func (g *gate) met(m mode) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mode != m {
		return
	}
	select {
	case <-g.hit:
	default:
		close(g.hit)
	}
}

// gates are found by number, since toxiproxy makes its toxics of JSON.
var (
	gates      sync.Map // of int64 to *gate
	gateNumber atomic.Int64
)

const toxicType = "annals_gate"

func init() { toxics.Register(toxicType, new(toxic)) }

// toxic is a gate as toxiproxy knows it. It reads its input to the end even
// after it has closed the connection: toxiproxy's own toxics do not, and leave
// goroutines behind that wait to be read.
type toxic struct {
	Gate int64 `json:"gate"`
}

func (t *toxic) Pipe(stub *toxics.ToxicStub) {
	v, _ := gates.Load(t.Gate)
	g := v.(*gate)
	ended := g.flow(stub, g.enter())
	g.leave() // before anybody can see that it is closed
	stub.Close()
	if ended {
		return
	}
	for chunk := range stub.Input {
		_ = chunk
	}
}

// flow lets one connection's data through until the connection is to be closed,
// or, with true, is closed by one of its ends.
func (g *gate) flow(stub *toxics.ToxicStub, cut <-chan struct{}) (ended bool) {
	broken := false // something of its data is lost: what came after it would make no sense
	for {
		m, changed := g.now()
		switch {
		case m == sever:
			g.met(sever)
			return false
		case broken && m != lose:
			return false
		}
		select {
		case <-cut:
			return false
		case <-changed:
		case chunk := <-stub.Input:
			if chunk == nil {
				return true
			}
			// The mode may have changed while nothing came.
			if m, _ = g.now(); m == lose {
				broken = true
				g.met(lose)
				continue
			}
			if !g.deliver(stub, chunk, cut) {
				return false
			}
		}
	}
}

// slow delays each chunk from now on.
func (g *gate) slow(delay time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.delay = delay
}

func (g *gate) wait(cut <-chan struct{}) bool {
	g.mu.Lock()
	delay := g.delay
	g.mu.Unlock()
	if delay == 0 {
		return true
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-cut:
		return false
	}
}

// deliver hands a chunk on, once it may pass.
func (g *gate) deliver(stub *toxics.ToxicStub, chunk *stream.StreamChunk, cut <-chan struct{}) bool {
	if !g.wait(cut) {
		return false
	}
	for {
		m, changed := g.now()
		if m == pass {
			select {
			case stub.Output <- chunk:
				return true
			case <-cut:
				return false
			}
		}
		if m != hold {
			return false // what waited is lost
		}
		g.met(hold)
		select {
		case <-changed:
		case <-cut:
			return false
		}
	}
}
