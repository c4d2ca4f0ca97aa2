package natslog_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// counting writes down what a log asks of its store.
type counting struct {
	subjectlog.Store
	mu    sync.Mutex // guards calls
	calls []string
}

func (s *counting) call(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, name)
}

// taken gives the calls since the last time.
func (s *counting) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.calls, " ")
	s.calls = nil
	return all
}

func (s *counting) Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error) {
	s.call("publish")
	return s.Store.Publish(ctx, m)
}

func (s *counting) Last(ctx context.Context, p events.Partition, subject string) (events.Message, error) {
	s.call("last")
	return s.Store.Last(ctx, p, subject)
}

func (s *counting) Next(ctx context.Context, p events.Partition, subject string, from uint64) (events.Message, error) {
	s.call("next")
	return s.Store.Next(ctx, p, subject, from)
}

func (s *counting) Get(ctx context.Context, at events.Position) (events.Message, error) {
	s.call("get")
	return s.Store.Get(ctx, at)
}

func (s *counting) Fetch(ctx context.Context, p events.Partition, seqs []uint64, take func(events.Message) []uint64) error {
	s.call("fetch")
	return s.Store.Fetch(ctx, p, seqs, take)
}

// TestRoundTrips holds what each kind of append asks of the server: one thing, if
// the handle knows where the workflow ends.
func TestRoundTrips(t *testing.T) {
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 2})
	var store *counting
	counted := func(c natslog.Config) *natslog.Log {
		return open(t, nc, c).Through(func(s subjectlog.Store) subjectlog.Store {
			store = &counting{Store: s}
			return store
		})
	}
	log, other := counted(natslog.Config{}), open(t, nc, natslog.Config{})
	do := func(log *natslog.Log, r events.Request) events.Result {
		t.Helper()
		res, err := log.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	want := func(what, calls string) {
		t.Helper()
		if diff := cmp.Diff(calls, store.taken()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	signal := func(w events.Workflow, expect events.Expectation, id events.CommitID) events.Request {
		return events.Request{Workflow: w, Expect: expect, CommitID: id, Events: []*events.Event{events.Signaled("s")}}
	}
	start := func(w events.Workflow, id events.CommitID) events.Request {
		return events.Request{Workflow: w, CommitID: id, Events: []*events.Event{events.WorkflowStarted("T", "q")}}
	}
	n := 0
	workflow := func() events.Workflow {
		n++
		return events.Workflow{Namespace: "n", ID: fmt.Sprint("w", n)}
	}
	v7 := func() events.CommitID { return events.CommitID(uuid.Must(uuid.NewV7()).String()) }

	w := workflow()
	at := do(log, start(w, ""))
	want("a first run", "publish")
	at = do(log, signal(w, events.After(at.Cursor), ""))
	want("after a cursor", "publish")
	do(log, signal(w, events.AtEnd(), ""))
	want("at the end", "publish")
	at = do(log, signal(w, events.AtEndOf(at.RunID), ""))
	want("at the end of a run", "publish")
	at = do(log, signal(w, events.AfterEvent(at.RunID, at.LastEventID), ""))
	want("after an event", "publish")
	do(log, signal(w, events.AtEnd(), v7()))
	want("at the end, with a new UUIDv7", "publish")
	do(log, signal(w, events.AtEnd(), "a word"))
	want("at the end, with a new word", "publish")
	do(log, signal(w, events.AfterEvent(at.RunID, at.LastEventID+2), "another"))
	want("after an event, with a new word", "publish")
	do(log, events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.WorkflowCompleted()}})
	want("the end of the run", "publish")
	do(log, start(w, ""))
	want("the next run", "publish")
	if _, err := log.Append(t.Context(), start(w, "")); err == nil {
		t.Error("a second open run was started")
	}
	want("a start while a run is open", "last")
	do(log, signal(w, events.AtEnd(), "a word of its own"))
	want("at the end after a conflict", "publish")

	// What was stored before costs what it costs to look for it.
	if res := do(log, signal(w, events.AtEnd(), "a word of its own")); !res.Existed {
		t.Errorf("a repetition gave %+v", res)
	}
	want("a repetition", "last")

	// Another handle's appends cost a round trip that fails, and what finds out.
	do(other, signal(w, events.AtEnd(), ""))
	do(log, signal(w, events.AtEnd(), ""))
	want("at the end, which has moved", "publish next last publish")
	do(log, signal(w, events.AtEnd(), ""))
	want("at the end, known again", "publish")

	// A workflow that this handle has not seen costs a look at its end; an id
	// that was given, one at what might hold it. Then both are known.
	w = workflow()
	do(other, start(w, ""))
	do(other, signal(w, events.AtEnd(), ""))
	do(log, signal(w, events.AtEnd(), ""))
	want("at the end, not known", "last publish")
	do(log, signal(w, events.AtEnd(), v7()))
	want("an id, of which it is not known what lies before it", "last fetch publish")
	do(log, signal(w, events.AtEnd(), v7()))
	want("another id", "publish")
	do(log, signal(w, events.AtEnd(), "a word"))
	want("a word", "publish")

	// Nothing is remembered where nothing may be.
	log = counted(natslog.Config{CachedCursors: -1})
	do(log, signal(w, events.AtEnd(), ""))
	do(log, signal(w, events.AtEnd(), ""))
	want("without a cache", "last publish last publish")
	log = counted(natslog.Config{CachedCursors: 2})
	var all []events.Workflow
	for range 3 {
		w := workflow()
		all = append(all, w)
		do(log, start(w, ""))
	}
	store.taken()
	do(log, signal(all[1], events.AtEnd(), ""))
	do(log, signal(all[0], events.AtEnd(), "")) // forgotten, and known in place of the third
	do(log, signal(all[1], events.AtEnd(), ""))
	do(log, signal(all[2], events.AtEnd(), ""))
	want("a cache of two", "publish last publish publish last publish")
	log = counted(natslog.Config{CachedBytes: 1})
	do(log, start(workflow(), ""))
	do(log, signal(w, events.AtEnd(), ""))
	do(log, signal(w, events.AtEnd(), ""))
	want("a cache of no room", "publish last publish last publish")
}

// TestAnEndIsForgottenAfterAReconnect: behind a new connection there may be an
// older copy of the log.
func TestAnEndIsForgottenAfterAReconnect(t *testing.T) {
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	var store *counting
	log := open(t, nc, natslog.Config{}).Through(func(s subjectlog.Store) subjectlog.Store {
		store = &counting{Store: s}
		return store
	})
	w := events.Workflow{Namespace: "n", ID: "w"}
	if _, err := log.Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("T", "q")}}); err != nil {
		t.Fatal(err)
	}
	connected := nc.StatusChanged(nats.CONNECTED)
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-connected:
	case <-time.After(patience):
		t.Fatal("the connection does not come back")
	}
	store.taken()
	if _, err := log.Append(t.Context(), events.Request{Workflow: w, Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}}); err != nil {
		t.Fatal(err)
	}
	if got := store.taken(); got != "last publish" {
		t.Errorf("the append asked for %q, want the end anew", got)
	}
}
