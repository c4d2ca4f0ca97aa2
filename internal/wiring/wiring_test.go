package wiring_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/internal/wiring/discovery"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// alone clears what the environment says of servers, and gives the test a place
// for temporary files in which no annals dev is announced.
func alone(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"NATS_URL", "NATS_CONTEXT", "DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
}

// selectContext makes a context of the nats CLI, and chooses it.
func selectContext(t *testing.T, name, text string) {
	t.Helper()
	dir := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "nats")
	if err := os.MkdirAll(filepath.Join(dir, "context"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{filepath.Join("context", name+".json"): text, "context.txt": name} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Each place that says where NATS is, with all that come after it saying
// something else.
func TestWhereNATSIs(t *testing.T) {
	alone(t)
	right := testenv.NATSURL(t)
	const wrong = "nats://127.0.0.1:1"
	connects := func(why string, c wiring.Config) {
		t.Helper()
		nc, err := c.NATS()
		if err != nil {
			t.Errorf("%s: %v", why, err)
			return
		}
		nc.Close()
	}
	fails := func(why string, c wiring.Config, want string) {
		t.Helper()
		nc, err := c.NATS()
		if err == nil {
			nc.Close()
			t.Errorf("%s: connected", why)
			return
		}
		var refused *wiring.ConnectError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a ConnectError with %q", why, err, want)
		}
	}

	selectContext(t, "mine", fmt.Sprintf(`{"url": %q}`, right))
	connects("the context that is selected", wiring.Config{})
	announce(t, wrong)
	fails("a running annals dev before the context", wiring.Config{}, fmt.Sprintf("annals dev, process %d", os.Getpid()))
	t.Setenv("NATS_CONTEXT", "mine")
	connects("NATS_CONTEXT before an annals dev", wiring.Config{})
	t.Setenv("NATS_URL", wrong)
	fails("NATS_URL before NATS_CONTEXT", wiring.Config{}, "(from NATS_URL)")
	connects("a flag that names a context before NATS_URL", wiring.Config{NATSContext: "mine"})
	fails("a context that is not there", wiring.Config{NATSContext: "other"}, "unknown context")
	connects("the flag before everything", wiring.Config{NATSURL: right, NATSContext: "other"})
	fails("no password in an error", wiring.Config{NATSURL: "nats://joe:secret@127.0.0.1:1,nats://joe:secret@127.0.0.1:2"}, "nats://joe:xxxxx@127.0.0.1:1,nats://joe:xxxxx@127.0.0.1:2")

	selectContext(t, "domain", fmt.Sprintf(`{"url": %q, "jetstream_domain": "hub"}`, right))
	fails("a context with a JetStream domain", wiring.Config{NATSContext: "domain"}, "JetStream domain")
}

// What waiting does not change is told from a server that is away, and no URL is
// shown with its password.
func TestSettingsThatCannotWork(t *testing.T) {
	alone(t)
	away := "nats://joe:secret@127.0.0.1:1"
	selectContext(t, "malformed", `{"url": "nats://joe:secret@127.0.0.1:port"}`)
	selectContext(t, "away", fmt.Sprintf(`{"url": %q}`, away))
	selectContext(t, "domain", fmt.Sprintf(`{"url": %q, "jetstream_domain": "hub"}`, testenv.NATSURL(t)))
	for _, c := range []struct {
		name    string
		config  wiring.Config
		setting bool
	}{
		{"a port that is none", wiring.Config{NATSURL: "nats://joe:secret@127.0.0.1:port"}, true},
		{"a host that is none", wiring.Config{NATSURL: "nats://joe:secret@[::1"}, true},
		{"the second of two URLs", wiring.Config{NATSURL: away + ",nats://joe:secret@%zz"}, true},
		{"websockets and not", wiring.Config{NATSURL: away + ",ws://joe:secret@127.0.0.1:1"}, true},
		{"a context that is not there", wiring.Config{NATSContext: "other"}, true},
		{"a context with a malformed URL", wiring.Config{NATSContext: "malformed"}, true},
		{"a context with a JetStream domain", wiring.Config{NATSContext: "domain"}, true},
		{"a server that is away", wiring.Config{NATSURL: away}, false},
		{"the server of a context that is away", wiring.Config{NATSContext: "away"}, false},
	} {
		nc, err := c.config.NATS()
		if err == nil {
			nc.Close()
		}
		var refused *wiring.ConnectError
		if !errors.As(err, &refused) || refused.Setting != c.setting || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want a ConnectError, of a setting: %t", c.name, err, c.setting)
		}
	}
}

