package replay_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/execution"
	"github.com/annals-io/annals/pkg/replay"
	"github.com/annals-io/annals/pkg/replay/snapshot"
)

// rotten keeps every snapshot that it was ever given, and gives what it is told to.
type rotten struct {
	ever []kept
	give func(replay.Run) ([]byte, error)
}

type kept struct {
	run replay.Run
	b   []byte
}

func (r *rotten) Put(_ context.Context, run replay.Run, b []byte) error {
	r.ever = append(r.ever, kept{run, slices.Clone(b)})
	return nil
}

func (r *rotten) Get(_ context.Context, run replay.Run) ([]byte, error) { return r.give(run) }

// newest is what a sound store gives.
func (r *rotten) newest(run replay.Run) ([]byte, error) {
	for _, k := range slices.Backward(r.ever) {
		if k.run == run {
			return k.b, nil
		}
	}
	return nil, nil
}

// TestStatesBySnapshotsAreThoseOfTheFold: of drawn logs with resets and voids, cut
// anywhere, with snapshots that are the newest, older ones, other runs', damaged ones,
// or cannot be got at all.
func TestStatesBySnapshotsAreThoseOfTheFold(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		log := newLog(t)
		g := historytest.New(historytest.Options{
			Workflows: 3, Resets: true,
			Put: func(subject string) { log.Put(partitionOf(t, log, subject), subject, nil, []byte("hello")) },
		})
		store := &rotten{}
		cached := &replay.Cached{Log: log, Snapshots: store, Every: rapid.IntRange(1, 8).Draw(t, "every"), Logger: slog.New(slog.DiscardHandler)}
		for i, step := range historytest.Drawn(t, 40) {
			if _, err := g.Append(ctx, log, step); err != nil {
				t.Fatal(err)
			}
			if i%4 != 3 {
				continue
			}
			how := rapid.SampledFrom([]string{"newest", "newest", "newest", "any", "another's", "damaged", "none"}).Draw(t, "given")
			store.give = store.newest
			if n := len(store.ever); n > 0 {
				k := store.ever[rapid.IntRange(0, n-1).Draw(t, "which")]
				at := rapid.IntRange(0, len(k.b)-1).Draw(t, "byte")
				store.give = func(run replay.Run) ([]byte, error) {
					counts[how]++
					switch {
					case how == "any" && k.run == run, how == "another's":
						return k.b, nil
					case how == "damaged":
						b := slices.Clone(k.b)
						b[at] ^= 0x10
						return b, nil
					case how == "none":
						return nil, errors.New("the disk is gone")
					default:
						return store.newest(run)
					}
				}
			}
			for _, w := range g.Workflows() {
				runs := runsOf(t, log, w)
				if len(runs) == 0 {
					continue
				}
				want, end, err := replay.Load(ctx, log, w)
				got, cachedEnd, cachedErr := cached.Load(ctx, w)
				if err != nil || cachedErr != nil || end.String() != cachedEnd.String() {
					t.Fatalf("load of %s: %s, %v; by snapshots %s, %v", w, end, err, cachedEnd, cachedErr)
				}
				mustBe(t, want, got, "loaded", w)
				for run := range runs {
					last, err := replay.State(ctx, log, w, run, replay.AtEnd())
					if err != nil {
						t.Fatal(err)
					}
					n := rapid.IntRange(1, int(last.LastEventID)).Draw(t, "event")
					for _, at := range []replay.Point{replay.AtEnd(), replay.AtEvent(events.EventID(n)), replay.AtTime(last.UpdatedAt), replay.AtEvent(last.LastEventID), replay.AtEvent(last.LastEventID + 1)} {
						want, err := replay.State(ctx, log, w, run, at)
						got, cachedErr := cached.State(ctx, w, run, at)
						if err != nil || cachedErr != nil {
							if !errors.Is(err, events.ErrNotFound) || !errors.Is(cachedErr, events.ErrNotFound) {
								t.Fatalf("run %s of %s at %+v: %v, by snapshots %v", run, w, at, err, cachedErr)
							}
							continue
						}
						mustBe(t, want, got, "at", w, run, at)
					}
				}
			}
		}
	})
	t.Logf("snapshots given: %v", counts)
}

func partitionOf(t failer, log events.Log, subject string) events.Partition {
	t.Helper()
	w, err := events.ParseSubject(subject)
	if err != nil {
		t.Fatal(err)
	}
	return log.Identity().Map.Partition(w.Slot())
}

// counted counts the events that are read.
type counted struct {
	events.Reader
	events int
}

