// Package workerjs runs the example, as its README tells to.
package workerjs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/dev"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution/wellformed"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds what a test waits for, on a machine that is busy.
const patience = 2 * time.Minute

func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("Node.js is not on the PATH: the worker in JavaScript is not tested. Install Node 20 or later.")
	}
	v, err := nodeVersion()
	if err != nil {
		t.Fatalf("node --version: %v", err)
	}
	if !newEnough(v) {
		t.Skipf("Node.js on the PATH is %s: the worker in JavaScript is not tested. Install Node 20 or later.", v)
	}
	return path
}

// nodeVersion is what the node on the PATH says; it is asked once.
var nodeVersion = sync.OnceValues(func() (string, error) {
	version, err := exec.Command("node", "--version").Output()
	return strings.TrimSpace(string(version)), err
})

// newEnough reports whether it is what package.json asks for.
func newEnough(version string) bool {
	var major int
	_, err := fmt.Sscanf(version, "v%d.", &major)
	return err == nil && major >= 20
}

func TestNewEnough(t *testing.T) {
	for version, want := range map[string]bool{
		"v20.0.0": true, "v22.11.0": true, "v100.1.0": true, "v23.0.0-pre": true,
		"v19.9.0": false, "v18.20.4": false, "v8.17.0": false, "v2.0.0": false, "20.0.0": false, "": false,
	} {
		if got := newEnough(version); got != want {
			t.Errorf("newEnough(%q) is %t", version, got)
		}
	}
	text, err := os.ReadFile("package.json")
	if err != nil || !strings.Contains(string(text), `"node": ">=20"`) {
		t.Errorf("package.json asks for another version: %s %v", text, err)
	}
}

// worker is a process of the example.
type worker struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string  // of standard output, closed at its end
	said  []string     // those that were taken from lines
	wrong bytes.Buffer // standard error, to be read after end
}

// start runs worker.js for a workflow of ten parcels.
func start(t *testing.T, url, workflow string, env ...string) *worker {
	t.Helper()
	return startWith(t, url, workflow, "10", env...)
}

func startWith(t *testing.T, url, workflow, parcels string, env ...string) *worker {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &worker{t: t, cmd: exec.CommandContext(ctx, node(t), "worker.js", workflow, parcels), lines: make(chan string, 1000)}
	w.cmd.Env = append(append(os.Environ(), "ANNALS_URL="+url, "PARCEL_MS=50"), env...)
	w.cmd.Stderr = &w.wrong
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(w.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			w.lines <- s.Text()
		}
	})
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		reading.Wait()
		_ = w.cmd.Wait()
		cancel()
		if t.Failed() {
			t.Logf("a worker of %s said:\n%s\n%s", workflow, strings.Join(w.said, "\n"), w.wrong.String())
		}
	})
	return w
}

// await takes lines until one holds the text, and gives it.
func (w *worker) await(text string) string {
	w.t.Helper()
	for line := range w.lines {
		w.said = append(w.said, line)
		if strings.Contains(line, text) {
			return line
		}
	}
	w.t.Fatalf("it ended without saying %q", text)
	return ""
}

// end takes what is left and gives the exit code, -1 if a signal was it.
func (w *worker) end() int {
	for line := range w.lines {
		w.said = append(w.said, line)
	}
	_ = w.cmd.Wait()
	return w.cmd.ProcessState.ExitCode()
}

// ends takes what is left, and holds that it ends well and complains of nothing.
func (w *worker) ends() {
	w.t.Helper()
	if code := w.end(); code != 0 || w.wrong.Len() > 0 {
		w.t.Errorf("exit code %d, standard error: %q", code, w.wrong.String())
	}
}

// packed are the parcels that it says to have packed.
func (w *worker) packed() (numbers []int) {
	for _, line := range w.said {
		var n, of int
		if _, err := fmt.Sscanf(line, "packed %d of %d", &n, &of); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// history is the newest run's, and must be well-formed.
func history(t *testing.T, log events.Log, id string) []*events.Event {
	t.Helper()
	evs := recorded(t, log, id)
	for _, v := range wellformed.Check(slices.Values(evs)) {
		t.Errorf("%s: %v", id, v)
	}
	return evs
}

func recorded(t *testing.T, log events.Log, id string) (evs []*events.Event) {
	t.Helper()
	for e, err := range log.Read(t.Context(), events.Workflow{Namespace: "default", ID: id}, events.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		evs = append(evs, e)
	}
	return evs
}

// scheduled counts how often each activity was.
func scheduled(evs []*events.Event) map[string]int {
	n := map[string]int{}
	for _, e := range evs {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil {
			n[a.ActivityId]++
		}
	}
	return n
}

// send is a call by HTTP, and must succeed.
func send(t *testing.T, url, call, body string) (answer []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/annals.v1."+call, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if answer, err = io.ReadAll(got.Body); err != nil || got.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s, %v", call, got.Status, answer, err)
	}
	return answer
}

