package natslog_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/faultproxy"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// arrivals are the messages that a server gets on a subject.
func arrivals(t *testing.T, nc *nats.Conn, subject string) <-chan *nats.Msg {
	t.Helper()
	arrived := make(chan *nats.Msg, 1000)
	sub, err := nc.ChanSubscribe(subject, arrived)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	return arrived
}

// TestAServerThatDoesNotAnswerIsAskedEverLessOften: what is sent again and again
// waits for its answer twice as long each time.
func TestAServerThatDoesNotAnswerIsAskedEverLessOften(t *testing.T) {
	t.Parallel()
	const attempt = 30 * time.Millisecond
	w := events.Workflow{Namespace: "n", ID: "w"}
	config := natslog.Config{AttemptTimeout: attempt}
	for _, tt := range []struct {
		name, subject string
		call          func(context.Context, *natslog.Log) error
		want          error
	}{
		{"append", w.Subject(), func(ctx context.Context, log *natslog.Log) error {
			_, err := log.Append(ctx, request(w, events.NewRun(), started()))
			return err
		}, events.ErrOutcomeUnknown},
		{"tail", "$JS.API.STREAM.MSG.GET." + natslog.StreamName(0), func(ctx context.Context, log *natslog.Log) error {
			_, err := log.Tail(ctx, w)
			return err
		}, context.Canceled},
		{"open", "$JS.API.STREAM.INFO." + natslog.StreamName(0), func(ctx context.Context, log *natslog.Log) error {
			_, err := natslog.Open(ctx, jetStream(t, log.Conn()), config)
			return err
		}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			direct := testenv.NATS(t)
			create(t, direct, natslog.CreateOptions{Streams: 1})
			way := faultproxy.New(t, testenv.URL(direct))
			log := open(t, testenv.Connect(t, way.URL(), faultproxy.Options()...), config)
			arrived := arrivals(t, direct, tt.subject)
			way.Lose(faultproxy.ToClient)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			start := time.Now()
			go func() { ended <- tt.call(ctx, log) }()
			for range 6 {
				<-arrived
			}
			// The fifth waits no longer than the fourth.
			if took := time.Since(start); took < (1+2+4+8+8)*attempt {
				t.Errorf("the sixth copy came after %s, with %s for the first", took, attempt)
			}
			cancel()
			if err := <-ended; !errors.Is(err, tt.want) {
				t.Errorf("it gave %v, want %v", err, tt.want)
			}
		})
	}
}

// TestAnInterruptionIsWarnedOfOnce: whoever follows from where the stream does not
// reach asks again for a while, and says so once.
func TestAnInterruptionIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	warned := &warnings{Handler: slog.DiscardHandler}
	log := open(t, nc, natslog.Config{Logger: slog.New(warned)})
	asked := arrivals(t, nc, "$JS.API.STREAM.INFO."+natslog.HeartbeatStream)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		var last error
		for _, err := range log.FollowHeartbeats(ctx, 1<<40) {
			last = err
		}
		ended <- last
	}()
	for i := range 12 { // two for each time: is it the log, where does it end
		if <-asked; i%4 == 0 { // what changes meanwhile is no other reason
			record(t, log, beat("a", int32(i+1)))
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("following gave %v", err)
	}
	if n := warned.n.Load(); n != 1 {
		t.Errorf("%d warnings, want one", n)
	}
}

// warnings counts those about following.
type warnings struct {
	slog.Handler
	n atomic.Int32
}

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && strings.HasPrefix(r.Message, "following the log") {
		w.n.Add(1)
	}
	return nil
}
