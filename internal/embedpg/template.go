package embedpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/annals-io/annals/internal/scratch"
)

// TemplatesEnv names a folder, which is there, for clusters as initdb makes them: one of each version is
// kept, and whoever starts a server on an empty folder gets a copy, in a tenth of initdb's time. It is for
// tests: all copies have the same system identifier, which no two servers in use may have.
const TemplatesEnv = "ANNALS_POSTGRES_TEMPLATES"

// fill makes a cluster in the folder fresh, by initdb, or by a copy of what it made before.
func (d dataFolder) fill(ctx context.Context, fresh string, b binaries, id identity, home string, hold *scratch.Folder) error {
	templates := os.Getenv(TemplatesEnv)
	if templates == "" {
		return initdb(ctx, fresh, b, id, home, hold)
	}
	template := filepath.Join(templates, b.version)
	if _, err := os.Stat(template); err == nil {
		return copyCluster(fresh, template, id.give)
	}
	// Whoever comes while the first one is made waits for it.
	unlock, err := lockFile(ctx, template+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(template); err == nil {
		return copyCluster(fresh, template, id.give)
	}
	if err := initdb(ctx, fresh, b, id, home, hold); err != nil {
		return err
	}
	// It gets its name only once it is complete. What a killed process left has none.
	if err := os.RemoveAll(template + ".new"); err != nil {
		return err
	}
	if err := copyCluster(template+".new", fresh, func(string) error { return nil }); err != nil {
		return err
	}
	return os.Rename(template+".new", template)
}

// copyCluster copies a cluster on which no server runs, and gives each of its files away.
func copyCluster(to, from string, give func(path string) error) error {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + path[len(from):]
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if err := os.Mkdir(target, info.Mode().Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			return give(target)
		}
		if err := copyFile(target, path, info.Mode().Perm()); err != nil {
			return err
		}
		return give(target)
	})
	if err != nil {
		return fmt.Errorf("copy the cluster %s: %w", from, err)
	}
	return nil
}

func copyFile(to, from string, mode fs.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
