package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/scratch"
)

// processEnv makes a test binary a NATS server by the configuration that the variable names.
const processEnv = "ANNALS_TESTENV_NATS"

// The first line of a server process says how its start went.
const (
	processReady  = "ready"
	processTaken  = "port is taken"
	processFailed = "failed: "
)

// Process is a NATS server in a process of its own, that can be killed and started again on its port and
// its store. It ends with the test, or with the test binary. Its methods are for one goroutine at a time.
type Process struct {
	t     testing.TB
	conf  string
	env   []string
	store *scratch.Folder
	port  int
	cmd   *exec.Cmd // nil: not running
	stdin io.Closer
}

// NATSProcess starts a server by a configuration file, which takes its values from NATS_HOST, NATS_PORT
// and NATS_STORE_DIR as those of deploy/nats do; empty: deploy/nats/single.conf. The store is a new
// folder unless env, as lines "NAME=value", says otherwise. Only for packages with [Main].
//
// The process is this test binary over again, with the same nats-server inside that go.mod names.
func NATSProcess(t testing.TB, conf string, env ...string) *Process {
	t.Helper()
	if conf == "" {
		conf = filepath.Join(moduleRoot(t), "deploy", "nats", "single.conf")
	}
	conf, err := filepath.Abs(conf)
	if err != nil {
		t.Fatal(err)
	}
	store, err := scratch.New("nats", scratch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stopWith(t, store.Remove)
	p := &Process{t: t, conf: conf, store: store}
	p.env = append(append(os.Environ(), "NATS_HOST=127.0.0.1", "NATS_STORE_DIR="+filepath.Join(store.Path, "store")), env...)
	t.Cleanup(p.end)
	const moves = 10
	for range moves {
		ports, err := embednats.StablePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		p.port = ports[0]
		err = p.start()
		if err == nil {
			return p
		}
		if !errors.Is(err, embednats.ErrPortTaken) {
			t.Fatal(err)
		}
	}
	t.Fatal("testenv.NATSProcess: no port stayed free")
	return nil
}

// URL is where clients connect; it stays the same over restarts.
func (p *Process) URL() string { return "nats://127.0.0.1:" + strconv.Itoa(p.port) }

// PID is the process's; zero if it does not run.
func (p *Process) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill ends the process by SIGKILL and returns when it is gone: what it did not give to the operating
// system is lost.
func (p *Process) Kill() {
	p.t.Helper()
	if p.cmd == nil {
		p.t.Fatal("testenv: the NATS process does not run")
	}
	p.end()
}

// Stop has the server shut down in order and returns when its process is gone.
func (p *Process) Stop() {
	p.t.Helper()
	if p.cmd == nil {
		p.t.Fatal("testenv: the NATS process does not run")
	}
	_ = p.stdin.Close()
	err := p.cmd.Wait()
	p.cmd = nil
	if err != nil {
		p.t.Fatalf("the NATS process: %v", err)
	}
}

// Restart starts the process again after [Process.Kill] or [Process.Stop], on its port and its store, and
// returns when it accepts connections.
func (p *Process) Restart() {
	p.t.Helper()
	if p.cmd != nil {
		p.t.Fatal("testenv: the NATS process runs")
	}
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
}

// end kills the process if it runs.
func (p *Process) end() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *Process) start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(program)
	cmd.Env = append(p.env, "NATS_PORT="+strconv.Itoa(p.port), processEnv+"="+p.conf)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{p.store.Hold()}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.stdin = cmd, stdin
	line, err := bufio.NewReader(stdout).ReadString('\n')
	line = strings.TrimSuffix(line, "\n")
	switch {
	case line == processReady:
		return nil
	case line == processTaken:
		err = embednats.ErrPortTaken
	case err == nil:
		err = errors.New(line)
	default:
		err = errors.New("it ended without a word: does the package's TestMain call testenv.Main?")
	}
	p.end()
	return fmt.Errorf("start a NATS process: %w", err)
}

// serveProcess is the server's side: it runs until its standard input ends, which happens at the latest
// when the test binary dies.
func serveProcess(conf string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := embednats.StartConfigured(context.Background(), conf, log)
	switch {
	case errors.Is(err, embednats.ErrPortTaken):
		fmt.Println(processTaken)
		return 1
	case err != nil:
		fmt.Println(processFailed + strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	fmt.Println(processReady)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// moduleRoot finds the folder of go.mod above the test's package.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("testenv: no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}
