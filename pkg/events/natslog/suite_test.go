package natslog_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// patience ends what should never take as long.
const patience = 3 * time.Minute

func TestMain(m *testing.M) { testenv.Main(m) }

// long has the log opened anew for each step, instead of for every fourth.
var long = flag.Bool("proof.long", false, "open the log anew for each step of the suite")

// fewer is how often a test does what it does n times: a fifth as often under
// -short, where the tests are run for something else than what is counted in them.
func fewer(n int) int {
	if testing.Short() {
		return (n + 4) / 5
	}
	return n
}

// create makes a log on the connection.
func create(t testing.TB, nc *nats.Conn, o natslog.CreateOptions) events.Identity {
	t.Helper()
	id, err := natslog.Create(context.Background(), jetStream(t, nc), o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func open(t testing.TB, nc *nats.Conn, c natslog.Config) *natslog.Log {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for { // the configuration may have less patience than a busy machine asks for
		log, err := natslog.Open(ctx, jetStream(t, nc), c)
		if err == nil {
			return log
		}
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// harness is the suite's harness on the log that the connection reaches.
func harness(nc *nats.Conn) eventstest.Harness {
	return eventstest.Harness{
		Open: func(t testing.TB, o eventstest.Options) events.Log {
			t.Helper()
			log := open(t, nc, natslog.Config{
				Limits: o.Limits, LookBack: o.LookBack, AppendTimeout: o.AppendTimeout,
				MaxInFlightCommits: o.MaxInFlightCommits, MaxInFlightBytes: o.MaxInFlightBytes,
				OldLeader: time.Second, // no server is cut off here
			})
			if o.Fault == nil {
				return log
			}
			return log.Through(func(s subjectlog.Store) subjectlog.Store { return faulty{s, o.Fault} })
		},
		Put: func(t testing.TB, _ events.Partition, subject string, h events.Header, body []byte) uint64 {
			return put(t, nc, subject, h, body)
		},
		PutHeartbeat: func(t testing.TB, subject string, h events.Header, body []byte) uint64 {
			return put(t, nc, subject, h, body)
		},
		PutDecision: func(t testing.TB, subject string, h events.Header, body []byte) uint64 {
			return put(t, nc, subject, h, body)
		},
		Features: eventstest.Features{Faults: true, OneHandle: true},
		Short:    testing.Short(),
	}
}

// truncatable makes logs of one stream that can be cut back: the stream is deleted
// and made again with the messages that it is to keep, which the connections of
// handles do not notice.
func truncatable(connect func(testing.TB) *nats.Conn, replicas int) func(testing.TB) (eventstest.Harness, func(events.Partition, uint64)) {
	return func(t testing.TB) (eventstest.Harness, func(events.Partition, uint64)) {
		t.Helper()
		nc := connect(t)
		create(t, nc, natslog.CreateOptions{Streams: 1, Replicas: replicas})
		h := harness(nc)
		h.Open = func(t testing.TB, _ eventstest.Options) events.Log {
			t.Helper()
			return open(t, nc, natslog.Config{OldLeader: 50 * time.Millisecond})
		}
		return h, func(p events.Partition, last uint64) {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			js := jetStream(t, nc)
			s, err := js.Stream(ctx, natslog.StreamName(p))
			if err != nil {
				t.Fatal(err)
			}
			var kept []*jetstream.RawStreamMsg
			for seq := uint64(1); seq <= last; seq++ {
				m, err := s.GetMsg(ctx, seq)
				if err != nil {
					t.Fatal(err)
				}
				kept = append(kept, m)
			}
			if err := js.DeleteStream(ctx, natslog.StreamName(p)); err != nil {
				t.Fatal(err)
			}
			if _, err := js.CreateStream(ctx, s.CachedInfo().Config); err != nil {
				t.Fatal(err)
			}
			for _, m := range kept {
				// A stream of three replicas has no leader at once.
				seq, err := backoff.RetryWithData(func() (uint64, error) {
					ack, err := js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
					if err != nil {
						if !errors.Is(err, jetstream.ErrNoStreamResponse) {
							err = backoff.Permanent(err)
						}
						return 0, err
					}
					return ack.Sequence, nil
				}, backoff.WithContext(backoff.NewConstantBackOff(5*time.Millisecond), ctx))
				if err != nil || seq != m.Sequence {
					t.Fatalf("the message at %d is at %d now: %v", m.Sequence, seq, err)
				}
			}
		}
	}
}

// faulty loses messages and acknowledgements on their way to the server.
type faulty struct {
	subjectlog.Store
	fault func(events.CommitID) eventstest.Fault
}

var errLost = errors.New("lost on the way")

func (f faulty) Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error) {
	switch f.fault(m.CommitID) {
	case eventstest.LoseMessage:
		return 0, errLost
	case eventstest.LoseAck:
		if _, err := f.Store.Publish(ctx, m); err != nil {
			return 0, err
		}
		return 0, errLost
	case eventstest.NoAnswer:
		if !m.Until.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, m.Until)
			defer cancel()
		}
		<-ctx.Done()
		return 0, context.Cause(ctx)
	default:
		return f.Store.Publish(ctx, m)
	}
}

// put publishes a message as any client could.
func put(t testing.TB, nc *nats.Conn, subject string, h events.Header, body []byte) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: nats.Header(h), Data: body})
	if err != nil {
		t.Fatal(err)
	}
	var ack struct {
		Seq   uint64
		Error any
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Seq == 0 {
		t.Fatalf("put: %s", answer.Data)
	}
	return ack.Seq
}

