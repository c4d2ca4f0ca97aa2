package embedpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
)

// minMajor is the first version with CREATE DATABASE ... STRATEGY, which the tests use, and MERGE.
const minMajor = 15

// binaries is a folder with PostgreSQL's programs.
type binaries struct {
	dir     string
	version string // as the program prints it
	major   int
}

func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }
func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }

var versionLine = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// probe runs the server's program as the user that is to run it, and asks for its version. Symbolic
// links are followed, because the programs look for their files beside themselves.
func probe(ctx context.Context, dir string, id identity) (binaries, error) {
	program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return binaries{}, errors.New("no postgres there")
	}
	if program, err = filepath.Abs(program); err != nil {
		return binaries{}, err
	}
	b := binaries{dir: filepath.Dir(program)}
	if _, err := os.Stat(b.initdb()); err != nil {
		return binaries{}, fmt.Errorf("postgres without initdb in %s", b.dir)
	}
	cmd := exec.CommandContext(ctx, b.postgres(), "--version")
	cmd.Dir = "/"
	cmd.Env = environment("/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id.credential()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		if blocked := id.reach(program); blocked != nil {
			return binaries{}, blocked
		}
		return binaries{}, fmt.Errorf("%s --version: %w: %s", program, err, clip(out))
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return binaries{}, fmt.Errorf("%s --version answers %q", program, clip(out))
	}
	b.version = string(match[1])
	if b.major, err = strconv.Atoi(string(match[2])); err != nil {
		return binaries{}, fmt.Errorf("%s --version: %w", program, err)
	}
	if b.major < minMajor {
		return binaries{}, fmt.Errorf("version %s is older than %d", b.version, minMajor)
	}
	return b, nil
}

// clip shortens what a program printed to what fits into an error.
func clip(out []byte) string {
	const most = 2000
	if len(out) > most {
		out = append([]byte("… "), out[len(out)-most:]...)
	}
	return string(out)
}
