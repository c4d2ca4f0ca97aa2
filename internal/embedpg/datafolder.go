package embedpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/annals-io/annals/internal/filelock"
	"github.com/annals-io/annals/internal/scratch"
)

// orphanPatience is how long a start waits for the server of a killed process to finish its shutdown.
const orphanPatience = 15 * time.Second

// dataFolder is the place of one database cluster: a folder of ours, locked, with PostgreSQL's own in
// it, which gets its name only once initdb has finished.
type dataFolder struct {
	dir  string
	lock *os.File // nil for a temporary folder
}

func (d dataFolder) cluster() string { return filepath.Join(d.dir, "data") }

// clusterIn is where a named data folder has PostgreSQL's own.
func clusterIn(dataDir string) string { return dataFolder{dir: dataDir}.cluster() }

// clusterMajor reads by which version a cluster was made; zero if there is none.
func clusterMajor(cluster string) (int, error) {
	b, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("data folder: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("data folder: %s: %w", filepath.Join(cluster, "PG_VERSION"), err)
	}
	return major, nil
}

// openDataFolder makes dir if it is missing and locks it, so that two processes never run a server on
// it, nor initialise it at once.
func openDataFolder(dir string, id identity) (d dataFolder, err error) {
	if err := id.reach(filepath.Join(dir, "data")); err != nil {
		return d, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return d, fmt.Errorf("data folder: %w", err)
	}
	mode := fs.FileMode(0o700)
	if id.dropped {
		mode = 0o711
	}
	switch err := os.Mkdir(dir, mode); {
	case err == nil:
		if err := os.Chmod(dir, mode); err != nil {
			return d, fmt.Errorf("data folder: %w", err)
		}
	case !errors.Is(err, fs.ErrExist):
		return d, fmt.Errorf("data folder: %w", err)
	}
	// Under a strict umask the parents made above may be closed to the server's user.
	if err := id.reach(filepath.Join(dir, "data")); err != nil {
		return d, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return d, fmt.Errorf("data folder: %w", err)
	}
	if err := filelock.Take(lock); err != nil {
		if errors.Is(err, filelock.ErrHeld) {
			err = fmt.Errorf("%w: another process runs a server on it", ErrInUse)
		}
		return d, errors.Join(fmt.Errorf("%s: %w", dir, err), lock.Close())
	}
	return dataFolder{dir: dir, lock: lock}, nil
}

func (d dataFolder) close() error {
	if d.lock == nil {
		return nil
	}
	return filelock.Release(d.lock)
}

// initialise makes the cluster if there is none. It is made beside its place and then renamed: what a
// killed initdb leaves is never taken for a cluster.
func (d dataFolder) initialise(ctx context.Context, b binaries, id identity, home string, hold *scratch.Folder) error {
	if major, err := clusterMajor(d.cluster()); err != nil || major != 0 {
		return err
	}
	fresh := d.cluster() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("what an earlier initdb left: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := id.give(fresh); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := d.fill(ctx, fresh, b, id, home, hold); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, d.cluster()); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// initdb has PostgreSQL make a cluster in an empty folder that belongs to the identity.
func initdb(ctx context.Context, fresh string, b binaries, id identity, home string, hold *scratch.Folder) error {
	var out bytes.Buffer
	cmd := exec.Command(b.initdb(), "-D", fresh, "-U", Superuser,
		"-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.Env = home, environment(home)
	cmd.Stdout, cmd.Stderr = &out, &out
	c, err := startChild(cmd, id, hold)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.signal(syscall.SIGINT)
		<-c.done
		return fmt.Errorf("initdb: %w", context.Cause(ctx))
	}
	if c.err == nil {
		return nil
	}
	if bytes.Contains(out.Bytes(), []byte("could not look up effective user ID")) {
		return &NoPasswdEntryError{UID: int(id.uid), Output: strings.TrimSpace(clip(out.Bytes()))}
	}
	return fmt.Errorf("initdb: %w: %s", c.err, clip(out.Bytes()))
}

// settle deals with the pid file of a server that was not stopped. The folder is locked, so it is not
// one of ours that is meant to run: it is waited for while it shuts down after its parent's death, and
// if its number belongs to another program by now, the file is removed, which postgres would not do.
func (d dataFolder) settle(ctx context.Context, logger *slog.Logger) error {
	file := filepath.Join(d.cluster(), "postmaster.pid")
	deadline := time.NewTimer(orphanPatience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		pid, err := pidIn(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
		if !serves(pid, d.cluster()) {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("data folder: %w", err)
			}
			return nil
		}
		if first {
			logger.InfoContext(ctx, "waiting for an earlier PostgreSQL to shut down", slog.Int("pid", pid), slog.String("folder", d.cluster()))
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("%s: %w: PostgreSQL runs on it as process %d", d.dir, ErrInUse, pid)
		case <-ctx.Done():
			return fmt.Errorf("%s: wait for PostgreSQL, process %d, to shut down: %w", d.dir, pid, context.Cause(ctx))
		}
	}
}

// pidIn reads the first line of a postmaster.pid.
func pidIn(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		// postgres creates the file before it writes it; one that stays empty is stale.
		return 0, nil
	}
	return pid, nil
}
