package natslog_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/replay"
)

// stored is what a stream holds of one message, but when it was stored.
type stored struct {
	Sequence uint64
	Subject  string
	Header   events.Header
	Body     string
}

// everything reads all that the log's partitions hold, up to their ends.
func everything(t testing.TB, s events.Source) [][]stored {
	t.Helper()
	all := make([][]stored, s.Identity().Map.Partitions())
	for p := range all {
		b, err := s.Bounds(t.Context(), events.Partition(p))
		if err != nil {
			t.Fatal(err)
		}
		if b.Last < b.First {
			continue
		}
		for m, err := range s.Follow(t.Context(), events.Partition(p), events.FollowOptions{Until: b.Last}) {
			if err != nil {
				t.Fatal(err)
			}
			all[p] = append(all[p], stored{m.Position.Sequence, m.Subject, m.Header, string(m.Body)})
		}
	}
	return all
}

// histories appends random ones and gives their workflows.
func histories(t testing.TB, log events.Log, seed uint64, steps int) []events.Workflow {
	t.Helper()
	g := historytest.New(historytest.Options{Workflows: 12})
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, steps)); err != nil {
		t.Fatal(err)
	}
	return g.Workflows()
}

func backUp(t testing.TB, log *natslog.Log, dir string) backup.Report {
	t.Helper()
	r, err := log.Backup(t.Context(), dir, backup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openFolder(t testing.TB, dir string) *backup.Folder {
	t.Helper()
	f, err := backup.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func restore(t testing.TB, nc *nats.Conn, dir string, o natslog.RestoreOptions) natslog.RestoreReport {
	t.Helper()
	r, err := natslog.Restore(t.Context(), jetStream(t, nc), openFolder(t, dir), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func heartbeat(w events.Workflow, id string, attempt int32) events.Heartbeat {
	return events.Heartbeat{Activity: events.Activity{Workflow: w, RunID: "run", ID: id}, Attempt: attempt, Time: time.Now()}
}

// A log that is restored has the same messages at the same sequences, another
// epoch, and goes on.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		from, to       func(testing.TB) *nats.Conn
		replicas, want int
	}{
		{"R1 to R1", testenv.NATS, testenv.NATS, 1, 1},
		{"R3 to R3", testenv.NATSCluster, testenv.NATSCluster, 3, 3},
		{"R3 to R1", testenv.NATSCluster, testenv.NATS, 3, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nc, dir := tt.from(t), t.TempDir()
			old := create(t, nc, natslog.CreateOptions{Streams: 2, Replicas: tt.replicas, HeartbeatAge: time.Hour})
			log := open(t, nc, natslog.Config{})
			workflows := histories(t, log, 5, 120)
			put(t, nc, workflows[0].Subject(), events.Header{"X": {"b", "a"}, "Nats-Msg-Id": {"once"}}, []byte("no commit"))
			put(t, nc, workflows[1].Subject(), nil, nil)
			for i := range int32(3) {
				for _, id := range []string{"a", "b"} {
					if _, err := log.RecordHeartbeat(t.Context(), heartbeat(workflows[0], id, i+1)); err != nil {
						t.Fatal(err)
					}
				}
			}
			want := everything(t, log)
			r := backUp(t, log, dir)
			if n := int64(len(want[0]) + len(want[1])); r.Messages != n || !r.Full {
				t.Errorf("backed up %+v, the log has %d messages", r, n)
			}
			folder := openFolder(t, dir)
			if d := cmp.Diff(want, everything(t, folder)); d != "" {
				t.Errorf("the folder is not as the log (-log +folder):\n%s", d)
			}
			if err := folder.Check(t.Context()); err != nil {
				t.Error(err)
			}

			to := tt.to(t)
			report := restore(t, to, dir, natslog.RestoreOptions{Replicas: tt.want})
			if report.Identity.LogID != old.LogID || report.Identity.Epoch <= old.Epoch || report.Heartbeats != 2 || report.Messages != r.Messages {
				t.Errorf("restored %+v from %+v", report, old)
			}
			again := open(t, to, natslog.Config{LogID: old.LogID})
			if d := cmp.Diff(want, everything(t, again)); d != "" {
				t.Errorf("the restored log is not as the log (-log +restored):\n%s", d)
			}
			checkRestored(t, log, again, workflows)
			for p := range want {
				s, err := jetStream(t, to).Stream(t.Context(), natslog.StreamName(events.Partition(p)))
				if err != nil {
					t.Fatal(err)
				}
				if c := s.CachedInfo().Config; c.Replicas != tt.want || c.SubjectTransform != nil || !c.DenyDelete {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// checkRestored holds a restored log against the one that it was backed up from.
func checkRestored(t *testing.T, log, again events.Log, workflows []events.Workflow) {
	t.Helper()
	for i, w := range workflows {
		if i < 2 { // a message that is no commit was put behind these
			continue
		}
		eventstest.CheckWorkflow(t, again, w)
		before, err := log.Tail(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Append(t.Context(), request(w, events.After(before), signal())); !errors.Is(err, events.ErrWrongLog) {
			t.Errorf("an append after a cursor from before the restore: %v", err)
		}
		if _, err := again.Append(t.Context(), request(w, events.AtEnd(), signal())); err != nil && !errors.Is(err, events.ErrClosed) {
			t.Error(err)
		}
	}
	for _, id := range []string{"a", "b"} {
		want := heartbeat(workflows[0], id, 3)
		got, err := again.LastHeartbeat(t.Context(), want.Activity)
		if err != nil || got.Attempt != 3 {
			t.Errorf("heartbeat %v, %v", got, err)
		}
		want.Attempt = 4
		if newest, err := again.RecordHeartbeat(t.Context(), want); err != nil || !newest {
			t.Errorf("a newer heartbeat: %v, %v", newest, err)
		}
	}
	r, err := replay.VerifyLog(t.Context(), again, replay.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		if d.Workflow != workflows[0] && d.Workflow != workflows[1] {
			t.Errorf("%+v", d)
		}
	}
}

// checkpoint: two restores of one backup are two logs.
func TestEveryRestoreHasItsOwnEpoch(t *testing.T) {
	t.Parallel()
	nc, dir := testenv.NATS(t), t.TempDir()
	create(t, nc, natslog.CreateOptions{Streams: 1})
	log := open(t, nc, natslog.Config{})
	w := histories(t, log, 1, 1)[0]
	backUp(t, log, dir)
	a, b := testenv.NATS(t), testenv.NATS(t)
	first, second := restore(t, a, dir, natslog.RestoreOptions{}), restore(t, b, dir, natslog.RestoreOptions{})
	if first.Identity.Epoch == second.Identity.Epoch {
		t.Errorf("both have epoch %d", first.Identity.Epoch)
	}
	of, err := open(t, a, natslog.Config{}).Tail(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, b, natslog.Config{}).Append(t.Context(), request(w, events.After(of), signal())); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("a cursor of the one in the other: %v", err)
	}
}

// spoil changes a byte of a file of a backup.
func spoil(t *testing.T, dir, file string) {
	t.Helper()
	name := filepath.Join(dir, filepath.FromSlash(file))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
