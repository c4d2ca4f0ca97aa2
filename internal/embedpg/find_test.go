package embedpg

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var quiet = slog.New(slog.DiscardHandler)

// install puts programs into dir that know their version and nothing else.
func install(t *testing.T, dir, version string) string {
	t.Helper()
	write(t, filepath.Join(dir, "postgres"), "#!/bin/sh\necho 'postgres (PostgreSQL) "+version+"'\n", 0o755)
	write(t, filepath.Join(dir, "initdb"), "#!/bin/sh\n", 0o755)
	return dir
}

// ourselves runs the programs as this process, root or not.
func ourselves() identity { return identity{name: "self", uid: uint32(os.Geteuid())} }

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, postgres string
		initdb         bool
		want           binaries // without the folder
		err            string
	}{
		{"a release", "echo 'postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'", true, binaries{version: "15.18", major: 15}, ""},
		{"a beta", "echo 'postgres (PostgreSQL) 19beta1'", true, binaries{version: "19beta1", major: 19}, ""},
		{"too old", "echo 'postgres (PostgreSQL) 14.9'", true, binaries{}, "older than 15"},
		{"something else", "echo hello", true, binaries{}, `answers "hello`},
		{"broken", "echo 'no such library' >&2; exit 127", true, binaries{}, "no such library"},
		{"a client's package", "echo 'postgres (PostgreSQL) 15.18'", false, binaries{}, "without initdb"},
		{"nothing", "", true, binaries{}, "no postgres there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-"))
			if tt.postgres != "" {
				write(t, filepath.Join(bin, "postgres"), "#!/bin/sh\n"+tt.postgres+"\n", 0o755)
			}
			if tt.initdb {
				write(t, filepath.Join(bin, "initdb"), "", 0o755)
			}
			got, err := probe(within(t), bin, ourselves())
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, %v, want an error with %q", got, err, tt.err)
				}
				return
			}
			tt.want.dir = bin
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestProbeFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	real := install(t, filepath.Join(dir, "real"), "16.1")
	link := filepath.Join(dir, "link")
	if err := os.Mkdir(link, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(link, "postgres")); err != nil {
		t.Fatal(err)
	}
	if got, err := probe(within(t), link, ourselves()); err != nil || got.dir != real {
		t.Errorf("got %+v, %v, want those in %s", got, err, real)
	}
}

func TestFindInItsOrder(t *testing.T) {
	named := install(t, filepath.Join(t.TempDir(), "named"), "18.1")
	onPath := install(t, filepath.Join(t.TempDir(), "path"), "17.1")
	byConfig := install(t, filepath.Join(t.TempDir(), "config"), "16.1")
	old := install(t, filepath.Join(t.TempDir(), "old"), "14.1")
	config := t.TempDir()
	write(t, filepath.Join(config, "pg_config"), "#!/bin/sh\necho "+byConfig+"\n", 0o755)
	cache := t.TempDir()
	cached := install(t, filepath.Join(cache, "postgres", sources()[0].name, "bin"), "18.4")

	for _, tt := range []struct {
		name, bin string
		path      []string
		major     int
		want      string
	}{
		{"named", named, []string{onPath, config}, 0, named},
		{"on the PATH", "", []string{onPath, config}, 0, onPath},
		{"by pg_config, as the PATH's is too old", "", []string{old, config}, 0, byConfig},
		{"by pg_config, as the data wants 16", "", []string{onPath, config}, 16, byConfig},
		{"cached, as the machine is hidden", BinFetch, []string{onPath, config}, 0, cached},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(BinEnv, tt.bin)
			t.Setenv(CacheEnv, cache)
			t.Setenv("PATH", strings.Join(append(tt.path, "/bin"), ":"))
			got, err := find(within(t), ourselves(), tt.major, quiet)
			if err != nil || got.dir != tt.want {
				t.Errorf("got %+v, %v, want those in %s", got, err, tt.want)
			}
		})
	}
}

func TestNamedBinariesAreNotReplaced(t *testing.T) {
	for _, tt := range []struct {
		name, dir string
		major     int
		want      string
	}{
		{"there are none", t.TempDir(), 0, "no postgres there"},
		{"too old", install(t, filepath.Join(t.TempDir(), "bin"), "13.2"), 0, "older than"},
		{"not the data's", install(t, filepath.Join(t.TempDir(), "bin"), "17.2"), 16, "made by version 16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(BinEnv, tt.dir)
			_, err := find(within(t), ourselves(), tt.major, quiet)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), BinEnv+"="+tt.dir) {
				t.Errorf("got %v, want an error with %q that names the variable", err, tt.want)
			}
		})
	}
}

func TestUsualFolders(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{
		"usr/lib/postgresql/9.6/bin", "usr/lib/postgresql/15/bin", "usr/lib/postgresql/17/bin",
		"usr/pgsql-16/bin", "usr/lib64/postgresql-18/bin", "opt/homebrew/opt/postgresql@14/bin",
		"usr/local/pgsql/bin", "Applications/Postgres.app/Contents/Versions/latest/bin",
	} {
		write(t, filepath.Join(root, dir, "postgres"), "", 0o755)
	}
	write(t, filepath.Join(root, "usr/lib/postgresql/19/bin/psql"), "", 0o755) // a client only
	var got []string
	for _, path := range usualFolders(root) {
		below, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, below)
	}
	want := []string{
		"usr/lib64/postgresql-18/bin", "usr/lib/postgresql/17/bin", "usr/pgsql-16/bin", "usr/lib/postgresql/15/bin",
		"opt/homebrew/opt/postgresql@14/bin", "usr/lib/postgresql/9.6/bin",
		"usr/local/pgsql/bin", "Applications/Postgres.app/Contents/Versions/latest/bin",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNothingCanBeHad(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(BinEnv, BinFetch)
	blocked := filepath.Join(t.TempDir(), "file")
	write(t, blocked, "", 0o644)
	t.Setenv(CacheEnv, blocked)
	_, err := find(within(t), ourselves(), 0, quiet)
	var notFound *NotFoundError
	if !errors.As(err, &notFound) {
		t.Fatalf("got %v, want a NotFoundError", err)
	}
	for _, remedy := range []string{"DATABASE_URL", "apt install postgresql", "brew install", BinEnv, CacheEnv, blocked} {
		if !strings.Contains(err.Error(), remedy) {
			t.Errorf("the error does not mention %s:\n%v", remedy, err)
		}
	}
}

func TestCacheFolder(t *testing.T) {
	t.Setenv(CacheEnv, "/somewhere/else")
	if got, err := cacheFolder(); err != nil || got != "/somewhere/else/postgres" {
		t.Errorf("by %s: %q, %v", CacheEnv, got, err)
	}
	t.Setenv(CacheEnv, "")
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", "")
	got, err := cacheFolder()
	if err != nil {
		t.Fatal(err)
	}
	if own := strings.HasPrefix(got, home); own == (os.Geteuid() == 0) {
		t.Errorf("user %d has the cache in %s", os.Geteuid(), got)
	}
}

func TestCacheIsFilledByOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(within(t), path)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(within(t))
	cancel(enough)
	if _, err := lockFile(ctx, path); !errors.Is(err, enough) {
		t.Errorf("a lock that is held: %v, want the cause", err)
	}
	unlock()
	unlock, err = lockFile(within(t), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
