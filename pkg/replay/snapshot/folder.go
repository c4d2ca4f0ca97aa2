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
// number of processes. Each looks at what is there when it opens the folder, and
// whenever it has put an eighth of its limit, and then keeps all of it within the limit:
// with n processes the folder may have n eighths more for a while.
type Folder struct {
	path  string
	limit int64

	mu    sync.Mutex // guards the rest: what this process believes is there
	bytes int64
	files map[string]file
	put   int64 // bytes, since it looked
}

var _ replay.Snapshots = (*Folder)(nil)

type file struct {
	size int64
	used time.Time // when it was put, or got
}

// suffix ends the name of a snapshot's file.
const suffix = ".snapshot"

// OpenFolder keeps at most so many bytes of files in a folder, which is made if it is
// not there. Files of other names than it gives are left alone.
func OpenFolder(path string, limit int64) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	f := &Folder{path: path, limit: limit, files: map[string]file{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(); err != nil {
		return nil, err
	}
	return f, f.shrink("")
}

// look takes down what is there, whoever put it, and removes what was left half written;
// mu is held.
func (f *Folder) look() error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	known := f.files
	f.files, f.bytes, f.put = map[string]file{}, 0, 0
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
		case err != nil:
			return err
		case isName(e.Name()):
			used := info.ModTime()
			if known[e.Name()].used.After(used) {
				used = known[e.Name()].used
			}
			f.see(e.Name(), file{info.Size(), used})
		case strings.HasPrefix(e.Name(), halfPrefix) && time.Since(info.ModTime()) > time.Hour:
			_ = os.Remove(filepath.Join(f.path, e.Name()))
		}
	}
	return nil
}

// halfPrefix begins the name of a file that is being written.
const halfPrefix = ".annals-snapshot-half-"

// name is a run's file: ids may be longer than names, and have any characters.
func name(run replay.Run) string {
	h := sha256.New()
	for _, s := range []string{run.Workflow.Namespace, run.Workflow.ID, string(run.RunID)} {
		fmt.Fprintf(h, "%d %s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)) + suffix
}

// isName reports whether a file may be a run's.
func isName(file string) bool {
	sum, ok := strings.CutSuffix(file, suffix)
	b, err := hex.DecodeString(sum)
	return ok && err == nil && len(b) == sha256.Size && sum == strings.ToLower(sum)
}

// Get is replay.Snapshots'.
func (f *Folder) Get(_ context.Context, run replay.Run) ([]byte, error) {
	n := name(run)
	b, err := os.ReadFile(filepath.Join(f.path, n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if is, ok := f.files[n]; ok {
		f.files[n] = file{is.size, time.Now()}
	}
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
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		err = os.Rename(half.Name(), filepath.Join(f.path, n))
	}
	if err != nil {
		return errors.Join(err, os.Remove(half.Name()))
	}
	f.see(n, file{int64(len(snapshot)), time.Now()})
	if f.put += int64(len(snapshot)); f.put > f.limit/8 {
		if err := f.look(); err != nil {
			return err
		}
	}
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
