package projection

import "sync"

// guarded is where something stands, which one goroutine changes and others ask
// for. It is safe for concurrent use.
type guarded[S any] struct {
	mu    sync.Mutex
	state S
}

func (g *guarded[S]) status() S {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

func (g *guarded[S]) update(f func(*S)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.state)
}
