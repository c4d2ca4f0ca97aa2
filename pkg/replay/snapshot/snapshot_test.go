package snapshot_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
	"github.com/annals-io/annals/pkg/replay/snapshot"
)

func run(i int) replay.Run {
	return replay.Run{Workflow: events.Workflow{Namespace: "n", ID: fmt.Sprintf("w/%d\x00", i)}, RunID: "run"}
}

// stores are both, with room for so many bytes.
func stores(t *testing.T, limit int64) map[string]replay.Snapshots {
	t.Helper()
	folder, err := snapshot.OpenFolder(filepath.Join(t.TempDir(), "snapshots"), limit)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]replay.Snapshots{"memory": snapshot.NewMemory(limit), "folder": folder}
}

func put(t *testing.T, s replay.Snapshots, r replay.Run, b []byte) {
	t.Helper()
	if err := s.Put(t.Context(), r, b); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s replay.Snapshots, r replay.Run) []byte {
	t.Helper()
	b, err := s.Get(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheLastSnapshotOfARunIsKept(t *testing.T) {
	for name, s := range stores(t, 1<<20) {
		if b := get(t, s, run(1)); b != nil {
			t.Errorf("%s: %q of nothing", name, b)
		}
		put(t, s, run(1), []byte("one"))
		put(t, s, run(2), []byte("two"))
		put(t, s, run(1), []byte("three"))
		other := run(1)
		other.RunID = "other"
		if a, b, c := get(t, s, run(1)), get(t, s, run(2)), get(t, s, other); string(a) != "three" || string(b) != "two" || c != nil {
			t.Errorf("%s: %q, %q, %q", name, a, b, c)
		}
	}
}

// TestWhatWasNotUsedIsForgottenFirst, and what is larger than all is not kept.
func TestWhatWasNotUsedIsForgottenFirst(t *testing.T) {
	for name, s := range stores(t, 10_000) {
		for i := range 100 {
			put(t, s, run(i), bytes.Repeat([]byte("x"), 1000))
			if b := get(t, s, run(0)); b == nil {
				t.Fatalf("%s: what is used all the time is gone after %d", name, i)
			}
			if b := get(t, s, run(i)); b == nil {
				t.Fatalf("%s: what was put last is gone after %d", name, i)
			}
		}
		kept := 0
		for i := range 100 {
			if get(t, s, run(i)) != nil {
				kept++
			}
		}
		if kept < 5 || kept > 10 {
			t.Errorf("%s: %d of 1,000 bytes are kept in 10,000", name, kept)
		}
		put(t, s, run(0), make([]byte, 10_001))
		if b := get(t, s, run(0)); b != nil {
			t.Errorf("%s: %d bytes are kept in 10,000", name, len(b))
		}
	}
}

func TestAFolderOutlivesItsProcessAndKeepsItsLimit(t *testing.T) {
	path := t.TempDir()
	for _, mine := range []string{"mine.txt", "db.snapshot", strings.Repeat("0", 63) + "x.snapshot", "half-1"} {
		name := filepath.Join(path, mine)
		if err := os.WriteFile(name, make([]byte, 9000), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := snapshot.OpenFolder(path, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		put(t, f, run(i), bytes.Repeat([]byte{byte(i)}, 1000))
	}
	again, err := snapshot.OpenFolder(path, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		if b := get(t, again, run(i)); len(b) != 1000 || b[0] != byte(i) {
			t.Errorf("%d: %d bytes", i, len(b))
		}
	}
	if _, err := snapshot.OpenFolder(path, 3000); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	snapshots, others := 0, 0
	for _, e := range entries {
		if sum, ok := strings.CutSuffix(e.Name(), ".snapshot"); ok && len(sum) == 64 && !strings.HasSuffix(sum, "x") {
			snapshots++
		} else {
			others++
		}
	}
	if snapshots > 3 || snapshots == 0 || others != 4 {
		t.Errorf("%d snapshots and %d other files are left", snapshots, others)
	}
	if b := get(t, again, run(0)); b != nil { // another process removed it
		t.Errorf("%d bytes of what is gone", len(b))
	}
}

// Two processes that know of what the other puts only by looking.
func TestTwoProcessesShareALimit(t *testing.T) {
	path := t.TempDir()
	var processes []*snapshot.Folder
	for range 2 {
		f, err := snapshot.OpenFolder(path, 16_000)
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, f)
	}
	for i := range 200 {
		put(t, processes[i%2], run(i), make([]byte, 1000))
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > 16+4 {
			t.Fatalf("after %d snapshots %d are there", i+1, len(entries))
		}
	}
}

func TestSnapshotsAreSafeForConcurrentUse(t *testing.T) {
	for name, s := range stores(t, 20_000) {
		var g sync.WaitGroup
		for w := range 8 {
			g.Go(func() {
				for i := range 50 {
					r := run((w + i) % 30)
					if err := s.Put(t.Context(), r, bytes.Repeat([]byte("x"), 1000)); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if b, err := s.Get(t.Context(), r); err != nil || b != nil && len(b) != 1000 {
						t.Errorf("%s: %d bytes, %v", name, len(b), err)
					}
				}
			})
		}
		g.Wait()
	}
}
