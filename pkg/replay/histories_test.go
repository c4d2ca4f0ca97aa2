package replay_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// TestHistoriesAreThoseReadOneByOne: each run of each workflow, and what is not there,
// once.
func TestHistoriesAreThoseReadOneByOne(t *testing.T) {
	t.Parallel()
	for _, tt := range logs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			log := tt.open(t)
			var runs []replay.Run
			want := map[replay.Run][]*events.Event{}
			for _, w := range appendAll(t, log, historytest.Seeded(7, tt.steps), historytest.Options{Workflows: 20, Resets: true}) {
				for run := range runsOf(t, log, w) {
					r := replay.Run{Workflow: w, RunID: run}
					runs = append(runs, r)
					for e, err := range log.Read(ctx, w, events.ReadOptions{Run: run}) {
						if err != nil {
							t.Fatal(err)
						}
						want[r] = append(want[r], e)
					}
				}
			}
			for i := range 3 {
				runs = append(runs, replay.Run{Workflow: events.Workflow{Namespace: "default", ID: fmt.Sprint("missing-", i)}})
			}
			for _, o := range []replay.HistoriesOptions{{}, {Concurrency: 1}, {Concurrency: 50, Bytes: 3000}, {Bytes: 1}} {
				seen := map[replay.Run]bool{}
				missing := 0
				for h, err := range replay.Histories(ctx, log, runs, o) {
					r := replay.Run{Workflow: h.Workflow, RunID: h.RunID}
					switch {
					case seen[r]:
						t.Errorf("%+v came twice", r)
					case errors.Is(err, events.ErrNotFound):
						missing++
					case err != nil:
						t.Errorf("%+v: %v", r, err)
					default:
						if d := cmp.Diff(want[r], h.Events, protocmp.Transform()); d != "" {
							t.Errorf("%+v (-one by one +at once):\n%s", r, d)
						}
						if tail, err := log.Tail(ctx, h.Workflow); err != nil || cmp.Diff(tail.String(), h.End.String()) != "" {
							t.Errorf("%+v ends at %s, its tail is %s, %v", r, h.End, tail, err)
						}
					}
					seen[r] = true
				}
				if len(seen) != len(runs) || missing != 3 {
					t.Errorf("%+v: %d of %d came, %d were missing, want 3", o, len(seen), len(runs), missing)
				}
			}
		})
	}
}

// bounded is a log that counts what is being read, or is read and not yet given back.
type bounded struct {
	events.Reader
	mu               sync.Mutex // guards the rest
	reads, most      int
	bytes, bytesMost int64
	fail             map[events.Workflow]error
}

func (b *bounded) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		b.mu.Lock()
		b.reads++
		b.most = max(b.most, b.reads)
		b.bytes += o.Until.Size()
		b.bytesMost = max(b.bytesMost, b.bytes)
		err := b.fail[w]
		b.mu.Unlock()
		defer func() {
			b.mu.Lock()
			b.reads--
			b.mu.Unlock()
		}()
		if err != nil {
			yield(nil, err)
			return
		}
		for e, err := range b.Reader.Read(ctx, w, o) {
			if !yield(e, err) {
				return
			}
		}
	}
}

func (b *bounded) taken(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= bytes
}

// short are workflows of a log that are all alike, and the size of each.
func short(t *testing.T, log events.Log, n int) (runs []replay.Run, size int64) {
	t.Helper()
	for i := range n {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%04d", i)}
		res, err := log.Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Order", "orders"), events.Signaled("paid")}})
		if err != nil {
			t.Fatal(err)
		}
		runs, size = append(runs, replay.Run{Workflow: w}), max(size, res.Cursor.Size())
	}
	return runs, size
}

// TestHistoriesKeepWithinBounds: of how many are read at a time, and of the bytes of
// those that nobody has taken yet.
func TestHistoriesKeepWithinBounds(t *testing.T) {
	log := newLog(t)
	runs, size := short(t, log, 300)
	b := &bounded{Reader: log}
	got := 0
	for h, err := range replay.Histories(t.Context(), b, runs, replay.HistoriesOptions{Concurrency: 5, Bytes: 3 * size}) {
		if err != nil {
			t.Fatal(err)
		}
		got++
		b.taken(h.End.Size())
	}
	if got != len(runs) || b.most > 5 || b.bytesMost > 3*size || b.bytes != 0 {
		t.Errorf("%d of %d came; at most %d were read at a time, want 5, and %d bytes were held, want %d", got, len(runs), b.most, b.bytesMost, 3*size)
	}
}

// TestHistoriesEndAsTheyAreAsked: a failure is one run's, an iteration that is left
// leaves nothing, and the end of the context is told of each run that is left.
func TestHistoriesEndAsTheyAreAsked(t *testing.T) {
	before := goleak.IgnoreCurrent()
	log := newLog(t)
	runs, _ := short(t, log, 200)
	broken := errors.New("broken")
	b := &bounded{Reader: log, fail: map[events.Workflow]error{runs[17].Workflow: broken}}
	failed := 0
	for h, err := range replay.Histories(t.Context(), b, runs, replay.HistoriesOptions{}) {
		if err != nil {
			failed++
			if !errors.Is(err, broken) || h.Workflow != runs[17].Workflow || h.Events != nil {
				t.Errorf("%s: %d events, %v", h.Workflow, len(h.Events), err)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d failed, want 1", failed)
	}

	taken := 0
	for range replay.Histories(t.Context(), log, runs, replay.HistoriesOptions{Bytes: 1}) {
		if taken++; taken == 3 {
			break
		}
	}
	goleak.VerifyNone(t, before)

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	enough := errors.New("enough")
	seen, cut := map[events.Workflow]bool{}, 0
	for h, err := range replay.Histories(ctx, log, runs, replay.HistoriesOptions{Concurrency: 2}) {
		seen[h.Workflow] = true
		switch {
		case errors.Is(err, enough):
			cut++
		case err != nil:
			t.Errorf("%s: %v", h.Workflow, err)
		case len(h.Events) != 2:
			t.Errorf("%s: %d events", h.Workflow, len(h.Events))
		}
		if len(seen) == 10 {
			cancel(enough)
		}
	}
	if len(seen) != len(runs) || cut < len(runs)-20 {
		t.Errorf("%d of %d came, %d of them as cut off", len(seen), len(runs), cut)
	}
	goleak.VerifyNone(t, before)
}
