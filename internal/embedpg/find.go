package embedpg

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The environment variables that say where PostgreSQL's programs are.
const (
	// BinEnv names the folder that holds postgres and initdb, or is [BinFetch].
	BinEnv = "ANNALS_POSTGRES_BIN"
	// CacheEnv names the folder that keeps what was fetched.
	CacheEnv = "ANNALS_CACHE"
	// BinFetch, as the value of BinEnv, passes over everything that the machine has installed.
	BinFetch = "fetch"
)

// search is one look for PostgreSQL's programs.
type search struct {
	id     identity
	major  int // zero: any from minMajor up
	logger *slog.Logger
	tried  []string
}

// find gives the first usable binaries in the order that the package promises.
func find(ctx context.Context, id identity, major int, logger *slog.Logger) (binaries, error) {
	s := &search{id: id, major: major, logger: logger}
	named := os.Getenv(BinEnv)
	if named != "" && named != BinFetch {
		b, err := probe(ctx, named, id)
		switch {
		case err != nil:
			return binaries{}, fmt.Errorf("%s=%s: %w", BinEnv, named, err)
		case major != 0 && b.major != major:
			return binaries{}, fmt.Errorf("%s=%s: version %s, but the data folder was made by version %d", BinEnv, named, b.version, major)
		}
		return b, nil
	}
	if named != BinFetch {
		if b, ok := s.machine(ctx); ok {
			return b, nil
		}
	}
	if ctx.Err() != nil {
		return binaries{}, context.Cause(ctx)
	}
	b, err := s.fetched(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return binaries{}, context.Cause(ctx)
		}
		s.note(err.Error())
		return binaries{}, &NotFoundError{Major: major, Tried: s.tried}
	}
	return b, nil
}

// accept probes dir and keeps the reason if it does not do.
func (s *search) accept(ctx context.Context, place, dir string) (binaries, bool) {
	b, err := probe(ctx, dir, s.id)
	if err == nil && s.major != 0 && b.major != s.major {
		err = fmt.Errorf("version %s", b.version)
	}
	if err != nil {
		s.note(fmt.Sprintf("%s: %v", place, err))
		return binaries{}, false
	}
	s.logger.DebugContext(ctx, "found PostgreSQL", slog.String("folder", b.dir), slog.String("version", b.version))
	return b, true
}

// note keeps why a place does not do, once.
func (s *search) note(reason string) {
	if !slices.Contains(s.tried, reason) {
		s.tried = append(s.tried, reason)
	}
}

// machine looks at what is installed.
func (s *search) machine(ctx context.Context) (binaries, bool) {
	if path, err := exec.LookPath("postgres"); err != nil {
		s.note("PATH: no postgres")
	} else if b, ok := s.accept(ctx, "PATH ("+path+")", filepath.Dir(path)); ok {
		return b, true
	}
	if path, err := exec.LookPath("pg_config"); err != nil {
		s.note("PATH: no pg_config")
	} else if out, err := exec.CommandContext(ctx, path, "--bindir").Output(); err != nil {
		s.note(fmt.Sprintf("%s --bindir: %v", path, err))
	} else if dir := strings.TrimSpace(string(out)); dir != "" {
		if b, ok := s.accept(ctx, path+" --bindir ("+dir+")", dir); ok {
			return b, true
		}
	}
	usual := usualFolders("/")
	for _, dir := range usual {
		if b, ok := s.accept(ctx, dir, dir); ok {
			return b, true
		}
	}
	if len(usual) == 0 {
		s.note("the usual folders: none is there")
	}
	return binaries{}, false
}

// usualPatterns are where packages of PostgreSQL put the server's programs.
var usualPatterns = []string{
	"usr/lib/postgresql/*/bin",                          // Debian, Ubuntu, SUSE's alternatives
	"usr/pgsql-*/bin",                                   // Red Hat and Fedora, the project's packages
	"usr/lib/postgresql*/bin",                           // SUSE
	"usr/lib64/postgresql-*/bin",                        // Gentoo
	"usr/libexec/postgresql*",                           // Alpine
	"usr/local/pgsql/bin",                               // built from source
	"opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, Apple silicon
	"usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
	"home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew, Linux
	"opt/local/lib/postgresql*/bin",                     // MacPorts
	"Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

var firstNumber = regexp.MustCompile(`\d+`)

// usualFolders lists those that exist below root and hold a postgres, highest version number in the
// path first, those without one last.
func usualFolders(root string) []string {
	type folder struct {
		path  string
		major int
	}
	var found []folder
	for _, pattern := range usualPatterns {
		// The pattern is a constant and well formed: Glob cannot fail.
		paths, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range paths {
			if _, err := os.Stat(filepath.Join(path, "postgres")); err != nil {
				continue
			}
			below, _ := filepath.Rel(root, path)
			// "lib64" is no version.
			number := firstNumber.FindString(strings.Replace(below, "lib64", "lib", 1))
			major, _ := strconv.Atoi(number)
			found = append(found, folder{path, major})
		}
	}
	slices.SortStableFunc(found, func(a, b folder) int { return cmp.Compare(b.major, a.major) })
	paths := make([]string, len(found))
	for i, f := range found {
		paths[i] = f.path
	}
	return paths
}
