package embedpg

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-io/annals/internal/scratch"
)

// helperEnv makes the test binary a program that starts one server with the options in the variable,
// reports it and serves until its standard input ends.
const helperEnv = "ANNALS_EMBEDPG_HELPER"

func TestMain(m *testing.M) {
	if o := os.Getenv(helperEnv); o != "" {
		os.Exit(serve(o))
	}
	// Most tests are not about initdb.
	templates, err := scratch.New("templates", scratch.Options{Memory: true})
	if err == nil {
		err = os.Setenv(TemplatesEnv, templates.Path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := templates.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// report is what a helper prints on its first line.
type report struct {
	PostgresPID, GuardianPID int
	User, ConnString, Folder string
	// Error is empty if the server runs.
	Error, ErrorType string
}

func serve(options string) int {
	var o Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	out := json.NewEncoder(os.Stdout)
	s, err := Start(context.Background(), o)
	if err != nil {
		r := report{Error: err.Error()}
		var passwd *NoPasswdEntryError
		if errors.As(err, &passwd) {
			r.ErrorType = fmt.Sprintf("%T", passwd)
		}
		_ = out.Encode(r)
		return 1
	}
	_ = out.Encode(report{
		PostgresPID: s.child.process.Pid, GuardianPID: s.folder.GuardianPID(),
		User: s.User(), ConnString: s.ConnString("postgres"), Folder: s.folder.Path,
	})
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// helper is a running copy of the test binary.
type helper struct {
	report
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// startHelper runs program, a test binary, as the user (nil: this one) and waits for its report.
func startHelper(t *testing.T, program string, as *syscall.Credential, o Options, env ...string) *helper {
	t.Helper()
	options, err := json.Marshal(struct {
		DataDir   string
		Ephemeral bool
	}{o.DataDir, o.Ephemeral})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = append(append(os.Environ(), env...), helperEnv+"="+string(options))
	if as != nil { // which cannot write the templates
		cmd.Env = append(cmd.Env, TemplatesEnv+"=")
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &helper{cmd: cmd, stdin: stdin}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the helper ended without a report: %v", err)
	}
	if err := json.Unmarshal(line, &h.report); err != nil {
		t.Fatal(err)
	}
	return h
}

func self(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// openDir is a temporary folder that every user may enter, unlike t.TempDir's.
func openDir(t *testing.T) string {
	t.Helper()
	f, err := scratch.New("test", scratch.Options{Enter: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	})
	return f.Path
}

// start runs a server for the test, and stops it at its end.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// within bounds what a test waits for.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// write makes a file with its folders.
func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
