package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// examine has the doctor look at what is at the URL, and gives what it found.
func examine(t *testing.T, url string, with func(*examination)) []finding {
	t.Helper()
	x := &examination{app: newApp(Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}), now: time.Now}
	x.servers.NATSURL = url
	if with != nil {
		with(x)
	}
	_ = x.nats(t.Context())
	x.close()
	return x.found
}

// grade is how bad what the doctor found under a name is, with what it says.
func grade(t *testing.T, found []finding, name string) (severity, string) {
	t.Helper()
	worst, said, there := fine, "", false
	for _, f := range found {
		if f.Name != name {
			continue
		}
		there = true
		said += f.Value + ": " + f.Warning + f.Problem + "\n"
		switch {
		case f.Problem != "":
			worst = problematic
		case f.Warning != "":
			worst = max(worst, doubtful)
		}
	}
	if !there {
		t.Errorf("the doctor found nothing called %s in %+v", name, found)
	}
	return worst, said
}

// finds checks one finding.
func finds(t *testing.T, found []finding, name string, want severity, says ...string) {
	t.Helper()
	got, said := grade(t, found, name)
	if got != want {
		t.Errorf("%s is of severity %d, want %d: %s", name, got, want, said)
	}
	for _, pattern := range says {
		if !regexp.MustCompile(pattern).MatchString(said) {
			t.Errorf("%s does not say %q: %s", name, pattern, said)
		}
	}
}

// makeLog makes a log and fills one workflow with commits of so many bytes.
func makeLog(t *testing.T, url string, o natslog.CreateOptions, commits, size int) (jetstream.JetStream, *nats.Conn) {
	t.Helper()
	nc := testenv.Connect(t, url)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, o); err != nil {
		t.Fatal(err)
	}
	fill(t, js, commits, size)
	return js, nc
}

