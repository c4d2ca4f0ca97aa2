package embednats

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func stream(t *testing.T, js jetstream.JetStream, replicas int) {
	t.Helper()
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, js jetstream.JetStream, body string) uint64 {
	t.Helper()
	ack, err := js.Publish(within(t), "s.x", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func connectTo(t *testing.T, s *Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := s.Connect(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

func TestStart(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		opts      Options
		listens   bool
	}{
		{"zero value", "a free port of 127.0.0.1", Options{}, true},
		{"within the process", "nobody else gets in", Options{DontListen: true}, false},
		{"sync always", "what annals dev runs", Options{SyncAlways: true, Name: "dev"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, tt.opts)
			nc := connectTo(t, s)
			if got := nc.MaxPayload(); got != 4<<20 {
				t.Errorf("max payload %d, want 4 MiB", got)
			}
			if got := strings.HasPrefix(s.ClientURL(), "nats://127.0.0.1:"); got != tt.listens || (s.Port() != 0) != tt.listens {
				t.Errorf("URL %q, port %d, but %s", s.ClientURL(), s.Port(), tt.why)
			}
			if got := s.nats.JetStreamConfig().SyncAlways; got != tt.opts.SyncAlways || s.SyncAlways() != got {
				t.Errorf("JetStream syncs always: %v, SyncAlways() = %v, want %v", got, s.SyncAlways(), tt.opts.SyncAlways)
			}
			js := streams(t, nc)
			stream(t, js, 1)
			if seq := publish(t, js, "hello"); seq != 1 {
				t.Errorf("first sequence %d", seq)
			}
		})
	}
}

func TestTemporaryStoreVanishes(t *testing.T) {
	s := startServer(t, Options{})
	dir := s.StoreDir()
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestNamedStoreIsReopened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := startServer(t, Options{StoreDir: dir})
	js := streams(t, connectTo(t, s))
	stream(t, js, 1)
	publish(t, js, "kept")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	again := startServer(t, Options{StoreDir: dir, SyncAlways: true})
	st, err := streams(t, connectTo(t, again)).Stream(within(t), "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := st.GetMsg(within(t), 1)
	if err != nil || string(msg.Data) != "kept" {
		t.Errorf("read %v, %v", msg, err)
	}
}

func TestStoreHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, Options{StoreDir: dir})
	if other, err := Start(within(t), Options{StoreDir: dir}); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second server on one folder: %v, %v; want ErrInUse", other, err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	startServer(t, Options{StoreDir: dir})
}

func TestStopDrainsItsConnections(t *testing.T) {
	s := startServer(t, Options{})
	nc := connectTo(t, s)
	const sent = 1000
	var got int // only the subscription's goroutine writes it, and Stop waits for that
	if _, err := nc.Subscribe("work", func(*nats.Msg) { got++ }); err != nil {
		t.Fatal(err)
	}
	for range sent {
		if err := nc.Publish("work", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if got != sent {
		t.Errorf("%d of %d messages were handled before the connection closed", got, sent)
	}
	if !nc.IsClosed() {
		t.Error("the connection is open")
	}
	if _, err := s.Connect(); !errors.Is(err, ErrStopped) {
		t.Errorf("Connect after Stop: %v, want ErrStopped", err)
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if s, err := Start(within(t), Options{Port: port}); !errors.Is(err, ErrPortTaken) {
		t.Fatalf("got %v, %v; want ErrPortTaken", s, err)
	}
	s := startServer(t, Options{Port: port, PortMayMove: true})
	if s.Port() == port || s.Port() == 0 {
		t.Errorf("moved to %d from %d", s.Port(), port)
	}
}

func TestServerKeepsItsPort(t *testing.T) {
	ports, err := StablePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s := startServer(t, Options{Port: ports[0]})
		if s.Port() != ports[0] {
			t.Errorf("port %d, want %d", s.Port(), ports[0])
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStartFailsWithTheServersReason(t *testing.T) {
	dir := t.TempDir()
	// JetStream wants a folder of this name.
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := Start(within(t), Options{StoreDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err == nil {
		_ = s.Stop()
		t.Fatal("started on a folder that cannot hold streams")
	}
	if !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("the reason is missing: %v", err)
	}
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the server's own line is missing: %q", log.String())
	}
	// The folder is free again.
	if err := os.Remove(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	startServer(t, Options{StoreDir: dir})
}

func TestAccountsShareNothing(t *testing.T) {
	s := startServer(t, Options{Accounts: true})
	for _, name := range []string{"A", "B"} {
		if err := s.AddAccount(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"A", "B"} {
		js := streams(t, connectTo(t, s, nats.UserInfo(name, "")))
		stream(t, js, 1)
		if seq := publish(t, js, name); seq != 1 {
			t.Errorf("account %s sees %d messages of another", name, seq-1)
		}
	}
	for _, opts := range [][]nats.Option{nil, {nats.UserInfo("C", "")}} {
		if nc, err := s.Connect(opts...); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("connected without an account: %v, %v", nc, err)
		}
	}
	if err := s.RemoveAccount("A"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.StoreDir(), "jetstream", "A")); !os.IsNotExist(err) {
		t.Errorf("what the account stored is still there: %v", err)
	}
	if publish(t, streams(t, connectTo(t, s, nats.UserInfo("B", ""))), "more") != 2 {
		t.Error("removing an account touched another")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts Options
	}{
		{"port below zero", Options{Port: -1}},
		{"port too high", Options{Port: 65536}},
		{"no port to move from", Options{PortMayMove: true}},
		{"a port that is not opened", Options{DontListen: true, Port: 4222}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if s, err := Start(within(t), tt.opts); err == nil {
				_ = s.Stop()
				t.Error("was accepted")
			}
		})
	}
	if c, err := StartCluster(within(t), 1, Options{}); err == nil {
		_ = c.Stop()
		t.Error("a cluster of one was accepted")
	}
}
