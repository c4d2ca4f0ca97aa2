package natslog_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/faultproxy"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// TestCallsWithoutADeadlineEnd: each by the timeout that the log was opened
// with, when nothing is ever answered and when the streams are gone.
func TestCallsWithoutADeadlineEnd(t *testing.T) {
	t.Parallel()
	w := events.Workflow{Namespace: "n", ID: "w"}
	beat := events.Heartbeat{Activity: events.Activity{Workflow: w, RunID: "r", ID: "a"}, Attempt: 1}
	calls := func(at events.Cursor) map[string]func(context.Context, *natslog.Log) error {
		append := func(r events.Request) func(context.Context, *natslog.Log) error {
			return func(ctx context.Context, log *natslog.Log) error {
				_, err := log.Append(ctx, r)
				return err
			}
		}
		return map[string]func(context.Context, *natslog.Log) error{
			"append at end":       append(request(w, events.AtEnd(), signal())),
			"append after":        append(request(w, events.After(at), signal())),
			"append after event":  append(request(w, events.AfterEvent(at.Run(), 1), signal())),
			"append of a new run": append(request(events.Workflow{Namespace: "n", ID: "v"}, events.NewRun(), started())),
			"tail": func(ctx context.Context, log *natslog.Log) error {
				_, err := log.Tail(ctx, w)
				return err
			},
			"record of a heartbeat": func(ctx context.Context, log *natslog.Log) error {
				_, err := log.RecordHeartbeat(ctx, beat)
				return err
			},
			"last heartbeat": func(ctx context.Context, log *natslog.Log) error {
				_, err := log.LastHeartbeat(ctx, beat.Activity)
				return err
			},
		}
	}
	for _, tt := range []struct {
		name    string
		timeout time.Duration // of appends, and of requests of reads
		attempt time.Duration
		fail    func(*testing.T, jetstream.JetStream, *faultproxy.Proxy)
		tail    string // is part of what a read says
	}{
		{"a black hole, one attempt", 100 * time.Millisecond, time.Minute, blacken, "deadline exceeded"},
		{"a black hole, many attempts", 100 * time.Millisecond, 10 * time.Millisecond, blacken, "deadline exceeded"},
		{"no streams", 300 * time.Millisecond, 50 * time.Millisecond, deleteStreams, "stream not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			direct := testenv.NATS(t)
			js := jetStream(t, direct)
			create(t, direct, natslog.CreateOptions{Streams: 1})
			way := faultproxy.New(t, testenv.URL(direct))
			nc := testenv.Connect(t, way.URL(), faultproxy.Options()...)
			log := open(t, nc, natslog.Config{AppendTimeout: tt.timeout, ReadTimeout: tt.timeout, AttemptTimeout: tt.attempt})
			at, err := open(t, direct, natslog.Config{}).Append(context.Background(), request(w, events.NewRun(), started()))
			if err != nil {
				t.Fatal(err)
			}
			tt.fail(t, js, way)
			for name, call := range calls(at.Cursor) {
				// No deadline, and yet an end should one of them fail to find its own.
				ctx, cancel := context.WithCancelCause(context.Background())
				never := time.AfterFunc(patience, func() { cancel(errNever) })
				err := call(ctx, log)
				never.Stop()
				cancel(nil)
				if errors.Is(err, errNever) || errors.Is(err, context.Canceled) || !events.SafeToRetry(err) {
					t.Errorf("%s gave %v", name, err)
				}
				if name == "tail" && !strings.Contains(err.Error(), tt.tail) {
					t.Errorf("%s says %v, and not %q", name, err, tt.tail)
				}
			}
		})
	}
}

var errNever = errors.New("it did not end by itself")

// blacken has everything vanish: no connection breaks, and no answer comes.
func blacken(_ *testing.T, _ jetstream.JetStream, way *faultproxy.Proxy) {
	way.Lose(faultproxy.ToServer)
	way.Lose(faultproxy.ToClient)
}

func deleteStreams(t *testing.T, js jetstream.JetStream, _ *faultproxy.Proxy) {
	t.Helper()
	for _, name := range []string{natslog.StreamName(0), natslog.HeartbeatStream} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}
