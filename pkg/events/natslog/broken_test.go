package natslog_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// broken is a store that does something wrong once in a while.
type broken struct {
	subjectlog.Store
	rarely  func() bool
	publish func(context.Context, subjectlog.Store, subjectlog.Outgoing) (uint64, error)
	last    func(events.Message) events.Message
}

func (b *broken) Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error) {
	if b.publish != nil && m.Expected > 0 && b.rarely() {
		return b.publish(ctx, b.Store, m)
	}
	return b.Store.Publish(ctx, m)
}

func (b *broken) Last(ctx context.Context, p events.Partition, subject string) (events.Message, error) {
	m, err := b.Store.Last(ctx, p, subject)
	if b.last != nil && err == nil {
		m = b.last(m)
	}
	return m, err
}

// complaints takes what a check says.
type complaints struct {
	testing.TB
	mu   sync.Mutex // guards said
	said []string
}

func (c *complaints) Error(args ...any) { c.Errorf("%s", fmt.Sprint(args...)) }

func (c *complaints) Errorf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

func (c *complaints) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.said) > 0
}

// TestLinearizableFindsABrokenLog: the check can fail, and does for each thing
// that a log must not do.
func TestLinearizableFindsABrokenLog(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	for name, make := range map[string]func() *broken{
		"acknowledges what it does not store": func() *broken {
			return &broken{publish: func(_ context.Context, _ subjectlog.Store, m subjectlog.Outgoing) (uint64, error) {
				return m.Expected + 1_000_000, nil
			}}
		},
		"refuses what it stores": func() *broken {
			return &broken{publish: func(ctx context.Context, s subjectlog.Store, m subjectlog.Outgoing) (uint64, error) {
				if _, err := s.Publish(ctx, m); err != nil {
					return 0, err
				}
				return 0, fmt.Errorf("%w: so it says", subjectlog.ErrClosed)
			}}
		},
		"answers with the past": func() *broken {
			b := &broken{}
			var first sync.Map // by subject: what was there when somebody looked first
			b.last = func(m events.Message) events.Message {
				past, _ := first.LoadOrStore(m.Subject, m)
				if past := past.(events.Message); past.Position != m.Position && b.rarely() {
					return past
				}
				return m
			}
			return b
		},
		"": func() *broken { return &broken{} }, // and finds nothing in a sound one
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := make()
			var n atomic.Int64
			b.rarely = func() bool { return n.Add(1)%50 == 0 }
			log := open(t, nc, natslog.Config{})
			o := eventstest.Concurrent{Sound: log, Dir: t.TempDir(), Enough: func(n int) bool { return n >= 1500 }, Patience: patience}
			wrong := log.Through(func(s subjectlog.Store) subjectlog.Store { b.Store = s; return b })
			for range 4 {
				o.Clients = append(o.Clients, wrong)
			}
			said := &complaints{TB: t}
			eventstest.Linearizable(said, o)
			if (name == "") == said.Failed() {
				t.Fatalf("the check said: %q", said.said)
			}
			if name == "" {
				return
			}
			for _, complaint := range said.said {
				if _, file, ok := strings.Cut(complaint, "see "); ok && strings.HasPrefix(complaint, "no order of") {
					if info, err := os.Stat(file); err != nil || info.Size() == 0 {
						t.Errorf("the check said %q (%v)", complaint, err)
					}
					return
				}
			}
			t.Errorf("the check said %q, and not that there is no order", said.said)
		})
	}
}
