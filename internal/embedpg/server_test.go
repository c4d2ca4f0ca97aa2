package embedpg

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func setting(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	var value string
	if err := conn.QueryRow(within(t), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestStart(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		opts      Options
		want      map[string]string
		tcp       bool
	}{
		{
			"zero value", "durable, by socket only",
			Options{},
			map[string]string{"listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "server_encoding": "UTF8", "unix_socket_permissions": "0700"},
			false,
		},
		{
			"ephemeral", "what makes tests fast, and leaves no shared memory behind",
			Options{Ephemeral: true, MaxConnections: 37},
			map[string]string{"listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0", "dynamic_shared_memory_type": "mmap", "max_connections": "37"},
			false,
		},
		{
			"any port", "TCP on the loopback interface, beside the socket",
			Options{Ephemeral: true, Port: AnyPort},
			map[string]string{"listen_addresses": "127.0.0.1"},
			true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.opts)
			conn := connect(t, s.ConnString("postgres"))
			got := map[string]string{}
			for name := range tt.want {
				got[name] = setting(t, conn, name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: settings (-want +got):\n%s", tt.why, diff)
			}
			if got := s.Port() != 0; got != tt.tcp {
				t.Errorf("port %d, want one: %v", s.Port(), tt.tcp)
			}
			if got := conn.PgConn().Conn().RemoteAddr().Network(); (got == "tcp") != tt.tcp {
				t.Errorf("ConnString leads to %s", got)
			}
			if network := connect(t, s.SocketConnString("postgres")).PgConn().Conn().RemoteAddr().Network(); network != "unix" {
				t.Errorf("SocketConnString leads to %s", network)
			}
			if got, _, _ := strings.Cut(setting(t, conn, "server_version"), " "); got != s.Version() {
				t.Errorf("Version() = %q, the server says %q", s.Version(), got)
			}
		})
	}
}

// What the environment says of another server neither keeps this one from
// starting nor has it wait for ever.
func TestVariablesOfAnotherServer(t *testing.T) {
	t.Run("overruled", func(t *testing.T) {
		t.Setenv("PGTARGETSESSIONATTRS", "standby")
		t.Setenv("PGCONNECT_TIMEOUT", "soon")
		t.Setenv("PGHOST", "db.example.com")
		t.Setenv("PGSSLMODE", "verify-full")
		s, err := Start(t.Context(), Options{Ephemeral: true, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Setenv("PGSERVICE", "nope")
		t.Setenv("PGSERVICEFILE", filepath.Join(t.TempDir(), "none"))
		_, err := Start(t.Context(), Options{Ephemeral: true, Logger: quiet})
		if err == nil || !strings.Contains(err.Error(), "unset it") {
			t.Errorf("got %v", err)
		}
	})
}

func TestStopLeavesNothing(t *testing.T) {
	s := start(t, Options{Ephemeral: true})
	folder := s.folder.Path
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", folder, err)
	}
	if err := s.child.process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("postgres still lives: %v", err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("Err() after a clean stop: %v", err)
	}
}

func TestDataFolderKeepsItsData(t *testing.T) {
	dir := filepath.Join(openDir(t), "below", "pg")
	s := start(t, Options{DataDir: dir})
	if err := s.CreateDatabase(within(t), `an"nals`); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateDatabase(within(t), `an"nals`); err != nil {
		t.Errorf("a database that is there: %v", err)
	}
	if _, err := connect(t, s.ConnString(`an"nals`)).Exec(within(t), "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); !os.IsNotExist(err) {
		t.Errorf("the server was not shut down in order: %v", err)
	}

	again := start(t, Options{DataDir: dir, Port: AnyPort})
	var n int
	if err := connect(t, again.ConnString(`an"nals`)).QueryRow(within(t), "SELECT n FROM kept").Scan(&n); err != nil || n != 42 {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestDataFolderHasOneOwner(t *testing.T) {
	dir := filepath.Join(openDir(t), "pg")
	start(t, Options{DataDir: dir})
	if s, err := Start(within(t), Options{DataDir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second server on one folder: %v, %v; want ErrInUse", s, err)
	}
}

// A killed machine leaves a postmaster.pid, and after the next boot its number may be any program's.
func TestStalePIDFileOfALivingProcess(t *testing.T) {
	dir := filepath.Join(openDir(t), "pg")
	s := start(t, Options{DataDir: dir})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	// PID 1 lives on every machine and is no child or parent of postgres, which it would see through.
	stale := "1\n" + filepath.Join(dir, "data") + "\n1700000000\n5432\n/tmp\n\n  5432001         0\nready\n"
	write(t, filepath.Join(dir, "data", "postmaster.pid"), stale, 0o644)
	start(t, Options{DataDir: dir})
}

func TestInterruptedInitdbIsNoCluster(t *testing.T) {
	t.Setenv(TemplatesEnv, "")
	dir := filepath.Join(openDir(t), "pg")
	write(t, filepath.Join(dir, "data.new", "PG_VERSION"), "15\n", 0o600)
	s := start(t, Options{DataDir: dir})
	connect(t, s.ConnString("postgres"))
	if _, err := os.Stat(filepath.Join(dir, "data.new")); !os.IsNotExist(err) {
		t.Errorf("what the interrupted initdb left is still there: %v", err)
	}
}

func TestDataFolderOfAnotherVersion(t *testing.T) {
	dir := filepath.Join(openDir(t), "pg")
	write(t, filepath.Join(dir, "data", "PG_VERSION"), "9\n", 0o644)
	t.Setenv(CacheEnv, filepath.Join(openDir(t), "cache"))
	t.Setenv(BinEnv, "")
	_, err := Start(within(t), Options{DataDir: dir})
	var notFound *NotFoundError
	if !errors.As(err, &notFound) || notFound.Major != 9 {
		t.Fatalf("got %v, want a NotFoundError for version 9", err)
	}
	if !strings.Contains(err.Error(), "name another data folder") {
		t.Errorf("the remedy is missing: %v", err)
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port

	if _, err := Start(within(t), Options{Ephemeral: true, Port: port}); !errors.Is(err, ErrPortTaken) || !strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Errorf("got %v, want ErrPortTaken naming %d", err, port)
	}
	s := start(t, Options{Ephemeral: true, Port: port, PortMayMove: true})
	if s.Port() == port || s.Port() == 0 {
		t.Errorf("moved to %d from %d", s.Port(), port)
	}
	connect(t, s.ConnString("postgres"))
}

func TestServerEndsByItself(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
		end    string
	}{
		{"killed", syscall.SIGKILL, "signal: killed"},
		{"shut down by somebody else", syscall.SIGINT, "exit status 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Options{Ephemeral: true})
			if s.Err() != nil {
				t.Fatalf("Err() of a running server: %v", s.Err())
			}
			s.child.signal(tt.signal)
			select {
			case <-s.Done():
			case <-within(t).Done():
				t.Fatal("Done was not closed")
			}
			if !errors.Is(s.Err(), ErrExited) || !strings.Contains(s.Err().Error(), tt.end) {
				t.Errorf("Err() = %v, want ErrExited by %s", s.Err(), tt.end)
			}
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	ctx := within(t)
	cancelled := errors.New("enough")
	for _, tt := range []struct{ name, dir string }{
		{"before initdb", ""},
		{"with a folder", filepath.Join(openDir(t), "pg")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(cancelled)
			if _, err := Start(ctx, Options{DataDir: tt.dir}); !errors.Is(err, cancelled) {
				t.Errorf("got %v, want the cause", err)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts Options
	}{
		{"port below any", Options{Port: -2}},
		{"port too high", Options{Port: 65536}},
		{"connections below zero", Options{MaxConnections: -1}},
		{"no port to move from", Options{PortMayMove: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if s, err := Start(within(t), tt.opts); err == nil {
				_ = s.Stop()
				t.Error("was accepted")
			}
		})
	}
}

func TestServerLogGoesToTheLogger(t *testing.T) {
	var lines logLines
	w := &logWriter{logger: slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: dropTime,
	}))}
	for _, part := range []string{
		"00000 LOG:  database system is re", "ady\n57P03 FATAL:  the database system is starting up\n",
		"22012 ERROR:  division by zero\n53300 FATAL:  sorry, too many clients already\n",
		"01000 WARNING:  w\nXX000 PANIC:  p\n\npostgres: bare\n",
	} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	want := []string{
		`level=DEBUG msg="LOG:  database system is ready" sqlstate=00000`,
		`level=DEBUG msg="FATAL:  the database system is starting up" sqlstate=57P03`,
		`level=DEBUG msg="ERROR:  division by zero" sqlstate=22012`,
		`level=WARN msg="FATAL:  sorry, too many clients already" sqlstate=53300`,
		`level=WARN msg="WARNING:  w" sqlstate=01000`,
		`level=ERROR msg="PANIC:  p" sqlstate=XX000`,
		`level=DEBUG msg="postgres: bare" sqlstate=""`,
	}
	if diff := cmp.Diff(want, []string(lines)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(w.lines(), "PANIC:  p\npostgres: bare") {
		t.Errorf("tail: %q", w.lines())
	}
}

type logLines []string

func (l *logLines) Write(p []byte) (int, error) {
	*l = append(*l, strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
