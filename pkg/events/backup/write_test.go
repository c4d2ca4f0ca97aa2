package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
)

// small has many segments of few messages, some of which go on in a copy.
var small = backup.Options{}.WithSegments(8<<10, 1<<10)

// A folder that was added to again and again holds what one holds that was
// written at once, and no file that its manifest does not name.
func TestIncrementalEqualsFull(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t), filepath.Join(t.TempDir(), "made", "for", "it")
	if r := write(t, log, dir, small); r.Messages != 0 || !r.Full {
		t.Errorf("an empty log: %+v", r)
	}
	holds(t, dir, log)
	for seed := range uint64(9) {
		before := open(t, dir).Manifest().Messages()
		grow(t, log, seed, 1+int(seed*seed))
		r := write(t, log, dir, small)
		f := holds(t, dir, log)
		reaches(t, f, log)
		if m := f.Manifest(); r.Full || r.Messages != m.Messages()-before || r.Messages == 0 || m.Run != int(seed)+2 {
			t.Errorf("%+v of %d messages, %d before, run %d", r, m.Messages(), before, m.Run)
		}
		named := []string{"manifest.json"}
		for _, s := range f.Manifest().Streams {
			for _, g := range s.Segments {
				named = append(named, g.File)
			}
		}
		if got := files(t, dir); !slices.Equal(got, named) {
			t.Errorf("the files are %v, the manifest names %v", got, named)
		}
	}
	full := t.TempDir()
	write(t, log, full, backup.Options{})
	reaches(t, holds(t, full, log), log)
	if r := write(t, log, dir, small); r.Messages != 0 {
		t.Errorf("with nothing new: %+v", r)
	}
}

// Whatever step a run ends at, the folder is the backup of before or the whole
// new one, and the next run makes it whole.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	log, base := newLog(t), t.TempDir()
	grow(t, log, 1, 40)
	write(t, log, base, small)
	before := open(t, base)
	grow(t, log, 2, 60)
	for _, tt := range []struct{ name, dir string }{{"an empty folder", t.TempDir()}, {"a backup", base}} {
		t.Run(tt.name, func(t *testing.T) {
			killed := errors.New("killed")
			kinds := map[string]int{}
			for end := 0; ; end++ {
				dir := clone(t, tt.dir)
				var mu sync.Mutex // guards steps: streams are written at the same time
				steps := 0
				_, err := backup.Write(t.Context(), source{Log: log}, dir, small.WithStep(func(what, _ string) error {
					mu.Lock()
					defer mu.Unlock()
					if steps++; steps > end {
						if steps == end+1 {
							kinds[what]++
						}
						return killed
					}
					return nil
				}))
				if err == nil {
					t.Logf("it was killed at %d steps: %v", end, kinds)
					break
				}
				if !errors.Is(err, killed) {
					t.Fatalf("step %d: %v", end, err)
				}
				f, err := backup.Open(dir)
				switch {
				case errors.Is(err, backup.ErrNone) && tt.dir != base:
				case err != nil:
					t.Fatalf("killed at step %d: %v", end, err)
				default:
					holds(t, dir, log)
					if f.Sum != before.Sum {
						reaches(t, f, log)
					}
				}
				write(t, log, dir, small)
				reaches(t, holds(t, dir, log), log)
				if leftover := slices.IndexFunc(files(t, dir), func(name string) bool { return strings.HasSuffix(name, ".tmp") }); leftover >= 0 {
					t.Fatalf("step %d left %s", end, files(t, dir)[leftover])
				}
			}
			for _, what := range []string{"mkdir", "create", "write", "sync", "rename"} {
				if kinds[what] == 0 {
					t.Errorf("it was never killed before a %s", what)
				}
			}
		})
	}
}

// A disk that is full, or a folder that cannot be, is said with its name; what was
// written to the disk in vain is removed.
func TestWhatTheFileSystemRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	grow(t, log, 1, 20)
	dir := t.TempDir()
	write(t, log, dir, backup.Options{})
	grow(t, log, 2, 20)
	for _, dir := range []string{dir, t.TempDir()} {
		before := files(t, dir)
		_, err := backup.Write(t.Context(), source{Log: log}, dir, backup.Options{}.WithStep(func(what, path string) error {
			if what == "write" && strings.Contains(path, "ANNALS_01") {
				return syscall.ENOSPC
			}
			return nil
		}))
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "ANNALS_01") || !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("a full disk: %v", err)
		}
		if after := files(t, dir); !slices.Equal(after, before) {
			t.Errorf("a full disk has %v, before it had %v", after, before)
		}
	}
	holds(t, dir, log)

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Write(t.Context(), source{Log: log}, file, backup.Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file instead of a folder: %v", err)
	}
}

// A folder of anything but this log is refused, and not written to.
func TestAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t), t.TempDir()
	grow(t, log, 1, 30)
	write(t, log, dir, backup.Options{})
	sum := open(t, dir).Sum
	last, err := log.Bounds(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	short := newLog(t)
	for _, tt := range []struct {
		name, why string
		source    backup.Source
	}{
		{"another log", "the log id", source{Log: short}},
		{"a restored log", "the epoch", identified{source{Log: log}, func(id *events.Identity) { id.Epoch++ }}},
		{"other streams", "the map of slots", identified{source{Log: log}, func(id *events.Identity) { id.Map.Version++ }}},
		{"a log that was cut short", "the last sequence", identified{source{Log: short}, func(id *events.Identity) { *id = log.Identity() }}},
		{"a log that was written anew", "the message at", source{Log: log, change: func(m *events.Message) { m.Body = append(m.Body[:0:0], "other"...) }}},
		{"a log whose last message was purged", "the message at", source{Log: log, gone: last.Last}},
		{"a log whose first messages were purged", "the number of messages", source{Log: log, gone: 2}},
	} {
		_, err := backup.Write(t.Context(), tt.source, dir, backup.Options{})
		if !errors.Is(err, backup.ErrAnother) || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v, want that %s differs", tt.name, err, tt.why)
		}
		if open(t, dir).Sum != sum {
			t.Errorf("%s: it was written to", tt.name)
		}
	}

	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "letter.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Write(t.Context(), source{Log: log}, other, backup.Options{}); !errors.Is(err, backup.ErrAnother) || !strings.Contains(err.Error(), "letter.txt") {
		t.Errorf("a folder of something else: %v", err)
	}
}

// identified is a source that says that it is another log.
type identified struct {
	source
	change func(*events.Identity)
}

func (s identified) Identity() events.Identity {
	id := s.source.Identity()
	s.change(&id)
	return id
}

// Two runs into one folder do not meet.
func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t), t.TempDir()
	grow(t, log, 1, 5)
	var second error
	write(t, log, dir, backup.Options{Begin: func(int64) {
		_, second = backup.Write(t.Context(), source{Log: log}, dir, backup.Options{})
	}})
	if !errors.Is(second, backup.ErrBusy) {
		t.Errorf("a run beside another one: %v", second)
	}
}
