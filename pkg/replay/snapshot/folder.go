package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annals-io/annals/pkg/replay"
)

// Folder keeps snapshots as files of a folder, one a run. It may be shared by any
// number of processes; each keeps the whole of it within its own limit.
type Folder struct {
	path  string
	limit int64

	mu    sync.Mutex // guards the rest: what this process believes is there
	bytes int64
	files map[string]file
}

var _ replay.Snapshots = (*Folder)(nil)

type file struct {
	size int64
	used time.Time // when it was put, or got
}

// suffix ends the name of a snapshot's file.
const suffix = ".snapshot"

// OpenFolder keeps at most so many bytes of files in a folder, which is made if it is
// not there. Other files in it are left alone, but for those that were left half written,
// by the names that it gives.
func OpenFolder(path string, limit int64) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	f := &Folder{path: path, limit: limit, files: map[string]file{}}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
		case err != nil:
			return nil, err
		case strings.HasSuffix(e.Name(), suffix):
			f.files[e.Name()] = file{info.Size(), info.ModTime()}
			f.bytes += info.Size()
		case strings.HasPrefix(e.Name(), halfPrefix) && time.Since(info.ModTime()) > time.Hour:
			_ = os.Remove(filepath.Join(path, e.Name()))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f, f.shrink("")
}

// halfPrefix begins the name of a file that is being written.
const halfPrefix = "half-"

// name is a run's file: ids may be longer than names, and have any characters.
func name(run replay.Run) string {
	h := sha256.New()
	for _, s := range []string{run.Workflow.Namespace, run.Workflow.ID, string(run.RunID)} {
		fmt.Fprintf(h, "%d %s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)) + suffix
}

// Get is replay.Snapshots'.
func (f *Folder) Get(_ context.Context, run replay.Run) ([]byte, error) {
	n := name(run)
	b, err := os.ReadFile(filepath.Join(f.path, n))
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		f.forget(n)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f.see(n, file{int64(len(b)), time.Now()})
	return b, nil
}

// Put is replay.Snapshots'. What is larger than all that may be kept is not kept. The
// file is not synced: one that was cut short by a crash is noticed when it is used.
func (f *Folder) Put(_ context.Context, run replay.Run, snapshot []byte) error {
	n := name(run)
	if int64(len(snapshot)) > f.limit {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.remove(n)
	}
	half, err := os.CreateTemp(f.path, halfPrefix)
	if err != nil {
		return err
	}
	_, err = half.Write(snapshot)
	err = errors.Join(err, half.Close())
	if err == nil {
		err = os.Rename(half.Name(), filepath.Join(f.path, n))
	}
	if err != nil {
		return errors.Join(err, os.Remove(half.Name()))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.see(n, file{int64(len(snapshot)), time.Now()})
	return f.shrink(n)
}

// see takes down what a file is; mu is held.
func (f *Folder) see(name string, is file) {
	f.bytes += is.size - f.files[name].size
	f.files[name] = is
}

// forget takes down that a file is gone; mu is held.
func (f *Folder) forget(name string) {
	f.bytes -= f.files[name].size
	delete(f.files, name)
}

func (f *Folder) remove(name string) error {
	f.forget(name)
	if err := os.Remove(filepath.Join(f.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// shrink removes files until there is room, those first that were not used for the
// longest time, and not the one that is named; mu is held.
func (f *Folder) shrink(but string) error {
	if f.bytes <= f.limit {
		return nil
	}
	type old struct {
		name string
		file
	}
	all := make([]old, 0, len(f.files))
	for n, is := range f.files {
		if n != but {
			all = append(all, old{n, is})
		}
	}
	slices.SortFunc(all, func(a, b old) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	for _, o := range all {
		// Some room more, so that not each one that comes goes through all of them.
		if f.bytes <= f.limit-f.limit/8 {
			break
		}
		if err := f.remove(o.name); err != nil {
			return err
		}
	}
	return nil
}
