package natslog_test

import (
	"bufio"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/replay"
)

var (
	backupEvents = flag.Int("backup-events", 4000, "events that TestBackupSpeed backs up and restores")
	backupThree  = flag.Bool("backup-three", false, "TestBackupSpeed restores to three replicas, on three servers in its process")
	backupAlways = flag.Bool("backup-always", false, "TestBackupSpeed restores into a server that syncs every message before it acknowledges")
)

// onDisk is a server with its streams on the disk.
func onDisk(t testing.TB, always bool) *nats.Conn {
	t.Helper()
	s := testenv.OwnServer(t, embednats.Options{StoreDir: t.TempDir(), SyncAlways: always})
	return testenv.Connect(t, s.ClientURL())
}

// target is where TestBackupSpeed restores to.
func target(t testing.TB) *nats.Conn {
	t.Helper()
	if !*backupThree {
		return onDisk(t, *backupAlways)
	}
	c := testenv.OwnCluster(t, embednats.Options{StoreDir: t.TempDir(), SyncAlways: *backupAlways})
	return testenv.Connect(t, c.ClientURL())
}

// TestBackupSpeed prints what a backup, one more after a tenth more events, the
// check of the folder, and a restore take, beside raw copies: what a stranger
// would write with the client library, that reads all streams into files and
// publishes them again.
func TestBackupSpeed(t *testing.T) {
	nc := onDisk(t, false)
	id := create(t, nc, natslog.CreateOptions{})
	log := open(t, nc, natslog.Config{})
	write := func(n int) {
		rounds := max(1, n/(1000*bulk.Events))
		if err := bulk.Write(t.Context(), prefixed{log, n}, rounds, n/rounds/bulk.Events, 3); err != nil {
			t.Fatal(err)
		}
	}
	write(*backupEvents)
	dir, raw := t.TempDir(), t.TempDir()
	commits, count := 0, 0
	measure := func(what string, do func() (int64, error)) {
		t.Helper()
		began := time.Now()
		bytes, err := do()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		took := time.Since(began)
		t.Logf("%-28s %7.2f s %10.0f events/s %10.0f commits/s %7.1f MB/s", what, took.Seconds(), float64(count)/took.Seconds(), float64(commits)/took.Seconds(), float64(bytes)/1e6/took.Seconds())
	}
	whole := func() {
		folder, err := backup.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		r, err := replay.VerifyLog(t.Context(), sourceOnly{Source: folder}, replay.VerifyOptions{})
		if err != nil || len(r.Differences) > 0 {
			t.Fatal(err, r.Differences)
		}
		commits, count = int(r.Commits), int(r.Events)
	}
	count = *backupEvents
	commits = count / bulk.Events * 4
	measure("raw read into files", func() (int64, error) { return rawBackup(t.Context(), nc, id, raw) })
	measure("backup", func() (int64, error) {
		r, err := log.Backup(t.Context(), dir, backup.Options{})
		return r.Bytes, err
	})
	write(*backupEvents / 10)
	count, commits = count/10, commits/10
	measure("backup, a tenth more", func() (int64, error) {
		r, err := log.Backup(t.Context(), dir, backup.Options{})
		if int(r.Messages) != commits {
			t.Errorf("%d messages, %d commits", r.Messages, commits)
		}
		return r.Bytes, err
	})
	whole()
	m := openFolder(t, dir).Manifest()
	t.Logf("%d commits, %d events, %d bytes of records, %d bytes of files", commits, count, m.Bytes(), m.Size())
	measure("check: checksums", func() (int64, error) { return m.Size(), openFolder(t, dir).Check(t.Context()) })
	measure("check: every commit", func() (int64, error) { whole(); return m.Bytes(), nil })
	to, rawTo, replicas := target(t), target(t), 1
	if *backupThree {
		replicas = 3
	}
	measure("restore", func() (int64, error) {
		_, err := natslog.Restore(t.Context(), jetStream(t, to), openFolder(t, dir), natslog.RestoreOptions{Replicas: replicas})
		return m.Bytes(), err
	})
	measure("raw publishes of the same", func() (int64, error) {
		return m.Bytes(), rawRestore(t.Context(), rawTo, id, openFolder(t, dir), replicas)
	})
}

// prefixed gives each write's workflows other ids.
type prefixed struct {
	events.Log
	n int
}

func (p prefixed) Append(ctx context.Context, r events.Request) (events.Result, error) {
	r.Workflow.Namespace = "n" + time.Duration(p.n).String()
	return p.Log.Append(ctx, r)
}

// sourceOnly is a log of which only the source is used.
type sourceOnly struct {
	events.Source
	events.Appender
	events.Reader
	events.Voider
	events.Heartbeats
	events.Control
}

// rawBackup reads every stream by an ordered consumer into a file each.
func rawBackup(ctx context.Context, nc *nats.Conn, id events.Identity, dir string) (int64, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	sizes := make([]int64, id.Map.Partitions())
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p := range sizes {
		g.Go(func() error {
			name := natslog.StreamName(events.Partition(p))
			s, err := js.Stream(ctx, name)
			if err != nil {
				return err
			}
			left := s.CachedInfo().State.Msgs
			c, err := js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{})
			if err != nil {
				return err
			}
			f, err := os.Create(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			defer f.Close()
			w := bufio.NewWriterSize(f, 1<<20)
			it, err := c.Messages(jetstream.PullMaxMessages(5000))
			if err != nil {
				return err
			}
			defer it.Stop()
			for ; left > 0; left-- {
				m, err := it.Next()
				if err != nil {
					return err
				}
				n, err := w.WriteString(m.Subject())
				for k, v := range m.Headers() {
					x, _ := w.WriteString(k + v[0])
					n += x
				}
				x, _ := w.Write(m.Data())
				sizes[p] += int64(n + x)
				if err != nil {
					return err
				}
			}
			if err := w.Flush(); err != nil {
				return err
			}
			return f.Sync()
		})
	}
	err = g.Wait()
	total := int64(0)
	for _, n := range sizes {
		total += n
	}
	return total, err
}

// rawRestore publishes all messages to streams of their own, as many in flight
// as the client library lets be, with no expectation and in no order that is checked.
func rawRestore(ctx context.Context, nc *nats.Conn, id events.Identity, folder *backup.Folder, replicas int) error {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(16384))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p := range id.Map.Partitions() {
		g.Go(func() error {
			name := natslog.StreamName(events.Partition(p))
			var subjects []string
			r := id.Map.Ranges[p]
			for s := r.First; s < r.End; s++ {
				subjects = append(subjects, events.SubjectFilter(s))
			}
			if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: subjects, Replicas: replicas}); err != nil {
				return err
			}
			for m, err := range folder.Follow(ctx, events.Partition(p), events.FollowOptions{}) {
				if err != nil {
					return err
				}
				delete(m.Header, "Nats-Expected-Last-Subject-Sequence")
				if _, err := js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Body}, jetstream.WithStallWait(time.Minute)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	<-js.PublishAsyncComplete()
	return nil
}
