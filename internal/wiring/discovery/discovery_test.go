package discovery_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/annals-io/annals/internal/wiring/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func announce(t *testing.T, r discovery.Record) func() {
	t.Helper()
	withdraw, err := discovery.Announce(r)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := withdraw(); err != nil {
			t.Error(err)
		}
	}
}

func found(t *testing.T, folder string) *discovery.Record {
	t.Helper()
	r, err := discovery.Find(folder)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, b := filepath.Join(root, "a"), filepath.Join(root, "a", "b")
	below, other := filepath.Join(b, "c"), filepath.Join(root, "other")
	for _, dir := range []string{below, other} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink(below, link); err != nil {
		t.Fatal(err)
	}
	if r := found(t, a); r != nil {
		t.Errorf("nothing runs, and %+v is found", r)
	}

	inA := discovery.Record{PID: os.Getpid(), StartedAt: time.Now().UTC(), Folder: a, DataDir: a + "/.annals", NATSURL: "nats://a", NATSServer: "id", SyncAlways: true, DatabaseURL: "postgres://a"}
	withdrawA := announce(t, inA)
	for _, folder := range []string{a, below, link, other} { // elsewhere: the only one
		if diff := cmp.Diff(&inA, found(t, folder)); diff != "" {
			t.Errorf("from %s (-want +got):\n%s", folder, diff)
		}
	}

	inB := inA
	inB.Folder, inB.NATSURL, inB.StartedAt = b, "nats://b", inA.StartedAt.Add(time.Second)
	withdrawB := announce(t, inB)
	for folder, want := range map[string]string{a: "nats://a", b: "nats://b", below: "nats://b", link: "nats://b"} {
		if r := found(t, folder); r.NATSURL != want {
			t.Errorf("from %s: %s, want the nearest, %s", folder, r.NATSURL, want)
		}
	}
	var ambiguous *discovery.AmbiguousError
	if _, err := discovery.Find(other); !errors.As(err, &ambiguous) || !cmp.Equal(ambiguous.Folders, []string{b, a}) {
		t.Errorf("from elsewhere: %v, want both to be named", err)
	}

	withdrawB()
	if r := found(t, other); r == nil || r.NATSURL != "nats://a" {
		t.Errorf("after one was withdrawn: %+v", r)
	}
	withdrawA()
	if r := found(t, a); r != nil {
		t.Errorf("all are withdrawn, and %+v is found", r)
	}
}

// A record that nobody's process holds, or whose process has ended, is none.
func TestRecordsOfTheDead(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	write := func(name string, r discovery.Record) {
		t.Helper()
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(tmp, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tmp, name, "running.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("annals-scratch-dev-1-1", discovery.Record{PID: os.Getpid(), Folder: tmp})
	if r := found(t, tmp); r != nil {
		t.Errorf("a record that nobody holds is found: %+v", r)
	}

	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	withdraw := announce(t, discovery.Record{PID: dead.Process.Pid, Folder: tmp})
	defer withdraw()
	if r := found(t, tmp); r != nil {
		t.Errorf("a record of a dead process is found: %+v", r)
	}
}

// A damaged record is passed over.
func TestDamagedRecord(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	withdraw := announce(t, discovery.Record{PID: os.Getpid(), Folder: tmp})
	defer withdraw()
	files, err := filepath.Glob(filepath.Join(tmp, "annals*-dev-*", "running.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := found(t, tmp); r != nil {
		t.Errorf("found %+v", r)
	}
}
