package embednats

import (
	"math"
	"os"
	"runtime/debug"
	"sync"
)

// sparingBytes is how much more than the heap in use the collector lets a process
// allocate, roughly: it begins somewhat before.
const sparingBytes = 128 << 20

// reserve lets garbage be collected less often while the process has little in use. The
// server keeps what it read of a file by a weak pointer only, for ten seconds after the
// last access: a collection ends its stay in memory at once, and the next read by subject
// reads and indexes up to 8 MiB again. The reserve is never touched, so that the system
// gives it no memory, and counts for the collector as in use: garbage may take that much.
var reserve = sync.OnceValue(func() []byte {
	return make([]byte, reserved(os.Getenv("GOGC"), debug.SetMemoryLimit(-1)))
})

// reserved is how large the reserve is: none where GOGC or GOMEMLIMIT say how memory is
// to be collected.
func reserved(gogc string, limit int64) int {
	if gogc != "" || limit != math.MaxInt64 {
		return 0
	}
	return sparingBytes
}
