package memlog_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLost = errors.New("lost")

// harness is the suite's harness on a log in memory.
func harness(t testing.TB, c memlog.Config) eventstest.Harness {
	t.Helper()
	h, _ := truncatable(t, c)
	h.Features.Truncatable = func(t testing.TB) (eventstest.Harness, func(events.Partition, uint64)) {
		h, log := truncatable(t, c)
		return h, log.Truncate
	}
	return h
}

func truncatable(t testing.TB, c memlog.Config) (eventstest.Harness, *memlog.Log) {
	t.Helper()
	log, err := memlog.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return eventstest.Harness{
		Open: func(_ testing.TB, o eventstest.Options) events.Log {
			c := memlog.Config{
				Limits: o.Limits, LookBack: o.LookBack, AppendTimeout: o.AppendTimeout,
				MaxInFlightCommits: o.MaxInFlightCommits, MaxInFlightBytes: o.MaxInFlightBytes,
			}
			if o.Fault != nil {
				c.Hook = func(op memlog.Op) (bool, error) {
					switch o.Fault(op.CommitID) {
					case eventstest.LoseMessage:
						return false, errLost
					case eventstest.LoseAck:
						return true, errLost
					case eventstest.NoAnswer:
						<-op.GivenUp
						return false, errLost
					default:
						return true, nil
					}
				}
			}
			return log.Open(c)
		},
		Put: func(_ testing.TB, p events.Partition, subject string, h events.Header, body []byte) uint64 {
			return log.Put(p, subject, h, body)
		},
		PutHeartbeat: func(_ testing.TB, subject string, h events.Header, body []byte) uint64 {
			return log.PutHeartbeat(subject, h, body)
		},
		PutDecision: func(_ testing.TB, subject string, h events.Header, body []byte) uint64 {
			return log.PutDecision(subject, h, body)
		},
		Features: eventstest.Features{
			Faults: true, OneHandle: true,
			Aging: func(t testing.TB, age time.Duration) events.Log {
				log, err := memlog.New(memlog.Config{HeartbeatAge: age})
				if err != nil {
					t.Fatal(err)
				}
				return log
			},
			Alter: func(_ testing.TB, p events.Position, change func(*events.Message)) { log.Alter(p, change) },
		},
	}, log
}

func TestLog(t *testing.T) {
	for name, c := range map[string]memlog.Config{"default": {}, "one stream": {Streams: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it waits between attempts
			eventstest.Run(t, harness(t, c))
		})
	}
}

func TestModel(t *testing.T) { eventstest.Model(t, harness(t, memlog.Config{Streams: 2})) }
