package wiring_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/internal/wiring/discovery"
)

// talkative is a server that describes itself on a monitoring port, and to one of
// its accounts: told. The account app has no such right.
type talkative struct {
	*testenv.Process
	monitor string
	conf    string
}

// startTalkative runs a server with a line about when it syncs.
func startTalkative(t *testing.T, sync string) talkative {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	monitor := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := talkative{monitor: "http://" + monitor, conf: filepath.Join(t.TempDir(), "nats.conf")}
	s.configure(t, sync)
	s.Process = testenv.NATSProcess(t, s.conf)
	return s
}

// configure says when the server syncs, once it is started again.
func (s talkative) configure(t *testing.T, sync string) {
	t.Helper()
	text := `
		host: $NATS_HOST
		port: $NATS_PORT
		max_payload: 4MB
		http: "` + strings.TrimPrefix(s.monitor, "http://") + `"
		jetstream {
			store_dir: $NATS_STORE_DIR
			` + sync + `
		}
		system_account: SYS
		accounts {
			SYS {
				users: [{user: sys, password: sys}]
				exports: [{service: "$SYS.REQ.SERVER.PING.VARZ", response_type: stream}]
			}
			TOLD {
				jetstream: enabled
				users: [{user: told, password: told}]
				imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.VARZ"}}]
			}
			APP {
				jetstream: enabled
				users: [{user: app, password: app}]
			}
		}`
	if err := os.WriteFile(s.conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// url is where a user of one of the accounts connects.
func (s talkative) url(user string) string {
	return strings.Replace(s.URL(), "nats://", "nats://"+user+":"+user+"@", 1)
}

// What a server tells of its durability, by each way in which it tells it.
func TestDurability(t *testing.T) {
	alone(t)
	always, other := startTalkative(t, "sync_interval: always"), startTalkative(t, "sync_interval: 10s")
	connect := func(s talkative, user string) *nats.Conn { return testenv.Connect(t, s.url(user)) }

	for _, tc := range []struct {
		name     string
		nc       *nats.Conn
		monitors []string
		want     string
	}{
		{"nobody tells", connect(always, "app"), nil, "unknown: "},
		{"by the monitoring port: always", connect(always, "app"), []string{always.monitor}, "sync_interval always"},
		{"by the monitoring port: an interval", connect(other, "app"), []string{other.monitor + "/"}, "sync_interval 10s"},
		{"of several the weakest", connect(always, "app"), []string{always.monitor, other.monitor}, "sync_interval 10s"},
		{"by the system account", connect(always, "told"), nil, "sync_interval always"},
		{"by the system account: an interval", connect(other, "told"), nil, "sync_interval 10s"},
	} {
		d, err := wiring.Config{}.FindDurability(t.Context(), tc.nc, tc.monitors)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if !strings.HasPrefix(d.String(), tc.want) {
			t.Errorf("%s: %s, want %s", tc.name, d, tc.want)
		}
	}
	if _, err := (wiring.Config{}).FindDurability(t.Context(), connect(always, "app"), []string{"http://127.0.0.1:1"}); err == nil {
		t.Error("a monitoring port that is not there is no error")
	}
	server := connect(always, "app")
	withdraw, err := discovery.Announce(discovery.Record{PID: os.Getpid(), Folder: ".", NATSServer: server.ConnectedServerId(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := wiring.Config{}.FindDurability(t.Context(), server, nil)
	if err != nil || !d.Always {
		t.Errorf("by a running annals dev: %s, %v", d, err)
	}
	if err := withdraw(); err != nil {
		t.Error(err)
	}
}

// A server says of itself what an operator would look up.
func TestServersDescribeThemselves(t *testing.T) {
	alone(t)
	s := startTalkative(t, "sync_interval: always, max_file_store: 1GB")
	nc := testenv.Connect(t, s.url("told"))
	for name, monitors := range map[string][]string{"by the system account": nil, "by the monitoring port": {s.monitor}} {
		all, err := wiring.FindServers(t.Context(), nc, monitors, time.Now)
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %d servers, %v", name, len(all), err)
			continue
		}
		got := all[0]
		if got.ID != nc.ConnectedServerId() || got.Name != nc.ConnectedServerName() || got.Version != nc.ConnectedServerVersion() || got.MaxPayload != nc.MaxPayload() {
			t.Errorf("%s: %+v, want what the connection says", name, got)
		}
		if got.JetStream == nil || !got.JetStream.SyncAlways || got.JetStream.Max != 1<<30 {
			t.Errorf("%s: JetStream %+v", name, got.JetStream)
		}
		if got.Clock.Certain() > 100*time.Millisecond {
			t.Errorf("%s: this machine's clock is off by %+v from itself", name, got.Clock)
		}
	}
	slow := func() time.Time { return time.Now().Add(-90 * time.Second) }
	all, err := wiring.FindServers(t.Context(), nc, []string{s.monitor}, slow)
	if err != nil || len(all) != 1 || all[0].Clock.Ahead < 80*time.Second || all[0].Clock.Certain() < 80*time.Second {
		t.Errorf("with a clock 90 s behind: %+v, %v", all, err)
	}
	if none, err := wiring.FindServers(t.Context(), testenv.Connect(t, s.url("app")), nil, time.Now); err != nil || len(none) > 0 {
		t.Errorf("without a right to know: %+v, %v", none, err)
	}
}
