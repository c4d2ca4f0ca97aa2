package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// shown is what `demo -o json` must at least say.
type shown struct {
	Workflows int   `json:"workflows"`
	Commits   int64 `json:"commits"`
	Events    int64 `json:"events"`
	Counts    []struct {
		WorkflowType string `json:"workflowType"`
		Status       string `json:"status"`
		Count        int    `json:"count"`
	} `json:"counts"`
	Killed struct {
		Worker int `json:"worker"`
		PID    int `json:"pid"`
		Held   int `json:"held"`
	} `json:"killed"`
	Resumed []struct {
		WorkflowID string `json:"workflowId"`
		RunID      string `json:"runId"`
		EventID    int64  `json:"eventId"`
		Status     string `json:"status"`
	} `json:"resumed"`
	Histories struct {
		Runs           int   `json:"runs"`
		WellFormed     int   `json:"wellFormed"`
		Replayed       int   `json:"replayed"`
		Activities     int   `json:"activities"`
		ScheduledTwice int   `json:"scheduledTwice"`
		Faults         []any `json:"faults"`
	} `json:"histories"`
	Verify struct {
		Events      int64          `json:"events"`
		Rows        map[string]int `json:"rows"`
		Differences []any          `json:"differences"`
	} `json:"verify"`
}

// The whole of it: worker processes, a real SIGKILL, and what comes out. Two at
// the same time do not get in each other's way.
func TestDemo(t *testing.T) {
	t.Parallel()
	for _, seed := range []string{"1", "2"} {
		t.Run("seed "+seed, func(t *testing.T) {
			t.Parallel()
			bin, env := install(t), devEnv(t)
			dir := workFolder(t, env, "work")
			stdout, stderr, code := run(t, bin, dir, env, "annals", "demo", "--workflows", "30", "--seed", seed, "--namespace", "shop-"+seed, "-o", "json")
			if code != 0 {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			var s shown
			if err := json.Unmarshal([]byte(stdout), &s); err != nil {
				t.Fatalf("%v\n%s", err, stdout)
			}
			if s.Workflows != 30 || s.Events < 500 || s.Events != s.Verify.Events || s.Verify.Rows["executions"] != s.Histories.Runs {
				t.Errorf("%d workflows, %d events, %d of them verified, %d runs, %d rows of them", s.Workflows, s.Events, s.Verify.Events, s.Histories.Runs, s.Verify.Rows["executions"])
			}
			kinds, runs := map[string]int{}, 0
			for _, c := range s.Counts {
				kinds[c.WorkflowType] += c.Count
				runs += c.Count
				if c.Status == "Running" {
					t.Errorf("%d runs of %s are open at the end", c.Count, c.WorkflowType)
				}
			}
			if kinds["Order"] != 18 || kinds["Subscription"] <= 9 || kinds["Batch"] != 3 || kinds["ImportFile"] < 9 || runs != s.Histories.Runs {
				t.Errorf("runs by kind: %v, of %d", kinds, s.Histories.Runs)
			}
			if s.Killed.Held < 10 || len(s.Resumed) < 10 || s.Killed.PID == 0 {
				t.Errorf("worker %d, process %d, was killed holding %d open runs, and went on with %d", s.Killed.Worker, s.Killed.PID, s.Killed.Held, len(s.Resumed))
			}
			for _, r := range s.Resumed {
				if r.WorkflowID == "" || r.RunID == "" || r.EventID < 1 || r.Status == "" || r.Status == "Running" {
					t.Errorf("resumed %+v", r)
				}
			}
			h := s.Histories
			if h.WellFormed != h.Runs || h.Replayed != h.Runs || h.ScheduledTwice != 0 || len(h.Faults) != 0 || h.Activities < 60 || len(s.Verify.Differences) != 0 {
				t.Errorf("histories %+v, differences %v", h, s.Verify.Differences)
			}
			for _, want := range []string{"3 workers started in", "30 workflows started in", "killed (SIGKILL", "is back", "all 30 workflows ended"} {
				if !strings.Contains(stderr, want) {
					t.Errorf("standard error lacks %q:\n%s", want, stderr)
				}
			}
			left(t, env)
		})
	}
}

// left fails the test if a process or a temporary folder of the demo is there.
func left(t *testing.T, env []string) {
	t.Helper()
	for _, pid := range processesIn(t, env) {
		if !ended(t, pid) {
			command, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			t.Errorf("process %s is left: %s", pid, bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		}
	}
	nothingLeft(t, env)
}

// processesIn lists the processes that were started in the environment.
func processesIn(t *testing.T, env []string) (pids []string) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // another user's, or gone
		}
		for variable := range bytes.SplitSeq(text, []byte{0}) {
			if string(variable) == env[0] {
				pids = append(pids, filepath.Base(filepath.Dir(path)))
			}
		}
	}
	return pids
}

// Interrupted at any moment it ends everything, and says that it was interrupted.
func TestDemoIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"workers started in", "workflows started in", "killed (SIGKILL", "is back"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			bin, env := install(t), devEnv(t)
			p := start(t, bin, workFolder(t, env, "work"), env, "annals", "demo", "--workflows", "30")
			p.await(at)
			p.signal(os.Interrupt)
			if code := p.end(); code != 3 || !strings.Contains(p.errors(), "Error: interrupted") {
				t.Errorf("exit code %d, want 3 and to be told:\n%s", code, p.errors())
			}
			left(t, env)
		})
	}
}

