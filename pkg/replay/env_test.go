package replay_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

const patience = time.Minute

// logs are the kinds of log that replay is tried on.
var logs = []struct {
	name  string
	steps int // of random histories: a log in memory is a hundred times as fast
	open  func(*testing.T) events.Log
}{
	{"memory", 300, func(t *testing.T) events.Log { return newLog(t) }},
	{"R1", 60, func(t *testing.T) events.Log {
		js, err := jetstream.New(testenv.NATS(t))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := natslog.Create(ctx, js, natslog.CreateOptions{Streams: 2}); err != nil {
			t.Fatal(err)
		}
		log, err := natslog.Open(ctx, js, natslog.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return log
	}},
}

func newLog(t failer) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func appendAll(t failer, log events.Log, steps []historytest.Step, o historytest.Options) []events.Workflow {
	t.Helper()
	g := historytest.New(o)
	if err := g.AppendAll(context.Background(), log, steps); err != nil {
		t.Fatal(err)
	}
	return g.Workflows()
}

var order = events.Workflow{Namespace: "default", ID: "order"}

// add appends to order.
func add(t failer, log events.Log, expect events.Expectation, es ...*events.Event) events.Result {
	t.Helper()
	res, err := log.Append(context.Background(), events.Request{Workflow: order, Expect: expect, Events: es})
	if err != nil {
		t.Fatal(err)
	}
	return res
}
