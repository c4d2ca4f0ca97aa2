package natslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/replay"
)

// A backup under load is a prefix of every stream, and each that adds to it a
// longer one.
func TestBackupUnderLoadIsAPrefix(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 3})
	log := open(t, nc, natslog.Config{})
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var appended atomic.Int64
	more := make(chan struct{}, 1)
	for seed := range uint64(4) {
		writers.Go(func() {
			g := historytest.New(historytest.Options{Workflows: 6})
			for _, s := range historytest.Seeded(seed, 1<<20) {
				if _, err := g.Append(ctx, inNamespace{log, string(rune('a' + seed))}, s); err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				appended.Add(1)
				select {
				case more <- struct{}{}:
				default:
				}
			}
		})
	}
	last := int64(0)
	var manifests []*backup.Manifest
	for range 4 {
		for before := appended.Load(); appended.Load() < before+50; {
			<-more
		}
		r := backUp(t, log, dir)
		if n := r.Manifest.Messages(); n <= last {
			t.Errorf("a backup of %d messages after one of %d", n, last)
		} else {
			last = n
		}
		manifests = append(manifests, r.Manifest)
	}
	during := appended.Load()
	stop()
	writers.Wait()
	t.Logf("%d appends, of which the backups hold %d, %d, %d, %d", during, manifests[0].Messages(), manifests[1].Messages(), manifests[2].Messages(), manifests[3].Messages())
	want, got := everything(t, log), everything(t, openFolder(t, dir))
	for p := range want {
		end := manifests[3].Streams[p].Last
		if uint64(len(want[p])) < end {
			t.Fatalf("partition %d has %d messages, the backup ends at %d", p, len(want[p]), end)
		}
		if d := cmp.Diff(want[p][:end], got[p]); d != "" {
			t.Errorf("partition %d is no prefix (-log +folder):\n%s", p, d)
		}
	}
}

// inNamespace has all workflows in a namespace of its own.
type inNamespace struct {
	events.Appender
	namespace string
}

func (n inNamespace) Append(ctx context.Context, r events.Request) (events.Result, error) {
	r.Workflow.Namespace += n.namespace
	return n.Appender.Append(ctx, r)
}

// What was purged from the log is missing in the restored one too, and all else
// stands where it stood, after messages that are there no more as well.
func TestRestoreKeepsGaps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		purge func(events.Workflow, uint64) []jetstream.StreamPurgeOpt
		three bool // restored on three replicas
	}{
		{"a workflow", func(w events.Workflow, _ uint64) []jetstream.StreamPurgeOpt {
			return []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(w.Subject())}
		}, false},
		{"all but the last commit of a workflow", func(w events.Workflow, _ uint64) []jetstream.StreamPurgeOpt {
			return []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(w.Subject()), jetstream.WithPurgeKeep(1)}
		}, true},
		{"the first half", func(_ events.Workflow, last uint64) []jetstream.StreamPurgeOpt {
			return []jetstream.StreamPurgeOpt{jetstream.WithPurgeSequence(last / 2)}
		}, true},
		{"all but the last", func(_ events.Workflow, last uint64) []jetstream.StreamPurgeOpt {
			return []jetstream.StreamPurgeOpt{jetstream.WithPurgeSequence(last)}
		}, false},
		{"everything", func(events.Workflow, uint64) []jetstream.StreamPurgeOpt { return nil }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nc, dir := testenv.NATS(t), t.TempDir()
			create(t, nc, natslog.CreateOptions{Streams: 1})
			log := open(t, nc, natslog.Config{})
			w := histories(t, log, 8, 60)[2]
			if _, err := log.Append(t.Context(), request(w, events.AtEnd(), signal())); err != nil && !errors.Is(err, events.ErrClosed) {
				t.Fatal(err)
			}
			before, err := log.Bounds(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := jetStream(t, nc).Stream(t.Context(), natslog.StreamName(0))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Purge(t.Context(), tt.purge(w, before.Last)...); err != nil {
				t.Fatal(err)
			}
			r := backUp(t, log, dir)
			if uint64(r.Messages) >= before.Last {
				t.Fatalf("%d messages of %d are in the backup: nothing was purged", r.Messages, before.Last)
			}
			to := testenv.NATS(t)
			if tt.three {
				to = testenv.NATSCluster(t)
				restore(t, to, dir, natslog.RestoreOptions{Replicas: 3})
			} else {
				restore(t, to, dir, natslog.RestoreOptions{})
			}
			same(t, log, open(t, to, natslog.Config{}))
			if r, err := open(t, to, natslog.Config{}).Backup(t.Context(), t.TempDir(), backup.Options{}); err != nil || uint64(r.Messages) >= before.Last {
				t.Errorf("a backup of what was restored: %+v, %v", r, err)
			}
		})
	}
}

