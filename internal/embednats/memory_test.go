package embednats

import (
	"math"
	"runtime/debug"
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
	if limit := debug.SetMemoryLimit(-1); limit < 0 {
		t.Errorf("asking for the limit has set it: %d", limit)
	}
}
