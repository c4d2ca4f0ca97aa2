package workerjs

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The block of README.md runs as it stands there: the worker is killed once it
// has packed three parcels, and another goes on.
func TestReadme(t *testing.T) {
	t.Parallel()
	node(t)
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 1 {
		t.Fatalf("README.md has %d blocks of sh, want 1", len(blocks))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience) // it builds annals
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", blocks[0][1])
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	c.WaitDelay = time.Minute
	var logs strings.Builder
	c.Stderr = &logs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, logs.String())
	}
	rest := string(out)
	for _, want := range []string{
		"pack: attempt 1\n", "packed 3 of 10\n", "pack: attempt 2, going on from {\"packed\":", "packed 10 of 10\n",
		"completed with ", "ActivityTaskScheduled       Pack\n", "WorkflowExecutionCompleted",
	} {
		before, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("it does not say %q, or not there:\n%s\n%s", want, out, logs.String())
		}
		if want == "pack: attempt 2, going on from {\"packed\":" && strings.Contains(before, "packed 4") {
			t.Errorf("the first worker was not killed after the third parcel:\n%s", out)
		}
		rest = after
	}
	if n := strings.Count(string(out), "ActivityTaskScheduled"); n != 2 {
		t.Errorf("%d activities were scheduled, want 2:\n%s", n, out)
	}
	if strings.Contains(logs.String(), "No such process") {
		t.Errorf("there was no worker to kill:\n%s", logs.String())
	}
}
