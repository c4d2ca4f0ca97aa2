package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/annals-io/annals/internal/filelock"
)

func file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestALockIsOfOne(t *testing.T) {
	for name, path := range map[string]string{"file": file(t), "folder": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			one, other := open(t, path), open(t, path)
			if err := filelock.Take(one); err != nil {
				t.Fatal(err)
			}
			if err := filelock.Take(other); !errors.Is(err, filelock.ErrHeld) {
				t.Fatalf("a second lock: %v; want ErrHeld", err)
			}
			if err := filelock.Release(one); err != nil {
				t.Fatal(err)
			}
			if err := filelock.Take(other); err != nil {
				t.Errorf("after its release: %v", err)
			}
		})
	}
}

// A child between fork and exec has the open files of its parent: the test has a
// second descriptor of the same open file, as such a child.
func TestAReleasedLockIsFreeWhateverChildIsBeingStarted(t *testing.T) {
	path := file(t)
	one, other := open(t, path), open(t, path)
	if err := filelock.Take(one); err != nil {
		t.Fatal(err)
	}
	child, err := syscall.Dup(int(one.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(child) })
	if err := filelock.Release(one); err != nil {
		t.Fatal(err)
	}
	if err := filelock.Take(other); err != nil {
		t.Errorf("after its release: %v", err)
	}
}
