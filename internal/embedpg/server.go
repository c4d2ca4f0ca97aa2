package embedpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-io/annals/internal/scratch"
)

const (
	// socketPort names the socket of a server without a TCP port.
	socketPort = 5432
	// maxSocketPath is the shortest limit among the systems (macOS: 104 with the closing NUL; Linux: 108).
	maxSocketPath = 103
	// readyPause lies between two attempts to connect while the server starts.
	readyPause = 5 * time.Millisecond
	// maxMoves limits how often a start goes on to another port.
	maxMoves = 10
)

// stopPatience is how long each step of a stop may take: fast shutdown, immediate shutdown.
const stopPatience = 20 * time.Second

// Server is a running PostgreSQL. Its methods are safe for concurrent use.
type Server struct {
	opts     Options
	id       identity
	binaries binaries
	folder   *scratch.Folder // the socket, and the data where it is temporary
	data     dataFolder
	port     int // of TCP; zero: none
	child    *child
	log      *logWriter

	done chan struct{}
	err  error // to be read after done

	stopping atomic.Bool
	stop     sync.Once
	stopped  error
}

// Start runs a server and returns when it accepts connections: in about half a second on an empty
// folder, a tenth on one that is initialised. The first start on a machine without PostgreSQL fetches
// it, which takes as long as 24 MB (macOS: 55 MB) do.
//
// ctx bounds the start only. The errors are [ErrInUse], [ErrPortTaken], [ErrExited], and of the types
// [*NotFoundError], [*UnreachableError] and [*NoPasswdEntryError].
func Start(ctx context.Context, opts Options) (*Server, error) {
	o, err := opts.validate()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, log: &logWriter{logger: o.Logger}, done: make(chan struct{})}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", errors.Join(err, s.release()))
	}
	go s.wait()
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	var cluster string
	var major int
	var err error
	if s.opts.DataDir != "" {
		cluster = clusterIn(s.opts.DataDir)
		if _, err := os.Stat(cluster); err != nil {
			cluster = s.opts.DataDir
		}
		if major, err = clusterMajor(cluster); err != nil {
			return err
		}
	}
	if s.id, err = identify(cluster); err != nil {
		return err
	}
	if s.binaries, err = find(ctx, s.id, major, s.opts.Logger); err != nil {
		return err
	}
	s.folder, err = scratch.New("pg", scratch.Options{
		Memory:  s.opts.Ephemeral && s.opts.DataDir == "",
		Enter:   s.id.dropped,
		MaxPath: maxSocketPath - len("/s/.s.PGSQL.65535"),
	})
	if err != nil {
		return err
	}
	if err := s.id.reach(s.socketDir()); err != nil {
		return err
	}
	if err := os.Mkdir(s.socketDir(), 0o700); err != nil {
		return err
	}
	if err := s.id.give(s.socketDir()); err != nil {
		return err
	}
	s.data = dataFolder{dir: s.folder.Path}
	if s.opts.DataDir != "" {
		if s.data, err = openDataFolder(s.opts.DataDir, s.id); err != nil {
			return err
		}
	}
	if err := s.data.settle(ctx, s.opts.Logger); err != nil {
		return err
	}
	if err := s.data.initialise(ctx, s.binaries, s.id, s.socketDir(), s.folder); err != nil {
		return err
	}
	return s.launch(ctx)
}

// launch starts postgres on a port that is free. Between looking for a free port and binding it another
// program may take it: then the next one is tried, if the caller left the choice.
func (s *Server) launch(ctx context.Context) error {
	mayMove := s.opts.PortMayMove || s.opts.Port == AnyPort
	for move := 0; ; move++ {
		taken := false
		if s.opts.Port != 0 {
			var err error
			want := s.opts.Port
			if move > 0 || want == AnyPort {
				want = 0
			}
			if s.port, err = freePort(want); err != nil {
				taken = true
			}
		}
		if !taken {
			err := s.run(ctx)
			if err == nil || s.port == 0 || !errors.Is(err, ErrExited) {
				return err
			}
			if _, portErr := freePort(s.port); portErr == nil {
				return err
			}
		}
		if !mayMove || move == maxMoves {
			return fmt.Errorf("%w: 127.0.0.1:%d", ErrPortTaken, s.opts.Port)
		}
	}
}

