package scratch

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// helperEnv makes the test binary a program that makes a folder, reports it, and waits for its end.
const helperEnv = "ANNALS_SCRATCH_HELPER"

func TestMain(m *testing.M) {
	if what := os.Getenv(helperEnv); what != "" {
		if err := help(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// order is what a helper is to do, and report what it has done.
type order struct {
	Interrupt int // a process id for the guardian; zero: none
	Forget    bool
}

type report struct {
	Path     string
	Guardian int
}

func help(what string) error {
	var o order
	if err := json.Unmarshal([]byte(what), &o); err != nil {
		return err
	}
	f, err := New("test", Options{})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.Path, "file"), nil, 0o600); err != nil {
		return err
	}
	if o.Interrupt != 0 {
		if err := f.Interrupt(o.Interrupt); err != nil {
			return err
		}
	}
	if o.Forget {
		if err := f.Forget(); err != nil {
			return err
		}
	}
	if err := startHolder(f); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(report{f.Path, f.GuardianPID()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func newFolder(t *testing.T, o Options) *Folder {
	t.Helper()
	f, err := New("test", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func gone(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err != nil
}

func TestFolder(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts Options
		mode os.FileMode
	}{
		{"closed", Options{}, 0o700},
		{"others may pass", Options{Enter: true}, 0o711},
		{"in memory", Options{Memory: true}, 0o700},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t, tt.opts)
			info, err := os.Stat(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != tt.mode {
				t.Errorf("mode %o, want %o", got, tt.mode)
			}
			if !strings.Contains(filepath.Base(f.Path), "test-"+strconv.Itoa(os.Getpid())) {
				t.Errorf("the name of %s does not say whose it is", f.Path)
			}
			if err := os.WriteFile(filepath.Join(f.Path, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := f.Remove(); err != nil {
				t.Fatal(err)
			}
			if !gone(t, f.Path) {
				t.Errorf("%s is still there", f.Path)
			}
			if err := f.Remove(); err != nil {
				t.Errorf("a second Remove: %v", err)
			}
		})
	}
}

func TestMemoryIsUsedWhereItIs(t *testing.T) {
	dir, ok := memory()
	f := newFolder(t, Options{Memory: true})
	if got := filepath.Dir(f.Path) == dir; got != ok {
		t.Errorf("made in %s; memory at %q, usable: %v", filepath.Dir(f.Path), dir, ok)
	}
}

func TestSweep(t *testing.T) {
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	living := newFolder(t, Options{})
	dead := filepath.Join(base, prefix+"test-1-1") // a name with the id of a process that lives: the lock counts
	foreign := filepath.Join(base, "others")
	for _, dir := range []string{dead, foreign} {
		if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(base, prefix+"link")
	if err := os.Symlink(foreign, link); err != nil {
		t.Fatal(err)
	}
	newFolder(t, Options{})
	for path, want := range map[string]bool{living.Path: false, dead: true, foreign: false, link: false} {
		if got := gone(t, path); got != want {
			t.Errorf("%s gone: %v, want %v", path, got, want)
		}
	}
}

func TestPathStaysShort(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	if f := newFolder(t, Options{MaxPath: 80}); len(f.Path) > 80 {
		t.Errorf("%s has %d bytes, more than 80", f.Path, len(f.Path))
	}
	if f := newFolder(t, Options{}); filepath.Dir(f.Path) != long {
		t.Errorf("without a limit it is made in %s", filepath.Dir(f.Path))
	}
	if f, err := New("test", Options{MaxPath: 10}); err == nil {
		_ = f.Remove()
		t.Errorf("%s was made, longer than 10", f.Path)
	}
}