// same holds two logs against each other: bounds, and every message that is there.
func same(t *testing.T, log, again *natslog.Log) {
	t.Helper()
	for p := range events.Partition(log.Identity().Map.Partitions()) {
		want, err := log.Bounds(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Bounds(t.Context(), p)
		if err != nil || got.First != want.First || got.Last != want.Last {
			t.Errorf("partition %d has the bounds %+v, want %+v (%v)", p, got, want, err)
		}
		for seq := want.First; seq <= want.Last; seq++ {
			at := events.Position{Partition: p, Sequence: seq}
			a, errA := log.Message(t.Context(), at)
			b, errB := again.Message(t.Context(), at)
			if errors.Is(errA, events.ErrNotFound) && errors.Is(errB, events.ErrNotFound) {
				continue
			}
			if errA != nil || errB != nil {
				t.Errorf("message %s: %v, restored: %v", at, errA, errB)
				continue
			}
			a.Time = b.Time
			if d := cmp.Diff(a, b); d != "" {
				t.Errorf("message %s (-log +restored):\n%s", at, d)
			}
		}
	}
}

// A log is restored where there is none or an empty one, and nowhere else.
func TestRestoreRefusesALogThatIsThere(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 2})
	log := open(t, nc, natslog.Config{})
	w := histories(t, log, 1, 20)[0]
	backUp(t, log, dir)
	refused := func(nc *nats.Conn, want string) {
		t.Helper()
		_, err := natslog.Restore(t.Context(), jetStream(t, nc), openFolder(t, dir), natslog.RestoreOptions{})
		if !errors.Is(err, natslog.ErrNotEmpty) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want that %s is in the way", err, want)
		}
	}
	refused(nc, "ANNALS_0")
	if _, err := log.Append(t.Context(), request(w, events.AtEnd(), signal())); err != nil && !errors.Is(err, events.ErrClosed) {
		t.Errorf("the log that is there does not go on: %v", err)
	}

	other := testenv.NATS(t)
	if _, err := jetStream(t, other).CreateStream(t.Context(), jetstream.StreamConfig{Name: "mine", Subjects: []string{"annals.7.x.y"}}); err != nil {
		t.Fatal(err)
	}
	refused(other, "mine")

	more := testenv.NATS(t)
	create(t, more, natslog.CreateOptions{Streams: 3})
	refused(more, "ANNALS_02")

	empty := testenv.NATS(t)
	create(t, empty, natslog.CreateOptions{Streams: 2})
	restore(t, empty, dir, natslog.RestoreOptions{})
	if d := cmp.Diff(everything(t, openFolder(t, dir)), everything(t, open(t, empty, natslog.Config{}))); d != "" {
		t.Errorf("(-folder +restored):\n%s", d)
	}
}