// A worker that ends by itself ends the demo: nobody would go on with its
// workflows.
func TestDemoLosesAWorker(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	p := start(t, bin, workFolder(t, env, "work"), env, "annals", "demo", "--workflows", "30")
	p.await("workflows started in")
	killed := false
	for _, pid := range processesIn(t, env) {
		command, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil || !bytes.Contains(command, []byte("worker\x00--index\x001\x00")) {
			continue
		}
		id, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed = true
	}
	if !killed {
		t.Fatal("there is no second worker")
	}
	if code := p.end(); code != 3 || !strings.Contains(p.errors(), "Error: worker 2: it has ended\nsignal: killed") {
		t.Errorf("exit code %d, want 3 and to be told:\n%s", code, p.errors())
	}
	left(t, env)
}

// Killed it leaves nobody behind: no server, and no worker.
func TestDemoIsKilled(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	p := start(t, bin, workFolder(t, env, "work"), env, "annals", "demo", "--workflows", "30")
	p.await("workflows started in")
	pids := processesIn(t, env)
	if len(pids) < 5 { // the demo, three workers, Postgres
		t.Errorf("it runs as %v", pids)
	}
	p.signal(syscall.SIGKILL)
	_ = p.end()
	eventually(t, "processes of the demo go on", func() bool {
		for _, pid := range pids {
			if !ended(t, pid) {
				return false
			}
		}
		return true
	})
	nothingLeft(t, env)
}

// What is kept can be looked at by the commands that it names, and the workers
// run what is started.
func TestDemoIsKept(t *testing.T) {
	t.Parallel()
	bin, env := install(t), devEnv(t)
	dir := workFolder(t, env, "work")
	p := start(t, bin, dir, env, "annals", "demo", "--workflows", "30", "--keep", "--seed", "3", "--namespace", "of my own")
	var commands []string
	for line := p.line(); !strings.HasPrefix(line, "export NATS_URL="); line = p.line() {
		if command, ok := strings.CutPrefix(line, "  "); ok && strings.Contains(command, "annals ") {
			commands = append(commands, command)
		}
	}
	if len(commands) < 6 {
		t.Fatalf("it names the commands %q", commands)
	}
	for _, command := range commands { // the program was started by its path, and may not be found otherwise
		if !strings.Contains(command, filepath.Join(bin, "annals")+" --namespace 'of my own' ") {
			t.Errorf("it names the command %q", command)
		}
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sh, filepath.Join(bin, "sh")); err != nil {
		t.Fatal(err)
	}
	// A workflow that nobody knows, and one that is somebody else's, end nothing.
	for id, queue := range map[string]string{"unheard-1": "shop", "shipment-1": "shipments"} {
		event := `{"eventType":"WorkflowExecutionStarted","workflowExecutionStartedEventAttributes":{"workflowType":{"name":"Shipment"},"taskQueue":{"name":"` + queue + `"}}}`
		if err := os.WriteFile(filepath.Join(dir, "start.json"), []byte(event), 0o600); err != nil {
			t.Fatal(err)
		}
		if stdout, stderr, code := run(t, bin, dir, env, "annals", "append", id, "--events", "start.json"); code != 0 {
			t.Fatalf("append %s: exit code %d\n%s%s", id, code, stdout, stderr)
		}
	}
	p.await("workflow=default/unheard-1")
	var order *process
	for _, command := range commands {
		if strings.Contains(command, " watch ") {
			order = start(t, bin, dir, env, "sh", "-c", "exec "+command+" --log-level info")
			order.await("msg=watching")
			continue
		}
		stdout, stderr, code := run(t, bin, dir, env, "sh", "-c", command)
		if code != 0 || stdout == "" {
			t.Errorf("%s: exit code %d\n%s%s", command, code, stdout, stderr)
		}
	}
	if order == nil {
		t.Fatalf("none of %q watches", commands)
	}
	for line := order.line(); !strings.Contains(line, "WorkflowExecutionCompleted"); line = order.line() {
		if strings.Contains(line, "WorkflowExecutionFailed") {
			t.Fatalf("the order that was appended: %s", line)
		}
	}
	order.signal(os.Interrupt)
	order.end()
	p.signal(os.Interrupt)
	if code := p.end(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.errors())
	}
	if said := p.errors(); strings.Contains(said, "shipment-1") {
		t.Errorf("the workers did not pass over another queue's workflow:\n%s", said)
	}
	left(t, env)
}

// Options that cannot be are wrong usage, and name the flag.
func TestDemoUsage(t *testing.T) {
	t.Parallel()
	bin, dir := install(t), t.TempDir()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--workflows", "29"}, "workflows: is 29, want 30 to 10000"},
		{[]string{"--workflows", "10001"}, "workflows: is 10001"},
		{[]string{"--workflows", "0"}, "workflows: is 0"},
		{[]string{"--workers", "1"}, "workers: is 1, want 2 to 16"},
		{[]string{"--workers", "17"}, "workers: is 17"},
		{[]string{"--workflows", "30", "--workers", "4"}, "workers: is 4, want 3 at most for 30 workflows"},
		{[]string{"--seed", "-1"}, "--seed"},
		{[]string{"--namespace", strings.Repeat("n", 256)}, "namespace"},
		{[]string{"more"}, "more"},
	} {
		_, stderr, code := run(t, bin, dir, nil, append([]string{"annals", "demo"}, tc.args...)...)
		if code != 2 || !strings.Contains(stderr, tc.want) {
			t.Errorf("%v: exit code %d, want 2 and %q\n%s", tc.args, code, tc.want, stderr)
		}
	}
}
