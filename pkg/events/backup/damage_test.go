package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
)

// damage changes a file of a folder.
func damage(t *testing.T, dir, file string, change func([]byte) []byte) {
	t.Helper()
	name := filepath.Join(dir, filepath.FromSlash(file))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if b = change(b); b == nil {
		err = os.Remove(name)
	} else {
		err = os.WriteFile(name, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever happens to a segment is found, and the segment named: by the
// checksums, and by whoever reads it.
func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	log, whole := newLog(t), t.TempDir()
	for seed := range uint64(4) {
		grow(t, log, seed, 40)
		write(t, log, whole, backup.Options{}.WithSegments(4<<10, 0))
	}
	segments := open(t, whole).Manifest().Streams[1].Segments
	if len(segments) < 3 {
		t.Fatalf("%d segments", len(segments))
	}
	a, b := segments[0].File, segments[2].File
	for _, tt := range []struct {
		name   string
		change func(*testing.T, string)
		want   []string
	}{
		{"nothing", func(*testing.T, string) {}, nil},
		{"a bit of the first byte", func(t *testing.T, dir string) { damage(t, dir, a, func(b []byte) []byte { b[0] ^= 1; return b }) }, []string{a}},
		{"a bit in the middle", func(t *testing.T, dir string) {
			damage(t, dir, b, func(b []byte) []byte { b[len(b)/2] ^= 64; return b })
		}, []string{b}},
		{"a bit of the last byte", func(t *testing.T, dir string) {
			damage(t, dir, a, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
		}, []string{a}},
		{"cut short", func(t *testing.T, dir string) { damage(t, dir, b, func(b []byte) []byte { return b[:len(b)-9] }) }, []string{b}},
		{"emptied", func(t *testing.T, dir string) { damage(t, dir, b, func(b []byte) []byte { return b[:0:0] }) }, []string{b}},
		{"longer", func(t *testing.T, dir string) { damage(t, dir, b, func(b []byte) []byte { return append(b, 0) }) }, []string{b}},
		{"missing", func(t *testing.T, dir string) { damage(t, dir, a, func([]byte) []byte { return nil }) }, []string{a}},
		{"two changed places", func(t *testing.T, dir string) {
			var was []byte
			damage(t, dir, a, func(b []byte) []byte { was = b; return b })
			damage(t, dir, b, func(other []byte) []byte { was, other = other, was; return other })
			damage(t, dir, a, func([]byte) []byte { return was })
		}, []string{a, b}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := clone(t, whole)
			tt.change(t, dir)
			f := open(t, dir)
			var got []string
			if err := f.Check(t.Context()); err != nil {
				var damaged *backup.DamagedError
				if !errors.As(err, &damaged) || !errors.Is(err, backup.ErrDamaged) {
					t.Fatal(err)
				}
				for _, d := range damaged.Damage {
					got = append(got, d.File)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("damaged (-want +found):\n%s", d)
			}
			var err error
			for _, err = range f.Follow(t.Context(), 1, events.FollowOptions{}) {
				if err != nil {
					break
				}
			}
			if (tt.want != nil) != errors.Is(err, backup.ErrDamaged) {
				t.Errorf("reading it: %v", err)
			}
		})
	}
}

// No changed bit of a manifest goes unnoticed, but one that changes nothing.
func TestDamageOfTheManifest(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t), t.TempDir()
	grow(t, log, 1, 10)
	write(t, log, dir, backup.Options{})
	want := open(t, dir)
	name := filepath.Join(dir, "manifest.json")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i := 0; i < len(whole); i += 3 {
		bad := append([]byte(nil), whole...)
		bad[i] ^= 1 << (i % 8)
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		switch got, err := backup.Open(dir); {
		case errors.Is(err, backup.ErrDamaged):
			found++
		case err != nil:
			t.Errorf("byte %d: %v", i, err)
		case got.Sum != want.Sum || cmp.Diff(got.Manifest(), want.Manifest()) != "":
			t.Errorf("byte %d, %q instead of %q, goes unnoticed", i, bad[i], whole[i])
		}
	}
	if found < len(whole)/3-10 {
		t.Errorf("of %d changed bytes %d were found", len(whole)/3, found)
	}
	if err := os.WriteFile(name, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Open(dir); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("half a manifest: %v", err)
	}
	if _, err := backup.Open(t.TempDir()); !errors.Is(err, backup.ErrNone) {
		t.Errorf("an empty folder: %v", err)
	}
}