// Who follows a log while it is deleted and restored, over the same connection,
// is told.
func TestRestoreIsNoticedWithoutAReconnect(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log, js := open(t, nc, natslog.Config{}), jetStream(t, nc)
	histories(t, log, 1, 5)
	backUp(t, log, dir)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	followed := make(chan error, 1)
	seen := make(chan struct{}, 100)
	go func() {
		for _, err := range log.Follow(ctx, 0, events.FollowOptions{}) {
			if err != nil {
				followed <- err
				return
			}
			seen <- struct{}{}
		}
	}()
	<-seen
	for _, name := range []string{natslog.StreamName(0), natslog.HeartbeatStream} {
		if err := js.DeleteStream(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	r := restore(t, nc, dir, natslog.RestoreOptions{})
	if err := <-followed; !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("whoever follows it: %v", err)
	}
	if again := open(t, nc, natslog.Config{}); again.Identity().Epoch != r.Identity.Epoch {
		t.Errorf("%+v", again.Identity())
	}
}

// More replicas than there can be are refused before anything is copied.
func TestRestoreRefusesTooManyReplicas(t *testing.T) {
	t.Parallel()
	_, dir := busyLog(t, 1)
	nc := testenv.NATS(t)
	_, err := natslog.Restore(t.Context(), jetStream(t, nc), openFolder(t, dir), natslog.RestoreOptions{
		Replicas: 3, Progress: func(n int) { t.Errorf("%d messages were copied", n) },
	})
	if err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("%v", err)
	}
	if _, err := natslog.Restore(t.Context(), jetStream(t, nc), openFolder(t, dir), natslog.RestoreOptions{Replicas: 6}); !errors.Is(err, events.ErrInvalid) {
		t.Errorf("six replicas: %v", err)
	}
	restore(t, nc, dir, natslog.RestoreOptions{})
}

// A server without room is tried again and again, and written about now and then.
func TestRestoreWithoutRoomSaysSoNowAndThen(t *testing.T) {
	t.Parallel()
	_, dir := busyLog(t, 2)
	conf, store := filepath.Join(t.TempDir(), "nats.conf"), t.TempDir()
	text := fmt.Sprintf("host: 127.0.0.1, port: -1, max_payload: 4MB\njetstream { store_dir: %q, max_file_store: 20KB }\n", store)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := embednats.StartConfigured(t.Context(), conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	var lines told
	lines.first = func() { // then several attempts
		time.AfterFunc(1500*time.Millisecond, func() { stop(context.DeadlineExceeded) })
	}
	_, err = natslog.Restore(ctx, jetStream(t, testenv.Connect(t, s.ClientURL())), openFolder(t, dir), natslog.RestoreOptions{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	times := strings.Count(lines.String(), "trying again")
	streams := len(openFolder(t, dir).Manifest().Streams)
	if times == 0 || times > streams || !strings.Contains(lines.String(), "insufficient resources") {
		t.Errorf("%d lines of %d streams:\n%s", times, streams, lines.String())
	}
}

// told is what a logger wrote; first is called when it has written about another
// attempt.
type told struct {
	bytes.Buffer
	once  sync.Once
	first func()
}

func (b *told) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("trying again")) {
		b.once.Do(b.first)
	}
	return b.Buffer.Write(p)
}

// An empty log that somebody follows is not restored over.
func TestRestoreRefusesAnEmptyLogThatIsFollowed(t *testing.T) {
	t.Parallel()
	_, dir := busyLog(t, 1)
	nc := testenv.NATS(t)
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log, js := open(t, nc, natslog.Config{}), jetStream(t, nc)
	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() {
		for range log.Follow(ctx, 0, events.FollowOptions{}) {
		}
	})
	for {
		s, err := js.Stream(t.Context(), natslog.StreamName(0))
		if err != nil {
			t.Fatal(err)
		}
		if s.CachedInfo().State.Consumers > 0 {
			break
		}
	}
	_, err := natslog.Restore(t.Context(), js, openFolder(t, dir), natslog.RestoreOptions{})
	if !errors.Is(err, natslog.ErrNotEmpty) || !strings.Contains(err.Error(), "followed") {
		t.Errorf("%v", err)
	}
	stop()
	following.Wait()
	restore(t, nc, dir, natslog.RestoreOptions{})
}

// busyLog is a log in which every stream has some thousand commits, and its backup.
func busyLog(t *testing.T, streams int) (*natslog.Log, string) {
	t.Helper()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: streams})
	log := open(t, nc, natslog.Config{})
	if err := bulk.Write(t.Context(), log, 1, 600*streams, 4); err != nil {
		t.Fatal(err)
	}
	backUp(t, log, dir)
	return log, dir
}