func (c *counted) Read(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		for e, err := range c.Reader.Read(ctx, w, o) {
			c.events++
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestASnapshotSparesTheHistory: of a long run only what came since is read.
func TestASnapshotSparesTheHistory(t *testing.T) {
	log := newLog(t)
	at := add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
	for range 30 {
		at = add(t, log, events.After(at.Cursor), slices.Repeat([]*events.Event{events.Signaled("paid")}, 100)...)
	}
	c := &counted{Reader: log}
	memory := snapshot.NewMemory(1 << 20)
	cached := &replay.Cached{Log: c, Snapshots: memory, Every: 1000}
	load := func(want int) {
		t.Helper()
		c.events = 0
		s, end, err := cached.Load(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		plain, _, err := replay.Load(t.Context(), log, order)
		if err != nil {
			t.Fatal(err)
		}
		mustBe(t, plain, s, "loaded at", end)
		if c.events != want {
			t.Errorf("%d events were read, want %d", c.events, want)
		}
	}
	load(3001)
	load(0)
	at = add(t, log, events.After(at.Cursor), events.Signaled("paid"), events.Signaled("paid"))
	load(2)
	load(2)
	for range 10 {
		at = add(t, log, events.After(at.Cursor), slices.Repeat([]*events.Event{events.Signaled("paid")}, 100)...)
	}
	load(1002)
	load(0)
	if memory.Bytes() == 0 {
		t.Error("nothing is kept")
	}
}

// TestASnapshotOfAnotherHistoryIsNotUsed: the log was cut back behind it and went on
// otherwise, at the same positions, or it is of another log.
func TestASnapshotOfAnotherHistoryIsNotUsed(t *testing.T) {
	for _, more := range []int{0, 1, 2, 30} {
		log := newLog(t)
		at := add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"))
		first := at
		for range 20 {
			at = add(t, log, events.After(at.Cursor), events.Signaled("lost"), events.Signaled("lost"))
		}
		var said bytes.Buffer
		store := &rotten{}
		store.give = store.newest
		cached := &replay.Cached{Log: log, Snapshots: store, Every: 1, Logger: slog.New(slog.NewTextHandler(&said, nil))}
		if _, _, err := cached.Load(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		log.Truncate(at.Position.Partition, at.Position.Sequence-2)
		fresh := log.Open(memlog.Config{})
		commits := 0
		for c, err := range log.Commits(t.Context(), order) {
			if err != nil {
				t.Fatal(err)
			}
			at.Cursor = c.Cursor(log.Identity())
			commits++
		}
		for range more {
			at = add(t, fresh, events.After(at.Cursor), events.Signaled("other"), events.Signaled("other"))
		}
		want, _, err := replay.Load(t.Context(), log, order)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := cached.Load(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		mustBe(t, want, got, "after it was cut back and", more, "commits, of", commits, first.RunID)
		if more >= 2 && said.Len() == 0 {
			t.Errorf("with %d commits more nothing was said of the snapshot", more)
		}
		another := newLog(t)
		add(t, another, events.NewRun(), events.WorkflowStarted("Order", "orders"))
		cached.Log = another
		s, end, err := cached.Load(t.Context(), order)
		if err != nil || s.LastEventID != 1 || s.RunID != end.Run() {
			t.Errorf("in another log: %+v, %v", s, err)
		}
	}
}

// TestASnapshotOfAnotherFoldIsNotUsed, nor one that lost its end.
func TestASnapshotOfAnotherFoldIsNotUsed(t *testing.T) {
	log := newLog(t)
	add(t, log, events.NewRun(), events.WorkflowStarted("Order", "orders"), events.Signaled("paid"))
	store := &rotten{}
	store.give = store.newest
	cached := &replay.Cached{Log: log, Snapshots: store, Every: 1, Logger: slog.New(slog.DiscardHandler)}
	if _, _, err := cached.Load(t.Context(), order); err != nil || len(store.ever) != 1 {
		t.Fatal(err, len(store.ever))
	}
	sound := store.ever[0].b
	if _, rest, _ := bytes.Cut(sound, []byte("\n")); rest[0] != execution.FoldVersion {
		t.Fatalf("%q does not hold version %d behind its first line", sound[:24], execution.FoldVersion)
	}
	for n := range sound {
		if _, err := replay.DecodeSnapshot(sound[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for a snapshot", n, len(sound))
		}
	}
	if _, err := replay.DecodeSnapshot(sound); err != nil {
		t.Fatal(err)
	}
	if _, err := replay.DecodeSnapshot(replay.SnapshotOfFold(sound, execution.FoldVersion+1)); err == nil {
		t.Error("a snapshot of another version of the fold is used")
	}
	store.give = func(replay.Run) ([]byte, error) {
		return replay.SnapshotOfFold(sound, execution.FoldVersion+1), nil
	}
	if _, _, err := cached.Load(t.Context(), order); err != nil || len(store.ever) != 2 {
		t.Errorf("%v, %d snapshots, want the second one made anew", err, len(store.ever))
	}
}
