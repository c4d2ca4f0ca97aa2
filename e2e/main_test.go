// Package e2e runs the built programs, each in a process of its own, on real
// servers, kills them, and holds what they leave behind against what they were
// given: by plain code that does not use the fold.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/annals-io/annals/internal/scratch"
	"github.com/annals-io/annals/internal/testenv"
)

// rounds is how often the racers of TestRace start; 50 is the whole race.
var rounds = flag.Int("race.rounds", 4, "rounds of sixteen processes that race to start one workflow")

func TestMain(m *testing.M) {
	flag.Parse()
	testenv.Main(m)
}

// programs builds the programs once and gives the folder that they lie in. It
// vanishes with the test binary.
var programs = sync.OnceValues(func() (*scratch.Folder, error) {
	dir, err := scratch.New("programs", scratch.Options{})
	if err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "build", "-o", dir.Path+"/", "../cmd/annals", "../cmd/projector", "../cmd/ingest").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// environment is what the programs are told: a log and a database.
type environment struct {
	t        testing.TB
	nats     string
	database string
}

func (e environment) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	e.t.Helper()
	dir, err := programs()
	if err != nil {
		e.t.Fatal(err)
	}
	c := exec.CommandContext(ctx, filepath.Join(dir.Path, program), args...)
	c.Env = append(os.Environ(), "NATS_URL="+e.nats, "DATABASE_URL="+e.database)
	return c
}

// result is what a program printed and how it ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a program to its end.
func (e environment) run(program string, args ...string) result {
	e.t.Helper()
	c := e.command(e.t.Context(), program, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return result{stdout: out.String(), stderr: errs.String(), code: c.ProcessState.ExitCode()}
}

// annals runs a command that must end with this code, and gives what it printed.
func (e environment) annals(code int, args ...string) string {
	e.t.Helper()
	r := e.run("annals", args...)
	if r.code != code {
		e.t.Fatalf("annals %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r.stdout
}

// prepare makes the log and the tables.
func (e environment) prepare(createFlags ...string) {
	e.t.Helper()
	e.annals(0, append([]string{"log", "create"}, createFlags...)...)
	if r := e.run("projector", "migrate"); r.code != 0 {
		e.t.Fatalf("projector migrate: exit code %d\n%s", r.code, r.stderr)
	}
}

// projector is a running projector that can be killed.
type projector struct {
	e   environment
	cmd *exec.Cmd
	log *speech
}

func (e environment) startProjector() *projector {
	e.t.Helper()
	p := &projector{e: e, log: newSpeech()}
	p.start()
	e.t.Cleanup(func() {
		p.kill()
		if e.t.Failed() {
			e.t.Logf("the projector said:\n%s", p.log)
		}
	})
	return p
}

func (p *projector) start() {
	p.cmd = p.e.command(context.Background(), "projector", "run")
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		p.e.t.Fatal(err)
	}
}

// kill ends the projector by SIGKILL and returns when it is gone.
func (p *projector) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// parse reads a program's JSON.
func parse[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not the JSON that was expected: %v\n%s", err, text)
	}
	return v
}

// parseLines reads one JSON value a line.
func parseLines[T any](t testing.TB, text string) []T {
	t.Helper()
	var out []T
	for line := range strings.Lines(text) {
		out = append(out, parse[T](t, line))
	}
	return out
}
