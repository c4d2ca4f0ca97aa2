package cli

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Where there is no terminal, a line is logged each 10 s, and none after the end.
func TestProgressInLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
		defer slog.SetDefault(before)
		p := newApp(Streams{Err: io.Discard}).startProgress("import")
		p.expect(200)
		p.add(50, 5000)
		time.Sleep(9 * time.Second) // of the bubble's clock
		synctest.Wait()
		if s := out.String(); s != "" {
			t.Errorf("after 9 s it says %q", s)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := out.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, `msg="import is under way" percent=25 events=5000 rate="500 events/s"`) {
			t.Errorf("after 11 s it says %q", s)
		}
		p.finish()
		time.Sleep(time.Minute)
		if s := out.String(); strings.Count(s, "\n") != 1 {
			t.Errorf("after its end it says %q", s)
		}
	})
}

// lockedBuffer is written and read by several goroutines: a bubble's clock says
// what comes first, but not to the race detector.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestOnlyATerminalGetsABar(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, w := range []io.Writer{file, &bytes.Buffer{}} {
		if isTerminal(w) {
			t.Errorf("%T is taken for a terminal", w)
		}
	}
}
