package pgfault

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// Fault is what becomes of a statement and of its connection.
type Fault int

const (
	None Fault = iota
	// Before: the server does not get it; the connection is cut.
	Before
	// After: the server has run it and answered, the client gets no answer; the connection is cut.
	After
)

// String is the fault's name.
func (f Fault) String() string { return [...]string{"none", "before", "after"}[f] }

// Statement is something that a client has a server do.
type Statement struct {
	// Text is the command and, where it has one, the table without its schema: "begin", "commit",
	// "UPDATE checkpoints", "COPY events"; "prepare" is the parsing of a statement, "COPY events, its end" what
	// follows the data.
	Text string
	// Step counts the statements of a transaction from its BEGIN, which is 0; -1 outside of one.
	Step int
}

// Injector decides about statements. Use [New]. It is safe for concurrent use.
type Injector struct {
	mu       sync.Mutex // guards the rest; decide is called with it held: one statement at a time
	decide   func(Statement) Fault
	happened map[Happened]int
}

// Happened is a fault that was seen to happen.
type Happened struct {
	Statement string // its Text
	Fault     Fault
	// Failed: the server answered with an error, so that After it nothing had been done.
	Failed bool
}

// New is an injector that injects nothing yet.
func New() *Injector { return &Injector{happened: map[Happened]int{}} }

// Decide has f asked about each statement from now on, by one goroutine at a time; nil: nothing is injected.
func (i *Injector) Decide(f func(Statement) Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.decide = f
}

func (i *Injector) ask(s Statement) Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.decide == nil {
		return None
	}
	return i.decide(s)
}

func (i *Injector) count(h Happened) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.happened[h]++
}

// Happened is how often each fault has happened.
func (i *Injector) Happened() map[Happened]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.happened)
}

// Count is how often a fault has happened to statements of a text; empty: to any.
func (i *Injector) Count(text string, f Fault) (n int) {
	for h, times := range i.Happened() {
		if h.Fault == f && (text == "" || h.Statement == text) {
			n += times
		}
	}
	return n
}

// String lists what has happened, a line a kind of statement.
func (i *Injector) String() string {
	type counts struct{ before, after, failed int }
	by := map[string]counts{}
	for h, n := range i.Happened() {
		c := by[h.Statement]
		switch {
		case h.Fault == Before:
			c.before += n
		case h.Failed:
			c.failed += n
		default:
			c.after += n
		}
		by[h.Statement] = c
	}
	var b strings.Builder
	for _, s := range slices.Sorted(maps.Keys(by)) {
		c := by[s]
		fmt.Fprintf(&b, "%-28s cut before it %4d, after it %4d, after it failed %3d\n", s, c.before, c.after, c.failed)
	}
	return b.String()
}

// Configure has the connections of a configuration go through the injector. TLS MUST be off.
func (i *Injector) Configure(c *pgconn.Config) {
	next := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		server, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return i.between(server), nil
	}
}
