package embedpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/annals-io/annals/internal/filelock"
)

// sharedCache is root's cache: root's home is closed to the user that the server runs as. Others read it.
const sharedCache = "/var/cache/annals"

// cacheFolder is where fetched programs are kept.
func cacheFolder() (string, error) {
	dir := os.Getenv(CacheEnv)
	switch {
	case dir != "":
	case os.Geteuid() == 0:
		dir = sharedCache
	default:
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("the cache: %w; set %s to a folder", err, CacheEnv)
		}
		dir = filepath.Join(user, "annals")
	}
	dir, err := filepath.Abs(filepath.Join(dir, "postgres"))
	if err != nil {
		return "", fmt.Errorf("the cache: %w", err)
	}
	return dir, nil
}

// fetched gives binaries from the cache, filling it first if it has none that do.
func (s *search) fetched(ctx context.Context) (binaries, error) {
	cache, err := cacheFolder()
	if err != nil {
		return binaries{}, err
	}
	places := []string{cache}
	if os.Getenv(CacheEnv) == "" && cache != filepath.Join(sharedCache, "postgres") {
		places = append(places, filepath.Join(sharedCache, "postgres"))
	}
	for _, place := range places {
		if b, ok := s.cached(ctx, place); ok {
			return b, nil
		}
	}

	if err := s.id.reach(filepath.Join(cache, "any")); err != nil {
		return binaries{}, fmt.Errorf("the cache: %w; set %s to a folder outside of it", err, CacheEnv)
	}
	if err := mkdirOpen(cache); err != nil {
		return binaries{}, fmt.Errorf("the cache: %w; set %s to a folder that can be written", err, CacheEnv)
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return binaries{}, fmt.Errorf("the cache: %w", err)
	}
	defer unlock()
	// Another process may have filled it meanwhile.
	if b, ok := s.cached(ctx, cache); ok {
		return b, nil
	}
	if err := s.fill(ctx, cache); err != nil {
		return binaries{}, err
	}
	if b, ok := s.cached(ctx, cache); ok {
		return b, nil
	}
	return binaries{}, fmt.Errorf("the cache %s: what was fetched does not do", cache)
}

// cached looks through one cache folder. A folder has its final name only once it is complete.
func (s *search) cached(ctx context.Context, cache string) (binaries, bool) {
	for _, source := range sources() {
		dir := filepath.Join(cache, source.name, "bin")
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if b, ok := s.accept(ctx, "the cache ("+dir+")", dir); ok {
			return b, true
		}
	}
	return binaries{}, false
}

// mkdirOpen makes dir and what is missing above it, open to every user whatever the umask.
func mkdirOpen(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := mkdirOpen(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(dir, 0o755)
}

// lockFile waits for the lock on path; the system releases it if this process dies.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := filelock.Take(file)
		if err == nil {
			return func() { _ = filelock.Release(file) }, nil
		}
		if !errors.Is(err, filelock.ErrHeld) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, context.Cause(ctx)), file.Close())
		case <-tick.C:
		}
	}
}