// A restore that ended in the middle is no log, says what to do, and goes on.
func TestRestoreIsResumed(t *testing.T) {
	t.Parallel()
	log, dir := busyLog(t, 2)
	nc, other := testenv.NATS(t), t.TempDir()
	js := jetStream(t, nc)
	second := testenv.NATS(t)
	create(t, second, natslog.CreateOptions{Streams: 2})
	backUp(t, open(t, second, natslog.Config{}), other)

	if _, err := natslog.Restore(t.Context(), js, openFolder(t, dir), natslog.RestoreOptions{Resume: true}); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("resumed where nothing was begun: %v", err)
	}
	stopped := 0
	for ; ; stopped++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := natslog.Restore(ctx, js, openFolder(t, dir), natslog.RestoreOptions{Resume: stopped > 0, Progress: func(n int) {
			if n > 0 {
				cancel(errKilled)
			}
		}})
		cancel(nil)
		if err == nil {
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if _, err := natslog.Open(t.Context(), js, natslog.Config{}); !errors.Is(err, events.ErrWrongLog) || !strings.Contains(err.Error(), "--resume") {
			t.Errorf("half a log is opened: %v", err)
		}
		if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{}); !errors.Is(err, events.ErrWrongLog) {
			t.Errorf("half a log is completed by Create: %v", err)
		}
		if _, err := natslog.Restore(t.Context(), js, openFolder(t, dir), natslog.RestoreOptions{}); !errors.Is(err, natslog.ErrUnfinished) {
			t.Errorf("begun anew over half a log: %v", err)
		}
		if _, err := natslog.Restore(t.Context(), js, openFolder(t, other), natslog.RestoreOptions{Resume: true}); !errors.Is(err, natslog.ErrUnfinished) {
			t.Errorf("resumed from another backup: %v", err)
		}
		// Nobody reaches the streams by the subjects of the log.
		if _, err := nc.RequestWithContext(t.Context(), "annals.1.default.order", nil); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("an append into half a log: %v", err)
		}
	}
	if stopped == 0 {
		t.Error("it was never stopped")
	}
	if d := cmp.Diff(everything(t, log), everything(t, open(t, nc, natslog.Config{}))); d != "" {
		t.Errorf("(-log +restored):\n%s", d)
	}
}

// A restore that was killed in its last step, when all streams but the first are
// what they will be, is completed in the epoch that it has begun.
func TestRestoreIsResumedInItsLastStep(t *testing.T) {
	t.Parallel()
	log, dir := busyLog(t, 2)
	nc := testenv.NATS(t)
	js := jetStream(t, nc)
	r := restore(t, nc, dir, natslog.RestoreOptions{})
	first, err := js.Stream(t.Context(), natslog.StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	c := first.CachedInfo().Config
	c.Metadata = map[string]string{"annals.restoring": fmt.Sprintf("%d %s", r.Identity.Epoch, openFolder(t, dir).Sum)}
	c.Subjects = []string{"annals-restore.ANNALS_00.m.>"}
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Open(t.Context(), js, natslog.Config{}); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("half a log is opened: %v", err)
	}
	if again := restore(t, nc, dir, natslog.RestoreOptions{Resume: true}); again.Identity.Epoch != r.Identity.Epoch {
		t.Errorf("the epoch is %d, and was going to be %d", again.Identity.Epoch, r.Identity.Epoch)
	}
	if d := cmp.Diff(everything(t, log), everything(t, open(t, nc, natslog.Config{}))); d != "" {
		t.Errorf("(-log +restored):\n%s", d)
	}
}

// What somebody else stored in a stream that is being restored is noticed.
func TestRestoreNoticesWhatIsNotTheBackups(t *testing.T) {
	t.Parallel()
	_, dir := busyLog(t, 1)
	nc := testenv.NATS(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	var once sync.Once
	_, err := natslog.Restore(ctx, jetStream(t, nc), openFolder(t, dir), natslog.RestoreOptions{Progress: func(n int) {
		if n == 1000 {
			once.Do(func() { cancel(errKilled) })
		}
	}})
	if !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	put(t, nc, "annals-restore.ANNALS_00.m.1.default.other", nil, nil)
	_, err = natslog.Restore(t.Context(), jetStream(t, nc), openFolder(t, dir), natslog.RestoreOptions{Resume: true})
	if !errors.Is(err, natslog.ErrSpoiled) {
		t.Errorf("%v", err)
	}
	if _, err := natslog.Open(t.Context(), jetStream(t, nc), natslog.Config{}); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("it is opened: %v", err)
	}
}

