package pgstore_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/internal/testenv/pgfault"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// patience ends what should never take as long.
const patience = 2 * time.Minute

// running is a projector under way.
type running struct {
	*projection.Projector
	cancel context.CancelFunc
	done   chan error
}

func start(t failer, source events.Source, target projection.Target, c projection.Config) *running {
	t.Helper()
	if c.Logger == nil {
		c.Logger = quiet
	}
	p, err := projection.New(source, target, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Projector: p, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- p.Run(ctx) }()
	return r
}

// stop ends the projector and gives what Run returned.
func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// watched tells about each batch that was written, or was not.
type watched struct {
	projection.Target
	wrote func(projection.Checkpoint, error)
}

func (w watched) Folder(c projection.Checkpoint) projection.Folder {
	return watchedFolder{w.Target.Folder(c), w.wrote}
}

type watchedFolder struct {
	projection.Folder
	wrote func(projection.Checkpoint, error)
}

func (f watchedFolder) Fold(ctx context.Context, commits []projection.Commit) (projection.Batch, error) {
	b, err := f.Folder.Fold(ctx, commits)
	if err != nil {
		return nil, err
	}
	return watchedBatch{b, f.wrote}, nil
}

type watchedBatch struct {
	projection.Batch
	wrote func(projection.Checkpoint, error)
}

func (b watchedBatch) Write(ctx context.Context) error {
	err := b.Batch.Write(ctx)
	b.wrote(b.Checkpoint(), err)
	return err
}

// ends are where the partitions of a log end, but for those that are left out.
func ends(t failer, log events.Source, without ...events.Partition) events.Vector {
	t.Helper()
	out, err := events.Vector{}.Bind(log.Identity())
	if err != nil {
		t.Fatal(err)
	}
	for p := range events.Partition(log.Identity().Map.Partitions()) {
		b, err := log.Bounds(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		skip := b.Last == 0
		for _, w := range without {
			skip = skip || w == p
		}
		if !skip {
			out = out.With(events.Position{Partition: p, Sequence: b.Last})
		}
	}
	return out
}

func waitFor(t failer, store *pgstore.Store, v events.Vector) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := store.WaitFor(ctx, v); err != nil {
		t.Fatal(err)
	}
}

// A projector that is stopped after any number of batches and started again,
// until the log's end.
func TestProjectorStoppedAndStartedAnywhere(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	starts := 0
	rapid.Check(t, func(t *rapid.T) {
		empty(t, pool)
		log, workflows := written(t, historytest.Drawn(t, 30), historytest.Options{})
		projectAll(t, log, storeOn(t, pool, pgstore.Config{}), 0)
		want := dump(t, pool)
		empty(t, pool)

		store := storeOn(t, pool, pgstore.Config{CacheRuns: rapid.SampledFrom([]int{1, 10_000}).Draw(t, "cache")})
		config := projection.Config{BatchCommits: rapid.IntRange(1, 6).Draw(t, "batch"), BufferBytes: rapid.SampledFrom([]int{1, 5000, 0}).Draw(t, "buffer")}
		for _, batches := range rapid.SliceOfN(rapid.IntRange(1, 5), 0, 4).Draw(t, "stops") {
			wrote := make(chan struct{}, 1000)
			r := start(t, log, watched{store, func(projection.Checkpoint, error) { wrote <- struct{}{} }}, config)
			reached := make(chan error, 1)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			go func() { reached <- store.WaitFor(ctx, ends(t, log)) }()
		waiting:
			for range batches {
				select {
				case <-wrote:
				case <-reached: // there are not that many
					break waiting
				}
			}
			cancel()
			if err := r.stop(); err != nil {
				t.Fatalf("Run: %v", err)
			}
			starts++
		}
		r := start(t, log, store, config)
		waitFor(t, store, ends(t, log))
		if err := r.stop(); err != nil {
			t.Fatalf("Run: %v", err)
		}
		starts++
		if diff := cmp.Diff(want, dump(t, pool)); diff != "" {
			t.Fatalf("in one batch (-) and by the projector (+):\n%s", diff)
		}
		mustAgree(t, log, store, pool, workflows)
	})
	t.Logf("%d starts", starts)
}

