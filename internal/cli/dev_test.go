package cli_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
)

// devEnv gives a test's annals dev a place for temporary files of its own, so
// that it neither finds those of others nor is found by them.
func devEnv(t *testing.T) []string {
	t.Helper()
	// Postgres drops root's rights: its user must be able to pass.
	tmp, err := os.MkdirTemp("/tmp", "test-of-annals-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"TMPDIR=" + tmp}
}

func tmpOf(env []string) string { return strings.TrimPrefix(env[0], "TMPDIR=") }

// workFolder is a folder that Postgres's user can enter.
func workFolder(t *testing.T, env []string, name string) string {
	t.Helper()
	dir := filepath.Join(tmpOf(env), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

const startEvent = `'{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"workflowType": {"name": "Order"}}}'`

// urls reads the lines that export them.
func (p *process) urls() (natsURL, databaseURL string) {
	p.t.Helper()
	var ok1, ok2 bool
	natsURL, ok1 = strings.CutPrefix(strings.TrimSuffix(p.line(), "'"), "export NATS_URL='")
	databaseURL, ok2 = strings.CutPrefix(strings.TrimSuffix(p.line(), "'"), "export DATABASE_URL='")
	if !ok1 || !ok2 {
		p.t.Fatalf("no export lines: %q, %q", natsURL, databaseURL)
	}
	return natsURL, databaseURL
}

// gone waits until nobody listens on the ports of the URLs.
func gone(t *testing.T, urls ...string) {
	t.Helper()
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "a server still listens on "+u.Host, func() bool {
			c, err := net.Dial("tcp", u.Host)
			if err == nil {
				_ = c.Close()
			}
			return err != nil
		})
	}
}

// nothingLeft waits until no temporary folder of annals is left.
func nothingLeft(t *testing.T, env []string) {
	t.Helper()
	eventually(t, "temporary folders are left behind in "+tmpOf(env), func() bool {
		left, err := filepath.Glob(filepath.Join(tmpOf(env), "annals-*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
}

// The whole of it, as README shows it: with a command, everything starts, the
// command's exit code is the program's, and everything stops.
func TestDevRunsACommand(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	stdout, stderr, code := run(t, bin, dir, env, "annals", "dev", "--ephemeral", "--", "sh", "-ec", `
		echo `+startEvent+` | annals append order-1 --events - -o json
		annals verify
		annals doctor
		echo "$NATS_URL" "$DATABASE_URL"
		exit 7`)
	if code != 7 {
		t.Errorf("exit code %d, want that of the command, 7\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{`"firstEventId": 1`, "rows of executions  1", "differences         0", "sync_interval always"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("standard output lacks %q:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "export ") {
		t.Errorf("standard output is the command's alone:\n%s", stdout)
	}
	if last := strings.Fields(stdout); len(last) > 2 {
		gone(t, last[len(last)-2:]...)
	}
	nothingLeft(t, env)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
}

// ended reports whether a process has, reaped or not.
func ended(t *testing.T, pid string) bool {
	t.Helper()
	id, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return syscall.Kill(id, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ")
}

// Whatever ends it, nothing that the command started goes on.
func TestDevEndsWhatItsCommandStarted(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	const below = `sh -c 'echo $$; exec sleep 300 >/dev/null 2>&1'`
	const stubborn = `sh -c 'trap "" TERM INT; echo $$; while :; do sleep 0.1; done 2>/dev/null >&2'`
	for _, tc := range []struct {
		name, script string
		signal       os.Signal
		code         int
	}{
		{"SIGTERM", below + "; true", syscall.SIGTERM, 128 + 15},
		{"an interrupt", below + "; true", os.Interrupt, 128 + 2},
		{"the command ends", "sleep 300 >/dev/null 2>&1 & echo $!; exit 4", nil, 4},
		{"the command ends, and what is left ignores it", "trap '' TERM; while :; do sleep 0.1; done >/dev/null 2>&1 & echo $!; exit 4", nil, 4},
		{"it is killed", below + "; true", syscall.SIGKILL, -1},
		{"it is killed, and the command ignores what it is asked", stubborn + "; true", syscall.SIGKILL, -1},
	} {
		p := start(t, bin, tmpOf(env), env, "annals", "dev", "--ephemeral", "--", "sh", "-c", tc.script)
		pid := p.line()
		if tc.signal != nil {
			p.signal(tc.signal)
		}
		eventually(t, tc.name+": a process that the command started goes on", func() bool { return ended(t, pid) })
		if code := p.end(); code != tc.code {
			t.Errorf("%s: exit code %d, want %d\n%s", tc.name, code, tc.code, p.errors())
		}
	}
	nothingLeft(t, env)
}

// psql and its like find the database.
func TestDevSetsVariablesOfPostgres(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	wrong := append(slices.Clone(env), "PGHOST=elsewhere", "PGHOSTADDR=192.0.2.1", "PGSSLMODE=require", "PGUSER=nobody")
	stdout, stderr, code := run(t, bin, tmpOf(env), wrong, "annals", "dev", "--ephemeral", "--", "sh", "-c", `echo "$DATABASE_URL"; env | grep '^PG' | sort`)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	raw, variables, _ := strings.Cut(stdout, "\n")
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("PGDATABASE=%s\nPGHOST=%s\nPGPORT=%s\nPGSSLMODE=%s\nPGUSER=%s\n",
		strings.TrimPrefix(u.Path, "/"), u.Hostname(), u.Port(), u.Query().Get("sslmode"), u.User.Username())
	if variables != want {
		t.Errorf("variables\n%s, want\n%s", variables, want)
	}
}

func TestDevEndsAsItsCommandDoes(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	for _, tc := range []struct {
		name, script string
		signal       os.Signal
		code         int
	}{
		{"a signal that kills the command", "kill -KILL $$", nil, 128 + 9},
		{"an interrupt is handed on", "trap 'exit 5' INT; echo up; while :; do sleep 0.05; done", os.Interrupt, 5},
		{"so is SIGTERM", "trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done", syscall.SIGTERM, 6},
	} {
		p := start(t, bin, tmpOf(env), env, "annals", "dev", "--ephemeral", "--", "sh", "-c", tc.script)
		if tc.signal != nil {
			p.line()
			p.signal(tc.signal)
		}
		if code := p.end(); code != tc.code {
			t.Errorf("%s: exit code %d, want %d\n%s", tc.name, code, tc.code, p.errors())
		}
	}
	_, stderr, code := run(t, bin, tmpOf(env), env, "annals", "dev", "--ephemeral", "--", "no-such-program")
	if code != 3 || !strings.Contains(stderr, "no-such-program") {
		t.Errorf("a command that is not there: exit code %d\n%s", code, stderr)
	}
	nothingLeft(t, env)
}

// A server that ends under a command is a failure, whatever the command makes
// of it: it is asked to end, and the exit code says that it could not be done.
func TestDevFailsWhenAServerEnds(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	_, stderr, code := run(t, bin, dir, env, "annals", "dev", "--data", "d", "--", "sh", "-c",
		`trap 'exit 0' TERM; kill -KILL $(head -1 $(find d/postgres -name postmaster.pid)); while :; do sleep 0.05; done`)
	if code != 3 || !strings.Contains(stderr, "Postgres has ended") {
		t.Errorf("exit code %d, want 3\n%s", code, stderr)
	}
	nothingLeft(t, env)
	// What it kept is whole.
	stdout, stderr, code := run(t, bin, dir, env, "annals", "dev", "--data", "d", "--", "annals", "verify")
	if code != 0 {
		t.Errorf("the next one on the same data: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// Commands that are started in its folder, or below it, find the one that runs;
// its data is there the next time; a second one on the same data is refused.
func TestDevIsFoundAndKeepsItsData(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	p := start(t, bin, dir, env, "annals", "dev")
	natsURL, databaseURL := p.urls()
	p.await("annals dev is ready")
	file := filepath.Join(dir, "start.json")
	if err := os.WriteFile(file, []byte(strings.Trim(startEvent, "'")), 0o644); err != nil {
		t.Fatal(err)
	}
	annals := func(dir string, code int, args ...string) (string, string) {
		t.Helper()
		stdout, stderr, got := run(t, bin, dir, env, append([]string{"annals"}, args...)...)
		if got != code {
			t.Fatalf("annals %v: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
		}
		return stdout, stderr
	}
	annals(dir, 0, "append", "w", "--events", file)
	annals(below, 0, "verify")
	if stdout, _ := annals(tmpOf(env), 0, "history", "w"); !strings.Contains(stdout, "Order") {
		t.Errorf("from elsewhere, where it is the only one, history prints\n%s", stdout)
	}
	if stdout, _ := annals(dir, 0, "doctor"); !strings.Contains(stdout, "sync_interval always") || !strings.Contains(stdout, " bytes left for "+filepath.Join(dir, ".annals")) {
		t.Errorf("the doctor does not know its durability, and its disk:\n%s", stdout)
	}
	_, stderr := annals(dir, 3, "dev")
	if !strings.Contains(stderr, "annals dev already runs on "+filepath.Join(dir, ".annals")+": process ") {
		t.Errorf("a second annals dev says:\n%s", stderr)
	}

	// Another one elsewhere: each folder finds its own, others must say which.
	otherDir := workFolder(t, env, "other")
	other := start(t, bin, otherDir, env, "annals", "dev", "--ephemeral")
	otherNATS, _ := other.urls()
	other.await("annals dev is ready")
	if otherNATS == natsURL {
		t.Errorf("both are at %s", natsURL)
	}
	annals(otherDir, 1, "history", "w")
	annals(dir, 0, "history", "w")
	if _, stderr := annals(tmpOf(env), 3, "history", "w"); !strings.Contains(stderr, "several annals dev run") {
		t.Errorf("where two run elsewhere, history says:\n%s", stderr)
	}
	other.signal(os.Interrupt)
	if code := other.end(); code != 0 {
		t.Errorf("the other: exit code %d after an interrupt\n%s", code, other.errors())
	}

	p.signal(syscall.SIGTERM)
	if code := p.end(); code != 0 {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, p.errors())
	}
	gone(t, natsURL, databaseURL)
	if _, stderr := annals(dir, 3, "list"); !strings.Contains(stderr, "no database") {
		t.Errorf("after its end, list says:\n%s", stderr)
	}
	stdout, _ := annals(dir, 0, "dev", "--", "sh", "-c", "annals history w && annals verify")
	if !strings.Contains(stdout, "Order") || !strings.Contains(stdout, "rows of executions  1") {
		t.Errorf("the next one on the same data has\n%s", stdout)
	}
	if text, err := os.ReadFile(filepath.Join(dir, ".annals", ".gitignore")); err != nil || string(text) != "*\n" {
		t.Errorf("its data is not hidden from git: %q, %v", text, err)
	}
	nothingLeft(t, env)
}

// Killed, it takes up the tables when it starts again, and does not wait for its own
// leases to expire: they are made to last for an hour here.
func TestDevDoesNotWaitForItselfThatWasKilled(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	p := start(t, bin, dir, env, "annals", "dev")
	natsURL, databaseURL := p.urls()
	file := filepath.Join(dir, "start.json")
	if err := os.WriteFile(file, []byte(strings.Trim(startEvent, "'")), 0o644); err != nil {
		t.Fatal(err)
	}
	appended := func(workflow string) {
		t.Helper()
		for _, args := range [][]string{{"append", workflow, "--events", file}, {"verify", "--wait", patience.String()}} {
			if stdout, stderr, code := run(t, bin, dir, env, append([]string{"annals"}, args...)...); code != 0 {
				t.Fatalf("annals %v: exit code %d\n%s%s\n%s", args, code, stdout, stderr, p.errors())
			}
		}
	}
	appended("before")
	db, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	const longer = ` SET expires_at = clock_timestamp() + interval '1 hour' WHERE expires_at > clock_timestamp()`
	for _, table := range []string{"annals.members", "annals.leases"} {
		if tag, err := db.Exec(t.Context(), "UPDATE "+table+longer); err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %v, %v", table, tag, err)
		}
	}
	p.signal(syscall.SIGKILL)
	_ = db.Close(t.Context()) // its server is gone
	p.end()
	gone(t, natsURL, databaseURL)

	p = start(t, bin, dir, env, "annals", "dev")
	p.urls()
	began := time.Now()
	appended("after")
	t.Logf("the tables followed %s after it was ready", time.Since(began))
	p.signal(syscall.SIGTERM)
	if code := p.end(); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, p.errors())
	}
	nothingLeft(t, env)
}

// Killed, it leaves no server, no temporary folder and no record behind, and
// its command is asked to end.
func TestDevLeavesNothingWhenItIsKilled(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	ended := filepath.Join(dir, "ended")
	p := start(t, bin, dir, env, "annals", "dev", "--ephemeral", "--", "sh", "-c",
		`trap 'echo yes > ended; exit' TERM; echo "$NATS_URL"; echo "$DATABASE_URL"; while :; do sleep 0.05; done`)
	natsURL, databaseURL := p.line(), p.line()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	db, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	var folder string
	if err := db.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGKILL)
	if code := p.end(); code != -1 {
		t.Errorf("exit code %d of a killed process", code)
	}
	gone(t, natsURL, databaseURL)
	nothingLeft(t, env)
	eventually(t, folder+" is still there", func() bool {
		_, err := os.Stat(folder)
		return os.IsNotExist(err)
	})
	// Servers keep ephemeral data in memory where they can.
	inMemory := fmt.Sprintf("/dev/shm/annals*-%d-*", p.cmd.Process.Pid)
	eventually(t, inMemory+" is still there", func() bool {
		left, err := filepath.Glob(inMemory)
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
	eventually(t, "the command was not asked to end", func() bool {
		_, err := os.Stat(ended)
		return err == nil
	})
}

// eventually asks again every 10 ms: what another process leaves behind gives no
// signal when it is gone.
func eventually(t *testing.T, complaint string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(complaint)
		}
	}
}

// What the tables keep of events is said when there are none yet, and kept after that; another way is refused before
// anything is changed, with what to do about it.
func TestDevKeepsOfEventsWhatIsSaid(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	const look = `annals projection generations -o json; annals verify -o json`
	stdout, stderr, code := run(t, bin, dir, env, "annals", "dev", "--events", "full", "--", "sh", "-ec", `
		echo `+startEvent+` | annals append order-1 --events - >/dev/null
		`+look)
	if code != 0 || !strings.Contains(stdout, `"mode": "full"`) || !strings.Contains(stdout, `"commits": 1`) {
		t.Errorf("made: exit code %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code = run(t, bin, dir, env, "annals", "dev", "--events", "index", "--", "true"); code != 3 || !strings.Contains(stderr, "annals projection rebuild --events index") {
		t.Errorf("asked for another way: exit code %d\n%s%s", code, stdout, stderr)
	}
	stdout, stderr, code = run(t, bin, dir, env, "annals", "dev", "--", "sh", "-ec", look+`; annals projection rebuild --events none >/dev/null; `+look)
	if code != 0 || !strings.Contains(stdout, `"mode": "full"`) || !strings.Contains(stdout, `"mode": "none"`) {
		t.Errorf("rebuilt: exit code %d\n%s%s", code, stdout, stderr)
	}
	nothingLeft(t, env)
}
