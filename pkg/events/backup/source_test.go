package backup_test

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// source is a log in memory as a backup reads it, without heartbeats and decisions.
type source struct {
	*memlog.Log
	change func(*events.Message) // of what is read, nil: nothing
	gone   uint64                // this message of partition 0, and those before it, were purged
}

var _ backup.Source = source{}

func (s source) Describe(ctx context.Context, p events.Partition) (backup.Description, error) {
	switch p {
	case backup.Heartbeats:
		return backup.Description{Name: "ANNALS_HEARTBEATS", Bounds: events.Bounds{First: 1}}, nil
	case backup.Control:
		return backup.Description{Name: "ANNALS_CONTROL", Bounds: events.Bounds{First: 1}}, nil
	}
	b, err := s.Bounds(ctx, p)
	if p == 0 {
		b.First = max(b.First, s.gone+1)
	}
	return backup.Description{
		Name: "ANNALS_0" + string(rune('0'+p)), Bounds: b, Messages: int64(b.Last + 1 - b.First), Settings: json.RawMessage(`{"max_age":0}`),
	}, err
}

func (s source) Messages(ctx context.Context, p events.Partition, after, until uint64) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		if p < 0 || after >= until {
			return
		}
		for m, err := range s.Follow(ctx, p, events.FollowOptions{After: after, Until: until}) {
			if err == nil && p == 0 && m.Position.Sequence <= s.gone {
				continue
			}
			if err == nil && s.change != nil {
				s.change(&m)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func newLog(t testing.TB) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// grow appends random histories, of other workflows for each seed.
func grow(t testing.TB, log *memlog.Log, seed uint64, steps int) {
	t.Helper()
	if err := historytest.New(historytest.Options{Workflows: 8}).AppendAll(t.Context(), namespaced{log, seed}, historytest.Seeded(seed, steps)); err != nil {
		t.Fatal(err)
	}
}

type namespaced struct {
	events.Appender
	seed uint64
}

func (n namespaced) Append(ctx context.Context, r events.Request) (events.Result, error) {
	r.Workflow.Namespace += string(rune('a' + n.seed))
	return n.Appender.Append(ctx, r)
}

// message is one of a source, with a body that is compared quickly.
type message struct {
	Sequence uint64
	Time     time.Time
	Subject  string
	Header   events.Header
	Body     string
}

// everything that the source holds, up to the ends of a manifest if there is one.
func everything(t testing.TB, s events.Source, ends *backup.Manifest) [][]message {
	t.Helper()
	all := make([][]message, s.Identity().Map.Partitions())
	for p := range all {
		b, err := s.Bounds(t.Context(), events.Partition(p))
		if err != nil {
			t.Fatal(err)
		}
		if ends != nil {
			b.Last = ends.Streams[p].Last
		}
		if b.Last < b.First {
			continue
		}
		for m, err := range s.Follow(t.Context(), events.Partition(p), events.FollowOptions{Until: b.Last}) {
			if err != nil {
				t.Fatal(err)
			}
			all[p] = append(all[p], message{m.Position.Sequence, m.Time.UTC().Round(0), m.Subject, m.Header, string(m.Body)})
		}
	}
	return all
}

func write(t testing.TB, log *memlog.Log, dir string, o backup.Options) backup.Report {
	t.Helper()
	r, err := backup.Write(t.Context(), source{Log: log}, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t testing.TB, dir string) *backup.Folder {
	t.Helper()
	f, err := backup.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// holds checks that a folder is a whole backup of the log, up to its own ends.
func holds(t testing.TB, dir string, log *memlog.Log) *backup.Folder {
	t.Helper()
	f := open(t, dir)
	if err := f.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(everything(t, log, f.Manifest()), everything(t, f, nil)); d != "" {
		t.Fatalf("the folder is not as the log (-log +folder):\n%s", d)
	}
	return f
}

// reaches checks that the folder has all that the log has.
func reaches(t testing.TB, f *backup.Folder, log *memlog.Log) {
	t.Helper()
	for p, s := range f.Manifest().Streams {
		if b, err := log.Bounds(t.Context(), events.Partition(p)); err != nil || b.Last != s.Last {
			t.Fatalf("partition %d: the folder ends at %d, the log at %d (%v)", p, s.Last, b.Last, err)
		}
	}
}

// files are those below a folder that a backup wrote.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.json*", "*/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			name, err := filepath.Rel(dir, f)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names
}

func clone(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
