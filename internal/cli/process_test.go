package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/testenv"
)

// patience bounds what a test waits for, on a machine that is busy.
const patience = 2 * time.Minute

// process is a program that runs until it is told to end.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	mu     sync.Mutex // guards stderr
	stderr bytes.Buffer
	said   chan string // lines of stderr
}

// start runs a program of bin with more in its environment.
func start(t *testing.T, bin, dir string, env []string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &process{t: t, cmd: exec.CommandContext(ctx, filepath.Join(bin, args[0]), args[1:]...), said: make(chan string, 1000)}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "NATS_URL=", "NATS_CONTEXT=", "DATABASE_URL=", "PGHOST=", "PGDATABASE=", "ANNALS_LOG_LEVEL=",
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_CONFIG_HOME="+t.TempDir())
	p.cmd.Env = append(p.cmd.Env, env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(p.said)
		for s := bufio.NewScanner(errs); s.Scan(); {
			p.mu.Lock()
			p.stderr.WriteString(s.Text() + "\n")
			p.mu.Unlock()
			select {
			case p.said <- s.Text():
			default:
			}
		}
	})
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		reading.Wait()
		cancel()
		if t.Failed() {
			t.Logf("%v said:\n%s", args, p.errors())
		}
	})
	return p
}

func (p *process) errors() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// await reads standard error until a line holds the text.
func (p *process) await(text string) {
	p.t.Helper()
	for line := range p.said {
		if strings.Contains(line, text) {
			return
		}
	}
	p.t.Fatalf("it ended without saying %q:\n%s", text, p.errors())
}

// line is the next line on standard output.
func (p *process) line() string {
	p.t.Helper()
	s, err := p.stdout.ReadString('\n')
	if err != nil {
		p.t.Fatalf("no line on standard output: %v\n%s", err, p.errors())
	}
	return strings.TrimSuffix(s, "\n")
}

// signal sends a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the end and gives the exit code, -1 if a signal was it.
func (p *process) end() int {
	p.t.Helper()
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		p.t.Fatal(err)
	}
	for range p.said { // until standard error is closed
	}
	err = p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if len(rest) > 0 {
		p.t.Logf("unread standard output: %s", rest)
	}
	return p.cmd.ProcessState.ExitCode()
}

// run runs a program to its end, and gives what it printed and its exit code.
func run(t *testing.T, bin, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p := start(t, bin, dir, env, args...)
	out, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	code = p.end()
	return string(out), p.errors(), code
}

func TestWatchFollowsUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	bin, dir := install(t), t.TempDir()
	env := []string{"NATS_URL=" + testenv.NATSURL(t)}
	annals := func(args ...string) {
		t.Helper()
		if _, stderr, code := run(t, bin, dir, env, append([]string{"annals"}, args...)...); code != 0 {
			t.Fatalf("annals %v: exit code %d\n%s", args, code, stderr)
		}
	}
	startFile, signalFile := filepath.Join(dir, "start.json"), filepath.Join(dir, "signal.json")
	for file, text := range map[string]string{
		startFile:  `{"eventType": "WorkflowExecutionStarted"}`,
		signalFile: `{"eventType": "WorkflowExecutionSignaled", "workflowExecutionSignaledEventAttributes": {"signalName": "paid"}}`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	annals("log", "create", "--streams", "2")
	annals("append", "w", "--events", startFile)
	annals("append", "v", "--events", startFile)
	for _, tc := range []struct {
		name string
		args []string
		stop os.Signal
	}{
		{"all workflows", []string{"annals", "watch", "--log-level", "info"}, os.Interrupt},
		{"one workflow", []string{"annals", "watch", "--log-level", "info", "--workflow", "w"}, syscall.SIGTERM},
	} {
		p := start(t, bin, dir, env, tc.args...)
		p.await("msg=watching")
		annals("append", "w", "--events", signalFile)
		if line := p.line(); !strings.Contains(line, "WorkflowExecutionSignaled  paid") {
			t.Errorf("%s: the first line is %q, want what came after the watch began", tc.name, line)
		}
		p.signal(tc.stop)
		if code := p.end(); code != 0 {
			t.Errorf("%s: exit code %d after %v\n%s", tc.name, code, tc.stop, p.errors())
		}
	}
}
