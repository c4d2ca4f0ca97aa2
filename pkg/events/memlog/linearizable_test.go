package memlog_test

import (
	"math/rand/v2"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// TestLinearizable: messages and acknowledgements get lost at random.
func TestLinearizable(t *testing.T) {
	h := harness(t, memlog.Config{Streams: 2})
	o := eventstest.Concurrent{Sound: h.Open(t, eventstest.Options{}), Enough: func(n int) bool { return n >= 5000 }}
	for range 6 {
		o.Clients = append(o.Clients, h.Open(t, eventstest.Options{Fault: func(events.CommitID) eventstest.Fault {
			switch rand.IntN(20) {
			case 0:
				return eventstest.LoseAck
			case 1:
				return eventstest.LoseMessage
			default:
				return eventstest.Deliver
			}
		}}))
	}
	t.Logf("checked%v", eventstest.Linearizable(t, o))
}