func fill(t *testing.T, js jetstream.JetStream, commits, size int) {
	t.Helper()
	log, err := natslog.Open(t.Context(), js, natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := events.Workflow{Namespace: "default", ID: "w"}
	for range commits {
		e := events.Signaled("filled", strings.Repeat("x", size))
		if _, err := log.Append(t.Context(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{e}}); err != nil {
			if _, err := log.Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Order", ""), e}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A log whose streams are not as they must be: all of it is told.
func TestDoctorListsEverySettingThatIsWrong(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	js, _ := makeLog(t, url, natslog.CreateOptions{Streams: 2}, 0, 0)
	found := examine(t, url, nil)
	finds(t, found, "log", fine, "epoch 1")
	finds(t, found, "settings", fine)
	for _, name := range []string{"ANNALS_00", natslog.HeartbeatStream} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		c.Storage, c.AllowRollup, c.AllowDirect, c.DenyDelete = jetstream.MemoryStorage, true, false, false
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	found = examine(t, url, nil)
	finds(t, found, "log", problematic, "7 reasons")
	finds(t, found, "settings", problematic, "nats stream edit",
		`(?m)^deny_delete of stream ANNALS_00 is false: must be true`, `(?m)^storage of stream ANNALS_00`, `(?m)^allow_rollup_hdrs of stream ANNALS_00`, `(?m)^allow_direct of stream ANNALS_00`,
		`(?m)^storage of stream ANNALS_HEARTBEATS`, `(?m)^allow_rollup_hdrs of stream ANNALS_HEARTBEATS`, `(?m)^allow_direct of stream ANNALS_HEARTBEATS`)
}

// monitored runs a server by a configuration, with a monitoring port.
func monitored(t *testing.T, text string) (url, monitor string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "nats.conf")
	text = fmt.Sprintf("host: 127.0.0.1, port: -1, max_payload: 4MB, http: %q\nstore: %q\n%s", address, filepath.Join(dir, "store"), text)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := embednats.StartConfigured(t.Context(), conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return strings.Replace(s.ClientURL(), "nats://", "nats://app:app@", 1), "http://" + address
}

// An account, a server and a stream that come to the end of what they may store,
// and a server that does not sync.
func TestDoctorSeesStorageComeToItsEnd(t *testing.T) {
	t.Parallel()
	url, monitor := monitored(t, `
		jetstream { store_dir: $store, max_file_store: 20MB }
		accounts { APP { jetstream { max_file: 10MB, max_mem: 1MB }, users: [{user: app, password: app}] } }`)
	js, _ := makeLog(t, url, natslog.CreateOptions{Streams: 1}, 4, 1<<20)
	look := func() []finding {
		return examine(t, url, func(x *examination) { x.servers.Monitors = []string{monitor} })
	}
	found := look()
	finds(t, found, "account storage", fine, `4,\d{3},\d{3} bytes of 10,\d{3},\d{3}`)
	finds(t, found, "server storage", fine, `4,\d{3},\d{3} bytes of 2\d,\d{3},\d{3}`)
	finds(t, found, "durability", problematic, "sync_interval", "without replicas", "always")
	finds(t, found, "servers", fine, `\d+\.\d+\.\d+`)

	s, err := js.Stream(t.Context(), "ANNALS_00")
	if err != nil {
		t.Fatal(err)
	}
	c, have := s.CachedInfo().Config, int64(s.CachedInfo().State.Bytes)
	for limit, want := range map[int64]severity{have * 2: fine, have * 100 / 85: doubtful, have * 100 / 95: problematic} {
		c.MaxBytes = limit
		if _, err := js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		finds(t, look(), "stream storage", want, "ANNALS_00")
	}
	c.MaxBytes = 0
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}

	fill(t, js, 4, 1<<20+1<<18)
	found = look()
	finds(t, found, "account storage", problematic, "max_file")
	finds(t, found, "server storage", fine)
}

func TestStorageIsGraded(t *testing.T) {
	for _, c := range []struct {
		bytes, limit int64
		want         severity
	}{
		{100, 0, fine},
		{100, -1, fine},
		{7_999, 10_000, fine},
		{8_000, 10_000, doubtful},
		{8_999, 10_000, doubtful},
		{9_000, 10_000, problematic},
		{20_000, 10_000, problematic},
		{1 << 62, 1<<63 - 1, fine}, // does not overflow
	} {
		if got := used(c.bytes, c.limit); got != c.want {
			t.Errorf("%d of %d: %d, want %d", c.bytes, c.limit, got, c.want)
		}
	}
	for left, want := range map[int64]severity{diskAllowed - 1: problematic, diskAllowed: doubtful, diskWarned - 1: doubtful, diskWarned: fine} {
		x := &examination{}
		x.diskLeft("/data", left)
		finds(t, x.found, "disk", want, "/data")
	}
}

// A file of a stream is gone when its server starts again: what it held is named.
func TestDoctorTellsOfLostMessages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() *embednats.Server {
		s, err := embednats.Start(t.Context(), embednats.Options{StoreDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	makeLog(t, s.ClientURL(), natslog.CreateOptions{Streams: 1}, 7, 3<<19) // more than one file
	finds(t, examine(t, s.ClientURL(), nil), "lost", fine)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "jetstream", "$G", "streams", "ANNALS_00", "msgs")
	blocks, err := filepath.Glob(filepath.Join(files, "*.blk"))
	if err != nil || len(blocks) < 2 {
		t.Fatalf("%d files, %v", len(blocks), err)
	}
	if err := os.Truncate(filepath.Join(files, "1.blk"), 0); err != nil {
		t.Fatal(err)
	}
	s = start()
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	finds(t, examine(t, s.ClientURL(), nil), "lost", problematic, `ANNALS_00: \d+ messages, \d+,\d{3},\d{3} bytes, sequences 1 to \d+`, "restore a backup")
}

// The disk of a server that does not lead: the leader knows nothing of it, calls it
// current, and does not mend it; its monitoring port gives it away.
func TestDoctorSeesWhatAReplicaHasLost(t *testing.T) {
	t.Parallel()
	ports, err := embednats.StablePorts(9)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var urls, monitors []string
	store := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	servers := make([]*embednats.Server, 3)
	start := func(i int) {
		t.Helper()
		conf := filepath.Join(dir, fmt.Sprintf("%d.conf", i))
		text := fmt.Sprintf(`host: 127.0.0.1, port: %d, http: "127.0.0.1:%d", server_name: n%d, max_payload: 4MB, jetstream { store_dir: %q }
			cluster { name: c, host: 127.0.0.1, port: %d, routes: ["nats://127.0.0.1:%d", "nats://127.0.0.1:%d", "nats://127.0.0.1:%d"] }`,
			ports[i], ports[3+i], i, store(i), ports[6+i], ports[6], ports[7], ports[8])
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if servers[i], err = embednats.StartConfigured(t.Context(), conf, nil); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, s := range servers {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range servers {
		start(i)
		urls, monitors = append(urls, servers[i].ClientURL()), append(monitors, fmt.Sprintf("http://127.0.0.1:%d", ports[3+i]))
	}
	url := strings.Join(urls, ",")
	js, _ := makeLog(t, url, natslog.CreateOptions{Streams: 1, Replicas: 3}, 7, 3<<19) // more than one file
	look := func() []finding {
		return examine(t, url, func(x *examination) { x.servers.Monitors = monitors })
	}
	// until waits for a finding that is as the test wants it: replicas follow their leader, and leaders change.
	until := func(name string, ok func(finding) bool) {
		t.Helper()
		var found []finding
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
			found = look()
			for _, f := range found {
				if f.Name == name && ok(f) {
					return
				}
			}
		}
		t.Fatalf("%s does not become as it should: %+v", name, found)
	}
	until("streams", func(f finding) bool { return f.Problem == "" })
	until("lost", func(f finding) bool {
		return f.Problem == "" && strings.HasSuffix(f.Value, ", nor 2 replicas on other servers")
	})

	s, err := js.Stream(t.Context(), "ANNALS_00")
	if err != nil {
		t.Fatal(err)
	}
	follower := s.CachedInfo().Cluster.Replicas[0].Name
	i := int(follower[1] - '0')
	if err := servers[i].Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(store(i), "jetstream", "$G", "streams", "ANNALS_00", "msgs", "1.blk"), 0); err != nil {
		t.Fatal(err)
	}
	start(i)
	until("lost", func(f finding) bool {
		return f.Problem != "" && regexp.MustCompile(`^ANNALS_00 on `+follower+`: \d+ messages of \d+$`).MatchString(f.Value)
	})
	until("streams", func(f finding) bool { return f.Problem == "" })
}

// Clocks that differ, by this machine's being wrong.
func TestDoctorComparesClocks(t *testing.T) {
	t.Parallel()
	url, database := testenv.NATSURL(t), testenv.Postgres(t)
	makeLog(t, url, natslog.CreateOptions{Streams: 2}, 0, 0)
	for _, c := range []struct {
		ahead time.Duration // of this machine
		want  severity
		says  string
	}{
		{0, fine, "to within"},
		{30 * time.Second, doubtful, `this machine's is (2[5-9]\.|30).*s ahead.*NTP`},
		{-30 * time.Second, doubtful, `this machine's is (2[5-9]\.|30).*s behind`},
		{90 * time.Second, problematic, `1m(2[5-9]\.|30).*s ahead.*are wrong`},
		{-90 * time.Second, problematic, `1m(2[5-9]\.|30).*s behind.*lags are wrong`},
	} {
		found := examine(t, url, func(x *examination) {
			x.now = func() time.Time { return time.Now().Add(c.ahead) }
			x.servers.DatabaseURL = database
			x.postgres(t.Context(), nil)
		})
		finds(t, found, "nats clock", c.want, c.says)
		finds(t, found, "postgres clock", c.want, c.says)
		if _, said := grade(t, found, "nats clock"); strings.Contains(said, "may not be found") != (c.ahead > 0) {
			t.Errorf("%s ahead of NATS: %s", c.ahead, said)
		}
	}
	// What the answer takes is nobody's fault.
	slow := wiring.SkewOf(time.Unix(100, 0), time.Unix(104, 0), time.Unix(110, 0))
	if slow.Ahead != -time.Second || slow.Within != 5*time.Second || slow.Certain() != 0 {
		t.Errorf("asked for ten seconds: %+v", slow)
	}
}

// One of three servers is down.
func TestDoctorSeesAReplicaThatIsNotCurrent(t *testing.T) {
	t.Parallel()
	cluster := testenv.OwnCluster(t, embednats.Options{})
	makeLog(t, cluster.ClientURL(), natslog.CreateOptions{Streams: 1, Replicas: 3}, 1, 10)
	if err := cluster.WaitStream(t.Context(), embednats.GlobalAccount, "ANNALS_00"); err != nil {
		t.Fatal(err)
	}
	stopped := (cluster.StreamLeader(embednats.GlobalAccount, "ANNALS_00") + 1) % 3
	name := cluster.Server(stopped).Name()
	if err := cluster.StopServer(stopped); err != nil {
		t.Fatal(err)
	}
	var said string
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); {
		said = "" // while a leader is elected, of the log as a whole
		for _, f := range examine(t, cluster.ClientURL(), nil) {
			if f.Name == "streams" {
				said = f.Problem
			}
		}
		if said != "" {
			break
		}
	}
	if !regexp.MustCompile(`ANNALS_00: replica ` + name + ` is (offline|behind by \d+): start its server`).MatchString(said) {
		t.Errorf("with %s down the doctor says %s", name, said)
	}
}

// Of servers that describe themselves, the oldest and the one that takes the
// smallest messages count.
func TestDoctorLooksAtEveryServer(t *testing.T) {
	t.Parallel()
	url := testenv.NATSURL(t)
	makeLog(t, url, natslog.CreateOptions{Streams: 1}, 0, 0)
	var monitors []string
	for _, s := range []struct {
		name, version string
		payload       int
		always        bool
	}{{"n1", minNATS, 4 << 20, true}, {"n2", "2.14.5", 4 << 20, false}, {"n3", minNATS, 1 << 20, true}} {
		m := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{
				"server_name": s.name, "version": s.version, "max_payload": s.payload, "now": time.Now(),
				"jetstream": map[string]any{"config": map[string]any{"sync_always": s.always, "max_storage": 1000}, "stats": map[string]any{"storage": 850}},
			})
		}))
		defer m.Close()
		monitors = append(monitors, m.URL)
	}
	found := examine(t, url, func(x *examination) { x.servers.Monitors = monitors })
	finds(t, found, "servers", problematic, "n1 "+minNATS+", n2 2.14.5, n3 "+minNATS, "n2 is older than "+minNATS+": install")
	finds(t, found, "max_payload", problematic, "^1048576", "set max_payload: 4MB on n3")
	finds(t, found, "durability", problematic, "before fsync")
	finds(t, found, "server storage", doubtful, "(?m)^n1: 850 bytes of 1,000", "(?m)^n3: 850", "max_file_store")

	x := &examination{app: newApp(Streams{})}
	x.durability(testenv.Connect(t, url), []wiring.Server{{JetStream: &wiring.ServerStore{}, Source: "test"}}, 3, nil)
	finds(t, x.found, "durability", doubtful, "lose power together")

	for monitor, says := range map[string]string{"http://127.0.0.1:1": "connection refused", "127.0.0.1:8222": `"127.0.0.1:8222" is no URL such as http://127.0.0.1:8222`} {
		found := examine(t, url, func(x *examination) { x.servers.Monitors = []string{monitor} })
		finds(t, found, "servers", problematic, "monitoring port", says)
		finds(t, found, "durability", fine, "unknown: see servers")
	}
}

// Whatever the doctor may find is explained.
func TestEveryFindingIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []string // in the first column of the first table
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|[^|]*\\|[^|]*\\|$").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`([a-z_ ]+)`").FindAllStringSubmatch(row[1], -1) {
			explained = append(explained, name[1])
		}
	}
	url, monitor := monitored(t, `
		jetstream { store_dir: $store }
		accounts { APP { jetstream: enabled, users: [{user: app, password: app}] } }`)
	js, _ := makeLog(t, url, natslog.CreateOptions{Streams: 1}, 1, 10)
	s, err := js.Stream(t.Context(), "ANNALS_00")
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxBytes = 1 << 20
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	database := testenv.Postgres(t)
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pgstore.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	x := &examination{app: newApp(Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}), now: time.Now}
	defer x.close()
	x.servers.NATSURL, x.servers.DatabaseURL, x.servers.Monitors = url, database, []string{monitor}
	x.postgres(t.Context(), x.nats(t.Context()))
	x.diskLeft("/data", diskWarned)
	found := map[string]bool{}
	for _, f := range x.found {
		found[f.Name] = true
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(explained)), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("explained (-) and found (+):\n%s", diff)
	}
}