// reopened opens the log anew for an append, a tail or a read of a run, as a program
// does that was started again before it: for each, or for every fourth of them
// without -proof.long, the first among them. For the rest, by which the suite looks at
// what is there, one handle will do.
type reopened struct {
	events.Log
	open  func() events.Log
	steps *atomic.Int64
}

// next is the handle of the next step.
func (r reopened) next() events.Log {
	if n := r.steps.Add(1); *long || n%4 == 1 {
		return r.open()
	}
	return r.Log
}

func (r reopened) Append(ctx context.Context, q events.Request) (events.Result, error) {
	return r.next().Append(ctx, q)
}

func (r reopened) Tail(ctx context.Context, w events.Workflow) (events.Cursor, error) {
	return r.next().Tail(ctx, w)
}

func (r reopened) RecordHeartbeat(ctx context.Context, h events.Heartbeat) (bool, error) {
	return r.next().RecordHeartbeat(ctx, h)
}

func (r reopened) LastHeartbeat(ctx context.Context, a events.Activity) (events.Heartbeat, error) {
	return r.next().LastHeartbeat(ctx, a)
}

func (r reopened) Decide(ctx context.Context, d events.Decision, after uint64) (events.StoredDecision, bool, error) {
	return r.next().Decide(ctx, d, after)
}

func (r reopened) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return r.next().Read(ctx, w, o)
}

// aging makes logs whose heartbeats age out, each in an account of its own.
func aging(connect func(testing.TB) *nats.Conn, replicas int) func(testing.TB, time.Duration) events.Log {
	return func(t testing.TB, age time.Duration) events.Log {
		t.Helper()
		nc := connect(t)
		create(t, nc, natslog.CreateOptions{Streams: 1, Replicas: replicas, HeartbeatAge: age})
		return open(t, nc, natslog.Config{})
	}
}

func TestLogR1(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 4})
	h := harness(nc)
	h.Features.Aging = aging(testenv.NATS, 1)
	h.Features.Truncatable = truncatable(testenv.NATS, 1)
	eventstest.Run(t, h)
}

func TestLogR3(t *testing.T) {
	t.Parallel()
	nc := testenv.NATSCluster(t)
	create(t, nc, natslog.CreateOptions{Streams: 2, Replicas: 3})
	h := harness(nc)
	h.Features.Aging = aging(testenv.NATSCluster, 3)
	h.Features.Truncatable = truncatable(testenv.NATSCluster, 3)
	eventstest.Run(t, h)
}

func TestLogReopenedBetweenSteps(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1}) // each opening asks all of them
	h := harness(nc)
	each := h
	each.Short, each.Features.OneHandle = true, false
	each.Open = func(t testing.TB, o eventstest.Options) events.Log {
		return reopened{Log: h.Open(t, o), open: func() events.Log { return h.Open(t, o) }, steps: new(atomic.Int64)}
	}
	eventstest.Run(t, each)
}

// TestModel runs fewer checks than on the log in memory, unless told otherwise.
func TestModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("40"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Value.Set(f.DefValue) }()
	}
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	eventstest.Model(t, harness(nc))
}
