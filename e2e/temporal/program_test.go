package temporal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/importer"
)

// program is the program annals, running.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	mu     sync.Mutex // guards stderr
	stderr bytes.Buffer
}

// builtIn is the folder of the program, once it was built.
var builtIn string

var built = sync.OnceValues(func() (folder string, err error) {
	if builtIn, err = os.MkdirTemp("", "annals-program-"); err != nil {
		return "", err
	}
	folder = builtIn
	build := exec.Command("go", "build", "-o", folder, "./cmd/annals")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("%w: %s", err, out)
	}
	return folder, nil
})

// startProgram runs annals with arguments on a log at a URL of NATS. It is killed with
// the test.
func startProgram(t *testing.T, natsURL string, args ...string) *program {
	t.Helper()
	folder, err := built()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.Command(filepath.Join(folder, "annals"), args...)}
	p.cmd.Env = append(os.Environ(), "NATS_URL="+natsURL, "NATS_CONTEXT=", "TEMPORAL_API_KEY=", "XDG_CONFIG_HOME="+t.TempDir())
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("annals %s said:\n%s", strings.Join(args, " "), p.said())
		}
	})
	return p
}

// Write keeps what the program says on standard error.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// ends waits for the program's end, which has to come in time, and gives what it
// printed, a line a run.
func (p *program) ends(code int) []importer.Result {
	p.t.Helper()
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	if !late.Stop() {
		p.t.Fatalf("it did not end within %s: %s", patience, p.said())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("exit code %d, want %d: %s", got, code, p.said())
	}
	var all []importer.Result
	for d := json.NewDecoder(&p.stdout); d.More(); {
		var r importer.Result
		if err := d.Decode(&r); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// interrupted ends the program as people do.
func (p *program) interrupted() []importer.Result {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	return p.ends(0)
}

// killed ends it as nobody should.
func (p *program) killed() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}