// A worker is killed in the middle of an activity. Another reads the history and
// goes on where it was, though a signal comes in between.
func TestWorkerGoesOn(t *testing.T) {
	t.Parallel()
	node(t)
	pipeline, err := dev.Start(t.Context(), dev.Options{Ephemeral: true, Private: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pipeline.Stop(); err != nil {
			t.Error(err)
		}
	}()
	url, log := pipeline.AnnalsURL(), pipeline.Log()

	first := start(t, url, "s-1")
	first.await("packed 3 of 10")
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code := first.end(); code != -1 {
		t.Fatalf("it ended with %d before it was killed", code)
	}
	evs := history(t, log, "s-1")
	if n := scheduled(evs); len(evs) != 11 || n["charge"] != 1 || n["pack"] != 1 {
		t.Fatalf("it left %d events, activities scheduled: %v", len(evs), n)
	}
	tail, err := log.Tail(t.Context(), events.Workflow{Namespace: "default", ID: "s-1"})
	if err != nil {
		t.Fatal(err)
	}
	packing := events.Activity{Workflow: events.Workflow{Namespace: "default", ID: "s-1"}, RunID: tail.Run(), ID: "pack"}
	left := beat(t, log, packing)
	if n := len(first.packed()); left.attempt != 1 || left.packed < n || left.packed > n+1 {
		t.Errorf("its last heartbeat is %+v, it packed %d", left, n)
	}
	awaitHeartbeat(t, url, left)

	second := start(t, url, "s-1")
	if line, want := second.await("pack: attempt"), fmt.Sprintf(`pack: attempt 2, going on from {"packed":%d}`, left.packed); line != want {
		t.Errorf("the second worker says %q, want %q", line, want)
	}
	second.await("packed 6 of 10")
	send(t, url, "LogService/Append", `{"workflow": {"workflowId": "s-1"}, "atEnd": {}, "events": [
		{"eventType": "WorkflowExecutionSignaled", "workflowExecutionSignaledEventAttributes": {"signalName": "gift-wrap"}}]}`)
	second.await("something has happened since event 11")
	second.await(`completed with {"receipt":"receipt-42","parcels":10,"wrapped":true}`)
	if code := second.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := beat(t, log, packing); got.attempt != 2 || got.packed != 10 {
		t.Errorf("the last heartbeat is %+v", got)
	}

	evs = history(t, log, "s-1")
	if n := scheduled(evs); len(n) != 2 || n["charge"] != 1 || n["pack"] != 1 {
		t.Errorf("activities scheduled: %v, want each once", n)
	}
	if !events.Closes(evs[len(evs)-1]) {
		t.Errorf("the last event is %v", evs[len(evs)-1].EventType)
	}
	if all := append(first.packed(), second.packed()...); !increase(all) || all[len(all)-1] != 10 {
		t.Errorf("parcels packed, by both: %v", all)
	}

	third := start(t, url, "s-1")
	third.await("completed with")
	if code := third.end(); code != 0 || len(history(t, log, "s-1")) != len(evs) {
		t.Errorf("a worker that finds all done ends with %d, or wrote something", code)
	}
}

// increase reports whether no parcel is packed twice.
func increase(numbers []int) bool {
	return slices.IsSorted(numbers) && len(slices.Compact(slices.Clone(numbers))) == len(numbers)
}

type progress struct {
	attempt int32
	packed  int
}

// beat is the heartbeat that is kept.
func beat(t *testing.T, log events.Log, a events.Activity) progress {
	t.Helper()
	h, err := log.LastHeartbeat(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	var details struct{ Packed int }
	if err := events.Value(h.Details.GetPayloads()[0], &details); err != nil {
		t.Fatal(err)
	}
	return progress{h.Attempt, details.Packed}
}

// awaitHeartbeat returns once the tables have it: a worker that is faster goes
// on from an earlier one, and packs again what came after.
func awaitHeartbeat(t *testing.T, url string, want progress) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		var run struct {
			PendingActivities []struct {
				LastHeartbeat *struct {
					Attempt int32
					Details struct{ Payloads []struct{ Data []byte } }
				}
			}
		}
		if err := json.Unmarshal(send(t, url, "QueryService/DescribeExecution", `{"workflow": {"workflowId": "s-1"}, "waitFor": "now"}`), &run); err != nil {
			t.Fatal(err)
		}
		if len(run.PendingActivities) != 1 || run.PendingActivities[0].LastHeartbeat == nil {
			continue
		}
		h := run.PendingActivities[0].LastHeartbeat
		if len(h.Details.Payloads) == 1 && h.Attempt == want.attempt && string(h.Details.Payloads[0].Data) == fmt.Sprintf(`{"packed":%d}`, want.packed) {
			return
		}
	}
	t.Fatalf("the tables do not come to have the heartbeat %+v", want)
}