// Two projectors on the same partitions for as long as commits come, and in each of them connections are cut at any
// statement, of transactions and of what is read between them: each finds out that the other was there.
func TestTwoProjectorsOnTheSamePartitions(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  func(*testing.T) events.Log
	}{
		{"memory", func(t *testing.T) events.Log { return newLog(t, 3) }},
		{"R1", func(t *testing.T) events.Log { return natsLog(t, testenv.NATS(t), 3) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool := newTables(t)
			log := tt.log(t)
			var fenced, batches atomic.Int64
			var projectors []*running
			var injectors []*pgfault.Injector
			for i := range 2 {
				behind, faults := withFaults(t, pool)
				injectors = append(injectors, faults)
				r := rand.New(rand.NewPCG(uint64(i), 7))
				faults.Decide(func(s pgfault.Statement) pgfault.Fault {
					often := 120
					if s.Text == "commit" {
						often = 8
					}
					if r.IntN(often) > 0 {
						return pgfault.None
					}
					return []pgfault.Fault{pgfault.Before, pgfault.After}[r.IntN(2)]
				})
				target := watched{storeOn(t, behind, pgstore.Config{CacheRuns: 1 + 3*i}), func(_ projection.Checkpoint, err error) {
					batches.Add(1)
					if errors.Is(err, projection.ErrFenced) {
						fenced.Add(1)
					}
				}}
				projectors = append(projectors, start(t, log, target, projection.Config{BatchCommits: 3, MaxBackoff: 30 * time.Millisecond}))
			}
			store := storeOn(t, pool, pgstore.Config{})
			g := historytest.New(historytest.Options{Workflows: 12, Resets: true})
			rounds := uint64(1)
			if *long {
				rounds = 40
			}
			for round := range rounds {
				if err := g.AppendAll(t.Context(), log, historytest.Seeded(3+round, 300)); err != nil {
					t.Fatal(err)
				}
				waitFor(t, store, ends(t, log))
			}
			for i, r := range projectors {
				for _, s := range r.Status() {
					if s.Phase == projection.PhaseStopped {
						t.Errorf("partition %d stopped: %v", s.Checkpoint.Partition, s.Err)
					}
				}
				if err := r.stop(); err != nil {
					t.Errorf("Run: %v", err)
				}
				t.Logf("projector %d:\n%s", i, injectors[i])
			}
			for _, f := range []pgfault.Fault{pgfault.Before, pgfault.After} {
				for _, text := range []string{"", "commit"} {
					if injectors[0].Count(text, f)+injectors[1].Count(text, f) == 0 {
						t.Errorf("no connection was cut %s %q", f, text)
					}
				}
			}
			mustAgree(t, log, store, pool, g.Workflows())
			t.Logf("%d batches, %d of them fenced", batches.Load(), fenced.Load())
			if fenced.Load() == 0 {
				t.Error("the two never met: the test proves nothing")
			}
		})
	}
}

// natsLog is a new log on the connection.
func natsLog(t testing.TB, nc *nats.Conn, streams int) *natslog.Log {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := natslog.Create(ctx, js, natslog.CreateOptions{Streams: streams}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(ctx, js, natslog.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// openLog is a log that is there, on a connection of its own.
func openLog(t testing.TB, url string, o ...nats.Option) *natslog.Log {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url, o...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	log, err := natslog.Open(ctx, js, natslog.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// logged keeps what is logged, one line of text a record, and tells of each.
type logged struct {
	mu    sync.Mutex // guards lines
	lines []string
	came  chan struct{}
}

func newLogged() *logged { return &logged{came: make(chan struct{}, 10_000)} }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	l.came <- struct{}{}
	return len(b), nil
}

// count is how many lines have the text.
func (l *logged) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// with waits for a line that has all of the texts, and returns it.
func (l *logged) with(t failer, texts ...string) string {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		l.mu.Lock()
	lines:
		for _, line := range l.lines {
			for _, s := range texts {
				if !strings.Contains(line, s) {
					continue lines
				}
			}
			l.mu.Unlock()
			return line
		}
		all := strings.Join(l.lines, "")
		l.mu.Unlock()
		select {
		case <-l.came:
		case <-timeout.C:
			t.Fatalf("nothing was logged with %q; only:\n%s", texts, all)
		}
	}
}

// telling is a log that tells when a message has been taken by its follower.
type telling struct {
	events.Source
	at    uint64
	taken chan struct{}
}

func (s telling) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for m, err := range s.Source.Follow(ctx, p, o) {
			if !yield(m, err) {
				return
			}
			if m.Position.Sequence == s.at {
				close(s.taken)
			}
		}
	}
}

// What comes while a batch is being written is written together after it.
func TestBatchesGrowWhileOneIsBeingWritten(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	store := storeOn(t, newTables(t), pgstore.Config{})
	wrote, goOn := make(chan uint64), make(chan struct{})
	source := telling{log, 201, make(chan struct{})}
	r := start(t, source, watched{store, func(c projection.Checkpoint, err error) {
		if err != nil {
			t.Error(err)
		}
		wrote <- c.Sequence
		<-goOn
	}}, projection.Config{BatchCommits: 50})
	g := historytest.New(historytest.Options{})
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(1, 1)); err != nil {
		t.Fatal(err)
	}
	sequences := []uint64{<-wrote}
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(2, 200)); err != nil {
		t.Fatal(err)
	}
	<-source.taken
	for sequences[len(sequences)-1] < 201 {
		goOn <- struct{}{}
		sequences = append(sequences, <-wrote)
	}
	close(goOn)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]uint64{1, 51, 101, 151, 201}, sequences); diff != "" {
		t.Errorf("batches ended at (-want +got):\n%s", diff)
	}
}

// Beyond its bound the cache keeps what the last two batches touched, no more.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	g := historytest.New(historytest.Options{Workflows: 100})
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(6, 300)); err != nil {
		t.Fatal(err)
	}
	pool := newTables(t)
	store := storeOn(t, pool, pgstore.Config{CacheRuns: 5})
	c, err := store.Checkpoint(t.Context(), log.Identity(), 0)
	if err != nil {
		t.Fatal(err)
	}
	f := store.Folder(c)
	most := 0
	for ms := messages(t, log, 0); len(ms) > 0; ms = ms[3:] {
		b, err := f.Fold(t.Context(), decoded(t, ms[:3]))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		most = max(most, pgstore.Cached(f))
	}
	if most > 5+6 {
		t.Errorf("%d workflows were cached, want at most 5 and those of two batches of 3 commits", most)
	}
	mustAgree(t, log, store, pool, g.Workflows())
}
