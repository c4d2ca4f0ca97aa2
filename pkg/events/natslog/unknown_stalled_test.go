//go:build unix

package natslog_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// TestOutcomesOfAServerThatStalls: its process is stopped, and goes on when
// nobody waits for its answers any more.
func TestOutcomesOfAServerThatStalls(t *testing.T) {
	t.Parallel()
	server := testenv.NATSProcess(t, "")
	direct := testenv.Connect(t, server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond))
	create(t, direct, natslog.CreateOptions{Streams: 2})
	signal := func(e *troubled, s syscall.Signal) {
		if err := syscall.Kill(server.PID(), s); err != nil {
			e.Error(err)
		}
	}
	meet(t, direct, server.URL(), trouble{
		"stalled", func(e *troubled) <-chan struct{} {
			signal(e, syscall.SIGSTOP)
			return met()
		},
		nothing, func(e *troubled) { signal(e, syscall.SIGCONT) }, unknownEither,
	})
}
