package embednats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/scratch"
)

// pollPause lies between two looks at what the servers agree on.
const pollPause = 5 * time.Millisecond

// deadPort is one at which nobody listens.
const deadPort = 1

// Cluster is several servers in this process that replicate streams among them. Its methods are safe for
// concurrent use, but stopping and starting one server is for one caller at a time.
type Cluster struct {
	opts   Options
	folder *scratch.Folder // nil if the store is named
	routes []*url.URL      // where each server listens for the others
	ways   [][]*url.URL    // by which each server reaches the others
	ports  []int

	mu      sync.RWMutex // guards members: a restart exchanges a member
	members []*Server    // nil: stopped
}

// StartCluster runs n servers on 127.0.0.1 and returns when they have a leader and all of them follow
// it, in some tenths of a second. Each server has a folder of its own
// below StoreDir, a port that it keeps, and a name that ends with its number.
//
// [Options].Host, Port, PortMayMove and DontListen MUST be zero.
func StartCluster(ctx context.Context, n int, opts Options) (_ *Cluster, err error) {
	if n < 2 || opts.Host != "" || opts.Port != 0 || opts.DontListen {
		return nil, errors.New("embednats: a cluster has two servers or more, that listen on ports of their own choice")
	}
	o, err := opts.validate()
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, members: make([]*Server, n)}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start NATS cluster: %w", errors.Join(err, c.Stop()))
		}
	}()
	if o.StoreDir == "" {
		if c.folder, err = scratch.New("nats", scratch.Options{Memory: true}); err != nil {
			return nil, err
		}
		c.opts.StoreDir = c.folder.Path
	}
	if err := c.startMembers(ctx); err != nil {
		return nil, err
	}
	if err := c.WaitReady(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// startMembers starts all servers on free ports. Another program may take one of these before its server
// does: then all move to others.
func (c *Cluster) startMembers(ctx context.Context) error {
	const moves = 10
	for move := 0; ; move++ {
		err := c.usePorts()
		for i := 0; err == nil && i < len(c.members); i++ {
			err = c.startMember(ctx, i)
		}
		if !errors.Is(err, ErrPortTaken) || move == moves {
			return err
		}
		if err := c.stopMembers(); err != nil {
			return err
		}
	}
}

// usePorts chooses the servers' ports, for clients and for each other.
func (c *Cluster) usePorts() error {
	n := len(c.members)
	ports, err := StablePorts(2 * n)
	if err != nil {
		return err
	}
	c.ports, c.routes = ports[:n], nil
	for _, port := range ports[n:] {
		c.routes = append(c.routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort(c.opts.Host, strconv.Itoa(port))})
	}
	c.ways = make([][]*url.URL, n)
	for from := range n {
		if c.ways[from] = c.routes; c.opts.Route == nil {
			continue
		}
		c.ways[from] = nil
		for to, route := range c.routes {
			if to != from {
				c.ways[from] = append(c.ways[from], &url.URL{Scheme: "nats", Host: c.opts.Route(from, to, route.Host)})
			}
		}
	}
	return nil
}

