package embednats

import (
	"errors"
	"fmt"
	"os"

	"github.com/annals-io/annals/internal/filelock"
	"github.com/annals-io/annals/internal/scratch"
)

// store is a locked store folder.
type store struct {
	dir    string
	lock   *os.File        // nil if temporary
	folder *scratch.Folder // nil if named
}

// openStore makes dir, or a temporary folder, and locks it.
func openStore(dir string) (store, error) {
	if dir == "" {
		folder, err := scratch.New("nats", scratch.Options{Memory: true})
		if err != nil {
			return store{}, err
		}
		return store{dir: folder.Path, folder: folder}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return store{}, fmt.Errorf("store folder: %w", err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		return store{}, fmt.Errorf("store folder: %w", err)
	}
	if err := filelock.Take(lock); err != nil {
		if errors.Is(err, filelock.ErrHeld) {
			err = ErrInUse
		}
		return store{}, errors.Join(fmt.Errorf("%s: %w", dir, err), lock.Close())
	}
	return store{dir: dir, lock: lock}, nil
}

// close releases the folder, and removes a temporary one. It does nothing on the zero value.
func (s store) close() error {
	if s.folder != nil {
		return s.folder.Remove()
	}
	if s.lock != nil {
		return filelock.Release(s.lock)
	}
	return nil
}
