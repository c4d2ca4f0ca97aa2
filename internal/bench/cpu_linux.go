package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is what this process and a server's have computed so far, or between two
// times.
type cpu struct{ self, server time.Duration }

func (c cpu) since(before cpu) cpu {
	return cpu{self: c.self - before.self, server: c.server - before.server}
}

// cpuOf tells it of this process, and of the one with this id and its children,
// those that are gone included.
func cpuOf(server int) (c cpu) {
	var own unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &own) == nil {
		c.self = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		// proc(5): after the name in parentheses, 3 is the state, 4 the parent,
		// 14 to 17 the times of the process and of its children that were waited for.
		_, rest, _ := strings.Cut(string(stat), ") ")
		field := strings.Fields(rest)
		if len(field) < 15 {
			continue
		}
		own := path == fmt.Sprintf("/proc/%d/stat", server)
		if !own && field[1] != strconv.Itoa(server) {
			continue
		}
		for i := 11; i < 15; i++ {
			if i > 12 && !own {
				break
			}
			ticks, _ := strconv.ParseInt(field[i], 10, 64)
			c.server += time.Duration(ticks) * tick
		}
	}
	return c
}

// tick is the unit of times in /proc on every architecture that Go knows.
const tick = 10 * time.Millisecond