var errKilled = errors.New("killed")

// A server that is killed in the middle of a restore, and comes back, gets the
// rest: nothing is missing and nothing is there twice.
func TestRestoreSurvivesTheServer(t *testing.T) {
	t.Parallel()
	log, dir := busyLog(t, 2)
	p := testenv.NATSProcess(t, "")
	nc := testenv.Connect(t, p.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	kill := make(chan struct{}, 1)
	var killed sync.WaitGroup
	kills := 0
	killed.Go(func() {
		for range kill {
			if kills++; kills <= 2 {
				p.Kill()
				p.Restart()
			}
		}
	})
	restore(t, nc, dir, natslog.RestoreOptions{Progress: func(n int) {
		if n == 1000 {
			select {
			case kill <- struct{}{}:
			default:
			}
		}
	}})
	close(kill)
	killed.Wait()
	if kills == 0 {
		t.Error("the server was never killed")
	}
	if d := cmp.Diff(everything(t, log), everything(t, open(t, nc, natslog.Config{}))); d != "" {
		t.Errorf("(-log +restored):\n%s", d)
	}
}

// A backup that is damaged is refused before anything is made of it.
func TestRestoreRefusesADamagedBackup(t *testing.T) {
	t.Parallel()
	log, dir := busyLog(t, 1)
	_ = log
	file := openFolder(t, dir).Manifest().Streams[0].Segments[0].File
	spoil(t, dir, file)
	nc := testenv.NATS(t)
	_, err := natslog.Restore(t.Context(), jetStream(t, nc), openFolder(t, dir), natslog.RestoreOptions{})
	if !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, want that %s is damaged", err, file)
	}
	if _, err := jetStream(t, nc).Stream(t.Context(), natslog.StreamName(0)); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a stream was made of it: %v", err)
	}
}

// Of heartbeats the newest are restored, and those that the log would have
// forgotten meanwhile are not.
func TestRestoreForgetsOldHeartbeats(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 1, HeartbeatAge: 150 * time.Millisecond})
	log := open(t, nc, natslog.Config{})
	h := heartbeat(events.Workflow{Namespace: "default", ID: "w"}, "a", 1)
	if _, err := log.RecordHeartbeat(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	r := backUp(t, log, dir)
	for { // until the log has forgotten it
		if _, err := log.LastHeartbeat(t.Context(), h.Activity); errors.Is(err, events.ErrNotFound) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	report := restore(t, testenv.NATS(t), dir, natslog.RestoreOptions{})
	if report.Heartbeats != 0 || report.Forgotten != r.Heartbeats {
		t.Errorf("restored %+v of a backup with %d", report, r.Heartbeats)
	}
}

// A reset names its base by a position, and a void what it covers by sequences:
// both hold in the folder and in the restored log.
func TestResetsAndVoidsAreRestored(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	w := events.Workflow{Namespace: "default", ID: "order"}
	add := func(r events.Request) events.Result {
		t.Helper()
		res, err := log.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first := add(request(w, events.NewRun(), started(), signal(), completed()))
	put(t, nc, w.Subject(), nil, []byte("no commit"))
	if _, err := log.Void(t.Context(), events.VoidRequest{Workflow: w, Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
	reset := request(w, events.AtEnd(), signal())
	reset.Base = &events.Base{Run: first.RunID, Event: 2}
	tail, err := log.Tail(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	reset.Expect = events.After(tail)
	add(reset)
	backUp(t, log, dir)
	to := testenv.NATS(t)
	restore(t, to, dir, natslog.RestoreOptions{})
	for name, s := range map[string]events.Source{"the folder": openFolder(t, dir), "the restored log": open(t, to, natslog.Config{})} {
		r, err := replay.VerifyLog(t.Context(), sourceOnly{Source: s}, replay.VerifyOptions{})
		if err != nil || len(r.Differences) > 0 || r.Voided != 1 || r.Runs != 2 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		void, err := s.Covering(t.Context(), w, events.Position{Sequence: 2})
		if err != nil || void.Position.Sequence != 3 {
			t.Errorf("%s: the message at 2 is covered by %v, %v", name, void, err)
		}
	}
}
