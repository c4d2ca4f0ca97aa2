package embednats

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestMemoryIsCollectedAsTheUserSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gogc  string
		limit int64
		want  int
	}{{"", math.MaxInt64, sparingBytes}, {"100", math.MaxInt64, 0}, {"off", 1 << 30, 0}, {"", 1 << 30, 0}} {
		if got := reserved(c.gogc, c.limit); got != c.want {
			t.Errorf("GOGC=%q, a limit of %d: %d bytes, want %d", c.gogc, c.limit, got, c.want)
		}
	}
}

// A process with a server in it collects no garbage of which there is little.
func TestAServerSparesMemory(t *testing.T) {
	if reserved(os.Getenv("GOGC"), debug.SetMemoryLimit(-1)) == 0 {
		t.Skip("GOGC or GOMEMLIMIT is set")
	}
	s, err := Start(t.Context(), Options{StoreDir: t.TempDir(), DontListen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	if got := goal[0].Value.Uint64(); got < 2*sparingBytes {
		t.Errorf("the next collection ends at %d bytes, want %d or more", got, 2*sparingBytes)
	}
}