func announce(t *testing.T, natsURL string) {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	withdraw, err := discovery.Announce(discovery.Record{PID: os.Getpid(), StartedAt: time.Now(), Folder: folder, NATSURL: natsURL, DatabaseURL: "postgres://127.0.0.1:1/announced"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := withdraw(); err != nil {
			t.Error(err)
		}
	})
}

func TestWherePostgresIs(t *testing.T) {
	alone(t)
	database := func(why, want string, c wiring.Config) {
		t.Helper()
		pool, err := c.Postgres(t.Context())
		if err != nil {
			t.Errorf("%s: %v", why, err)
			return
		}
		defer pool.Close()
		if got := pool.Config().ConnConfig.Database; got != want {
			t.Errorf("%s: database %q, want %q", why, got, want)
		}
	}
	if _, err := (wiring.Config{}).Postgres(t.Context()); !errors.Is(err, wiring.ErrNoDatabase) {
		t.Errorf("nothing says where: %v, want ErrNoDatabase", err)
	}
	announce(t, "nats://127.0.0.1:1")
	database("a running annals dev", "announced", wiring.Config{})
	t.Setenv("PGDATABASE", "fromvariable")
	database("a variable of psql before an annals dev", "fromvariable", wiring.Config{})
	t.Setenv("DATABASE_URL", "postgres://127.0.0.1:1/fromurl")
	database("DATABASE_URL before variables of psql", "fromurl", wiring.Config{})
	database("the flag before everything", "fromflag", wiring.Config{DatabaseURL: "postgres://127.0.0.1:1/fromflag"})
	if _, err := (wiring.Config{DatabaseURL: "postgres://%zz"}).Postgres(t.Context()); err == nil {
		t.Error("a URL that is none is taken")
	}

	c := wiring.Config{DatabaseURL: "postgres://joe:secret@127.0.0.1:1/none"}
	pool, err := c.Postgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var refused *wiring.ConnectError
	if err := c.Ping(t.Context(), pool); !errors.As(err, &refused) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "127.0.0.1:1, database none (from --database-url)") {
		t.Errorf("a server that is not there: %v", err)
	}
	if c.DatabaseURL = testenv.Postgres(t); c.DatabaseURL != "" {
		there, err := c.Postgres(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer there.Close()
		if err := c.Ping(t.Context(), there); err != nil {
			t.Error(err)
		}
	}
}

func TestStreamsOfALog(t *testing.T) {
	alone(t)
	c := wiring.Config{NATSURL: testenv.NATSURL(t)}
	if _, err := c.OpenLog(t.Context(), natslog.Config{}); err == nil {
		t.Error("opened a log that is not there")
	}
	js, err := jetstream.New(testenv.Connect(t, c.NATSURL))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 3}); err != nil {
		t.Fatal(err)
	}
	log, err := c.OpenLog(t.Context(), natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	streams, err := wiring.Streams(t.Context(), log.JetStream(), log.Identity())
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range streams {
		if int(s.Partition) != i || s.Info.Config.Name != natslog.StreamName(s.Partition) || s.Slots != log.Identity().Map.Ranges[i] {
			t.Errorf("stream %d is %+v", i, s)
		}
	}
	if len(streams) != 3 {
		t.Errorf("%d streams, want 3", len(streams))
	}
}

// A connection that is lost comes back by itself, and says so.
func TestConnectionsComeBack(t *testing.T) {
	alone(t)
	server := testenv.NATSProcess(t, "")
	var said strings.Builder
	regained := make(chan struct{})
	c := wiring.Config{NATSURL: server.URL(), Logger: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) {
		said.Write(b)
		if strings.Contains(string(b), "connected to NATS again") {
			close(regained)
		}
	}), nil))}
	nc, err := c.NATS()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	server.Kill()
	server.Restart()
	<-regained
	if !strings.Contains(said.String(), "connection to NATS lost") {
		t.Errorf("the log says\n%s", said.String())
	}
	if err := nc.FlushTimeout(time.Minute); err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}