// freePort binds a port of the loopback interface for a moment; zero: any.
func freePort(port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	port = l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// run starts postgres and waits until it accepts a connection.
func (s *Server) run(ctx context.Context) error {
	cmd := exec.Command(s.binaries.postgres(), s.arguments()...)
	cmd.Dir, cmd.Env = s.socketDir(), environment(s.socketDir())
	cmd.Stdout, cmd.Stderr = s.log, s.log
	c, err := startChild(cmd, s.id, s.folder)
	if err != nil {
		return err
	}
	if !tied {
		if err := s.folder.Interrupt(c.process.Pid); err != nil {
			return errors.Join(err, halt(c))
		}
	}
	if err := s.ready(ctx, c); err != nil {
		return errors.Join(err, halt(c))
	}
	s.child = c
	return nil
}

// ready connects until it succeeds, the server ends, or the time is up.
func (s *Server) ready(ctx context.Context, c *child) error {
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.SocketConnString("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if malformed := (*pgconn.ParseConfigError)(nil); errors.As(err, &malformed) {
			return fmt.Errorf("connect to the PostgreSQL that was started, which has no need of PG* variables: one of the environment's cannot be used, unset it: %w", err)
		}
		select {
		case <-c.done:
			return fmt.Errorf("%w while it started: %s; its last lines:\n%s", ErrExited, c.end, s.log.lines())
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL to accept connections: %w: %w; its last lines:\n%s", context.Cause(ctx), err, s.log.lines())
		case <-tick.C:
		}
	}
}

func (s *Server) arguments() []string {
	listen, port := "", socketPort
	if s.port != 0 {
		listen, port = "127.0.0.1", s.port
	}
	settings := []string{
		"listen_addresses=" + listen,
		"port=" + strconv.Itoa(port),
		`unix_socket_directories="` + s.socketDir() + `"`,
		"unix_socket_permissions=0700",
		"log_destination=stderr",
		"logging_collector=off",
		"log_line_prefix=" + linePrefix,
		"log_checkpoints=off",
	}
	if s.opts.Ephemeral {
		settings = append(settings,
			"fsync=off",
			"synchronous_commit=off",
			"full_page_writes=off",
			"wal_level=minimal",
			"max_wal_senders=0",
			// In the data folder, which vanishes, and not in /dev/shm, where segments outlive a SIGKILL.
			"dynamic_shared_memory_type=mmap",
		)
	}
	if s.opts.MaxConnections > 0 {
		settings = append(settings, "max_connections="+strconv.Itoa(s.opts.MaxConnections))
	}
	args := []string{"-D", s.data.cluster()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

func (s *Server) socketDir() string { return filepath.Join(s.folder.Path, "s") }

// Port is the TCP port on 127.0.0.1; zero: the server has none.
func (s *Server) Port() int { return s.port }

// Version is the server's, as it prints it, such as "15.18".
func (s *Server) Version() string { return s.binaries.version }

// BinDir is the folder of the server's programs.
func (s *Server) BinDir() string { return s.binaries.dir }

// User is as whom the server runs: a name or a number.
func (s *Server) User() string { return s.id.name }

// ConnString is a URL for the database, by TCP if the server has a port, else by its socket.
func (s *Server) ConnString(database string) string {
	if s.port == 0 {
		return s.SocketConnString(database)
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(Superuser),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SocketConnString is a URL for the database by the socket, which only the server's user and root can
// enter.
func (s *Server) SocketConnString(database string) string {
	port := s.port
	if port == 0 {
		port = socketPort
	}
	q := url.Values{
		"host": {s.socketDir()}, "port": {strconv.Itoa(port)}, "user": {Superuser}, "sslmode": {"disable"},
		// What PGTARGETSESSIONATTRS and PGCONNECT_TIMEOUT say is for another server.
		"target_session_attrs": {"any"}, "connect_timeout": {"10"},
	}
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}

// CreateDatabase makes an empty database unless it is there.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.SocketConnString("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Done is closed when the server has ended, by [Server.Stop] or by itself; [Server.Err] then says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil while the server runs and after a clean stop, else [ErrExited] with its last lines.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

func (s *Server) wait() {
	<-s.child.done
	if s.child.err != nil || !s.stopping.Load() {
		s.err = fmt.Errorf("%w: %s; its last lines:\n%s", ErrExited, s.child.end, s.log.lines())
	}
	close(s.done)
}

// Stop shuts the server down: sessions are ended, their transactions rolled back, and everything is on
// disk when it returns, in about 20 ms. The temporary folders are gone then. Further calls wait for the
// first and give its error.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		s.stopping.Store(true)
		err := halt(s.child)
		<-s.done
		s.stopped = errors.Join(err, s.release())
	})
	return s.stopped
}

// release gives back what is held without a running server.
func (s *Server) release() error {
	var errs []error
	if s.folder != nil {
		if !tied {
			errs = append(errs, s.folder.Forget())
		}
		errs = append(errs, s.folder.Remove())
	}
	return errors.Join(append(errs, s.data.close())...)
}

// halt ends a server: fast shutdown, then immediate shutdown, then SIGKILL, which leaves shared memory
// behind until the next start.
func halt(c *child) error {
	for _, step := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		c.signal(step)
		timer := time.NewTimer(stopPatience)
		select {
		case <-c.done:
			timer.Stop()
			if step != syscall.SIGINT {
				return fmt.Errorf("PostgreSQL did not shut down within %v and was ended by %v", stopPatience, step)
			}
			return nil
		case <-timer.C:
		}
	}
	return fmt.Errorf("PostgreSQL, process %d, could not be killed", c.process.Pid)
}
