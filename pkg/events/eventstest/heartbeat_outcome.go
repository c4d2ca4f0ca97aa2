package eventstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/annals-io/annals/pkg/events"
)

func heartbeatOutcomeCases() []testCase {
	return named(aLostHeartbeatIsSentAgain, aHeartbeatOfUnknownOutcomeIsSettledByRepeating, aHeartbeatWithoutADeadlineEnds, faultsAmongManyHeartbeats)
}

func aLostHeartbeatIsSentAgain(c *scene) {
	for name, fault := range map[string]Fault{"message": LoseMessage, "acknowledgement": LoseAck} {
		for _, before := range []bool{false, true} {
			a := c.activity(fmt.Sprint(name, before))
			if before {
				c.record(beat(a, 1, 0), true)
			}
			var n atomic.Int32
			log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
				if n.Add(1) == 1 {
					return fault
				}
				return Deliver
			}})
			newest, err := log.RecordHeartbeat(c.ctx(), beat(a, 1, 1))
			if err != nil || !newest {
				c.Errorf("a lost %s gave %t, %v", name, newest, err)
			}
			c.kept(beat(a, 1, 1))
		}
	}
}

func aHeartbeatOfUnknownOutcomeIsSettledByRepeating(c *scene) {
	for name, fault := range map[string]Fault{"message": LoseMessage, "acknowledgement": LoseAck} {
		h := beat(c.activity(name), 1, 1)
		ctx, cancel := context.WithCancel(c.ctx())
		log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault {
			if fault == LoseMessage {
				cancel() // nobody waits for another attempt
			}
			return fault
		}})
		newest, err := log.RecordHeartbeat(ctx, h)
		cancel()
		if fault == LoseAck {
			// The next look finds it.
			if err != nil || !newest {
				c.Errorf("a lost acknowledgement gave %t, %v", newest, err)
			}
		} else {
			got := as[*events.HeartbeatUnknownError](c, err, events.ErrOutcomeUnknown, "record")
			if got.Activity != h.Activity || !events.SafeToRetry(err) {
				c.Errorf("error is %+v", got)
			}
		}
		c.record(h, true)
		c.kept(h)
	}
	// Nothing was sent: that is known.
	ended, cancel := context.WithCancel(c.ctx())
	cancel()
	_, err := c.log.RecordHeartbeat(ended, beat(c.activity("never"), 1, 0))
	if !errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrOutcomeUnknown) {
		c.Errorf("with an ended context: %v", err)
	}
}

// faultsAmongManyHeartbeats: every third message or acknowledgement is lost, and
// the newest is kept.
func faultsAmongManyHeartbeats(c *scene) {
	var n atomic.Int32
	log := c.h.Open(c, Options{Fault: func(events.CommitID) Fault { return Fault(n.Add(1) % 3) }})
	a := c.activity("a")
	const writers = 8
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for k := range 3 {
				if _, errs[i] = log.RecordHeartbeat(c.ctx(), beat(a, 1, i+writers*k)); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		c.Fatal(err)
	}
	c.kept(beat(a, 1, writers*3-1))
}