func (c *Cluster) startMember(ctx context.Context, i int) error {
	o := c.opts
	o.Name = fmt.Sprintf("%s-%d", c.opts.Name, i+1)
	o.StoreDir = filepath.Join(c.opts.StoreDir, strconv.Itoa(i+1))
	o.Port = c.ports[i]
	routePort, err := strconv.Atoi(c.routes[i].Port())
	if err != nil {
		return err
	}
	s, err := start(ctx, o, func(settings *server.Options) {
		settings.Cluster = server.ClusterOpts{Name: c.opts.Name, Host: o.Host, Port: routePort}
		settings.Routes = c.ways[i]
		if c.opts.Route != nil {
			// What the servers tell each other of their addresses leads nowhere: there are no other ways.
			settings.Cluster.Advertise = net.JoinHostPort(o.Host, strconv.Itoa(deadPort))
		}
	})
	if err != nil {
		if !errors.Is(err, ErrPortTaken) && !free(o.Host, routePort) {
			err = fmt.Errorf("%w: %s: %w", ErrPortTaken, c.routes[i].Host, err)
		}
		return fmt.Errorf("server %d: %w", i+1, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[i] = s
	return nil
}

// running gives the members that are not stopped.
func (c *Cluster) running() []*Server {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []*Server
	for _, s := range c.members {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// Len is the number of servers, those that are stopped among them.
func (c *Cluster) Len() int { return len(c.members) }

// Server gives the i-th server, from 0; nil if it is stopped.
func (c *Cluster) Server(i int) *Server {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.members[i]
}

// URLs gives every server's client URL in order, those of stopped servers among them.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.ports))
	for i, port := range c.ports {
		urls[i] = "nats://" + net.JoinHostPort(c.opts.Host, strconv.Itoa(port))
	}
	return urls
}

// ClientURL names all servers, as clients take it.
func (c *Cluster) ClientURL() string { return strings.Join(c.URLs(), ",") }

// Connect opens a connection to any of the servers, which moves on when that one stops. The caller closes
// it.
func (c *Cluster) Connect(opts ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(c.ClientURL(), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS cluster: %w", err)
	}
	return nc, nil
}

// AddAccount makes an account on every server that runs; one that is started later does not know it.
func (c *Cluster) AddAccount(name string) error {
	for _, s := range c.running() {
		if err := s.AddAccount(name); err != nil {
			return err
		}
	}
	return nil
}

// WaitEnded returns when no running server has the replication groups any more, which are named in the
// information about a stream: a server deletes its replica a little after the stream is said to be
// deleted, and cannot once its account is gone.
func (c *Cluster) WaitEnded(ctx context.Context, groups ...string) error {
	return poll(ctx, "replication groups", func() bool {
		for _, s := range c.running() {
			for _, group := range groups {
				if r := s.nats.Raftz(&server.RaftzOptions{GroupFilter: group}); r != nil && len(*r) > 0 {
					return false
				}
				if _, err := os.Stat(filepath.Join(s.store.dir, server.JetStreamStoreDir, server.DEFAULT_SYSTEM_ACCOUNT, "_js_", group)); err == nil {
					return false
				}
			}
		}
		return true
	})
}

// RemoveAccount ends the account on every server that runs. Its streams MUST be deleted before, and their
// groups have ended ([Cluster.WaitEnded]).
func (c *Cluster) RemoveAccount(name string) error {
	var errs []error
	for _, s := range c.running() {
		errs = append(errs, s.RemoveAccount(name))
	}
	return errors.Join(errs...)
}

// WaitReady returns when the running servers are connected with each other, one of them leads the
// cluster, the others have its state, and it knows of all that they can take streams.
func (c *Cluster) WaitReady(ctx context.Context) error {
	return poll(ctx, "cluster "+c.opts.Name, func() bool {
		leaders := 0
		running := c.running()
		for _, s := range running {
			if s.nats.NumRemotes() != len(running)-1 || !s.nats.JetStreamIsCurrent() {
				return false
			}
			if s.nats.JetStreamIsLeader() {
				if len(s.nats.JetStreamClusterPeers()) != len(running) {
					return false
				}
				leaders++
			}
		}
		return leaders == 1
	})
}

// StreamLeader gives the number, from 0, of the server that leads the account's stream; -1 if none does
// now.
func (c *Cluster) StreamLeader(account, stream string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i, s := range c.members {
		if s != nil && s.nats.JetStreamIsStreamLeader(account, stream) {
			return i
		}
	}
	return -1
}

// WaitStream returns when the account's stream has a leader and every running server that has a replica
// of it is current.
func (c *Cluster) WaitStream(ctx context.Context, account, stream string) error {
	return poll(ctx, "stream "+stream, func() bool {
		if c.StreamLeader(account, stream) < 0 {
			return false
		}
		for _, s := range c.running() {
			if s.nats.JetStreamIsStreamAssigned(account, stream) && !s.nats.JetStreamIsStreamCurrent(account, stream) {
				return false
			}
		}
		return true
	})
}

// StepDown has the leader of the account's stream give up, and returns when another server is elected,
// which takes up the work a moment later. Appends that are in flight meanwhile have an unknown outcome.
func (c *Cluster) StepDown(ctx context.Context, account, stream string) error {
	var from int
	if err := poll(ctx, "stream "+stream, func() bool {
		from = c.StreamLeader(account, stream)
		return from >= 0
	}); err != nil {
		return err
	}
	s := c.Server(from)
	if s == nil {
		return fmt.Errorf("step down the leader of %s: %w", stream, ErrStopped)
	}
	// It may be elected again: then it is asked again.
	for to := from; to == from; {
		if err := s.nats.JetStreamStepdownStream(account, stream); err != nil {
			return fmt.Errorf("step down the leader of %s: %w", stream, err)
		}
		lost := false
		if err := poll(ctx, "stream "+stream, func() bool {
			to = c.StreamLeader(account, stream)
			lost = lost || to != from
			return lost && to >= 0
		}); err != nil {
			return err
		}
	}
	return nil
}

// StopServer shuts the i-th server down, from 0, in order: it hands over what it leads.
func (c *Cluster) StopServer(i int) error {
	c.mu.Lock()
	s := c.members[i]
	c.members[i] = nil
	c.mu.Unlock()
	if s == nil {
		return fmt.Errorf("stop server %d: %w", i+1, ErrStopped)
	}
	return s.Stop()
}

// StartServer starts the i-th server again, from 0, on its folder and its port, and returns when it has
// caught up with the cluster's state; its streams may still be catching up: see [Cluster.WaitStream].
func (c *Cluster) StartServer(ctx context.Context, i int) error {
	if c.Server(i) != nil {
		return fmt.Errorf("start server %d: it runs", i+1)
	}
	if err := c.startMember(ctx, i); err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	return c.WaitReady(ctx)
}

// Stop shuts all servers down at once and removes a temporary store.
func (c *Cluster) Stop() error {
	err := c.stopMembers()
	if c.folder != nil {
		err = errors.Join(err, c.folder.Remove())
	}
	return err
}

func (c *Cluster) stopMembers() error {
	c.mu.Lock()
	members := c.members
	c.members = make([]*Server, len(members))
	c.mu.Unlock()
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, s := range members {
		if s != nil {
			wg.Go(func() { errs[i] = s.Stop() })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// poll asks until the answer is yes. The servers offer no signal for what is asked here.
func poll(ctx context.Context, noun string, done func() bool) error {
	tick := time.NewTicker(pollPause)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", noun, ErrNoLeader, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
