package embednats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// drainPatience is how long a stop waits for its own connections to hand over what they hold.
const drainPatience = 5 * time.Second

// Server is a running NATS server with JetStream. Its methods are safe for concurrent use.
type Server struct {
	opts  Options
	store store
	nats  *server.Server

	mu      sync.Mutex // guards conns and stopped: a connection is either drained by Stop or refused
	conns   []*nats.Conn
	stopped bool

	stop    sync.Once
	stopErr error
}

// Start runs a server and returns when it accepts connections and JetStream has recovered its streams,
// in some 10 ms on an empty folder. Recovery cannot be interrupted: ctx is looked at before it.
//
// The errors are [ErrInUse], [ErrPortTaken], or the server's own.
func Start(ctx context.Context, opts Options) (*Server, error) {
	o, err := opts.validate()
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, o, nil)
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	return s, nil
}

// start runs a server with valid options; peers, for a member of a cluster, completes its settings.
func start(ctx context.Context, o Options, peers func(*server.Options)) (_ *Server, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s := &Server{opts: o}
	if s.store, err = openStore(o.StoreDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.store.close())
		}
	}()
	port := server.RANDOM_PORT
	if o.Port != 0 {
		if port = o.Port; !free(o.Host, port) {
			if !o.PortMayMove {
				return nil, fmt.Errorf("%w: %s", ErrPortTaken, net.JoinHostPort(o.Host, strconv.Itoa(port)))
			}
			port = server.RANDOM_PORT
		}
	}
	err = s.run(port, peers)
	if errors.Is(err, ErrPortTaken) && o.PortMayMove && port != server.RANDOM_PORT {
		// Taken since the look at it.
		err = s.run(server.RANDOM_PORT, peers)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) run(port int, peers func(*server.Options)) error {
	settings := &server.Options{
		ServerName:             s.opts.Name,
		Host:                   s.opts.Host,
		Port:                   port,
		DontListen:             s.opts.DontListen,
		JetStream:              true,
		StoreDir:               s.store.dir,
		SyncAlways:             s.opts.SyncAlways,
		MaxPayload:             MaxPayload,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
	if s.opts.Accounts {
		settings.CustomClientAuthentication = byName{func(name string) (*server.Account, error) {
			return s.nats.LookupAccount(name)
		}}
	}
	if peers != nil {
		peers(settings)
	}
	return s.launch(settings)
}

// launch runs the server that the settings describe until it accepts connections.
func (s *Server) launch(settings *server.Options) (err error) {
	reserve()
	if s.nats, err = server.NewServer(settings); err != nil {
		return err
	}
	log := &logger{to: s.opts.Logger}
	s.nats.SetLoggerV2(log, false, false, false)
	s.nats.Start()
	if err = s.ready(log); err != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		// Only now: the server itself may have bound the port and failed for another reason.
		if port := settings.Port; !settings.DontListen && port > 0 && !free(settings.Host, port) {
			err = fmt.Errorf("%w: %s: %w", ErrPortTaken, net.JoinHostPort(settings.Host, strconv.Itoa(port)), err)
		}
	}
	return err
}

// ready waits until the server accepts connections, of clients and of other servers. What made it fail
// stands in its log only.
func (s *Server) ready(log *logger) error {
	const attempts = 200
	for range attempts {
		if err := log.failure(); err != nil {
			return err
		}
		if s.nats.ReadyForConnections(50 * time.Millisecond) {
			return nil
		}
	}
	return errors.New("the server does not accept connections")
}

// free says whether the port can be bound.
func free(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// ClientURL is where clients connect; empty if the server does not listen.
func (s *Server) ClientURL() string {
	if s.opts.DontListen {
		return ""
	}
	return s.nats.ClientURL()
}

// Port is the TCP port; zero if the server does not listen.
func (s *Server) Port() int {
	if addr, ok := s.nats.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

// Name is the server's, unique in a cluster.
func (s *Server) Name() string { return s.nats.Name() }

// StoreDir is where the streams are.
func (s *Server) StoreDir() string { return s.store.dir }

// SyncAlways says whether messages are synced before they are acknowledged.
func (s *Server) SyncAlways() bool { return s.opts.SyncAlways }

// Connect opens a connection by TCP, or within the process if the server does not listen. It is drained
// and closed by [Server.Stop], unless the caller closes it before.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, fmt.Errorf("connect to NATS: %w", ErrStopped)
	}
	if s.opts.DontListen {
		opts = append([]nats.Option{nats.InProcessServer(s.nats)}, opts...)
	}
	nc, err := nats.Connect(s.ClientURL(), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	s.conns = append(s.conns, nc)
	return nc, nil
}

// Stop drains the connections that [Server.Connect] made, shuts the server down, and returns when its
// files are written and closed and its folder is free. Further calls wait for the first and give its
// error.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		s.mu.Lock()
		s.stopped = true
		conns := s.conns
		s.conns = nil
		s.mu.Unlock()
		drain(conns)
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		s.stopErr = s.store.close()
	})
	return s.stopErr
}

// drain lets the connections' subscriptions finish what they have, and closes them.
func drain(conns []*nats.Conn) {
	patience := time.NewTimer(drainPatience)
	defer patience.Stop()
	for _, nc := range conns {
		closed := nc.StatusChanged(nats.CLOSED)
		if nc.Drain() == nil {
			select {
			case <-closed:
			case <-patience.C:
				patience.Reset(0)
			}
		}
		nc.Close()
	}
}
